// `npm run replay -- REV [REV]`: every model's training and inference graph as text at two commits (the second is what is
// committed now), and the diff. A change that claims "no behaviour change" shows none. Exit code 1 when there is one.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [before, after = 'HEAD'] = process.argv.slice(2);
if (before === undefined) {
  console.error('usage: npm run replay -- REV [REV]');
  process.exit(2);
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (result.error) throw result.error;
  return result;
}

function must(command, args, options) {
  const { status, stdout, stderr } = run(command, args, options);
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
}

/** Runs inside a build: one file per graph. Small sizes, all covariates that the model reads. */
const exporter = `
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printGraph } from './dist/graph/index.js';
import { createLoss } from './dist/losses/index.js';
import { inferenceGraph, models, trainingGraph } from './dist/models/index.js';

const counts = { historic: 2, future: 1, static: 1 };
for (const model of models) {
  const { series, covariates } = model.capabilities;
  const many = series === 'many' ? { series: 2 } : {};
  const columns = Object.fromEntries(covariates.map((name) => [name, counts[name]]));
  for (const [variant, own] of Object.entries({ plain: many, covariates: { ...many, ...columns } })) {
    let texts;
    try {
      const loss = createLoss('mae', {});
      const hyperparameters = model.parse({ inputLength: 24, horizon: 6, ...own });
      const spec = { model, hyperparameters, loss, scaler: 'standard' };
      texts = { training: printGraph(trainingGraph(spec, { batch: 2 })), inference: printGraph(inferenceGraph(spec)) };
    } catch (error) {
      texts = { refused: \`\${error.message}\\n\` };
    }
    for (const [kind, text] of Object.entries(texts))
      writeFileSync(join(process.argv[2], \`\${model.id}.\${variant}.\${kind}.txt\`), text);
  }
}
`;

const folder = mkdtempSync(join(tmpdir(), 'replay-'));
try {
  for (const [name, revision] of Object.entries({ before, after })) {
    const source = join(folder, `${name}-source`);
    for (const path of [source, join(folder, name)]) mkdirSync(path);
    const archive = run('git', ['archive', revision, 'src', 'package.json', 'tsconfig.json', 'tsconfig.build.json'], {
      encoding: 'buffer',
    });
    if (archive.status !== 0) throw new Error(archive.stderr.toString());
    must('tar', ['-x', '-C', source], { input: archive.stdout });
    symlinkSync(resolve('node_modules'), join(source, 'node_modules'));
    must('node', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: source });
    writeFileSync(join(source, 'export.mjs'), exporter);
    must('node', ['export.mjs', join(folder, name)], { cwd: source });
  }
  const { status, stdout } = run('git', ['diff', '--no-index', '--stat', '--patch', 'before', 'after'], {
    cwd: folder,
  });
  process.stdout.write(stdout);
  console.log(status === 0 ? `no graph differs between ${before} and ${after}` : '');
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
