import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runParity } from '../../src/cli/parity.js';
import { readSafetensors, writeSafetensors, type StoredTensor } from '../../src/contracts/safetensors.js';
import { withStatic } from '../../src/data/covariates.js';
import { readCsv, readHeaderNames, readStaticCsv } from '../../src/data/csv.js';
import { Forecaster } from '../../src/forecaster/forecaster.js';
import { importForecaster } from '../../src/import/import.js';
import { fixtureFolder } from '../fixtures.js';

const absent = !existsSync(join(fixtureFolder, 'checkpoint'));
if (absent) console.warn(`Skipped: there are no checkpoints at ${fixtureFolder}.`);
const folder = mkdtempSync(join(tmpdir(), 'import-'));
afterAll(() => rmSync(folder, { recursive: true }));
const source = (kind: string, model: string): string => join(fixtureFolder, kind, model);

describe.skipIf(absent)('checkpoints of the reference library', () => {
  test('each of them forecasts here what it forecast there', async () => {
    const root = join(folder, 'fixtures');
    for (const kind of ['checkpoint', 'checkpoint-legacy'])
      cpSync(join(fixtureFolder, kind), join(root, kind), { recursive: true });
    const cases = await runParity({ fixtures: root });
    expect(cases.map(({ file, status, reason }) => [file, status, reason])).toEqual(
      cases.map(({ file }) => [file, 'pass', undefined]),
    );
    expect(cases).toHaveLength(7);
  });

  test.each([
    ['checkpoint-legacy', 'MLP', []],
    ['checkpoint-legacy', 'NHITS', [80]],
    ['checkpoint', 'MLP', []],
    ['checkpoint', 'NHITS', [80]],
    ['checkpoint', 'TFT', [80, 90]],
    ['checkpoint', 'LSTM', []],
    ['checkpoint', 'PatchTST', []],
  ])('%s/%s becomes a forecaster with the forecasts of the library', async (kind, model, levels) => {
    const out = join(folder, kind, model);
    const [imported] = importForecaster(join(source(kind, model), 'model'), out);
    expect(imported).toMatchObject({ name: model, model: model.toLowerCase() });
    // These two keep tensors that take no part in a forecast.
    if (!['TFT', 'PatchTST'].includes(model)) expect(imported!.unused).toEqual([]);

    const file = (name: string): string => join(source(kind, model), name);
    const forecaster = await Forecaster.load(out);
    const apart = existsSync(file('static.csv')) ? readHeaderNames(file('static.csv')) : [];
    const fixed = forecaster.columns.filter((name) => apart.includes(name));
    const covariates = forecaster.columns.filter((name) => !apart.includes(name));
    const panel = readCsv(file('panel.csv'), { covariates }).frame;
    const frame = fixed.length > 0 ? withStatic(panel, readStaticCsv(file('static.csv'), fixed)) : panel;
    const [target, ...others] = forecaster.columnsAhead;
    const future = target && readCsv(file('futr.csv'), { columns: { target }, covariates: others }).frame;
    const { columns } = await forecaster.predict({
      frame,
      levels,
      ...(future && { future: { ...future, columns: { ...future.columns, [target]: future.columns.target } } }),
    });
    const lines = readFileSync(file('predict.csv'), 'utf8').trim().split('\n');
    const [, , ...names] = lines[0]!.split(',');
    for (const [column, name] of names.entries()) {
      const theirs = lines.slice(1).map((line) => Number(line.split(',')[column + 2]));
      const ours = columns[name.replace('-median', '')]!;
      const scale = Math.max(...theirs.map(Math.abs));
      for (const [row, value] of theirs.entries()) expect(Math.abs(ours[row]! - value)).toBeLessThan(1e-4 * scale);
    }
  });

  test('a scaling of whole series that we do not have is refused before anything is written', () => {
    const copy = join(folder, 'boxcox');
    cpSync(join(source('checkpoint', 'PatchTST'), 'model'), copy, { recursive: true });
    const file = join(copy, 'configuration.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"type": "standard"', '"type": "boxcox"'));
    const out = join(folder, 'refused');
    expect(() => importForecaster(copy, out)).toThrow(
      expect.objectContaining({
        code: 'ND_IMPORT_UNSUPPORTED',
        message: expect.stringContaining('local_scaler_type') as string,
      }),
    );
    expect(existsSync(out)).toBe(false);
  });
});

describe.skipIf(absent)('a checkpoint that does not add up', () => {
  type Change = (tensors: Record<string, StoredTensor>, metadata: Record<string, string>) => void;
  /** A copy of a checkpoint with its weights file rewritten. */
  function changed(name: string, change: Change): string {
    const copy = join(folder, name);
    cpSync(join(source('checkpoint', 'MLP'), 'model'), copy, { recursive: true });
    const file = join(copy, 'MLP_0.safetensors');
    const { tensors, metadata } = readSafetensors(readFileSync(file));
    const [own, header] = [{ ...tensors }, { ...metadata }];
    change(own, header);
    rmSync(file);
    writeFileSync(file, writeSafetensors(own, header));
    return copy;
  }
  const cases: [string, string, Change][] = [
    ['a missing weight', 'ND_IMPORT_MISMATCH', (tensors) => void delete tensors['out.bias']],
    [
      'a weight of another shape',
      'ND_IMPORT_MISMATCH',
      (tensors) => void (tensors['out.bias'] = { ...tensors['mlp.0.bias']! }),
    ],
    ['an unknown class', 'ND_IMPORT_UNSUPPORTED', (_, metadata) => void (metadata['model_class'] = 'Oracle')],
    ['another format', 'ND_IMPORT_REFUSED', (_, metadata) => void (metadata['nf_format'] = '9')],
    [
      'a window without end',
      'ND_IMPORT_UNSUPPORTED',
      (_, metadata) =>
        void (metadata['hyper_parameters'] = metadata['hyper_parameters']!.replace(
          /"input_size": 24/,
          '"input_size": 1e12',
        )),
    ],
    ['no JSON', 'ND_IMPORT_REFUSED', (_, metadata) => void (metadata['hyper_parameters'] = '{')],
    [
      'an unknown loss',
      'ND_IMPORT_UNSUPPORTED',
      (_, metadata) => void (metadata['hyper_parameters'] = metadata['hyper_parameters']!.replace('"MAE"', '"Evil"')),
    ],
  ];
  test.each(cases)('%s is refused with %s', (name, code, change) => {
    expect(() => importForecaster(changed(name.replaceAll(' ', '-'), change), join(folder, 'never'))).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test('a folder without a checkpoint is named', () => {
    expect(() => importForecaster(join(folder, 'nothing'), join(folder, 'never'))).toThrow(
      expect.objectContaining({ code: 'ND_FILE_NOT_FOUND' }),
    );
  });
});
