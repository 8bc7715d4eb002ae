/** Taking up what was tuned: real slots, a real database, the updater of a device, no broker. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ReportedPayload } from '../../src/contracts/payload.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createMetrics } from '../../src/runtime/metrics.js';
import { runSelfTest } from '../../src/runtime/self-test.js';
import { openSlots } from '../../src/runtime/slots.js';
import { openStore } from '../../src/runtime/store.js';
import { offerReleased } from '../../src/runtime/tuned.js';
import { tuneLine } from '../../src/runtime/tune.js';
import { createUpdater } from '../../src/runtime/update.js';
import type { Active } from '../../src/runtime/update.js';
import { fakeClock, plainUpdater } from './fakes.js';
import type { FakeClock } from './fakes.js';
import { configOf, installBundle, minute, storeReadings, tunableBundle, wave } from './tunable.js';

const engine = createOrtEngine();
let dir: string;

/** A device that was tuned, to be copied: training it takes the longest. */
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-tuned-'));
  await tunableBundle(join(dir, 'bundle'));
  const stateDir = join(dir, 'first');
  installBundle(stateDir, join(dir, 'bundle'));
  storeReadings(stateDir, 'boiler', wave(400));
  const job = { config: configOf(stateDir), line: 'boiler', stream: null, steps: 60, dryRun: false };
  expect(await tuneLine(job, { engine, clock: fakeClock() })).toMatchObject({ ok: true, value: { kept: true } });
});
afterAll(() => rmSync(dir, { recursive: true }));

interface World {
  readonly stateDir: string;
  readonly clock: FakeClock;
  /** Files of the models that ran, one after another. */
  readonly ran: string[];
  readonly told: string[];
  state(): ReportedPayload['models'][number];
  readonly updater: ReturnType<typeof createUpdater>;
  stop(): Promise<void>;
}

function newState(name: string): string {
  const stateDir = join(dir, name);
  cpSync(join(dir, 'first'), stateDir, { recursive: true });
  return stateDir;
}

async function start(stateDir: string, { broken = () => false }: { broken?: () => boolean } = {}): Promise<World> {
  const clock = fakeClock();
  const store = openStore({ path: join(stateDir, 'device.db'), clock });
  const ran: string[] = [];
  const told: string[] = [];
  const stopping = new AbortController();
  const updater = createUpdater({
    ...plainUpdater,
    openUpdateFile: () => Promise.reject(new Error('there is none')),
    repositoryUrl: undefined,
    store,
    slots: openSlots(stateDir),
    clock,
    metrics: createMetrics(),
    openRepository: () => Promise.reject(new Error('there is none')),
    selfTest: (job) => runSelfTest(job, engine, clock),
    activate: async ({ manifest }: Active) => {
      if (broken() && manifest.tuned !== undefined) throw new Error('it does not load');
      ran.push(manifest.name);
    },
    deactivate: () => ran.push('none'),
    tell: (event, { state, code }) => void told.push([event, state ?? code].filter(Boolean).join(' ')),
  });
  await updater.start();
  const running = updater.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
    if (store.sql.open) store.close();
  };
  onTestFinished(stop);
  return { stateDir, clock, ran, told, updater, stop, state: () => updater.reported().models[0]! };
}

const settled = (world: World, state: string) => expect.poll(() => world.state().state).toBe(state);
const pointer = ({ stateDir }: World) => openSlots(stateDir).pointer('boiler')!;

/** What proves a model: so many forecasts, and an hour. */
async function prove(world: World): Promise<void> {
  await world.clock.advance(61 * minute);
  for (let i = 0; i < 100; i++) world.updater.observe('boiler', 1, { forecasts: 1 });
  await settled(world, 'committed');
}

test('a tuned model is activated, proven and committed; the release stays its own, and it runs after a restart', async () => {
  const world = await start(newState('proven'));
  expect(world.ran).toEqual(['boiler-nhits']);
  world.updater.adopt('boiler');
  await settled(world, 'probation');
  const released = openSlots(world.stateDir).pointer('boiler')!.tunedFrom;
  expect(world.ran).toEqual(['boiler-nhits', 'boiler-nhits-tuned']);
  expect(pointer(world)).toMatchObject({ slot: 'b', release: 1, previous: { slot: 'a', manifestSha256: released } });
  expect(world.state()).toMatchObject({ release: 1, tunedFrom: released, slot: 'b', previous: 1 });
  expect(existsSync(openSlots(world.stateDir).tunedDir('boiler'))).toBe(false);
  await prove(world);
  expect(world.told).toEqual([
    'model-state activating',
    'model-state probation',
    'model-active',
    'model-state committed',
  ]);
  await world.stop();

  const again = await start(world.stateDir);
  expect(again.ran).toEqual(['boiler-nhits-tuned']);
  expect(again.state()).toMatchObject({ state: 'committed', tunedFrom: released });
});

describe('back to the release', () => {
  test('when the tuned model fails on probation', async () => {
    const world = await start(newState('failed'));
    world.updater.adopt('boiler');
    await settled(world, 'probation');
    world.updater.observe('boiler', 1, {}, 'it answered with something that is no number');
    await settled(world, 'rolled_back');
    expect(world.ran).toEqual(['boiler-nhits', 'boiler-nhits-tuned', 'boiler-nhits']);
    expect(pointer(world)).toMatchObject({ slot: 'a', release: 1, previous: null });
    expect(pointer(world).tunedFrom).toBeUndefined();
  });

  test('when it does not load', async () => {
    const world = await start(newState('unloadable'), { broken: () => true });
    world.updater.adopt('boiler');
    await settled(world, 'rolled_back');
    expect(world.ran).toEqual(['boiler-nhits', 'boiler-nhits']);
  });

  test.each([
    ['on probation', false],
    ['after it was committed', true],
  ])('when it is taken back %s', async (name, committed) => {
    const world = await start(newState(name));
    world.updater.adopt('boiler');
    await settled(world, 'probation');
    if (committed) await prove(world);
    expect(offerReleased(openSlots(world.stateDir), 'boiler')).toBe(true);
    world.updater.adopt('boiler');
    await expect.poll(() => world.ran).toEqual(['boiler-nhits', 'boiler-nhits-tuned', 'boiler-nhits']);
    await settled(world, 'probation');
    expect(pointer(world).tunedFrom).toBeUndefined();
    expect(pointer(world).previous?.tunedFrom).toBe(committed ? pointer(world).manifestSha256 : undefined);
    expect(offerReleased(openSlots(world.stateDir), 'boiler')).toBe(false);
    await prove(world);
  });

  test('when the device was killed three times while it was on probation', async () => {
    const world = await start(newState('crashing'));
    world.updater.adopt('boiler');
    await settled(world, 'probation');
    await world.stop();
    for (let kill = 0; kill < 3; kill++) {
      writeFileSync(join(world.stateDir, 'device.db.running'), '');
      const again = await start(world.stateDir);
      expect(again.ran.at(-1)).toBe(kill < 2 ? 'boiler-nhits-tuned' : 'boiler-nhits');
      await again.stop();
    }
  });
});

describe('what waits is refused, and what runs goes on', () => {
  const refusedFor = async (world: World, code: string): Promise<void> => {
    world.updater.adopt('boiler');
    await expect.poll(() => world.told).toEqual([`tuned-refused ${code}`]);
    expect(world.ran).toEqual(['boiler-nhits']);
    expect(pointer(world)).toMatchObject({ slot: 'a', previous: null });
    const slots = openSlots(world.stateDir);
    expect([slots.tunedDir('boiler'), slots.stagingDir('boiler')].map((path) => existsSync(path))).toEqual([false, false]); // prettier-ignore
  };

  test('when it was made from another release than the one that runs', async () => {
    const stateDir = newState('other');
    await tunableBundle(join(dir, 'bundle-2'), { release: 2 });
    rmSync(join(stateDir, 'slots'), { recursive: true });
    installBundle(stateDir, join(dir, 'bundle-2'));
    await refusedFor(await start(stateDir), 'mix_and_match');
  });

  test.each([
    ['model.fp32.onnx', 'hash_mismatch'],
    ['golden.safetensors', 'hash_mismatch'],
    ['manifest.json', 'malformed'],
  ])('when %s is not what it was', async (file, code) => {
    const stateDir = newState(`tampered-${file}`);
    const path = join(openSlots(stateDir).tunedDir('boiler'), file);
    writeFileSync(path, readFileSync(path).subarray(1));
    await refusedFor(await start(stateDir), code);
  });

  test('when nothing waits', async () => {
    const stateDir = newState('nothing');
    rmSync(join(stateDir, 'tuned'), { recursive: true });
    await refusedFor(await start(stateDir), 'malformed');
  });
});

test('a line without a model takes up nothing', async () => {
  const stateDir = newState('idle');
  openSlots(stateDir).point('boiler', null);
  const world = await start(stateDir);
  world.updater.adopt('boiler');
  await world.stop();
  expect([world.ran, world.told]).toEqual([[], []]);
});
