import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rowsOf } from '../../src/data/frame.js';
import { monthRows, shareRows } from '../../src/data/split.js';
import { isRowPerSeries, readRowPerSeries, rescaled, seriesFromColumns } from '../../src/data/wide.js';
import { frameOf } from './tables.js';

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'nd-wide-'))));
afterAll(() => rmSync(dir, { recursive: true }));
const written = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

test('every column becomes a series of the same times; a value that is missing was not observed', () => {
  const table = frameOf({ a: [1, 2, 3] }, {}, { b: [4, 5, 6] });
  table.columns['b']![1] = NaN;
  const frame = seriesFromColumns(table, 'a', ['b']);
  expect(frame.ids).toEqual(['a', 'b']);
  expect([...frame.columns.target]).toEqual([1, 2, 3, 4, NaN, 6]);
  expect([...frame.available]).toEqual([1, 1, 1, 1, 0, 1]);
  expect([...frame.time]).toEqual([0, 60_000, 120_000, 0, 60_000, 120_000]);
});

test('M4: a row for each series, its test part behind it, trailing blanks dropped', () => {
  const train = written('train.csv', '"V1","V2","V3","V4"\n"H1","1","2.5","3"\n"H2","7","8",""\n"H3",5,6,NA\n');
  const test = written('test.csv', 'V1,V2\nH2,9\nH1,4\nH3,7\n');
  const { frame, testRows } = readRowPerSeries(train, test);
  expect([frame.ids, [...frame.columns.target], testRows]).toEqual([
    ['H1', 'H2', 'H3'],
    [1, 2.5, 3, 4, 7, 8, 9, 5, 6, 7],
    1,
  ]);
  expect(rowsOf(frame, 1)).toEqual({ from: 4, to: 7 });
  expect([isRowPerSeries(['V1', 'V2', 'V3']), isRowPerSeries(['date', 'OT'])]).toEqual([true, false]);
});

test('M4: what is no number, a series twice and one without a test part are findings', () => {
  const codesOf = (text: string, other?: string): string[] => {
    try {
      readRowPerSeries(written('a.csv', `V1,V2,V3\n${text}`), other && written('b.csv', `V1,V2\n${other}`));
    } catch (error) {
      return (error as { findings: { code: string }[] }).findings.map(({ code }) => code);
    }
    return [];
  };
  expect(codesOf('H1,1,warm\n')).toEqual(['ND_DATA_COLUMN_TYPE']);
  expect(codesOf('H1,1,2\nH1,3,4\n')).toEqual(['ND_DATA_DUPLICATE_ROW']);
  expect(codesOf('H1,1,2\nH2,3,4\n', 'H1,3\n')).toEqual(['ND_DATA_SERIES_TOO_SHORT']);
});

test('a frame is rescaled series by series', () => {
  const scaled = rescaled(frameOf({ a: [1, 3], b: [10, 30] }), (s) => ({ mean: [2, 20][s]!, deviation: [1, 10][s]! }));
  expect([...scaled.columns.target]).toEqual([-1, 1, -1, 1]);
});

test('months of thirty days, and shares with the rest for validation', () => {
  expect(monthRows('h')).toEqual({ train: 8640, validation: 2880, test: 2880 });
  expect(monthRows('15min')).toEqual({ train: 34_560, validation: 11_520, test: 11_520 });
  expect([monthRows('MS'), monthRows('1'), monthRows('7D')]).toEqual([undefined, undefined, undefined]);
  expect(shareRows(26_304, [7, 1, 2])).toEqual({ train: 18_412, validation: 2632, test: 5260 });
});
