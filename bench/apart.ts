/** Measuring memory: each case in a process of its own, since memory once taken is not given back. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createOrtEngine } from '../src/engine/ort.js';
import type { FloatTensor } from '../src/engine/port.js';
import { createTrainingStep, type TensorPlan, type TrainingLayout } from '../src/engine/training-step.js';
import { createGraph, gradients, mul, sum, toOnnx } from '../src/graph/index.js';

/** A line of /proc/self/status in MB: memory now (`VmRSS`) or at most so far (`VmHWM`). */
export function memoryMb(line: 'VmRSS' | 'VmHWM'): number {
  const [, kb] = new RegExp(`${line}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kb) / 1024;
}

/** Runs the module at `url` with the case in a process of its own, which `answerApart` there answers. */
export function measureApart<Answer>(url: string, given: object): Answer {
  const child = spawnSync(process.execPath, [fileURLToPath(url), JSON.stringify(given)], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  if (child.status !== 0) throw new Error(`${JSON.stringify(given)}: ${child.stderr}`);
  return JSON.parse(child.stdout) as Answer;
}

/** At the end of a module that `measureApart` runs; does nothing where it is imported. */
export async function answerApart<Case>(url: string, measure: (given: Case) => Promise<object>): Promise<void> {
  if (process.argv[1] === fileURLToPath(url))
    console.log(JSON.stringify(await measure(JSON.parse(process.argv[2]!) as Case)));
}

/** The size of this process when it has taken one step of a model of one node: what it would take anyway. The peak counts from here. */
export async function settledMb(): Promise<number> {
  const g = createGraph({ batch: 1, training: true });
  const weight = g.parameter('w', [1], { kind: 'constant', value: 1 });
  const loss = sum(mul(g.input('x', [1]), weight), { axes: [0] });
  const [slope] = gradients(loss, [weight]);
  const layout: TrainingLayout = {
    inputs: [{ name: 'x', shape: [1] }],
    parameters: [{ name: 'w', shape: [1], gradient: 'slope' }],
    states: [],
    draws: [],
    loss: 'loss',
  };
  const model = toOnnx(g.finish({ loss, slope: slope! }));
  const step = await createTrainingStep({ engine: createOrtEngine(), model, layout, seed: 1 });
  step.step(feedsFor(layout.inputs), { learningRate: 1e-3 });
  step.close();
  writeFileSync('/proc/self/clear_refs', '5'); // the peak so far is forgotten (proc(5))
  return memoryMb('VmRSS');
}

/** Waves, and ones for what says which values are observed. */
export const feedsFor = (inputs: readonly TensorPlan[]): Record<string, FloatTensor> =>
  Object.fromEntries(
    inputs.map(({ name, shape }) => {
      const data = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
      for (let i = 0; i < data.length; i++) data[i] = name.toLowerCase().includes('mask') ? 1 : Math.sin(i);
      return [name, { data, dims: shape }];
    }),
  );
