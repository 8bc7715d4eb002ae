/** Is a tuned model better than the one that runs? Both forecast the same held-out windows, one after another. */
import { conformalQuantile } from '../stats/conformal.js';
import type { Forecaster } from './forecaster.js';
import type { Place, Task } from './tune-windows.js';

/** Mean absolute error of the tuned model over that of the running one: below 1 it is better. */
export interface GateReport {
  /** Mean over the streams. */
  readonly ratio: number;
  /** The same in the first, second and last part of the horizon. */
  readonly thirds: readonly number[];
  /** By stream. */
  readonly streams: Readonly<Record<string, number>>;
  readonly windows: number;
  readonly better: boolean;
  /** What decided, in words. */
  readonly why: string;
}

export interface Judged {
  readonly gate: GateReport;
  /** Sensor units, over all streams. */
  readonly mae: number;
  /** [horizon], half-widths that cover so much of what the tuned model missed by; Infinity where there were too few. */
  readonly halfWidths: (coverage: number) => number[];
}

/** Less is not worth a change. */
const margin = 0.01;

/** Absolute errors of both, step by step. */
interface Errors {
  readonly running: number[][];
  readonly tuned: number[][];
}

/** `held` by stream. */
export function judgeTuned(
  running: Forecaster,
  tuned: Forecaster,
  held: ReadonlyMap<string, readonly Place[]>,
  task: Task,
): Judged {
  const errors = new Map([...held].map(([name, places]) => [name, errorsOf(running, tuned, places, task)] as const));
  const parts = Math.min(3, task.horizon);
  const edge = (part: number): number => Math.round((part * task.horizon) / parts);
  const thirds = Array.from({ length: parts }, (_, part) =>
    mean([...errors.values()].map((one) => ratioOf(one, edge(part), edge(part + 1)))),
  );
  const streams = Object.fromEntries([...errors].map(([name, one]) => [name, ratioOf(one, 0, task.horizon)]));
  const ratio = mean(Object.values(streams));
  const windows = [...held.values()].reduce((sum, places) => sum + places.length, 0);
  const all = Array.from({ length: task.horizon }, (_, h) => [...errors.values()].flatMap((one) => one.tuned[h]!));
  return {
    gate: { ratio, thirds, streams, windows, ...verdict(ratio, thirds, streams) },
    mae: mean(all.flat()),
    halfWidths: (coverage) => all.map((scores) => conformalQuantile(scores, coverage)),
  };
}

function verdict(
  ratio: number,
  thirds: readonly number[],
  streams: Readonly<Record<string, number>>,
): Pick<GateReport, 'better' | 'why'> {
  const change = (value: number): string =>
    `${Math.abs((value - 1) * 100).toFixed(1)} % ${value < 1 ? 'lower' : 'higher'}`;
  const worseThird = thirds.findIndex((value) => !(value <= 1));
  const worseStream = Object.entries(streams).find(([, value]) => !(value <= 1));
  if (!Number.isFinite(ratio)) return { better: false, why: 'it gave something that is no number' };
  if (!(ratio <= 1 - margin))
    return { better: false, why: `its error is ${change(ratio)}, at least ${margin * 100} % lower is asked for` };
  if (worseThird >= 0)
    return {
      better: false,
      why: `its error is ${change(thirds[worseThird]!)} in part ${worseThird + 1} of ${thirds.length} of the horizon`,
    };
  if (worseStream !== undefined)
    return { better: false, why: `its error is ${change(worseStream[1])} on ${worseStream[0]}` };
  return { better: true, why: `its error is ${change(ratio)}` };
}

function errorsOf(running: Forecaster, tuned: Forecaster, places: readonly Place[], task: Task): Errors {
  const { inputLength, horizon } = task;
  const steps = (): number[][] => Array.from({ length: horizon }, () => []);
  const errors = { running: steps(), tuned: steps() };
  for (const { stretch, start } of places) {
    const cut = start + inputLength;
    const mask = stretch.mask.subarray(start, cut);
    const window = { past: stretch.values.subarray(start, cut), mask, imputed: 0, nextMs: 0 };
    for (const [name, forecaster] of Object.entries({ running, tuned })) {
      const p50 = forecaster.forecast(window)().forecast?.p50;
      for (let h = 0; h < horizon; h++) {
        if (stretch.mask[cut + h] === 0) continue; // nobody knows what it was
        errors[name as keyof Errors][h]!.push(Math.abs((p50?.[h] ?? Infinity) - stretch.values[cut + h]!));
      }
    }
  }
  return errors;
}

/** Over the steps `from` to `to` of the horizon; 1 where neither misses anything. */
function ratioOf({ running, tuned }: Errors, from: number, to: number): number {
  const [before, after] = [running, tuned].map((steps) => mean(steps.slice(from, to).flat())) as [number, number];
  return before === after ? 1 : after / before;
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
