/** Tuning in a child process that gives way to everything else, within limits of time and memory. */
import { fileURLToPath } from 'node:url';
import { refuse } from '../contracts/reason.js';
import type { Outcome, TuneReason, UpdateReason } from '../contracts/reason.js';
import { answerParent, askChild } from './child.js';
import { createSystemClock } from './clock.js';
import type { TuneJob, TuneProgress, TuneReport } from './tune.js';

export interface TuneLimits {
  readonly minutes: number;
  readonly memoryMb: number;
  readonly signal?: AbortSignal | undefined;
  readonly on?: ((progress: TuneProgress) => void) | undefined;
}

export type Tune = (job: TuneJob, limits: TuneLimits) => Promise<Outcome<TuneReport, TuneReason | UpdateReason>>;

const FLAG = '--tune';
/** The processor and the disk serve everybody else first. */
const LOWEST_PRIORITY = 19;

/** Never rejects. Whatever ends the child, what runs and what waits to run are as they were. */
export async function tuneInChild(
  job: TuneJob,
  { minutes, memoryMb, signal, on }: TuneLimits,
  modulePath = fileURLToPath(import.meta.url),
): ReturnType<Tune> {
  const ended = await askChild<Awaited<ReturnType<Tune>>>(job, {
    modulePath,
    flag: FLAG,
    timeLimitMs: minutes * 60_000,
    memoryLimitMb: memoryMb,
    heapLimitMb: memoryMb,
    niceness: LOWEST_PRIORITY,
    signal,
    on: (progress) => on?.(progress as TuneProgress),
  });
  if ('answer' in ended) return ended.answer;
  switch (ended.kind) {
    case 'time':
      return refuse('out_of_time', `no result within ${minutes} minutes`);
    case 'memory':
      return refuse('out_of_memory', `${ended.peakMb} MB in memory, ${memoryMb} are allowed`);
    case 'ended':
      return refuse('stopped', `the process ended with ${ended.how}`);
  }
}

answerParent<TuneJob>(FLAG, async (job, say) => {
  const [{ createOrtEngine }, { tuneLine }] = await Promise.all([import('../engine/ort.js'), import('./tune.js')]);
  return tuneLine(job, { engine: createOrtEngine(), clock: createSystemClock('trusted'), say }).catch(
    (error: unknown) => refuse('stopped', (error as Error).message),
  );
});
