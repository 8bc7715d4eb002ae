import { expect, test } from 'vitest';
import { appendFuture, covariatesOf, makeFuture, withStatic } from '../../src/data/covariates.js';
import { frameFromColumns } from '../../src/data/from-columns.js';

const day = 86_400_000;
const frame = frameFromColumns({
  ids: ['a', 'b'],
  series: [0, 0, 0, 1, 1],
  time: [0, day, 2 * day, day, 2 * day],
  columns: { target: [1, 2, 3, 4, 5], promo: [0, 1, 0, 1, 1] },
}).frame;

test('a static table is spread over the rows of its series', () => {
  const joined = withStatic(frame, { ids: ['b', 'a'], columns: { size: [7, 9] } });
  expect([...joined.columns['size']!]).toEqual([9, 9, 9, 7, 7]);
  expect([...covariatesOf(joined, { static: ['size'] }).static!]).toEqual([9, 7]);
  expect(() => withStatic(frame, { ids: ['a'], columns: { size: [9] } })).toThrow(
    /ND_DATA_STATIC_ROW_MISSING · series b/,
  );
});

test('the rows that come next are those of the frequency', () => {
  const { series, time } = makeFuture(frame, 2);
  expect([...series]).toEqual([0, 0, 1, 1]);
  expect([...time]).toEqual([3 * day, 4 * day, 3 * day, 4 * day]);
});

test('rows of the future are appended, their target not observed', () => {
  const next = frameFromColumns(
    { ids: ['b', 'a'], series: [0, 1], time: [3 * day, 3 * day], columns: { target: [NaN, NaN], promo: [5, 6] } },
    { frequency: 'D', minLength: 0 },
  ).frame;
  const longer = appendFuture(frame, 1, ['promo'], next);
  expect([...longer.offsets]).toEqual([0, 4, 7]);
  expect([...longer.columns['promo']!]).toEqual([0, 1, 0, 6, 1, 1, 5]);
  expect([...longer.available]).toEqual([1, 1, 1, 0, 1, 1, 0]);
  expect(longer.time[6]).toBe(3 * day);
  expect(() => appendFuture(frame, 2, ['promo'], next)).toThrow(/ND_DATA_FUTURE_ROWS_MISSING/);
});
