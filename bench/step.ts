/**
 * One step of a stream beside the window that it stands for: the least time of many, and what is carried, for one stream.
 * Both in turn, with the weights that a model starts with.
 */
import { createOrtEngine } from '../src/engine/ort.js';
import type { FloatTensor } from '../src/engine/port.js';
import { exportOnnx, exportStep } from '../src/forecaster/compile.js';
import { leafName, type Graph } from '../src/graph/index.js';
import { mae } from '../src/losses/index.js';
import { findModel, inferenceGraph, models, stepGraph } from '../src/models/index.js';
import { planTraining, startingValues } from '../src/train/plan.js';
import { minimum, rounded } from './statistics.js';

const task = { inputLength: 96, horizon: 24 };
const rounds = 300;
/** Beside the defaults of all that stream. */
const small: readonly (readonly [id: string, own: Record<string, unknown>])[] = [
  ['gru', { hidden: 32, layers: 1, decoderHidden: 32 }],
  ['tcn', { hidden: 16, decoderHidden: 32 }],
  ['gru', { recurrent: true }],
  ['xlstm', { cell: 'slstm' }],
];

export async function benchStep() {
  const all = models
    .filter(({ capabilities }) => capabilities.streams !== undefined)
    .map(({ id }) => [id, {}] as const);
  const rows: object[] = [];
  for (const [id, own] of [...all, ...small]) rows.push(await measure(id, own));
  return { rows };
}

async function measure(id: string, own: Record<string, unknown>): Promise<object> {
  const model = findModel(id);
  const spec = { model, hyperparameters: model.parse({ ...task, ...own }), loss: mae(), scaler: 'identity' as const };
  const trained = { spec, values: startingValues(planTraining(spec, { batch: 1, seed: 1 })) };
  const engine = createOrtEngine();
  const window = await engine.load(exportOnnx(trained));
  const step = await engine.load(exportStep(trained).step);
  const whole = feedsOf(inferenceGraph(spec));
  const feeds = feedsOf(stepGraph(spec));
  const [windowUs, stepUs]: [number[], number[]] = [[], []];
  for (let i = 0; i < rounds; i++) {
    windowUs.push(microseconds(() => window.run(whole)));
    stepUs.push(microseconds(() => (feeds['state'] = step.run(feeds)['state/next']!)));
  }
  [window, step].forEach((session) => session.close());
  return {
    model: `${id} ${Object.entries(own).map(([name, value]) => `${name}=${String(value)}`).join(' ')}`.trim(), // prettier-ignore
    windowUs: rounded(minimum(windowUs)),
    stepUs: rounded(minimum(stepUs)),
    times: rounded(minimum(windowUs) / minimum(stepUs)),
    carriedBytes: feeds['state']!.data.byteLength,
  };
}

function microseconds(run: () => unknown): number {
  const began = performance.now();
  run();
  return 1000 * (performance.now() - began);
}

const feedsOf = ({ inputs }: Graph): Record<string, FloatTensor> =>
  Object.fromEntries(
    inputs.map((input) => {
      const dims = input.shape.map((dim) => (typeof dim === 'number' ? dim : 1));
      const data = Float32Array.from({ length: dims.reduce((all, dim) => all * dim, 1) }, (_, i) => Math.sin(i / 5));
      return [leafName(input), { data: leafName(input) === 'state' ? data.fill(0) : data, dims }];
    }),
  );
