import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CsvOptions, readCsv } from '../../src/data/csv.js';
import { describe } from '../../src/data/frame.js';
import { parseTime } from '../../src/time/parse.js';

const folder = join(import.meta.dirname, '..', '..', 'examples', 'data');
const read = (name: string, options: CsvOptions = {}) => readCsv(join(folder, `${name}_system_failure.csv`), options);

test('the machine temperature goes back an hour once; sorted and merged it is whole', () => {
  expect(() => read('machine_temperature')).toThrow(
    /ND_DATA_UNSORTED · series series · row 10151[^]*ND_DATA_DUPLICATE_ROW[^]*12 times/,
  );
  const { frame } = read('machine_temperature', { sort: true, onDuplicate: 'mean' });
  expect(frame.frequency).toBe('5min');
  expect(describe(frame)[0]).toMatchObject({ rows: 22_683, observed: 22_683 });
});

test('the ambient temperature has 621 rows missing; filled it is regular and they are masked', () => {
  expect(() => read('ambient_temperature')).toThrow(/ND_DATA_GAPS · series series · row 580[^]*621 times/);
  const { frame } = read('ambient_temperature', { fillGaps: 'linear' });
  expect(frame.frequency).toBe('h');
  expect(describe(frame)[0]).toMatchObject({ rows: 7888, observed: 7267 });
});

test('the labelled windows lie within the series they name', () => {
  const windows = JSON.parse(readFileSync(join(folder, 'windows.json'), 'utf8')) as Record<string, [string, string][]>;
  expect(Object.keys(windows)).toEqual([
    'ambient_temperature_system_failure.csv',
    'machine_temperature_system_failure.csv',
  ]);
  for (const [file, spans] of Object.entries(windows)) {
    const { frame } = readCsv(join(folder, file), { sort: true, onDuplicate: 'mean', fillGaps: 'linear' });
    for (const [from, to] of spans) {
      expect(parseTime(from)).toBeGreaterThanOrEqual(frame.time[0]!);
      expect(parseTime(to)).toBeLessThanOrEqual(frame.time.at(-1)!);
      expect(parseTime(from)).toBeLessThan(parseTime(to));
    }
  }
});
