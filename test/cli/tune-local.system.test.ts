import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSlots } from '../../src/runtime/slots.js';
import { installBundle, storeReadings, tunableBundle, wave } from '../runtime/tunable.js';
import { jsonOf, nd } from './nd.js';

let dir: string;
const tune = (...args: string[]) => nd(['tune-local', '--config', 'device.yaml', ...args], { cwd: dir });
const codeOf = (ended: Awaited<ReturnType<typeof tune>>) => [ended.code, (jsonOf(ended)['error'] as { code: string }).code]; // prettier-ignore
const waits = (): boolean => existsSync(openSlots(join(dir, 'state')).tunedDir('boiler'));

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-tune-local-'));
  const settings = [
    'site: a',
    'device: b',
    'state_dir: state',
    'mqtt: { url: "mqtt://127.0.0.1" }',
    'tuning: { steps: 60 }',
  ];
  await writeFile(join(dir, 'device.yaml'), `${settings.join('\n')}\nstreams: { boiler: { lateness: 0 } }\n`);
});
afterAll(() => rm(dir, { recursive: true }));

describe('nd tune-local', () => {
  test('wants a model, and a line where there are several', async () => {
    expect(codeOf(await tune('--json'))).toEqual([3, 'ND_TUNE_NO_MODEL']);
    await tunableBundle(join(dir, 'bundle'));
    const pointer = installBundle(join(dir, 'state'), join(dir, 'bundle'));
    const slots = openSlots(join(dir, 'state'));
    slots.point('pump', pointer);
    expect(codeOf(await tune('--json'))).toEqual([2, 'ND_CLI_USAGE']);
    slots.point('pump', null);
    expect(codeOf(await tune('--json', '--line', 'pump'))).toEqual([3, 'ND_TUNE_NO_MODEL']);
  });

  test.each([
    [['--steps', '0'], 4, 'ND_CONFIG_OUT_OF_RANGE'],
    [['--minutes', '-1'], 4, 'ND_CONFIG_OUT_OF_RANGE'],
    [['--memory', '1'], 4, 'ND_CONFIG_OUT_OF_RANGE'],
    [['--stream', 'pump'], 3, 'ND_TUNE_NO_MODEL'],
    [['--undo'], 3, 'ND_TUNE_NO_MODEL'],
    [[], 3, 'ND_TUNE_TOO_FEW_WINDOWS'],
  ])('%j is refused with its code', async (args, exit, code) => {
    expect(codeOf(await tune('--json', ...args))).toEqual([exit, code]);
  });

  test('measures, and with --dry-run leaves the device as it is', async () => {
    storeReadings(join(dir, 'state'), 'boiler', wave(400));
    const told = await tune('--dry-run');
    expect(told).toMatchObject({ code: 0, stdout: expect.stringMatching(/^boiler, release 1: better, its error is .* lower\n[\s\S]*part 3 of the horizon[\s\S]*Nothing was changed/) as string }); // prettier-ignore
    expect(waits()).toBe(false);
  });

  test('ends with a code when a limit is met', async () => {
    expect(codeOf(await tune('--json', '--minutes', '0.001'))).toEqual([4, 'ND_TUNE_OUT_OF_TIME']);
    expect(waits()).toBe(false);
  });

  test('leaves what is better to be taken up, and says so', async () => {
    expect(jsonOf(await tune('--json'))).toMatchObject({ line: 'boiler', release: 1, steps: 60, kept: true, gate: { better: true } }); // prettier-ignore
    expect(waits()).toBe(true);
  });
});
