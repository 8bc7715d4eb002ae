/** Talks to bench/peer.py, the PyTorch side. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { BenchCase } from './case.js';

export interface Peer {
  readonly version: string;
  /** The peer's process for one model; one at a time. Each answer throws what went wrong there. */
  open(benchCase: BenchCase): PeerModel;
  close(): void;
}

export interface PeerModel {
  /** Times of training steps in ms. */
  train(steps: number): Promise<number[]>;
  /** Times of forecasts of `batch` windows in ms. */
  predict(batch: number, repeats: number): Promise<number[]>;
  /** Times of an ONNX file in onnxruntime for Python, in ms. */
  runFile(path: string, batch: number, repeats: number): Promise<number[]>;
  /** Largest size of its process so far, in MB. */
  peakMb(): Promise<number>;
  /** How far its process grows for the model and these steps, in MB, once it has taken a step of a model of one node. */
  trainingMb(steps: number): Promise<number>;
  /** Seconds of a whole fit. */
  fit(csv: string, settings: { steps: number; validation: number; windows: number }): Promise<number>;
  close(): void;
}

/** `python` needs torch and neuralforecast; see `ND_PEER_PYTHON`. */
export async function startPeer(threads: number): Promise<Peer> {
  const python = process.env['ND_PEER_PYTHON'] ?? 'python3';
  const child = spawn(python, ['bench/peer.py', String(threads)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) },
  });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${python} bench/peer.py ended with code ${code}`)));
  });
  failed.catch(() => undefined); // it also ends when the bench is over
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <T>(): Promise<T> => {
    const line = (await Promise.race([lines.next(), failed])).value as string;
    const value = JSON.parse(line) as T | { error: string };
    if (typeof value === 'object' && value !== null && 'error' in value) throw new Error(value.error);
    return value;
  };
  const tell = (request: object): void => void child.stdin.write(`${JSON.stringify(request)}\n`);
  const ask = async <T>(request: object): Promise<T> => {
    tell(request);
    return answer<T>();
  };
  return {
    version: await answer<string>(),
    open: ({ model, series, peerOptions }) => {
      tell({ open: model.reference.model, series, options: peerOptions });
      return {
        train: (steps) => ask<number[]>({ train: steps }),
        predict: (batch, repeats) => ask<number[]>({ predict: batch, repeats }),
        runFile: (path, batch, repeats) => ask<number[]>({ run: path, batch, repeats }),
        peakMb: () => ask<number>({ memory: 1 }),
        trainingMb: (steps) => ask<number>({ growth: steps }),
        fit: (csv, settings) => ask<number>({ fit: csv, ...settings }),
        close: () => tell({ close: 1 }),
      };
    },
    close: () => child.stdin.end(),
  };
}
