import { expect, test } from 'vitest';
import { parseCsv } from '../../src/data/csv.js';
import { createRecording, recordingsOf, roundMs } from '../../src/simulate/recording.js';

test('a recording knows its usual step, its spread, and when it begins again', () => {
  const recording = createRecording([0, 10, 20, 60, 70], [1, 3, 1, 3, 2]);
  expect(recording.stepMs).toBe(10);
  expect(recording.spread).toBeCloseTo(Math.sqrt(0.8));
  expect(roundMs(recording)).toBe(80);
});

test('of a table, each series is a recording of what was measured, without what was filled in', () => {
  const { frame } = parseCsv('series,time,value\na,2026-01-01,1\na,2026-01-02,2\na,2026-01-04,4\nb,2026-01-01,7\nb,2026-01-02,8\n', { fillGaps: 'linear' }); // prettier-ignore
  const [a, b] = recordingsOf(frame);
  expect(Array.from(a!.value)).toEqual([1, 2, 4]);
  expect(Array.from(a!.time, (time) => (time - Date.UTC(2026, 0, 1)) / 86_400_000)).toEqual([0, 1, 3]);
  expect(Array.from(b!.value)).toEqual([7, 8]);
});

test('one reading is no recording', () => {
  expect(() => createRecording([0], [1])).toThrow(/ND_DATA_INVALID/);
});
