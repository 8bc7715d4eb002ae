/** Our side of bench/train.ts for one model, in a process of its own: its peak memory is the model's. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createOrtEngine } from '../src/engine/ort.js';
import { createRandom } from '../src/engine/random.js';
import { createTrainingStep } from '../src/engine/training-step.js';
import { planTraining, startingValues } from '../src/train/plan.js';
import { findCase, specOf } from './case.js';

export const batch = 32;

export interface OwnSide {
  readonly parameters: number;
  /** From the model's code to the first step. */
  readonly compileMs: number;
  /** Times of training steps in ms, and the largest size of the process so far. */
  train(steps: number): Promise<{ times: number[]; peakMb: number }>;
  close(): void;
}

/** `command` is bench/main.ts's name for `serveSteps`. */
export async function startOwn(command: string, name: string, threads: number): Promise<OwnSide> {
  const child = fork(process.argv[1]!, [command, '--only', name, '--threads', String(threads)]);
  child.setMaxListeners(0); // every answer that is waited for also listens for an error
  const ended = once(child, 'exit');
  const answer = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
    if (typeof message === 'object' && message !== null && !('error' in message)) return message;
    throw new Error(
      typeof message === 'object' && message !== null
        ? String((message as { error: string }).error)
        : `ended: ${String(message)}`,
    );
  };
  const { parameters, compileMs } = (await answer()) as { parameters: number; compileMs: number };
  return {
    parameters,
    compileMs,
    train: async (steps) => {
      child.send({ steps });
      return (await answer()) as { times: number[]; peakMb: number };
    },
    close: () => child.kill(),
  };
}

/** The child: says what it has built, then answers numbers of steps by their times. */
export async function serveSteps(name: string, threads: number): Promise<void> {
  const send = (message: object): void => void process.send!(message);
  try {
    const start = performance.now();
    const plan = planTraining(specOf(findCase(name)), { batch, seed: 1 });
    const { model, layout } = plan;
    const step = await createTrainingStep({ engine: createOrtEngine(), model, layout, seed: 1, threads });
    step.load(startingValues(plan));
    const compileMs = performance.now() - start;
    const random = createRandom(1, 'bench');
    const length = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
    const feeds = Object.fromEntries(
      layout.inputs.map(({ name: input, shape }) => {
        const one = input.toLowerCase().includes('mask');
        return [
          input,
          { dims: shape, data: Float32Array.from({ length: length(shape) }, () => (one ? 1 : 2 * random() - 1)) },
        ];
      }),
    );
    process.on('message', ({ steps }: { steps: number }) => {
      const times = Array.from({ length: steps }, () => {
        const began = performance.now();
        step.step(feeds, { learningRate: 1e-3, clipNorm: 1 });
        return performance.now() - began;
      });
      send({ times, peakMb: process.resourceUsage().maxRSS / 1024 });
    });
    send({ parameters: layout.parameters.reduce((sum, { shape }) => sum + length(shape), 0), compileMs });
  } catch (error) {
    send({ error: error instanceof Error ? error.message : String(error) });
    process.disconnect();
  }
}
