/** The other side of `trainInWorker`: one job, its progress, its result. */
import { parentPort, workerData } from 'node:worker_threads';
import { createOrtEngine } from '../engine/ort.js';
import { NeuroDivergentError } from '../errors.js';
import type { WorkerMessage } from './train-in-worker.js';
import { train, type TrainJob } from './trainer.js';

const port = parentPort!;
const controller = new AbortController();
port.once('message', () => controller.abort()); // the only message there is

const send = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

try {
  const result = await train(workerData as TrainJob, {
    engine: createOrtEngine(),
    on: (progress) => send({ progress }),
    signal: controller.signal,
  });
  send(
    { result },
    Object.values(result.values).map(({ buffer }) => buffer as ArrayBuffer),
  );
} catch (error) {
  if (!(error instanceof NeuroDivergentError)) throw error; // arrives as the worker's `error` event
  send({ error: error.toJSON() });
} finally {
  port.close();
}
