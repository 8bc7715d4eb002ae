import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example, jsonOf, nd } from '../nd.js';

/** The eight models of the first path, small enough to be emulated within a test. */
const skeleton = 'dlinear,mlp,nhits,patchtst,tcn,lstm,gru,tsmixer';
const small = ['mlp.hidden=64', 'nhits.hidden=[128,128]', 'patchtst.hidden=32', 'tcn.hidden=16', 'lstm.hidden=32', 'gru.hidden=32', 'tsmixer.series=1']; // prettier-ignore
const emulated =
  spawnSync('qemu-aarch64-static', ['--version']).status === 0 && existsSync('/usr/aarch64-linux-gnu/lib/libc.so.6');

let dir: string;
const run = (...args: string[]) => nd(args, { cwd: dir });
const data = ['--data', example, '--fill-gaps', 'linear'];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-verify-'));
  const trained = await run('train', ...data, '--out', 'office', '--model', skeleton, '--horizon', '24', '--input-length', '96', '--max-steps', '20', '--batch', '16', '--set', ...small); // prettier-ignore
  expect(trained.stderr).toContain('Next: nd evaluate');
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true }));

const pack = async (model: string) => {
  const packed = await run('pack', 'office', ...data, '--model', model, '--line', 'office', '--out', model, '--precisions', 'int8,fp32', '--max-loss', '1'); // prettier-ignore
  expect(packed.code, packed.stderr).toBe(0);
};

test('nd verify runs every precision here, and writes what it saw into the card', async () => {
  await pack('nhits');
  const verified = jsonOf(await run('verify', 'nhits', '--windows', '32', '--card', '--json'));
  expect(verified).toMatchObject({ passed: true, windows: 32 });
  expect((verified['rows'] as { precision: string }[]).map(({ precision }) => precision)).toEqual(['int8', 'fp32']);
  expect(readFileSync(join(dir, 'nhits', 'card.md'), 'utf8')).toMatch(/## The same forecasts everywhere[^]*\| int8 \|/);
  expect(await run('repo', 'verify', 'nhits')).toMatchObject({ code: 0 });
});

test.skipIf(!emulated).each(skeleton.split(','))(
  '%s in INT8 passes its golden vectors on an emulated Cortex-A72 (needs qemu-user-static and g++-aarch64-linux-gnu)',
  async (model) => {
    await pack(model);
    const { code, stdout, stderr } = await run('verify', model, '--emulate', 'arm64', '--windows', '16', '--json');
    expect(code, stderr).toBe(0);
    const { rows } = JSON.parse(stdout) as { rows: { machine: string; passed: boolean }[] };
    expect(rows.filter(({ machine, passed }) => machine.startsWith('arm64') && passed)).toHaveLength(2);
  },
  120_000,
);
