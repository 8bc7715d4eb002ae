import { expect, test } from 'vitest';
import { farthestValue, windowPlace } from '../../src/data/trace.js';
import { createWindows } from '../../src/data/windows.js';
import { sines } from '../train/example.js';

test('a window is told by series, rows and time', () => {
  const windows = createWindows(sines({ rows: 40 }), { inputLength: 24, horizon: 6 });
  expect(windowPlace(windows, 0)).toBe('sine 0, rows 1 to 30 from 1970-01-01 00:00:00 on');
  expect(windowPlace(windows, 13)).toBe('sine 1, rows 3 to 32 from 1970-01-01 02:00:00 on');
});

test('steps of a plain index stay numbers, and series that share a window are counted', () => {
  const frame = { ...sines({ rows: 31, series: 3 }), frequency: '1' };
  const windows = createWindows(frame, { inputLength: 24, horizon: 6, together: 3, padEnd: true });
  expect(windowPlace(windows, 1)).toBe('sine 0 and 2 other series, rows 2 to 31 from 3600000 on');
  expect(windowPlace(windows, windows.count - 1)).toMatch(/rows 7 to 31 /);
});

test('the value farthest from 0 is found among the windows given, in every series and column', () => {
  const frame = sines({ rows: 40 });
  frame.columns.target[3] = -1e20;
  frame.columns.target[75] = Infinity;
  frame.columns.target[5] = NaN;
  const windows = createWindows(frame, { inputLength: 24, horizon: 6 });
  expect(farthestValue(windows, [10, 0, 1])).toMatchObject({ value: Math.fround(-1e20), window: 0 });
  expect(farthestValue(windows, [2, windows.count - 1])).toEqual({
    value: Infinity,
    window: windows.count - 1,
    place: 'target of sine 1, row 36 at 1970-01-02 11:00:00',
  });
  const together = createWindows(frame, { inputLength: 24, horizon: 6, together: 2 });
  expect(farthestValue(together, [10])!.place).toMatch(/^target of sine 1, row 36 /);
  const covariate = { ...frame, columns: { ...frame.columns, heat: new Float32Array(80).fill(-1e30) } };
  expect(farthestValue(createWindows(covariate, { inputLength: 24, horizon: 6, future: ['heat'] }), [0])!.place).toBe(
    'heat of sine 0, row 1 at 1970-01-01 00:00:00',
  );
  expect(farthestValue(windows, [])).toBeUndefined();
});
