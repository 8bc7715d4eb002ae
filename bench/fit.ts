/** A whole fit, from a frame to a trained model, beside `NeuralForecast.fit` of the same data, steps and batches. */
import { Forecaster } from '../src/forecaster/forecaster.js';
import { chooseCases, task } from './case.js';
import { ettPath, readEtt } from './data.js';
import { startPeer } from './peer.js';
import { geometricMean, rounded } from './statistics.js';

const steps = 500;
const validation = 2880;
const windows = 32;
const standard = ['dlinear', 'mlp', 'nhits', 'tsmixer', 'patchtst', 'tcn', 'lstm', 'gru'];
/** The least ratio peer / ours that is asked for. */
const targets: Readonly<Record<string, number>> = { dlinear: 100 };

export interface FitRow {
  readonly model: string;
  readonly oursS: number;
  readonly peerS: number | null;
  /** Peer / ours. */
  readonly ratio: number | null;
  readonly target: number;
  readonly fault: string | null;
}

export interface FitOptions {
  readonly peers: boolean;
  readonly only?: readonly string[] | undefined;
  readonly threads?: number;
}

/** Needs `data/ett/ETTh1.csv` in the folder `ND_SHARED`, `../shared` by default. */
export async function benchFit({ peers, only = standard, threads = 2 }: FitOptions) {
  const csv = ettPath();
  const frame = readEtt();
  const peer = peers ? await startPeer(threads) : undefined;
  const rows: FitRow[] = [];
  for (const benchCase of chooseCases(only)) {
    const { name, model, hyperparameters, series } = benchCase;
    const forecaster = new Forecaster({
      models: [{ name, model, hyperparameters: { ...task, ...(series > 1 && { series }), ...hyperparameters } }],
      train: {
        maxSteps: steps,
        windowsBatchSize: windows,
        learningRate: 1e-3,
        schedule: 'none',
        scaler: 'standard',
        threads,
      },
    });
    const start = performance.now();
    await forecaster.fit(frame, { validationSize: validation });
    const oursS = (performance.now() - start) / 1000;
    let peerS: number | null = null;
    let fault: string | null = null;
    const theirs = peer?.open(benchCase);
    try {
      peerS = (await theirs?.fit(csv, { steps, validation, windows })) ?? null;
    } catch (error) {
      fault = `peer: ${(error as Error).message}`;
    }
    theirs?.close();
    rows.push({
      model: name,
      oursS: rounded(oursS),
      peerS: peerS && rounded(peerS),
      ratio: peerS && rounded(peerS / oursS),
      target: targets[name] ?? 1,
      fault,
    });
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
