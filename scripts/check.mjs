// `npm run check` (fast) and `npm test` (--all: everything). Two steps run side by side, cheapest first; a step prints
// its output only when it fails. The table at the end says what ran; the tests' numbers come from vitest's own reports.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { reportFolder, reportPath, reportTotals, skippedTests } from './vitest-reports.mjs';

const all = process.argv.includes('--all');
const lanes = 2;
const bin = (name) => `node_modules/.bin/${name}`;
const workers = Math.max(1, Math.floor(availableParallelism() / lanes));

/** One vitest project, its machine-readable report beside the text one. */
function suite(project) {
  const report = `--reporter json --outputFile.json ${reportPath(project)}`;
  const options = `--project ${project} --maxWorkers ${workers} --reporter dot ${report}`;
  return { name: `tests:${project}`, command: `${bin('vitest')} run --passWithNoTests ${options}`, project };
}

/** Cheapest first. `after` names steps that must have passed before. */
const steps = [
  { name: 'build', command: 'npm run --silent build', only: '--all' },
  { name: 'format', command: `${bin('prettier')} --check --log-level warn --cache .` },
  { name: 'wasm', command: 'node scripts/build-wasm.mjs --check' },
  { name: 'layers', command: 'npm run --silent layers -- --output-type err' },
  { name: 'dead code', command: `${bin('knip')} --no-progress --cache` },
  { name: 'size', command: 'npm run --silent size', only: '--all', after: 'build' },
  { name: 'model pages', command: 'npm run --silent docs:models -- --check', only: '--all', after: 'build' },
  { name: 'types', command: `${bin('tsc')} -p tsconfig.json --noEmit` },
  suite('pure'),
  { name: 'lint', command: 'npm run --silent lint' },
  { ...suite('system'), only: '--all', after: 'build' },
  { ...suite('ort'), only: '--all', after: 'build' },
].filter((step) => all || step.only !== '--all');

const running = new Map();
let interrupted = false;

function run(step) {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(step.command, {
      shell: true,
      detached: true, // a process group of its own, so that a signal reaches what the step started
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    const output = [];
    child.stdout.on('data', (chunk) => output.push(chunk));
    child.stderr.on('data', (chunk) => output.push(chunk));
    running.set(step.name, child);
    child.on('close', (code) => {
      running.delete(step.name);
      const seconds = (performance.now() - started) / 1000;
      resolve({ step, code: code ?? 1, seconds, output: Buffer.concat(output).toString() });
    });
  });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of running.values()) process.kill(-child.pid, signal);
  });
}

rmSync(reportFolder, { recursive: true, force: true });
mkdirSync(reportFolder, { recursive: true });

const waiting = [...steps];
const done = new Map();
const started = performance.now();

async function lane() {
  while (!interrupted) {
    const index = waiting.findIndex(({ after }) => after === undefined || done.has(after));
    if (index < 0) {
      if (waiting.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 100)); // what is left waits for a step of the other lane
      continue;
    }
    const [step] = waiting.splice(index, 1);
    const result =
      step.after && done.get(step.after).code !== 0
        ? { step, code: 1, seconds: 0, output: `not run: ${step.after} failed\n` }
        : await run(step);
    done.set(step.name, result);
    console.log(
      `${result.code === 0 ? 'ok    ' : 'FAILED'} ${step.name.padEnd(14)} ${result.seconds.toFixed(1).padStart(6)} s`,
    );
    if (result.code !== 0) console.log(result.output.replace(/^/gm, '    | '));
  }
}

await Promise.all(Array.from({ length: lanes }, lane));

const failed = [...done.values()].filter(({ code }) => code !== 0);
console.log(
  `\n${all ? 'npm test' : 'npm run check'}: ${done.size} steps in ${((performance.now() - started) / 1000).toFixed(0)} s`,
);
const projects = [...done.values()].flatMap(({ step }) => step.project ?? []);
for (const [name, tests] of [...projects.map((project) => [project, [project]]), ['all', projects]]) {
  const { passed, failed: broken, skipped } = reportTotals(tests);
  console.log(`  tests:${name.padEnd(8)} ${passed} passed, ${broken} failed, ${skipped} skipped`);
}
for (const name of skippedTests(projects)) console.log(`  skipped: ${name}`);
if (failed.length > 0) console.log(`  failed steps: ${failed.map(({ step }) => step.name).join(', ')}`);
process.exitCode = interrupted ? 130 : failed.length > 0 || reportTotals(projects).failed > 0 ? 1 : 0;
