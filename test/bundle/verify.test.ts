import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkRelease } from '../../src/bundle/verify.js';
import type { Manifest } from '../../src/contracts/manifest.js';
import { sampleManifest } from './sample.js';

const manifest = (release: number): Manifest => ({
  schema: 1,
  ...sampleManifest(release),
  files: [],
  opset: 21,
  ops: ['Add'],
});
const checks = {
  wanted: { line: 'boiler', release: 12 },
  floor: 12,
  previous: undefined,
  runtimeVersion: '0.1.0',
  arch: 'arm64',
};

test.each<[string, Manifest, object, string]>([
  ['another line', { ...manifest(12), line: 'pump' }, {}, 'mix_and_match'],
  ['another release', manifest(13), {}, 'mix_and_match'],
  ['another machine', manifest(12), { arch: 'riscv64' }, 'wrong_target'],
  ['a release below the floor', manifest(12), { floor: 13 }, 'rollback_refused'],
  ['a jump that would burn the release numbers', manifest(12), { floor: 12 - 10_001 }, 'fast_forward_suspected'],
  ['a newer runtime', { ...manifest(12), minRuntime: '0.1.1' }, {}, 'unsupported'],
  ['a newer minor version', { ...manifest(12), minRuntime: '0.10.0' }, { runtimeVersion: '0.9.9' }, 'unsupported'],
])('%s is refused', (_, candidate, change, reason) => {
  expect(checkRelease(candidate, { ...checks, ...change })).toMatchObject({ ok: false, reason });
});

test('going back is allowed to the previous slot, and to the release the fleet names', () => {
  expect(checkRelease(manifest(12), { ...checks, floor: 13, previous: 12 })).toMatchObject({ ok: true });
  expect(
    checkRelease(manifest(12), { ...checks, floor: 13, wanted: { ...checks.wanted, allowRollbackTo: 12 } }),
  ).toMatchObject({ ok: true });
});

test('any release from the floor up to the jump is taken', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 0, max: 10_000 }), (floor, jump) => {
      expect(
        checkRelease(manifest(floor + jump), { ...checks, floor, wanted: { line: 'boiler', release: floor + jump } }),
      ).toMatchObject({ ok: true });
    }),
  );
});
