/** Is there memory enough to train? Asked before the first step, and answered again when an allocation fails. */
import { freemem, totalmem } from 'node:os';
import { NeuroDivergentError } from '../errors.js';
import type { TrainingPlan } from './plan.js';

/**
 * ONNX Runtime takes up to so many times what is needed at least: from the second run on, one block for all tensors beside
 * those of the first.
 */
const taken = 3;

type Need = Pick<TrainingPlan, 'neededBytes' | 'batch'>;

/** What this process may still take: what the system can give without swapping, within the limit of its container. */
export function availableBytes(): number {
  // macOS counts as free only what nobody has used yet: there, all of the memory is the bound.
  const free = process.platform === 'darwin' ? totalmem() : freemem();
  const limit = process.constrainedMemory(); // 0 or beyond all memory when there is none
  return limit === 0 ? free : Math.min(free, Math.max(0, limit - process.memoryUsage.rss()));
}

/** Throws `ND_TRAIN_OUT_OF_MEMORY` when not even what a step takes at least is there. */
export function refuseShortage(plan: Need): void {
  if (plan.neededBytes > availableBytes()) throw outOfMemory(plan);
}

/** The error for an allocation that failed; undefined for every other cause. */
export function shortage(plan: Need, cause: unknown): NeuroDivergentError | undefined {
  const failed =
    (cause instanceof NeuroDivergentError && cause.code === 'ND_ENGINE_OUT_OF_MEMORY') ||
    (cause instanceof RangeError && /allocation failed/i.test(cause.message)); // of a typed array
  return failed ? outOfMemory(plan, cause) : undefined;
}

function outOfMemory({ neededBytes, batch }: Need, cause?: unknown): NeuroDivergentError {
  const available = availableBytes();
  const fitting = 2 ** Math.floor(Math.log2(Math.max(1, (batch * available) / (taken * neededBytes))));
  const fewer = fitting < batch ? `; ${fitting} may fit` : '';
  return new NeuroDivergentError('ND_TRAIN_OUT_OF_MEMORY', {
    where: 'training',
    what: `A step of ${batch} windows takes at least ${written(neededBytes)} of memory, and ${written(available)} are available.`,
    mend:
      `Lower \`windowsBatchSize\` (${batch} now${fewer}) or \`inputLength\`, choose a smaller model, or give more memory; ` +
      'in a training loop of your own, `rematerialize` trades memory for time (gradient checkpointing).',
    cause,
  });
}

const written = (bytes: number): string =>
  bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
