/** Inference on one thread: one window (from an array of readings to the forecast) and 256, beside PyTorch eager and onnxruntime for Python. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLinearEngine } from '../src/engine/linear.js';
import { createOrtEngine } from '../src/engine/ort.js';
import type { Engine } from '../src/engine/port.js';
import { compile, exportOnnx, type Trained } from '../src/forecaster/compile.js';
import type { ScalerName } from '../src/models/index.js';
import { planTraining, startingValues } from '../src/train/plan.js';
import { chooseCases, specOf, type BenchCase } from './case.js';
import { startPeer, type PeerModel } from './peer.js';
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
  /** Of the same file in onnxruntime for Python, and its ratio to ours. */
  readonly pythonUs: number | null;
  readonly pythonRatio: number | null;
  /** From weights to a session that is ready. */
  readonly compileMs: number | null;
  readonly targetUs: number | null;
  readonly fault: string | null;
}

export interface PredictOptions {
  readonly peers: boolean;
  readonly only?: readonly string[] | undefined;
  /** For all rounds of each side. */
  readonly turnMs?: number;
}

export async function benchPredict({ peers, only, turnMs = 600 }: PredictOptions) {
  const peer = peers ? await startPeer(1) : undefined;
  const rows: PredictRow[] = [];
  for (const benchCase of chooseCases(only)) {
    const theirs = peer?.open(benchCase);
    for (const plan of plansOf(benchCase.name)) {
      const row = await measure(benchCase, plan, plan.beside === false ? undefined : theirs, turnMs);
      console.error(`${row.model} ${row.engine} ${row.windows}: ${row.p50Us} µs`); // the table comes at the end
      rows.push(row);
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
  /** Measure the peers too; yes when absent. */
  readonly beside?: boolean;
}

function plansOf(name: string): Plan[] {
  const engine = createOrtEngine();
  const scaler = 'identity';
  const plans: Plan[] = [
    { engine, scaler, windows: 1, targetUs: targetsUs[name] },
    { engine, scaler, windows: batch },
  ];
  if (!linearModels.includes(name)) return plans;
  return [
    ...plans,
    { engine: createLinearEngine(), scaler, windows: 1, targetUs: linearTargetUs },
    { engine, scaler, windows: streams, targetUs: 0.6 * streams, beside: false },
    ...scaled.map((own) => ({ engine, scaler: own, windows: 1, beside: false })),
  ];
}

const rounds = 4;
const repeatsFor = (ms: number, turnMs: number): number => Math.max(3, Math.min(3000, Math.round(turnMs / ms)));

/** The sides take turns, so that a busy machine slows all of them. */
async function measure(
  benchCase: BenchCase,
  plan: Plan,
  theirs: PeerModel | undefined,
  turnMs: number,
): Promise<PredictRow> {
  const { engine, scaler, windows, targetUs = null } = plan;
  const spec = specOf(benchCase, scaler);
  const trained: Trained = { spec, values: startingValues(planTraining(spec, { batch: 1, seed: 1 })) };
  const folder = mkdtempSync(join(tmpdir(), 'nd-bench-'));
  const file = join(folder, 'model.onnx');
  writeFileSync(file, exportOnnx(trained));
  const faults: string[] = [];
  const side = async (name: string, run: ((repeats: number) => Promise<number[]>) | undefined) => {
    const times: number[] = [];
    const attempt = async (repeats: number): Promise<number[]> => {
      try {
        return (await run?.(repeats)) ?? [];
      } catch (error) {
        faults.push(`${name}: ${(error as Error).message}`);
        return [];
      }
    };
    const first = await attempt(3);
    const repeats = first.length > 0 ? repeatsFor(minimum(first), turnMs / rounds) : 0;
    return { times, turn: async () => void (repeats > 0 && times.push(...(await attempt(repeats)))) };
  };
  const began = performance.now();
  const own = await openOwn(trained, engine, windows);
  const compileMs = performance.now() - began;
  const ours = await side('ours', (repeats) => Promise.resolve(own.run(repeats)));
  const torch = await side('peer', theirs && ((repeats) => theirs.predict(windows, repeats)));
  const python = await side('onnxruntime', theirs && ((repeats) => theirs.runFile(file, windows, repeats)));
  for (let round = 0; round < rounds; round++) for (const { turn } of [ours, torch, python]) await turn();
  own.close();
  rmSync(folder, { recursive: true });

  const us = (times: readonly number[], of = minimum): number | null => (times.length > 0 ? of(times) * 1000 : null);
  const figure = (value: number | null): number | null => value && rounded(value);
  const least = us(ours.times);
  const ratio = (other: number | null): number | null => (other && least ? rounded(other / least) : null);
  return {
    model: benchCase.name,
    engine: engine.name,
    scaler,
    windows,
    minUs: figure(least),
    p50Us: figure(us(ours.times, (times) => percentile(times, 0.5))),
    p99Us: figure(us(ours.times, (times) => percentile(times, 0.99))),
    peerUs: figure(us(torch.times)),
    ratio: ratio(us(torch.times)),
    pythonUs: figure(us(python.times)),
    pythonRatio: ratio(us(python.times)),
    compileMs: rounded(compileMs),
    targetUs,
    fault: faults.length > 0 ? faults.join('; ') : null,
  };
}

interface OwnRun {
  /** Times in ms. */
  run(repeats: number): number[];
  close(): void;
}

const readings = (name: string, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (name === 'mask' ? 1 : 20 + Math.sin(i / 4)));
const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** One window through the function that `compile` gives, from an array of readings to the forecast; more through a session. */
async function openOwn(trained: Trained, engine: Engine, windows: number): Promise<OwnRun> {
  const compiled = await compile(trained, { engine });
  const timed = (work: () => void) => (repeats: number) =>
    Array.from({ length: repeats }, () => {
      const start = performance.now();
      work();
      return performance.now() - start;
    });
  const { inputs } = compiled;
  if (windows === 1) {
    const window = Object.fromEntries(
      Object.entries(inputs).map(([name, shape]) => [name, readings(name, size(shape))]),
    );
    return { run: timed(() => compiled.run(window)), close: () => compiled.close() };
  }
  compiled.close();
  const session = await engine.load(exportOnnx(trained));
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, shape]) => {
      const dims = [windows, ...shape.slice(1)];
      return [name, { dims, data: readings(name, size(dims)) }];
    }),
  );
  return { run: timed(() => session.run(feeds)), close: () => session.close() };
}
