import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { runParity, runParityCommand } from '../../src/cli/parity.js';
import { readSafetensors, writeSafetensors } from '../../src/contracts/safetensors.js';
import { models } from '../../src/models/index.js';
import { fixtureFolder, fixtures } from '../fixtures.js';

const absent = fixtures('models').length === 0;
const folder = mkdtempSync(join(tmpdir(), 'parity-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(absent)('the fixtures', () => {
  test.each(models.map(({ reference }) => reference.model))('every case of %s passes', async (model) => {
    const cases = await runParity({ fixtures: fixtureFolder, only: [model] });
    expect(cases.length).toBeGreaterThan(0);
    expect(cases.filter(({ status }) => status !== 'pass')).toEqual([]);
  });

  test('nothing fails: a case passes, or is of something that is not here', async () => {
    const cases = await runParity({ fixtures: fixtureFolder });
    expect(cases.filter(({ status }) => status === 'fail')).toEqual([]);
    const passed = new Set(cases.filter(({ status }) => status === 'pass').map(({ file }) => file.split('/')[0]));
    expect([...passed]).toEqual(['checkpoint', 'checkpoint-legacy', 'losses', 'metrics', 'misc', 'models', 'scalers']);
  });
});

describe.skipIf(absent)('a folder it has never seen', () => {
  const write = (name: string, change: (info: Record<string, unknown>, weights: Float32Array) => void): void => {
    const { tensors, metadata } = readSafetensors(
      readFileSync(join(fixtureFolder, 'models', 'NLinear.mae.safetensors')),
    );
    const info = JSON.parse(metadata['case']!) as Record<string, unknown>;
    change(info, tensors['param/linear.weight']!.data as Float32Array);
    mkdirSync(join(folder, 'models'), { recursive: true });
    writeFileSync(join(folder, 'models', name), writeSafetensors(tensors, { case: JSON.stringify(info) }));
  };

  test('tells pass, fail and missing apart, prints them as JSON, and exits 1 unless all pass', async () => {
    write('NLinear.same.safetensors', () => undefined);
    write('NLinear.other.safetensors', (_, weights) => void (weights[0]! += 0.01));
    write('Unheard.safetensors', (info) => void (info['model'] = 'Unheard'));

    let printed = '';
    const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((printed += String(text)), true));
    const code = await runParityCommand({ fixtures: folder, json: true });
    stdout.mockRestore();
    const { cases, ...totals } = JSON.parse(printed) as {
      cases: { file: string; model: string; status: string; forward: number | null; adam: number | null }[];
    };

    expect(code).toBe(1);
    expect(totals).toEqual({ passed: 1, failed: 1, missing: 1 });
    expect(cases.map(({ file, model, status }) => [file, model, status])).toEqual([
      ['models/NLinear.other.safetensors', 'NLinear', 'fail'],
      ['models/NLinear.same.safetensors', 'NLinear', 'pass'],
      ['models/Unheard.safetensors', 'Unheard', 'missing'],
    ]);
    expect(cases[0]!.forward).toBeGreaterThan(1e-3);
    expect(cases[1]!.adam).toBeLessThan(1e-5);
    expect(cases[2]!.forward).toBeNull();
  });

  test('a model that is asked for and has no case is missing', async () => {
    const cases = await runParity({ fixtures: folder, only: ['GRU'] });
    expect(cases).toMatchObject([{ model: 'GRU', status: 'missing' }]);
  });

  test('a broken file fails its own case and no other', async () => {
    writeFileSync(join(folder, 'models', 'DLinear.broken.safetensors'), 'no tensors');
    const cases = await runParity({ fixtures: folder, only: ['dlinear', 'nlinear'] });
    expect(cases.map(({ status }) => status)).toEqual(['fail', 'fail', 'pass']);
    expect(cases[0]!.reason).toContain('ND_FILE_CORRUPT');
  });

  test('a folder that is not there is refused', async () => {
    await expect(runParity({ fixtures: join(folder, 'none') })).rejects.toMatchObject({ code: 'ND_FILE_NOT_FOUND' });
  });
});
