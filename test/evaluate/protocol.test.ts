import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCsv } from '../../src/data/csv.js';
import { readRowPerSeries, seriesFromColumns } from '../../src/data/wide.js';
import { seasonalNaive } from '../../src/evaluate/baselines.js';
import { naive2 } from '../../src/evaluate/naive2.js';
import {
  formatM4,
  formatScaled,
  lastForecasts,
  measureScaled,
  parseProtocol,
  partsOf,
  ridgeM4,
  scaledBaselines,
  scoreM4,
} from '../../src/evaluate/protocol.js';
import { frameOf } from '../data/tables.js';
import { missing, shared } from './shared.js';

const refusal = expect.objectContaining({ code: 'ND_EVALUATE_PROTOCOL' }) as Error;
const ratio = parseProtocol('ratio:6,2,2') as { kind: 'ratio'; shares: [number, number, number] };

test.each(['ett2', 'ratio', 'ratio:7,1', 'ratio:7,1,0', 'ratio:7,x,2', 'ratio:1,2,3,4', ''])(
  'the protocol “%s” is refused',
  (text) => expect(() => parseProtocol(text)).toThrow(refusal),
);
test('the three protocols are read', () => {
  expect([parseProtocol('ett'), parseProtocol('m4'), ratio]).toEqual([
    { kind: 'ett' },
    { kind: 'm4' },
    { kind: 'ratio', shares: [6, 2, 2] },
  ]);
});

describe('windows of the test part, in deviations of the training part', () => {
  const wave = (n: number, size: number): number[] => Array.from({ length: n }, (_, i) => size * (Math.sin(i / 3) + i / 50)); // prettier-ignore
  const lengths = { inputLength: 6, horizon: 4 };
  const table = frameOf({ a: wave(100, 1), b: wave(100, 1000) });
  const parts = partsOf(table, ratio, lengths);

  test('the parts follow each other, and the training part has mean 0 and deviation 1', () => {
    expect(parts.rows).toEqual({ train: 60, validation: 20, test: 20 });
    expect(parts.known.time.length).toBe(160);
    const train = parts.scaled.columns.target.subarray(100, 160);
    const mean = train.reduce((sum, value) => sum + value, 0) / 60;
    expect(mean).toBeCloseTo(0, 5);
    expect(train.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 60).toBeCloseTo(1, 5);
  });

  test('every window counts: the last value repeated has the error that a loop by hand finds', async () => {
    const model = { name: 'naive', inputLength: 1, predict: seasonalNaive(1, 4, 1) };
    const asked = { rows: parts.rows, ...lengths };
    const [found] = await measureScaled(parts.scaled, [model], { ...asked, deviations: [1, 1] });
    const errors = [0, 1].flatMap((s) =>
      Array.from({ length: 17 }, (_, w) => w + s * 100 + 80).flatMap((cut) =>
        [0, 1, 2, 3].map((h) => parts.scaled.columns.target[cut + h]! - parts.scaled.columns.target[cut - 1]!),
      ),
    );
    expect(found!.mse).toBeCloseTo(errors.reduce((sum, e) => sum + e * e, 0) / errors.length, 6);
    expect(found!.mae).toBeCloseTo(errors.reduce((sum, e) => sum + Math.abs(e), 0) / errors.length, 6);

    const [raw] = await measureScaled(parts.frame, [model], { ...asked, deviations: parts.deviations });
    expect(raw!.mse).toBeCloseTo(found!.mse, 5); // what is measured in the unit of the data comes to the same
  });

  test('windows measured block by block are all there', async () => {
    const long = frameOf({ a: wave(3000, 1), b: wave(3000, 2) });
    const cut = partsOf(long, ratio, { inputLength: 6, horizon: 300 });
    let done: number[] = [];
    const seen: number[] = [];
    const model = { name: 'count', predict: (_: unknown, count: number) => (seen.push(count), new Float32Array(count * 300)) }; // prettier-ignore
    await measureScaled(cut.scaled, [model], { rows: { ...cut.rows, train: 0, validation: 6, test: 2994 }, deviations: [1, 1], inputLength: 6, horizon: 300, on: (...at) => (done = at) }); // prettier-ignore
    expect(seen.reduce((sum, count) => sum + count, 0)).toBe(2 * 2695);
    expect(done).toEqual([2695, 2695]);
  });

  test('seasonal naive and ridge stand beside it; ridge knows the training part alone', async () => {
    const models = scaledBaselines(parts, { ...lengths, season: 19 });
    const rows = await measureScaled(parts.scaled, models, { rows: parts.rows, deviations: [1, 1], ...lengths });
    expect(rows.map(({ name }) => name)).toEqual(['seasonal naive', 'ridge']);
    expect(rows[1]!.mse).toBeLessThan(rows[0]!.mse);
    expect(formatScaled(rows).split('\n')[2]).toMatch(/^ridge/);
  });

  test('too few rows, other times and a frequency without months are refused', () => {
    expect(() => partsOf(table, ratio, { inputLength: 60, horizon: 4 })).toThrow(refusal);
    expect(() => partsOf(frameOf({ a: wave(100, 1), b: wave(99, 1) }), ratio, lengths)).toThrow(refusal);
    expect(() => partsOf({ ...table, frequency: 'MS' }, { kind: 'ett' }, lengths)).toThrow(refusal);
    expect(() => partsOf(table, { kind: 'ett' }, lengths)).toThrow(refusal); // a day of minutes is no 20 months
  });
});

describe('the last horizon of each series', () => {
  test('Naive2 repeats the last value without a season, and the season with one', () => {
    const season = [1, 2, 4, 1];
    const periodic = Array.from({ length: 40 }, (_, i) => 10 * season[i % 4]!);
    naive2(periodic, 6, 4).forEach((value, h) => expect(value).toBeCloseTo(10 * season[h % 4]!, 4));
    expect([...naive2([1, 2, 3], 2, 4)]).toEqual([3, 3]);
    expect([...naive2([...periodic, -1], 2, 4)]).toEqual([-1, -1]); // not positive: no seasons that multiply
    expect([...naive2(new Array(20).fill(5), 2, 4)]).toEqual([5, 5]);
  });

  test('Naive2 grows with the values', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 13, maxLength: 60 }), (values) => {
        const once = naive2(values, 5, 4);
        naive2(values.map((value) => 8 * value), 5, 4).forEach((value, h) => expect(value / once[h]!).toBeCloseTo(8, 4)); // prettier-ignore
      }),
    ));

  test('a forecast that is the truth scores 0, and ridge follows a straight line', async () => {
    const line = Array.from({ length: 60 }, (_, i) => i + 1 + Math.sin(i) / 9);
    const frame = frameOf({ a: line, b: line.map((value) => 1000 * value) });
    const truth = Float32Array.from([...line.slice(-3), ...line.slice(-3).map((value) => 1000 * value)]);
    const rows = scoreM4(frame, { truth, ridge: await ridgeM4(frame, { inputLength: 8, horizon: 3 }) }, { horizon: 3, season: 1 }); // prettier-ignore
    const row = (name: string) => rows.find((one) => one.name === name)!;
    expect(row('truth')).toMatchObject({ smape: 0, mase: 0, owa: 0, mae: 0 });
    expect(row('naive2').owa).toBe(1);
    expect(row('seasonal naive').owa).toBeCloseTo(1, 6); // a season of one step
    expect(row('ridge').owa).toBeLessThan(0.2);
    expect(formatM4(rows).split('\n')[2]).toMatch(/^truth/);
  });

  test('a series without a window is refused by name', async () => {
    const frame = frameOf({ a: [1, 2, 3, 4, 5, 6], b: [1, 2, 3] });
    const model = { name: 'naive', predict: seasonalNaive(4, 2, 1) };
    await expect(lastForecasts(frame, model, { inputLength: 4, horizon: 2 })).rejects.toThrow(/^b: /);
  });
});

const noEtt = missing('data', 'ett', 'ETTh1.csv');
test.skipIf(noEtt !== undefined)(
  noEtt ?? 'ETTh1: seasonal naive has MSE 0.512 and MAE 0.433',
  async () => {
    const text = readFileSync(shared('data', 'ett', 'ETTh1.csv'), 'utf8');
    const names = text.slice(0, text.indexOf('\n')).trim().split(',').slice(1);
    const { frame } = parseCsv(text, { columns: { target: names[0]! }, covariates: names.slice(1) });
    const lengths = { inputLength: 24, horizon: 96 };
    const parts = partsOf(seriesFromColumns(frame, names[0]!, names.slice(1)), { kind: 'ett' }, lengths);
    expect(parts.rows.test - lengths.horizon + 1).toBe(2785);
    const model = { name: 'seasonal naive', predict: seasonalNaive(24, 96, 24) };
    const [found] = await measureScaled(parts.scaled, [model], { rows: parts.rows, deviations: parts.deviations.map(() => 1), ...lengths }); // prettier-ignore
    expect(found!.mse).toBeCloseTo(0.512, 3);
    expect(found!.mae).toBeCloseTo(0.433, 3);
  },
  60_000,
);

const noM4 = missing('data', 'm4', 'Hourly-train.csv');
test.skipIf(noM4 !== undefined)(
  noM4 ?? 'M4 Hourly: Naive2 and seasonal naive have the figures of the contest',
  () => {
    const { frame, testRows } = readRowPerSeries(shared('data', 'm4', 'Hourly-train.csv'), shared('data', 'm4', 'Hourly-test.csv')); // prettier-ignore
    expect([frame.ids.length, testRows]).toEqual([414, 48]);
    const rows = scoreM4(frame, {}, { horizon: 48, season: 24 });
    const round = (name: string) => {
      const { smape, mase, owa } = rows.find((row) => row.name === name)!;
      return [smape, mase, owa].map((value) => Number(value.toFixed(3)));
    };
    expect(round('naive2')).toEqual([18.383, 2.395, 1]);
    expect(round('seasonal naive')).toEqual([13.912, 1.193, 0.628]);
  },
  60_000,
);
