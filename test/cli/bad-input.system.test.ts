import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { example, jsonOf, nd } from './nd.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-cli-bad-'));
});
afterAll(() => rm(dir, { recursive: true }));

const train = ['train', '--horizon', '1', '--input-length', '2', '--out', 'out'];
const hour = (n: number): string => `2024-01-01T0${n}:00Z`;
const rows = (...lines: string[]): string => `${['time,value', ...lines].join('\n')}\n`;

describe('a table that cannot be used', () => {
  test.each<[string, string | Uint8Array, string[]]>([
    ['an empty file', '', ['ND_DATA_EMPTY']],
    ['a header alone', 'time,value\n', ['ND_DATA_EMPTY']],
    ['one row', rows(`${hour(0)},1`), ['ND_DATA_SERIES_TOO_SHORT', 'ND_DATA_FREQUENCY_UNKNOWN']],
    ['missing columns', 'a,b\n1,2\n', ['ND_DATA_COLUMN_MISSING']],
    ['binary', Uint8Array.of(0x1f, 0x8b, 0xff, 0xfe), ['ND_DATA_ENCODING']],
    ['text among numbers', rows(`${hour(0)},1`, `${hour(1)},warm`, `${hour(2)},3`), ['ND_DATA_COLUMN_TYPE']],
    ['a gap', rows(...[0, 1, 2, 5].map((n) => `${hour(n)},${n}`)), ['ND_DATA_GAPS']],
    ['rows of other lengths', rows(`${hour(0)},1`, `${hour(1)},2,3`, `${hour(2)},4`), ['ND_DATA_ROW_LENGTH']],
    [
      'all at once',
      rows(...[0, 2, 1, 1, 3, 4, 6].map((n) => `${hour(n)},${n === 4 ? 'x' : n}`)),
      ['ND_DATA_COLUMN_TYPE', 'ND_DATA_UNSORTED', 'ND_DATA_DUPLICATE_ROW', 'ND_DATA_GAPS'],
    ],
  ])('%s: one report with every finding, exit code 3', async (_, content, codes) => {
    await writeFile(join(dir, 'table.csv'), content);
    const [json, text] = await Promise.all([
      nd([...train, '--data', 'table.csv', '--json'], { cwd: dir }),
      nd([...train, '--data', 'table.csv'], { cwd: dir }),
    ]);
    const { error } = jsonOf(json) as { error: { code: string; findings: { code: string; mend: string }[] } };
    expect([json.code, error.code]).toEqual([3, 'ND_DATA_INVALID']);
    expect(error.findings.map(({ code }) => code)).toEqual(expect.arrayContaining(codes));
    for (const finding of error.findings)
      expect(finding).toMatchObject({ mend: expect.stringMatching(/\w/) as string, row: expect.toBeOneOf([null, expect.any(Number)]) as null }); // prettier-ignore
    expect(text).toMatchObject({ code: 3, stdout: '' });
    for (const code of codes) expect(text.stderr).toContain(`error ${code}`);
  });

  test('the options that the findings name mend it', async () => {
    const untidy = [0, 2, 1, 1, 3, 4, 6, 7, 8].map((n) => `${hour(n)},${n}`);
    await writeFile(join(dir, 'untidy.csv'), rows(...untidy));
    const mend = ['--sort', '--on-duplicate', 'mean', '--fill-gaps', 'linear', '--frequency', 'h'];
    const small = [
      '--model',
      'nlinear',
      '--max-steps',
      '2',
      '--validation',
      '0',
      '--overwrite',
      '--out',
      'mended',
      '--json',
    ];
    const trained = await nd([...train, '--data', 'untidy.csv', ...mend, ...small], { cwd: dir });
    expect([trained.code, jsonOf(trained)]).toMatchObject([0, { rows: 9, frequency: 'h', validationRows: 0 }]);
    expect(trained.stderr).toContain('warning ND_DATA_GAPS');
    const coarse = ['--sort', '--resample', 'mean', '--on-duplicate', 'mean', '--frequency', '2h'];
    const resampled = await nd([...train, '--data', 'untidy.csv', ...coarse, ...small], { cwd: dir });
    expect(jsonOf(resampled)).toMatchObject({ rows: 5, frequency: '2h' });
  });

  test.each(['nowhere.csv', '.'])('a file that cannot be opened (%s) exits with 7', async (data) => {
    const ended = await nd([...train, '--data', data, '--json'], { cwd: dir });
    expect([ended.code, jsonOf(ended)]).toMatchObject([7, { error: { code: 'ND_FILE_NOT_FOUND' } }]);
  });
});

describe('words that are not understood', () => {
  test.each<[string, string[], number, string, RegExp]>([
    ['a misspelt command', ['trian'], 2, 'ND_CLI_USAGE', /train/],
    ['a misspelt option', [...train, '--dat', 'x.csv'], 2, 'ND_CLI_USAGE', /--dat; the nearest is --data/],
    ['an unknown option', [...train, '--data', example, '--max-step', '3'], 2, 'ND_CLI_USAGE', /--max-steps/],
    ['text for a number', [...train, '--data', example, '--seed', 'x'], 2, 'ND_CLI_USAGE', /--seed.*whole number/],
    ['an unknown choice', [...train, '--data', example, '--fill-gaps', 'x'], 2, 'ND_CLI_USAGE', /linear, last, mask/],
    ['no command', [], 2, 'ND_CLI_USAGE', /command is missing/],
    ['an unknown model', ['models', 'info', 'nhist'], 4, 'ND_MODEL_UNKNOWN', /nhits/],
    ['a misspelt hyperparameter', [...train, '--data', 'nowhere', '--set', 'hiden=1'], 4, 'ND_HYPERPARAMETER', /hidden/], // prettier-ignore
    ['the same for one model', [...train, '--data', 'nowhere', '--set', 'nhits.dropuot=0'], 4, 'ND_HYPERPARAMETER', /nhits.dropuot.*nearest is dropout/], // prettier-ignore
    ['a value out of range', [...train, '--data', 'nowhere', '--set', 'dropout=4'], 4, 'ND_HYPERPARAMETER', /nhits.dropout.*0.99/], // prettier-ignore
    ['a training option out of range', [...train, '--data', 'nowhere', '--learning-rate', '4'], 4, 'ND_CONFIG_OUT_OF_RANGE', /learningRate/], // prettier-ignore
    ['an unknown loss', [...train, '--data', 'nowhere', '--loss', 'mean'], 4, 'ND_CONFIG_OUT_OF_RANGE', /mae, mse/],
  ])('%s', async (_, args, code, error, message) => {
    const [text, json] = await Promise.all([nd(args, { cwd: dir }), nd([...args, '--json'], { cwd: dir })]);
    expect(text).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) as string });
    expect([json.code, jsonOf(json)]).toMatchObject([code, { error: { code: error } }]);
  });

  test('a device configuration that is not there exits with 78, which tells systemd not to restart', async () => {
    expect(await nd(['run', '--config', 'nowhere.yaml'], { cwd: dir })).toMatchObject({ code: 78 });
  });
});

test.each(['models', 'doctor', 'models nhits'])('nd %s --json prints one object', async (words) => {
  const ended = await nd([...words.split(' '), '--json'], { cwd: dir });
  expect([ended.code, jsonOf(ended)]).toEqual([0, expect.any(Object)]);
});
