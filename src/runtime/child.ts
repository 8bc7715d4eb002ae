/** A piece of work in a process of its own: one that hangs, crashes or eats memory takes only that process along. */
import { fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { peakBytesOf } from './machine.js';

/** Why there is no answer. */
export type ChildEnd =
  | { readonly kind: 'time' }
  | { readonly kind: 'memory'; readonly peakMb: number }
  | { readonly kind: 'ended'; readonly how: string };

export interface ChildOptions {
  /** Module that answers when it is started with `flag`, see `answerParent`. */
  readonly modulePath: string;
  readonly flag: string;
  readonly timeLimitMs: number;
  /** Most it may have had in memory, Infinity for no limit. Watched where the system tells (Linux). */
  readonly memoryLimitMb: number;
  readonly heapLimitMb: number;
  /** 19 gives way to everything else, disk included: Linux takes the rank of reads and writes from it. */
  readonly niceness?: number;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Hears what it says before its answer. */
  readonly on?: ((progress: unknown) => void) | undefined;
}

const WATCH_MS = 20;
const MEGABYTE = 1024 * 1024;

interface FromChild {
  readonly progress?: unknown;
  readonly answer?: unknown;
}

/** Never rejects. An answer of a child that went over its memory does not count. */
export function askChild<A>(
  job: object,
  { modulePath, flag, timeLimitMs, memoryLimitMb, heapLimitMb, niceness, signal, on }: ChildOptions,
): Promise<{ readonly answer: A } | ChildEnd> {
  return new Promise((resolve) => {
    const child = fork(modulePath, [flag], {
      execArgv: [`--max-old-space-size=${heapLimitMb}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let outcome: { readonly answer: A } | ChildEnd | undefined;
    /** The first outcome counts, and is told when the process is gone. */
    const end = (first: { readonly answer: A } | ChildEnd): void => {
      outcome ??= first;
      clearTimeout(timer);
      clearInterval(watch);
      signal?.removeEventListener('abort', stop);
      if (!child.kill('SIGKILL')) resolve(outcome);
    };
    const stop = (): void => end({ kind: 'ended', how: 'a stop' });
    const judgeMemory = (): boolean => {
      const peakMb = child.pid === undefined ? 0 : peakBytesOf(child.pid) / MEGABYTE;
      if (peakMb <= memoryLimitMb) return true;
      end({ kind: 'memory', peakMb: Math.ceil(peakMb) });
      return false;
    };
    const timer = setTimeout(() => end({ kind: 'time' }), timeLimitMs);
    const watch = setInterval(judgeMemory, WATCH_MS);
    signal?.addEventListener('abort', stop, { once: true });
    child.on('message', ({ progress, answer }: FromChild) => {
      if (answer === undefined) on?.(progress);
      else if (judgeMemory()) end({ answer: answer as A });
    });
    child.once('error', (error) => end({ kind: 'ended', how: error.message }));
    child.once('exit', (code, killer) => {
      end({ kind: 'ended', how: String(killer ?? code) });
      resolve(outcome!);
    });
    if (signal?.aborted === true) stop();
    else {
      if (niceness !== undefined && child.pid !== undefined) setPriority(child.pid, niceness);
      child.send(job, () => undefined); // one that could not start says so by its exit
    }
  });
}

/**
 * The other side: answers the job that the parent sends, when this process was started with `flag`. It stays until it is
 * ended, so that its memory can be read, and goes when its parent has gone.
 */
export function answerParent<J>(
  flag: string,
  answer: (job: J, say: (progress: object) => void) => Promise<unknown>,
): void {
  if (process.argv[2] !== flag || process.send === undefined) return;
  const send = (message: FromChild): void => void process.send?.(message);
  process.once('disconnect', () => process.exit());
  process.on('message', (job) => {
    void answer(job as J, (progress) => send({ progress })).then((value) => send({ answer: value }));
  });
}
