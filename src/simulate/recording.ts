/** What simulated sensors play: a real recording, over and over. */
import { rowsOf, type TimeSeriesFrame } from '../data/frame.js';
import { NeuroDivergentError } from '../errors.js';

export interface Recording {
  /** Milliseconds UTC, rising. */
  readonly time: ArrayLike<number>;
  /** Sensor units, finite: as many as times. */
  readonly value: ArrayLike<number>;
  /** The usual time between two readings, milliseconds. */
  readonly stepMs: number;
  /** Standard deviation of the values, sensor units. */
  readonly spread: number;
}

/** Throws `ND_DATA_INVALID` for fewer than two readings: they have no step. */
export function createRecording(time: ArrayLike<number>, value: ArrayLike<number>): Recording {
  if (time.length < 2)
    throw new NeuroDivergentError('ND_DATA_INVALID', {
      where: 'recording',
      what: `It has ${time.length} readings with a value; two are the least.`,
      mend: 'Give a longer table.',
    });
  const steps = Array.from({ length: time.length - 1 }, (_, i) => time[i + 1]! - time[i]!).sort((a, b) => a - b);
  const values = Array.from(value);
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  const variance = values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length;
  return { time, value, stepMs: steps[steps.length >> 1]!, spread: Math.sqrt(variance) };
}

/** A recording for each series of a table, of what was really measured. Throws as `createRecording`. */
export const recordingsOf = (frame: TimeSeriesFrame): Recording[] =>
  frame.ids.map((_, series) => {
    const { from, to } = rowsOf(frame, series);
    const rows = Array.from({ length: to - from }, (_, i) => from + i).filter((row) => frame.available[row] === 1);
    return createRecording(
      rows.map((row) => frame.time[row]!),
      rows.map((row) => frame.columns.target[row]!),
    );
  });

/** Length of one round, milliseconds: after the last reading comes a step, then the first again. */
export const roundMs = ({ time, stepMs }: Recording): number => time[time.length - 1]! - time[0]! + stepMs;
