import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';

const built = resolve('dist/index.js');
const folder = mkdtempSync(join(tmpdir(), 'nd-worker-'));
afterAll(() => rmSync(folder, { recursive: true }));
if (!existsSync(built)) console.warn('SKIPPED training in a worker: there is no dist/; run `npm run build`');

/** Trains in a worker of a process of its own; prints each event, what its timer counted meanwhile, and the weights. */
const script = `
const { Forecaster, mlp, frameFromColumns } = await import(process.argv[1]);
const target = Array.from({ length: 600 }, (_, i) => 20 + Math.sin(i / 4));
const { frame } = frameFromColumns({ time: target.map((_, i) => i * 3600000), columns: { target } });
const options = JSON.parse(process.argv[2]);
const controller = new AbortController();
let turns = 0;
const timer = setInterval(() => turns++, 5);
process.on('message', () => controller.abort());
try {
  const f = await new Forecaster({
    models: [mlp({ horizon: 6, inputLength: 24, hidden: 256 })],
    train: { maxSteps: options.maxSteps, windowsBatchSize: 64, valCheckSteps: 20, threads: 1 },
  }).fit(frame, { validationSize: 60, checkpoints: options.folder, resume: options.resume, signal: controller.signal,
                  on: ({ step, validationLoss }) => console.log(JSON.stringify({ step, validationLoss })) });
  const { values, history } = f.model('mlp');
  console.log(JSON.stringify({ turns, history: history.map(({ ms, ...rest }) => rest), weights: Array.from(values['model/out/weight']) }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code }));
}
clearInterval(timer);
process.disconnect();
`;

interface Line {
  step?: number;
  turns?: number;
  history?: unknown[];
  weights?: number[];
  code?: string;
}

/** Runs the script; `onLine` may end it. Returns the last line it printed. */
async function run(
  options: { maxSteps: number; folder?: string; resume?: boolean },
  onLine: (line: Line, child: ChildProcess) => void = () => undefined,
): Promise<Line> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, built, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let last: Line = {};
  const lines = createInterface({ input: child.stdout! });
  lines.on('line', (text) => {
    last = JSON.parse(text) as Line;
    onLine(last, child);
  });
  await Promise.all([once(child, 'close'), once(lines, 'close')]);
  return last;
}

describe.skipIf(!existsSync(built))('training in a worker', () => {
  test('leaves the thread that asked for it alone, and gives back the weights', async () => {
    const { turns, weights } = await run({ maxSteps: 300 });
    expect(turns).toBeGreaterThan(0);
    expect(weights!.every(Number.isFinite)).toBe(true);
  });

  test('killed without warning and resumed, it ends with the bits of a run that was not', async () => {
    const whole = await run({ maxSteps: 200 });
    const place = join(folder, 'killed');
    const cut = await run({ maxSteps: 200, folder: place }, ({ step }, child) => {
      if (step === 60) child.kill('SIGKILL');
    });
    expect(cut.weights).toBeUndefined();
    const resumed = await run({ maxSteps: 200, folder: place, resume: true });
    expect(whole.weights).toHaveLength(256 * 6);
    expect(resumed.weights).toEqual(whole.weights);
    expect(resumed.history).toEqual(whole.history);
  });

  test('a signal cancels it and leaves a checkpoint', async () => {
    const place = join(folder, 'cancelled');
    const cut = await run({ maxSteps: 100_000, folder: place }, ({ step }, child) => {
      if (step === 40) child.send('cancel');
    });
    expect(cut.code).toBe('ND_TRAIN_CANCELLED');
    expect(existsSync(join(place, 'mlp.checkpoint.safetensors'))).toBe(true);
  });
});
