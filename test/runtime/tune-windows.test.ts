import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFeeds, gatherInto, splitWindows, stretchesOf } from '../../src/runtime/tune-windows.js';
import type { SeriesSettings } from '../../src/runtime/series.js';

const settings: SeriesSettings = { cadenceMs: 10, aggregate: 'mean', impute: 'linear', maxGap: 2, latenessMs: 0, inputLength: 3 }; // prettier-ignore
const read = (times: readonly number[]) => times.map((step) => ({ timeMs: step * 10, value: step }));

test('short gaps are imputed and said to be, long ones end a stretch', () => {
  const stretches = stretchesOf(read([0, 1, 4, 5, 9, 10, 11]), settings);
  expect(stretches.map(({ values, mask }) => [[...values], [...mask]])).toEqual([
    [
      [0, 1, 2, 3, 4, 5],
      [1, 1, 0, 0, 1, 1],
    ],
    [
      [9, 10],
      [1, 1],
    ],
  ]);
});

test('a reading without a value moves time on, and is none', () => {
  const stretches = stretchesOf([...read([0, 1]), { timeMs: 20, value: null }, ...read([3, 4])], settings);
  expect(stretches.map(({ mask }) => [...mask])).toEqual([[1, 1, 0, 1]]);
  expect(stretchesOf([], settings)).toEqual([]);
});

test('windows are gathered in the order that is asked for', () => {
  const stretches = stretchesOf(read([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), settings);
  const { learned } = splitWindows(stretches, { inputLength: 3, horizon: 2 });
  const feeds = createFeeds(2, { inputLength: 3, horizon: 2 });
  gatherInto(feeds, [learned[1]!, learned[0]!], { inputLength: 3, horizon: 2 });
  expect([...feeds['past']!.data]).toEqual([1, 2, 3, 0, 1, 2]);
  expect([...feeds['target']!.data]).toEqual([4, 5, 3, 4]);
  expect([...feeds['targetMask']!.data]).toEqual([1, 1, 1, 1]);
  expect(feeds['mask']!.dims).toEqual([2, 3, 1]);
});

test('no window is learned from that ends in the held-out part, and none is judged whose target begins before it', () => {
  const steps = fc.uniqueArray(fc.nat(150), { minLength: 1, maxLength: 120 });
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (times, inputLength, horizon) => {
        const stretches = stretchesOf(read([...times].sort((a, b) => a - b)), settings);
        const { learned, held } = splitWindows(stretches, { inputLength, horizon });
        const at = (place: (typeof held)[number]): number =>
          stretches
            .slice(0, stretches.indexOf(place.stretch))
            .reduce((sum, { values }) => sum + values.length, place.start);
        const total = stretches.reduce((sum, { values }) => sum + values.length, 0);
        const cut = total - Math.floor(total * 0.2);
        for (const place of learned) expect(at(place) + inputLength + horizon).toBeLessThanOrEqual(cut);
        for (const place of held) expect(at(place) + inputLength).toBeGreaterThanOrEqual(cut);
        for (const { stretch, start } of [...learned, ...held]) {
          expect(start + inputLength + horizon).toBeLessThanOrEqual(stretch.values.length);
          expect(stretch.mask.subarray(start, start + inputLength)).toContain(1);
          expect(stretch.mask.subarray(start + inputLength, start + inputLength + horizon)).toContain(1);
        }
      },
    ),
  );
});

test('of very many held-out windows a thousand are judged, from first to last', () => {
  const { held } = splitWindows(stretchesOf(read(Array.from({ length: 8000 }, (_, i) => i)), settings), { inputLength: 3, horizon: 2 }); // prettier-ignore
  expect(held).toHaveLength(1000);
  expect([held[0]!.start, held.at(-1)!.start]).toEqual([6397, 7993]);
});
