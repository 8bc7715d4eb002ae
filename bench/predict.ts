/** One window through the compiled path: the time from an array of readings to the forecast. */
import { compile } from '../src/forecaster/compile.js';
import { mae } from '../src/losses/index.js';
import { findModel } from '../src/models/index.js';
import { planTraining } from '../src/train/plan.js';
import { minimum, percentile } from './statistics.js';

const task = { inputLength: 96, horizon: 24 };
const cases = [
  { id: 'dlinear', scaler: 'identity', hyperparameters: {}, targetUs: 20 },
  { id: 'dlinear', scaler: 'standard', hyperparameters: {}, targetUs: 20 },
  { id: 'dlinear', scaler: 'robust', hyperparameters: {}, targetUs: null },
  { id: 'mlp', scaler: 'standard', hyperparameters: { hidden: 64 }, targetUs: null },
  { id: 'nhits', scaler: 'standard', hyperparameters: {}, targetUs: null },
  { id: 'gru', scaler: 'standard', hyperparameters: { hidden: 128 }, targetUs: null },
  { id: 'patchtst', scaler: 'identity', hyperparameters: { hidden: 64 }, targetUs: null },
] as const;

const warmUp = 50;
const repeats = 2000;

export interface PredictRow {
  readonly model: string;
  readonly scaler: string;
  readonly minUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** From weights to a session that is ready. */
  readonly compileMs: number;
  readonly targetUs: number | null;
}

export async function benchPredict({ only }: { only?: readonly string[] | undefined } = {}): Promise<{
  rows: PredictRow[];
}> {
  const rows: PredictRow[] = [];
  for (const { id, scaler, hyperparameters, targetUs } of cases) {
    if (only !== undefined && !only.includes(id)) continue;
    const model = findModel(id);
    const spec = { model, hyperparameters: model.parse({ ...task, ...hyperparameters }), loss: mae(), scaler };
    const { values } = planTraining(spec, { batch: 1, seed: 1 });
    const started = performance.now();
    const compiled = await compile({ spec, values });
    const compileMs = performance.now() - started;
    const window = {
      past: Float32Array.from({ length: task.inputLength }, (_, i) => 20 + Math.sin(i / 4)),
      mask: new Float32Array(task.inputLength).fill(1),
    };
    for (let i = 0; i < warmUp; i++) compiled.run(window);
    const times = Array.from({ length: repeats }, () => {
      const start = performance.now();
      compiled.run(window);
      return (performance.now() - start) * 1000;
    });
    compiled.close();
    const round = (value: number): number => Number(value.toFixed(1));
    rows.push({
      model: id,
      scaler,
      minUs: round(minimum(times)),
      p50Us: round(percentile(times, 0.5)),
      p99Us: round(percentile(times, 0.99)),
      compileMs: round(compileMs),
      targetUs,
    });
  }
  return { rows };
}
