/** What every model costs at one size: what `docs/models` and `docs/choosing.md` say of it. Each in turn, on two threads to train and one to forecast. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { createOrtEngine } from '../src/engine/ort.js';
import { createTrainingStep } from '../src/engine/training-step.js';
import type { FloatTensor } from '../src/engine/port.js';
import { compile, exportOnnx } from '../src/forecaster/compile.js';
import { mae } from '../src/losses/index.js';
import { models, type Model } from '../src/models/index.js';
import { planTraining, startingValues } from '../src/train/plan.js';
import { batch } from './own-step.js';
import { percentile, rounded } from './statistics.js';

const task = { inputLength: 96, horizon: 96 };
const together = 7;
const threads = 2;
/** Time for each of the two figures of a model. */
const turnMs = 1500;
const stepsMin = 5;
const file = 'bench/cards.json';
/** What TimeLLM asks: the smallest GPT-2. Its weights are drawn here, which costs what the real ones do. */
const language = { vocabulary: 50_257, positions: 1024, width: 768, layers: 12, heads: 12, inner: 3072 };

export interface CardRow {
  readonly model: string;
  readonly parameters: number;
  /** Of the exported file, FP32. */
  readonly bytes: number;
  /** Middle time of a training step of 32 windows. */
  readonly stepMs: number;
  /** Middle time of one window. */
  readonly p50Us: number;
}

/** Of all models, or of some, beside the rows that are kept of the others. */
export async function benchCards({
  save = false,
  only,
}: { save?: boolean; only?: readonly string[] | undefined } = {}) {
  const before = only && (JSON.parse(readFileSync(file, 'utf8')) as { machine: string; rows: CardRow[] });
  const kept = before?.rows ?? [];
  const here = `${cpus().length} cores of ${cpus()[0]!.model.trim()}, Node ${process.versions.node}`;
  const rows: CardRow[] = [];
  for (const model of models) {
    const known = kept.find((row) => row.model === model.id && !only!.includes(model.id));
    rows.push(known ?? (await measure(model)));
    if (!known) console.error(JSON.stringify(rows.at(-1))); // the table comes at the end
  }
  const report = {
    command: 'npm run bench -- cards --save',
    machine: before && before.machine !== here ? `${before.machine}; ${only.join(' and ')} on ${here}` : here,
    task: `inputLength ${task.inputLength}, horizon ${task.horizon}, ${batch} windows a step, ${together} series where they are forecast together`,
    rows,
  };
  if (save) writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

async function measure(model: Model): Promise<CardRow> {
  const series = model.capabilities.series === 'many' ? together : 1;
  const told = model.id === 'timellm' && { language };
  const hyperparameters = model.parse({ ...task, series, ...told });
  const spec = { model, hyperparameters, loss: mae(), scaler: 'identity' as const };
  const engine = createOrtEngine();
  const planned = planTraining(spec, { batch, seed: 1 });
  const drawn = Object.entries(planned.starts).map(
    ([name, start]) => [name, start.kind === 'stored' ? ({ kind: 'uniform', bound: 0.03 } as const) : start] as const,
  );
  const plan = { ...planned, starts: Object.fromEntries(drawn) };
  const values = startingValues(plan);
  const step = await createTrainingStep({ engine, model: plan.model, layout: plan.layout, seed: 1, threads });
  step.load(values);
  const feeds = Object.fromEntries(plan.layout.inputs.map(({ name, shape }) => [name, filled(name, shape)]));
  const stepMs = timed(() => void step.step(feeds, { learningRate: 1e-3, clipNorm: 1 }));
  step.close();
  const compiled = await compile({ spec, values }, { engine });
  const window = Object.fromEntries(
    Object.entries(compiled.inputs).map(([name, shape]) => [name, filled(name, shape).data]),
  );
  const p50Us = 1000 * timed(() => void compiled.run(window));
  compiled.close();
  return {
    model: model.id,
    parameters: plan.layout.parameters.reduce((sum, { shape }) => sum + size(shape), 0),
    bytes: exportOnnx({ spec, values }).byteLength,
    stepMs: rounded(stepMs),
    p50Us: rounded(p50Us),
  };
}

const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
const filled = (name: string, dims: readonly number[]): FloatTensor => ({
  dims,
  data: Float32Array.from({ length: size(dims) }, (_, i) =>
    name.toLowerCase().includes('mask') ? 1 : Math.sin(i / 4),
  ),
});

/** The middle time of a call in ms; the first ones warm up. */
function timed(work: () => void): number {
  for (let i = 0; i < 2; i++) work();
  const times: number[] = [];
  for (const until = performance.now() + turnMs; times.length < stepsMin || performance.now() < until;) {
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  return percentile(times, 0.5);
}
