import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonOf, nd } from './nd.js';

let dir: string;
const figure = expect.any(Number) as number;
const rows = 300;
const value = (i: number, size: number): string => (size * (2 + Math.sin((i * Math.PI) / 12) + i / 500)).toFixed(4);
const tiny = ['--model', 'nlinear', '--max-steps', '20', '--batch', '16', '--set', 'train.valCheckSteps=10', '--json'];
const evaluate = (...args: string[]) => nd(['evaluate', ...args], { cwd: dir });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-protocol-'));
  const hour = (i: number): string => new Date(Date.UTC(2024, 0, 1, i)).toISOString();
  const wide = Array.from({ length: rows }, (_, i) => `${hour(i)},${value(i, 1)},${value(i, 50)}`);
  await writeFile(join(dir, 'wide.csv'), ['date,HUFL,OT', ...wide, ''].join('\n'));
  const list = (size: number, from: number, to: number) => Array.from({ length: to - from }, (_, i) => value(from + i, size)).join(','); // prettier-ignore
  const header = (count: number): string => Array.from({ length: count + 1 }, (_, i) => `V${i + 1}`).join(',');
  await writeFile(join(dir, 'train.csv'), `${header(200)}\nH1,${list(1, 0, 200)}\nH2,${list(50, 0, 180)}\n`);
  await writeFile(join(dir, 'test.csv'), `${header(8)}\nH1,${list(1, 200, 208)}\nH2,${list(50, 180, 188)}\n`);
});
afterAll(() => rm(dir, { recursive: true }));

describe('nd evaluate --protocol', () => {
  test('a table of a column for each series: trains, and measures every window of the test part', async () => {
    const result = await evaluate('--protocol', 'ratio:7,1,2', '--data', 'wide.csv', '--horizon', '6', '--input-length', '24', ...tiny); // prettier-ignore
    expect(result.stderr).toContain('HUFL, OT are a series each');
    expect(jsonOf(result)).toMatchObject({
      protocol: 'ratio:7,1,2',
      inputLength: 24,
      horizon: 6,
      series: 2,
      season: 24,
      rows: { train: 210, validation: 30, test: 60 },
      windows: 110,
      models: [
        { name: 'nlinear', mse: figure, mae: figure },
        { name: 'seasonal naive', mse: figure, mae: figure },
        { name: 'ridge', mse: figure, mae: figure },
      ],
    });
  });

  test('M4’s files, with the test part in one of its own', async () => {
    const result = await evaluate('--protocol', 'm4', '--data', 'train.csv', '--test-data', 'test.csv', '--horizon', '8', '--input-length', '24', '--season', '24', ...tiny); // prettier-ignore
    expect(result.code, result.stderr).toBe(0);
    const { models } = jsonOf(result) as { models: { name: string; owa: number }[] };
    expect(models.map(({ name }) => name).sort()).toEqual(['naive2', 'nlinear', 'ridge', 'seasonal naive']);
    expect(models.find(({ name }) => name === 'naive2')).toMatchObject({ owa: 1, smape: figure, mase: figure });
  });

  test('a forecaster that is trained already is measured as it is', async () => {
    const data = ['--data', 'wide.csv', '--target', 'OT'];
    const trained = await nd(['train', ...data, '--out', 'ot', '--horizon', '6', '--input-length', '24', ...tiny], { cwd: dir }); // prettier-ignore
    expect(trained.code, trained.stderr).toBe(0);
    const result = await evaluate('ot', '--protocol', 'ratio:7,1,2', ...data, '--json');
    expect(jsonOf(result)).toMatchObject({
      series: 1,
      windows: 55,
      models: [{ name: 'nlinear', mse: figure }, {}, {}],
    });
  });

  test.each<[string, string[], number, string]>([
    ['a protocol that is none', ['--protocol', 'etth', '--horizon', '6'], 3, 'ND_EVALUATE_PROTOCOL'],
    ['20 months that are not there', ['--protocol', 'ett', '--horizon', '6'], 3, 'ND_EVALUATE_PROTOCOL'],
    ['no horizon', ['--protocol', 'ett'], 2, 'ND_CLI_USAGE'],
    ['rows that validate, beside a protocol', ['--protocol', 'ett', '--horizon', '6', '--validation', '9'], 2, 'ND_CLI_USAGE'], // prettier-ignore
    ['neither a folder nor a protocol', [], 2, 'ND_CLI_USAGE'],
    ['a model that is none', ['--protocol', 'ett', '--horizon', '6', '--model', 'nhitz'], 4, 'ND_MODEL_UNKNOWN'],
  ])('%s: a coded error', async (_, args, code, name) => {
    const result = await evaluate(...args, '--data', 'wide.csv', '--json');
    expect([result.code, jsonOf(result)]).toMatchObject([code, { error: { code: name } }]);
  });
});
