/** The device's folders as JavaScript, for tests that start it as a process of its own. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const folders = ['contracts', 'bundle', 'transport', 'engine', 'stats', 'time', 'runtime'];

/** Translates (without checking) into a folder where packages resolve; returns the path of a module of `src/`. */
export function buildDevice(): (module: string) => string {
  const out = join('node_modules', '.cache', `nd-device-${process.pid}`);
  const sources = folders.flatMap((folder) =>
    readdirSync(join('src', folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  );
  for (const source of [...sources, 'errors.ts', 'version.ts']) {
    if (!source.endsWith('.ts')) continue;
    const { outputText } = ts.transpileModule(readFileSync(join('src', source), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
    });
    const target = join(out, source.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, outputText);
  }
  writeFileSync(join(out, 'package.json'), '{"type":"module"}');
  return (module) => join(out, module);
}
