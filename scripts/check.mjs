// `npm run check` (fast) and `npm test` (--all: everything). Two steps run side by side, cheapest first; a step prints
// its output only when it fails. The table at the end says what ran; the tests' numbers come from vitest's own reports.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const all = process.argv.includes('--all');
const lanes = 2;
const reports = 'node_modules/.cache/vitest-reports';
const bin = (name) => `node_modules/.bin/${name}`;
const workers = Math.max(1, Math.floor(availableParallelism() / lanes));

/** One vitest project, its machine-readable report beside the text one. */
function suite(project) {
  const report = `${reports}/${project}.json`;
  const options = `--project ${project} --maxWorkers ${workers} --reporter dot --reporter json --outputFile.json ${report}`;
  return { name: `tests:${project}`, command: `${bin('vitest')} run --passWithNoTests ${options}`, report };
}

/** Cheapest first. `after` names steps that must have passed before. */
const steps = [
  { name: 'build', command: 'npm run --silent build', only: '--all' },
  { name: 'format', command: `${bin('prettier')} --check --log-level warn --cache .` },
  { name: 'wasm', command: 'node scripts/build-wasm.mjs --check' },
  { name: 'layers', command: 'npm run --silent layers -- --output-type err' },
  { name: 'dead code', command: `${bin('knip')} --no-progress --cache` },
  { name: 'size', command: 'npm run --silent size', only: '--all', after: 'build' },
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
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FORCE_COLOR: '0' },
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
    for (const child of running.values()) child.kill(signal);
  });
}

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

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
    else if (/skipped|SKIPPED/.test(result.output)) console.log(skips(result.output));
  }
}

/** Lines by which a suite says that it left something out: never hidden. */
function skips(output) {
  return output
    .split('\n')
    .filter((line) => /^\s*SKIPPED/.test(line))
    .map((line) => `       ${line.trim()}`)
    .join('\n');
}

await Promise.all(Array.from({ length: lanes }, lane));

/** [passed, failed, skipped] of a suite's report; a suite that died before writing one counts as one failure. */
function count(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const brokenFiles = testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    ).length;
    return [numPassedTests, numFailedTests + brokenFiles, numPendingTests];
  } catch (error) {
    if (error.code === 'ENOENT') return [0, 1, 0];
    throw error;
  }
}

const failed = [...done.values()].filter(({ code }) => code !== 0);
console.log(
  `\n${all ? 'npm test' : 'npm run check'}: ${done.size} steps in ${((performance.now() - started) / 1000).toFixed(0)} s`,
);
const totals = [0, 0, 0];
for (const { step } of done.values()) {
  if (step.report === undefined) continue;
  const counts = count(step.report);
  counts.forEach((n, i) => (totals[i] += n));
  console.log(`  ${step.name.padEnd(14)} ${counts[0]} passed, ${counts[1]} failed, ${counts[2]} skipped`);
}
console.log(`  ${'all tests'.padEnd(14)} ${totals[0]} passed, ${totals[1]} failed, ${totals[2]} skipped`);
if (failed.length > 0) console.log(`  failed steps: ${failed.map(({ step }) => step.name).join(', ')}`);
if (interrupted) process.exit(130);
process.exitCode = failed.length > 0 || totals[1] > 0 ? 1 : 0;
