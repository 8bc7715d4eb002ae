// Compiles each src/**/<name>.wat to <name>.wasm.ts beside it: the module's bytes as a base64 string.
// The results are checked in, so that neither a test nor an install needs the compiler; `--check` compares them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import createWabt from 'wabt';

const wabt = await createWabt();

function compile(path) {
  const module = wabt.parseWat(basename(path), readFileSync(path, 'utf8'), { simd: true, bulk_memory: true });
  try {
    module.resolveNames();
    module.validate();
    const { buffer } = module.toBinary({});
    return [
      `// Generated from ${basename(path)} by \`npm run build:wasm\`. Do not edit.`,
      `export const wasmBase64 =\n  '${Buffer.from(buffer).toString('base64')}';\n`,
    ].join('\n');
  } finally {
    module.destroy();
  }
}

function readOr(path, fallback) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return fallback;
    throw error;
  }
}

const check = process.argv.includes('--check');
const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.wat'));
const stale = [];
for (const source of sources.map((name) => join('src', name))) {
  const target = source.replace(/\.wat$/, '.wasm.ts');
  const text = compile(source);
  if (readOr(target, '') === text) continue;
  stale.push(target);
  if (!check) writeFileSync(target, text);
}

const verb = check ? 'stale' : 'written';
console.log(
  `${sources.length} WebAssembly sources, ${stale.length} ${verb}${stale.length ? `: ${stale.join(', ')}` : ''}`,
);
if (check && stale.length > 0) {
  console.error('Run `npm run build:wasm` and commit the result.');
  process.exitCode = 1;
}
