/** Runs training on a thread of its own, since a step blocks its thread: command line, server and progress stay alive. */
import { once } from 'node:events';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { NeuroDivergentError, type ErrorCode } from '../errors.js';
import type { TrainHooks, TrainJob, TrainProgress, TrainResult } from './trainer.js';

export interface WorkerMessage {
  readonly progress?: TrainProgress;
  readonly result?: TrainResult;
  readonly error?: { readonly code: ErrorCode; readonly where: string; readonly what: string; readonly mend: string };
}

/** As `train`, on ONNX Runtime in a worker. The data are copied once. */
export async function trainInWorker(
  job: TrainJob,
  { on, signal }: Omit<TrainHooks, 'engine'> = {},
): Promise<TrainResult> {
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: job,
    execArgv: [],
    env: SHARE_ENV, // a copy would hide from ONNX Runtime what engine/ort.ts sets
  });
  const cancel = (): void => worker.postMessage('cancel');
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  let last: WorkerMessage = {};
  worker.on('message', (message: WorkerMessage) => {
    if (message.progress !== undefined) on?.(message.progress);
    else last = message;
  });
  try {
    const [code] = (await once(worker, 'exit')) as [number]; // rejects with the worker's own error
    if (last.result !== undefined) return last.result;
    const { code: name, ...parts } = last.error ?? {
      code: 'ND_INTERNAL' as const,
      where: 'training worker',
      what: `It ended with code ${code} and no result.`,
      mend: 'Look for a lack of memory; report it if there was none.',
    };
    throw new NeuroDivergentError(name, parts);
  } finally {
    signal?.removeEventListener('abort', cancel);
    await worker.terminate();
  }
}
