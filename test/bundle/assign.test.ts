import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assign } from '../../src/bundle/assign.js';
import type { Assignment } from '../../src/bundle/assign.js';
import { verifyDesired } from '../../src/bundle/desired.js';
import { initRepository, publish } from '../../src/bundle/repository.js';
import type { Published, Repository } from '../../src/bundle/repository.js';
import { packSample } from './sample.js';

const nowMs = Date.UTC(2026, 0, 1);
let dir: string;
let repository: Repository;
let releases: Published[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-assign-'));
  repository = await initRepository({ dir });
  releases = [];
  for (const release of [1, 2]) {
    await packSample(join(dir, `bundle-${release}`), release);
    releases.push(await publish({ dir, bundleDir: join(dir, `bundle-${release}`) }));
  }
});
afterEach(() => rm(dir, { recursive: true }));

const give = (change: Partial<Assignment> = {}) =>
  assign({ dir, site: 'plant1', device: 'pi7', line: 'boiler', streams: ['boiler'], mode: 'active', lifetimeDays: 7, nowMs, ...change }); // prettier-ignore

describe('what a device is assigned', () => {
  test('is the newest release, on each stream alone, signed so that the device takes it', async () => {
    const { desired, envelope } = await give({ streams: ['in', 'out'] });
    const fleetKeys = { schema: 1 as const, keys: [{ keyid: repository.fleetKey.keyId, keytype: 'ed25519' as const, public: repository.fleetKey.publicHex }] }; // prettier-ignore
    const checks = { fleetKeys, site: 'plant1', device: 'pi7', lastSeq: 0, nowMs, clockSynced: true };
    expect(verifyDesired(envelope, checks)).toEqual({ ok: true, value: desired });
    expect(desired).toMatchObject({
      expires: nowMs + 7 * 86_400_000,
      models: [
        {
          line: 'boiler',
          release: 2,
          manifestSha256: releases[1]!.manifestSha256,
          bind: [{ target: 'in' }, { target: 'out' }],
          mode: 'active',
        },
      ],
    });
    expect(verifyDesired(envelope, { ...checks, device: 'pi8' })).toMatchObject({ reason: 'wrong_target' });
  });

  test('keeps its streams, and rises, whatever the clock does and though the folder was lost', async () => {
    const first = await give({ release: 1 });
    const second = await give({ streams: [], mode: 'stop', nowMs: nowMs - 1e9 });
    expect(second.desired.models).toMatchObject([{ release: 2, bind: [{ target: 'boiler' }], mode: 'stop' }]);
    expect(second.desired.seq).toBe(first.desired.seq + 1);
    await rm(join(dir, 'desired'), { recursive: true });
    const more = { allowRollbackTo: 1, probation: { minutes: 5, forecasts: 7 } };
    expect((await give({ nowMs: nowMs + 2000, ...more })).desired).toMatchObject({
      seq: second.desired.seq + 1,
      models: [more],
    });
  });

  test('is kept whole, other lines with it, for each device alone', async () => {
    await give();
    await give({ device: 'pi8' });
    const kept = JSON.parse(await readFile(join(dir, 'desired/plant1/pi7.json'), 'utf8')) as { models: object[] };
    expect(kept.models).toMatchObject([{ line: 'boiler', manifest_sha256: releases[1]!.manifestSha256 }]);
  });
});

test.each([
  ['a line that is not published', { line: 'pump' }, 'ND_FILE_NOT_FOUND', /boiler, release 1; boiler, release 2/],
  ['a release that is not', { release: 9 }, 'ND_FILE_NOT_FOUND', /Release 9 of boiler/],
  ['no stream', { streams: [] }, 'ND_CONFIG_OUT_OF_RANGE', /--stream/],
  ['a stream with a slash', { streams: ['a/b'] }, 'ND_CONFIG_OUT_OF_RANGE', /a\/b/],
  ['a device that is none', { device: '../x' }, 'ND_CONFIG_OUT_OF_RANGE', /device/],
] as const)('%s is refused, and nothing is kept', async (_, change, code, message) => {
  await expect(give(change)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  await expect(readFile(join(dir, 'desired/plant1/pi7.json'))).rejects.toThrow();
});
