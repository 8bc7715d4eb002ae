/** One training step, gradients and Adam included, beside PyTorch eager with its default Adam on the same threads. */
import { chooseCases, type BenchCase } from './case.js';
import { batch, startOwn } from './own-step.js';
import { startPeer, type Peer, type PeerModel } from './peer.js';
import { geometricMean, minimum, percentile, rounded } from './statistics.js';
import { tfjsCases, tfjsTrainer } from './tfjs.js';

/** The least ratio peer / ours that is asked for; 1 where nothing stands. */
const targets: Readonly<Record<string, number>> = { dlinear: 4, nlinear: 4, 'mlp-64': 4, gru: 1.7, 'gru-128': 1.5 };

/** The most that 100 epochs over 10,000 windows may take, in seconds. */
const epochsTargetsS: Readonly<Record<string, number>> = {
  dlinear: 30,
  tsmixer: 60,
  mlp: 120,
  tcn: 300,
  lstm: 900,
  nbeats: 1800,
  tft: 3600,
};
const epochsSteps = (100 * 10_000) / batch;
/** What such a time is extrapolated from, at least. */
const epochsMeasured = 200;

export interface TrainOptions {
  readonly peers: boolean;
  readonly only?: readonly string[] | undefined;
  readonly threads?: number;
  /** Time for all models together; slow ones get fewer repeats. */
  readonly budgetSeconds?: number;
  /** The command of bench/main.ts that serves one model. */
  readonly stepCommand: string;
}

export interface TrainRow {
  readonly model: string;
  readonly parameters: number | null;
  /** Smallest and middle time of a step. */
  readonly oursMs: number | null;
  readonly oursMedianMs: number | null;
  readonly peerMs: number | null;
  readonly peerMedianMs: number | null;
  /** Peer / ours, of the smallest times; and of the middle ones. */
  readonly ratio: number | null;
  readonly medianRatio: number | null;
  readonly target: number;
  /** Steps of ours that were timed. */
  readonly steps: number;
  /** 100 epochs over 10,000 windows at the middle time, extrapolated; and what is asked for. */
  readonly epochsS: number | null;
  readonly epochsTargetS: number | null;
  readonly compileMs: number | null;
  readonly oursPeakMb: number | null;
  readonly peerPeakMb: number | null;
  /** TensorFlow.js without native code, where it is written out (bench/tfjs.ts). */
  readonly tfjsMs: number | null;
  /** Why a side has no figure. */
  readonly fault: string | null;
}

export async function benchTrain({ peers, only, threads = 2, budgetSeconds = 780, stepCommand }: TrainOptions) {
  const peer: Peer | undefined = peers ? await startPeer(threads) : undefined;
  const cases = chooseCases(only);
  const budgetMs = Math.min(20_000, (budgetSeconds * 1000) / cases.length);
  const rows: TrainRow[] = [];
  const until = performance.now() + budgetSeconds * 1000;
  for (const benchCase of cases) {
    if (performance.now() > until) {
      console.error(`no time left for ${benchCase.name}`);
      continue;
    }
    const row = await measure(benchCase, peer, { threads, budgetMs, stepCommand });
    console.error(`${row.model}: ${row.oursMs} ms, peer ${row.peerMs} ms`); // the table comes at the end
    rows.push(row);
  }
  peer?.close();
  const ratios = rows.flatMap(({ ratio }) => (ratio === null ? [] : [ratio]));
  return {
    rows,
    geomean: ratios.length > 0 ? rounded(geometricMean(ratios)) : null,
    threads,
    peer: peer?.version ?? null,
  };
}

const roundsMax = 8;
const roundsMin = 2;
/** What one side takes in a round, if its steps are short. */
const turnMs = 150;
const stepsMax = 300;
const stepsMin = 3;

/** Ours and theirs in turn, so that a busy machine hurts both. */
async function measure(
  benchCase: BenchCase,
  peer: Peer | undefined,
  { threads, budgetMs, stepCommand }: { threads: number; budgetMs: number; stepCommand: string },
): Promise<TrainRow> {
  const until = performance.now() + budgetMs;
  const faults: string[] = [];
  const attempt = async <T>(side: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      faults.push(`${side}: ${(error as Error).message}`);
      return undefined;
    }
  };
  const stepsFor = (ms: number): number => Math.max(stepsMin, Math.min(stepsMax, Math.round(turnMs / ms)));
  const warm = async (train: (steps: number) => Promise<number[]>): Promise<number> => minimum(await train(stepsMin));

  const own = await attempt('ours', () => startOwn(stepCommand, benchCase.name, threads));
  let peakMb: number | null = null;
  const trainOwn = async (steps: number): Promise<number[]> => {
    const answer = await own!.train(steps);
    peakMb = answer.peakMb;
    return answer.times;
  };
  const theirs: PeerModel | undefined = peer?.open(benchCase);
  const ownStep = own && (await attempt('ours', () => warm(trainOwn)));
  const peerStep = theirs && (await attempt('peer', () => warm((steps) => theirs.train(steps))));

  const oursMs: number[] = [];
  const peerMs: number[] = [];
  for (let round = 0; round < roundsMax && (round < roundsMin || performance.now() < until); round++) {
    if (ownStep !== undefined) oursMs.push(...(await trainOwn(stepsFor(ownStep))));
    if (peerStep !== undefined) peerMs.push(...(await theirs!.train(stepsFor(peerStep))));
  }
  const missing = benchCase.name in epochsTargetsS ? epochsMeasured - oursMs.length : 0;
  if (ownStep !== undefined && missing > 0) oursMs.push(...(await trainOwn(missing)));
  const peerPeakMb = peerStep === undefined ? null : await theirs!.peakMb();
  own?.close();
  theirs?.close();
  const tfjs = peer && tfjsCases.includes(benchCase.name) ? tfjsTrainer(benchCase.name) : undefined;
  const tfjsMs = tfjs ? minimum(tfjs(20)) : null;

  const of = (times: readonly number[], what: (times: readonly number[]) => number): number | null =>
    times.length > 0 ? what(times) : null;
  const middle = (times: readonly number[]): number => percentile(times, 0.5);
  const ratio = (a: number | null, b: number | null): number | null =>
    a === null || b === null ? null : rounded(a / b);
  const figure = (value: number | null): number | null => value && rounded(value);
  return {
    model: benchCase.name,
    parameters: own?.parameters ?? null,
    oursMs: figure(of(oursMs, minimum)),
    oursMedianMs: figure(of(oursMs, middle)),
    peerMs: figure(of(peerMs, minimum)),
    peerMedianMs: figure(of(peerMs, middle)),
    ratio: ratio(of(peerMs, minimum), of(oursMs, minimum)),
    medianRatio: ratio(of(peerMs, middle), of(oursMs, middle)),
    target: targets[benchCase.name] ?? 1,
    steps: oursMs.length,
    epochsS: figure(oursMs.length > 0 ? (middle(oursMs) * epochsSteps) / 1000 : null),
    epochsTargetS: epochsTargetsS[benchCase.name] ?? null,
    compileMs: figure(own?.compileMs ?? null),
    oursPeakMb: figure(peakMb),
    peerPeakMb: figure(peerPeakMb),
    tfjsMs: figure(tfjsMs),
    fault: faults.length > 0 ? faults.join('; ') : null,
  };
}
