import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type CsvOptions, formatCsv, parseCsv, readCsv, writeCsv } from '../../src/data/csv.js';
import { DataError, type Finding } from '../../src/data/validate.js';
import { NeuroDivergentError } from '../../src/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-csv-'));
afterAll(() => rmSync(folder, { recursive: true }));

function findingsOf(text: string, options: CsvOptions = {}): readonly Finding[] {
  try {
    return parseCsv(text, options).warnings;
  } catch (error) {
    if (error instanceof DataError) return error.findings;
    throw error;
  }
}
const brief = (findings: readonly Finding[]): unknown[] =>
  findings.map(({ code, series, row, column, count }) => [code, series, row, column, count]);

const plain = 'timestamp,value\n2020-01-01 00:00:00,1\n2020-01-01 00:05:00,2.5\n2020-01-01 00:10:00,-3e-1\n';

describe('reading', () => {
  test('a plain file becomes a frame', () => {
    const { frame, warnings } = parseCsv(plain);
    expect(warnings).toEqual([]);
    expect(frame.ids).toEqual(['series']);
    expect(frame.frequency).toBe('5min');
    expect([...frame.time]).toEqual([0, 5, 10].map((minutes) => Date.UTC(2020, 0, 1, 0, minutes)));
    expect([...frame.columns.target]).toEqual([1, 2.5, Math.fround(-0.3)]);
    expect([...frame.available]).toEqual([1, 1, 1]);
  });

  test.each([
    ['a byte order mark', `\uFEFF${plain}`],
    ['CRLF line ends', plain.replaceAll('\n', '\r\n')],
    ['semicolons', plain.replaceAll(',', ';')],
    ['tabs', plain.replaceAll(',', '\t')],
    ['no line end at the end', plain.trimEnd()],
    ['empty lines', `\n${plain.replaceAll('\n', '\n\n')}\n`],
    ['quotes', plain.replace(/^(.*),(.*)$/gm, '"$1","$2"')],
    ['blanks around fields', plain.replaceAll(',', ' , ')],
    [
      'another order and further columns',
      'note,value,timestamp\na,1,2020-01-01\nb,2.5,2020-01-01 00:05\n"c, d",-0.3,2020-01-01 00:10\n',
    ],
    ['the names of NeuralForecast', plain.replace('timestamp,value', 'ds,Y').replaceAll(/^(2|ds)/gm, '$1')],
  ])('%s make no difference', (_, text) => {
    const { frame } = parseCsv(text);
    expect({ ...frame, time: [...frame.time] }).toEqual({ ...parseCsv(plain).frame, time: [...frame.time] });
    expect(frame.time[0]).toBe(Date.UTC(2020, 0, 1));
  });

  test('series may be mixed; each keeps its own rows', () => {
    const { frame } = parseCsv('unique_id,ds,y\nb,1,10\na,1,20\nb,2,11\na,2,21\na,3,22\n');
    expect(frame.ids).toEqual(['b', 'a']);
    expect([...frame.offsets]).toEqual([0, 2, 5]);
    expect([...frame.columns.target]).toEqual([10, 11, 20, 21, 22]);
    expect(frame.frequency).toBe('1');
  });

  test('missing values are masked, and filled when a rule says so', () => {
    const text = 'time,value\n1,1\n2,\n3,NaN\n4,unknown\n5,9\n';
    const masked = parseCsv(text);
    expect([...masked.frame.columns.target]).toEqual([1, NaN, NaN, NaN, 9]);
    expect([...masked.frame.available]).toEqual([1, 0, 0, 0, 1]);
    expect(brief(masked.warnings)).toEqual([['ND_DATA_MISSING', 'series', 3, 'target', 3]]);
    const filled = parseCsv(text, { fillGaps: 'linear' });
    expect([...filled.frame.columns.target]).toEqual([1, 3, 5, 7, 9]);
    expect([...filled.frame.available]).toEqual([1, 0, 0, 0, 1]);
  });

  test('columns may be named, covariates kept, an epoch unit given', () => {
    const { frame } = parseCsv('t,kW,outside\n60,1,5\n120,2,6\n', {
      columns: { time: 't', target: 'kW' },
      covariates: ['outside'],
      timeUnit: 's',
    });
    expect(frame.frequency).toBe('min');
    expect([...frame.columns['outside']!]).toEqual([5, 6]);
  });

  test('times with offsets are read as instants', () => {
    const { frame } = parseCsv(
      'time,value\n2020-03-29T01:00+01:00,1\n2020-03-29T03:00+02:00,2\n2020-03-29T04:00+02:00,3\n',
    );
    expect(frame.frequency).toBe('h');
  });

  test('a file is read in blocks without a seam, whatever the lines look like', () => {
    const rows = Array.from({ length: 60_000 }, (_, i) => `${i},${i % 977},"é${i % 7 === 0 ? '""' : ''}"`);
    const path = join(folder, 'long.csv');
    writeFileSync(path, `time,value,note\n${rows.join('\n')}`);
    const { frame } = readCsv(path);
    expect(frame.time.length).toBe(60_000);
    expect(frame.columns.target.every((value, i) => value === i % 977)).toBe(true);
  });

  test('the fast way and the careful way read the same rows', () => {
    const field = fc.constantFrom('1', '-2.5', '', '7e2');
    fc.assert(
      fc.property(fc.array(field, { minLength: 2, maxLength: 40 }), (values) => {
        const rows = values.map((value, i) => `${i},${value}`);
        const fast = parseCsv(`time,value\n${rows.join('\n')}\n`, { minLength: 0 });
        const careful = parseCsv(`time,value\n\n${rows.join('\n')}\n`, { minLength: 0 });
        expect(careful.frame).toEqual(fast.frame);
      }),
    );
  });
});

describe('findings', () => {
  test('one report lists everything, each with series, row, column and mend', () => {
    const findings = findingsOf(
      [
        'unique_id,ds,y',
        'a,2020-01-01 00:00,1',
        'a,2020-01-01 01:00,x1',
        'a,2020-01-01 03:00,2',
        'a,2020-01-01 02:00,',
        'a,2020-01-01 03:00,inf',
        'a,2020-01-01 06:00,4',
        'b,2020-01-01 00:00',
        'b,01/02/2020,5',
        'b,2020-01-01 00:00Z,6',
        'b,2020-01-01 00:30,7',
        '',
      ].join('\n'),
      { frequency: 'h' },
    );
    expect(brief(findings)).toEqual([
      ['ND_DATA_COLUMN_TYPE', 'a', 3, 'y', 1],
      ['ND_DATA_ROW_LENGTH', null, 8, null, 1],
      ['ND_DATA_COLUMN_TYPE', 'b', 9, 'ds', 1],
      ['ND_DATA_TIMEZONE_MIXED', 'b', 10, 'ds', 1],
      ['ND_DATA_UNSORTED', 'a', 5, 'time', 1],
      ['ND_DATA_NOT_FINITE', 'a', 6, 'target', 1],
      ['ND_DATA_DUPLICATE_ROW', 'a', 6, 'time', 1],
      ['ND_DATA_MISSING', 'a', 5, 'target', 1],
      ['ND_DATA_GAPS', 'a', 7, 'time', 2],
      ['ND_DATA_IRREGULAR', 'b', 11, 'time', 1],
    ]);
    expect(findings.every(({ mend }) => mend.length > 10)).toBe(true);
  });

  test('the error reads well, ends a command with 3 and carries its findings as JSON', () => {
    const error = (() => {
      try {
        return parseCsv('time,value\n1,1\n2,x\n3,1\n');
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(DataError);
    expect(error).toMatchObject({ code: 'ND_DATA_INVALID', exitCode: 3 });
    expect((error as DataError).message).toContain(
      'error ND_DATA_COLUMN_TYPE · series series · row 3 · column value: not readable as this column (row 3: “x”). Write numbers',
    );
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({
      code: 'ND_DATA_INVALID',
      findings: [{ code: 'ND_DATA_COLUMN_TYPE', row: 3 }],
    });
  });

  test.each([
    ['', [['ND_DATA_EMPTY', null, 1, null, 1]]],
    ['\n\n', [['ND_DATA_EMPTY', null, 1, null, 1]]],
    ['time,value\n', [['ND_DATA_EMPTY', null, 1, null, 1]]],
    [
      'time,value\n2020-01-01,1\n',
      [
        ['ND_DATA_SERIES_TOO_SHORT', 'series', 2, 'target', 1],
        ['ND_DATA_FREQUENCY_UNKNOWN', null, 2, 'time', 1],
      ],
    ],
    ['when,value\n1,2\n', [['ND_DATA_COLUMN_MISSING', null, 1, 'time', 1]]],
    [
      'a;b\n1;2\n',
      [
        ['ND_DATA_COLUMN_MISSING', null, 1, 'time', 1],
        ['ND_DATA_COLUMN_MISSING', null, 1, 'target', 1],
      ],
    ],
    ['time,value,value\n1,2,3\n2,3,4\n', [['ND_DATA_COLUMN_DUPLICATE', null, 1, 'value', 1]]],
    ['time,value\n1,5\n2,5\n', [['ND_DATA_CONSTANT', 'series', 2, 'target', 1]]],
    [
      'time;value\n1;1,5\n2;2,5\n',
      [
        ['ND_DATA_COLUMN_TYPE', 'series', 2, 'value', 2],
        ['ND_DATA_CONSTANT', 'series', 2, 'target', 1],
      ],
    ],
  ])('%j', (text, expected) => {
    expect(brief(findingsOf(text))).toEqual(expected);
  });

  test('an option that mends a fault turns it into a warning', () => {
    const text =
      'time,value\n2020-01-01 00:00,1\n2020-01-01 02:00,4\n2020-01-01 01:00,2\n2020-01-01 01:00,3\n2020-01-01 03:00,8\n2020-01-01 06:00,2\n';
    expect(
      findingsOf(text, { frequency: 'h' })
        .filter(({ severity }) => severity === 'error')
        .map(({ code }) => code),
    ).toEqual(['ND_DATA_UNSORTED', 'ND_DATA_DUPLICATE_ROW', 'ND_DATA_GAPS']);
    const { frame, warnings } = parseCsv(text, { sort: true, onDuplicate: 'mean', fillGaps: 'linear' });
    expect(warnings.map(({ code, severity }) => `${code} ${severity}`)).toEqual([
      'ND_DATA_UNSORTED warning',
      'ND_DATA_DUPLICATE_ROW warning',
      'ND_DATA_GAPS warning',
    ]);
    expect([...frame.columns.target]).toEqual([1, 2.5, 4, 8, 6, 4, 2]);
    expect([...frame.available]).toEqual([1, 1, 1, 1, 0, 0, 1]);
  });

  test('a year mistyped is no gap to fill', () => {
    const text =
      'time,value\n2020-01-01 00:00:00,1\n2020-01-01 00:00:01,2\n2020-01-01 00:00:02,3\n2120-01-01 00:00:03,4\n';
    expect(brief(findingsOf(text, { fillGaps: 'linear' }))).toEqual([
      ['ND_DATA_GAPS', 'series', 5, 'time', 3155673600],
    ]);
  });

  test('a file that is not there, or is a folder, is no data error', () => {
    expect(() => readCsv(join(folder, 'nowhere.csv'))).toThrow(NeuroDivergentError);
    expect(() => readCsv(join(folder, 'nowhere.csv'))).toThrow(/ENOENT.*ND_FILE_NOT_FOUND/);
    expect(() => readCsv(folder)).toThrow(/This is a folder.*ND_FILE_NOT_FOUND/);
  });

  test('bytes that are no text are said to be so', () => {
    const path = join(folder, 'binary.csv');
    writeFileSync(path, Uint8Array.of(0x1f, 0x8b, 0x08, 0xff, 0xfe, 0x0a));
    expect(() => readCsv(path)).toThrow(/ND_DATA_ENCODING/);
  });
});

describe('writing', () => {
  test('forecasts are written with quotes where they are needed, NaN as an empty field', () => {
    const columns = {
      series: ['a', 'b, "c"'],
      time: ['2020-01-01 00:00:00', '2020-01-01 01:00:00'],
      NHITS: Float64Array.of(1.5, NaN),
    };
    const text = 'series,time,NHITS\na,2020-01-01 00:00:00,1.5\n"b, ""c""",2020-01-01 01:00:00,\n';
    expect(formatCsv(columns)).toBe(text);
    writeCsv(join(folder, 'forecast.csv'), columns);
    expect(readFileSync(join(folder, 'forecast.csv'), 'utf8')).toBe(text);
  });

  test('what is written is read back the same', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 2, maxLength: 30 }),
        (values) => {
          const text = formatCsv({ time: values.map((_, i) => i), value: values });
          expect([...parseCsv(text).frame.columns.target]).toEqual(values.map((value) => value + 0));
        },
      ),
    );
  });
});
