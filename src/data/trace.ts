/** From the windows of a batch back to the table: which series, which rows, and the value that stands out. */
import { formatTime } from '../time/parse.js';
import { parseFrequency } from '../time/frequency.js';
import { seriesPerWindow, type Windows } from './windows.js';

/** `boiler, rows 3 to 32 from 2024-01-01 02:00:00 on`; rows count from 1 in their series. */
export function windowPlace(windows: Windows, index: number): string {
  const { frame, starts, series, inputLength, horizon } = windows;
  const [s, start] = [series[index]!, starts[index]!];
  const first = start - frame.offsets[s]! + 1;
  const last = Math.min(first + inputLength + horizon - 1, frame.offsets[s + 1]! - frame.offsets[s]!);
  const others = seriesPerWindow(windows) - 1;
  const name = `${frame.ids[s]!}${others > 0 ? ` and ${others} other series` : ''}`;
  return `${name}, rows ${first} to ${last} from ${timeAt(windows, start)} on`;
}

export interface TracedValue {
  readonly value: number;
  readonly window: number;
  /** `target of boiler, row 61 at 2024-01-03 12:00:00` */
  readonly place: string;
}

/** The value farthest from 0 in the columns of these windows; what is missing does not count. */
export function farthestValue(windows: Windows, indices: Iterable<number>): TracedValue | undefined {
  const { frame, starts, series, inputLength, horizon, historic, future } = windows;
  let farthest: { value: number; window: number; column: string; s: number; row: number } | undefined;
  for (const index of indices) {
    const first = series[index]!;
    for (let s = first; s < first + seriesPerWindow(windows); s++) {
      const start = starts[index]! + frame.offsets[s]! - frame.offsets[first]!;
      const end = Math.min(start + inputLength + horizon, frame.offsets[s + 1]!);
      for (const column of ['target', ...historic, ...future]) {
        const values = frame.columns[column]!;
        for (let row = start; row < end; row++) {
          const value = values[row]!;
          if (Math.abs(value) > Math.abs(farthest?.value ?? 0)) farthest = { value, window: index, column, s, row };
        }
      }
    }
  }
  if (farthest === undefined) return undefined;
  const { value, window, column, s, row } = farthest;
  return {
    value,
    window,
    place: `${column} of ${frame.ids[s]!}, row ${row - frame.offsets[s]! + 1} at ${timeAt(windows, row)}`,
  };
}

const timeAt = ({ frame }: Windows, row: number): string =>
  parseFrequency(frame.frequency).kind === 'step' ? String(frame.time[row]) : formatTime(frame.time[row]!);
