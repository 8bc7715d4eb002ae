/** Inference on one thread: one window (from an array of readings to the forecast) and 256, beside PyTorch eager. */
import { createLinearEngine } from '../src/engine/linear.js';
import { createOrtEngine } from '../src/engine/ort.js';
import type { Engine } from '../src/engine/port.js';
import { compile, exportOnnx, type CompiledForecast, type Trained } from '../src/forecaster/compile.js';
import type { ScalerName } from '../src/models/index.js';
import { planTraining, startingValues } from '../src/train/plan.js';
import { chooseCases, specOf, type BenchCase } from './case.js';
import { startPeer } from './peer.js';
import { geometricMean, minimum, percentile, rounded } from './statistics.js';

/** The most one window may take, p50 in µs. */
const targetsUs: Readonly<Record<string, number>> = {
  dlinear: 12,
  nlinear: 12,
  mlp: 115,
  tsmixer: 100,
  tcn: 400,
  gru: 400,
  lstm: 400,
  patchtst: 900,
  tft: 3000,
};
const linearTargetUs = 4;
const linearModels = ['dlinear', 'nlinear'];
const scaled: readonly ScalerName[] = ['standard', 'robust'];
const batch = 256;
const streams = 1000;

export interface PredictRow {
  readonly model: string;
  readonly engine: string;
  readonly scaler: ScalerName;
  /** Windows in one run; the times are those of the run. */
  readonly windows: number;
  readonly minUs: number | null;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  readonly peerUs: number | null;
  /** Peer / ours, of the smallest times. */
  readonly ratio: number | null;
  /** From weights to a session that is ready. */
  readonly compileMs: number | null;
  readonly targetUs: number | null;
  readonly fault: string | null;
}

export interface PredictOptions {
  readonly peers: boolean;
  readonly only?: readonly string[] | undefined;
  /** For each figure of each side. */
  readonly turnMs?: number;
}

export async function benchPredict({ peers, only, turnMs = 400 }: PredictOptions) {
  const peer = peers ? await startPeer(1) : undefined;
  const rows: PredictRow[] = [];
  for (const benchCase of chooseCases(only)) {
    const theirs = peer?.open(benchCase);
    const measure = async (plan: Plan): Promise<void> => {
      const faults: string[] = [];
      const attempt = async <T>(side: string, work: () => Promise<T>): Promise<T | undefined> => {
        try {
          return await work();
        } catch (error) {
          faults.push(`${side}: ${(error as Error).message}`);
          return undefined;
        }
      };
      const { engine, scaler, windows, targetUs = null } = plan;
      const beside = plan.beside === false ? undefined : theirs;
      const ours = await attempt('ours', () => timesOf(benchCase, plan, turnMs));
      const peerMs =
        beside &&
        (await attempt('peer', async () => {
          const first = minimum(await beside.predict(windows, 3));
          return minimum(await beside.predict(windows, repeatsFor(first, turnMs)));
        }));
      const least = ours && minimum(ours.times) * 1000;
      rows.push({
        model: benchCase.name,
        engine: engine.name,
        scaler,
        windows,
        minUs: least ? rounded(least) : null,
        p50Us: ours ? rounded(percentile(ours.times, 0.5) * 1000) : null,
        p99Us: ours ? rounded(percentile(ours.times, 0.99) * 1000) : null,
        peerUs: peerMs ? rounded(peerMs * 1000) : null,
        ratio: peerMs && least ? rounded((peerMs * 1000) / least) : null,
        compileMs: ours ? rounded(ours.compileMs) : null,
        targetUs,
        fault: faults.length > 0 ? faults.join('; ') : null,
      });
    };
    const ort = createOrtEngine();
    const { name } = benchCase;
    await measure({ engine: ort, scaler: 'identity', windows: 1, targetUs: targetsUs[name] });
    await measure({ engine: ort, scaler: 'identity', windows: batch });
    if (linearModels.includes(name)) {
      const linear = createLinearEngine();
      await measure({ engine: linear, scaler: 'identity', windows: 1, targetUs: linearTargetUs });
      await measure({ engine: ort, scaler: 'identity', windows: streams, targetUs: 0.6 * streams, beside: false });
      for (const scaler of scaled) await measure({ engine: ort, scaler, windows: 1, beside: false });
    }
    theirs?.close();
  }
  peer?.close();
  const ratios = rows.flatMap(({ ratio }) => (ratio === null ? [] : [ratio]));
  return { rows, geomean: ratios.length > 0 ? rounded(geometricMean(ratios)) : null, peer: peer?.version ?? null };
}

interface Plan {
  readonly engine: Engine;
  readonly scaler: ScalerName;
  readonly windows: number;
  readonly targetUs?: number | undefined;
  /** Measure the peer too; yes when absent. */
  readonly beside?: boolean;
}

const repeatsFor = (ms: number, turnMs: number): number => Math.max(3, Math.min(3000, Math.round(turnMs / ms)));

async function timesOf(
  benchCase: BenchCase,
  { engine, scaler, windows }: Plan,
  turnMs: number,
): Promise<{ times: number[]; compileMs: number }> {
  const spec = specOf(benchCase, scaler);
  const trained: Trained = { spec, values: startingValues(planTraining(spec, { batch: 1, seed: 1 })) };
  const started = performance.now();
  const compiled = await compile(trained, { engine });
  const compileMs = performance.now() - started;
  const { run, close } = windows === 1 ? runOne(compiled) : await runMany(trained, engine, compiled, windows);
  const timed = (times: number): number[] =>
    Array.from({ length: times }, () => {
      const start = performance.now();
      run();
      return performance.now() - start;
    });
  const times = timed(repeatsFor(minimum(timed(10)), turnMs));
  close();
  return { times, compileMs };
}

const readings = (name: string, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (name === 'mask' ? 1 : 20 + Math.sin(i / 4)));
const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

function runOne(compiled: CompiledForecast): { run: () => void; close: () => void } {
  const window = Object.fromEntries(
    Object.entries(compiled.inputs).map(([name, shape]) => [name, readings(name, size(shape))]),
  );
  return { run: () => void compiled.run(window), close: () => compiled.close() };
}

async function runMany(
  trained: Trained,
  engine: Engine,
  compiled: CompiledForecast,
  windows: number,
): Promise<{ run: () => void; close: () => void }> {
  const { inputs } = compiled;
  compiled.close();
  const session = await engine.load(exportOnnx(trained));
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, shape]) => {
      const dims = [windows, ...shape.slice(1)];
      return [name, { dims, data: readings(name, size(dims)) }];
    }),
  );
  return { run: () => void session.run(feeds), close: () => session.close() };
}
