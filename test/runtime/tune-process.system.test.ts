/** The tuning process: what bounds it ends it, and whatever ends it leaves the device as it was. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSlots } from '../../src/runtime/slots.js';
import { tuneInChild } from '../../src/runtime/tune-process.js';
import type { TuneLimits } from '../../src/runtime/tune-process.js';
import { buildDevice } from './built.js';
import { configOf, installBundle, storeReadings, tunableBundle, wave } from './tunable.js';

const linux = process.platform === 'linux';
const forever = 100_000;
let dir: string;
let built: (module: string) => string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-tune-process-'));
  built = buildDevice();
  await tunableBundle(join(dir, 'bundle'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
  rmSync(dirname(built('package.json')), { recursive: true });
});

function device(name: string): string {
  const stateDir = join(dir, name);
  installBundle(stateDir, join(dir, 'bundle'));
  storeReadings(stateDir, 'boiler', wave(400));
  return stateDir;
}

const tune = (stateDir: string, steps: number, limits: Partial<TuneLimits> = {}) =>
  tuneInChild(
    { config: configOf(stateDir), line: 'boiler', stream: null, steps, dryRun: false },
    { minutes: 5, memoryMb: 400, ...limits },
    built('runtime/tune-process.js'),
  );

/** Every file of the device with its bytes; the log beside the database aside, which a reader may begin. */
const contents = (stateDir: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(stateDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/-(?:wal|shm)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path, readFileSync(path).toString('base64')]),
  );

/** The children of this process that tune. */
function tuners(): number[] {
  const all = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return all.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--tune');
    } catch {
      return false; // it has ended
    }
  });
}

test('within its limits it leaves what waits to be taken up, and says how far it is', async () => {
  const stateDir = device('done');
  const steps: number[] = [];
  const done = await tune(stateDir, 2000, { on: ({ step }) => steps.push(step) });
  expect(done).toMatchObject({ ok: true, value: { kept: true, steps: 2000 } });
  expect(readdirSync(openSlots(stateDir).tunedDir('boiler'))).toContain('manifest.json');
  expect(steps.length).toBeGreaterThan(0);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
});

test('a refusal comes back with its reason', async () => {
  expect(await tune(join(dir, 'nowhere'), 1)).toMatchObject({ ok: false, reason: 'no_model' });
});

const ends: [name: string, limits: () => Partial<TuneLimits>, reason: string][] = [
  ['time', () => ({ minutes: 1 / 20 }), 'out_of_time'],
  ...(linux ? [['memory', () => ({ memoryMb: 30 }), 'out_of_memory'] satisfies (typeof ends)[0]] : []),
  ['a stop', () => ({ signal: AbortSignal.timeout(500) }), 'stopped'],
  ['a stop before it began', () => ({ signal: AbortSignal.abort() }), 'stopped'],
];
test.each(ends)('%s ends it, and nothing has changed', async (name, limits, reason) => {
  const stateDir = device(`ended by ${name}`);
  const before = contents(stateDir);
  expect(await tune(stateDir, forever, limits())).toMatchObject({ ok: false, reason });
  expect(contents(stateDir)).toEqual(before);
  if (linux) expect(tuners()).toEqual([]);
});

test.skipIf(!linux)('it gives way to everything else, and kill -9 in the middle changes nothing', async () => {
  const stateDir = device('killed');
  const before = contents(stateDir);
  let heard = 0;
  const tuned = tune(stateDir, forever, { on: () => heard++ });
  await expect.poll(() => heard, { timeout: 60_000 }).toBeGreaterThan(0); // it trains
  const [pid] = tuners();
  const threads = readdirSync(`/proc/${pid}/task`);
  const niceness = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')[1]!.split(' ')[16])); // prettier-ignore
  expect(new Set(niceness)).toEqual(new Set([19]));
  process.kill(pid!, 'SIGKILL');
  expect(await tuned).toEqual({ ok: false, reason: 'stopped', detail: 'the process ended with SIGKILL' });
  expect(contents(stateDir)).toEqual(before);
});

test('a module that is not there is a refusal, too', async () => {
  const job = { config: configOf(dir), line: 'boiler', stream: null, steps: 1, dryRun: false };
  expect(await tuneInChild(job, { minutes: 1, memoryMb: 400 }, join(dir, 'nowhere.js'))).toMatchObject({
    ok: false,
    reason: 'stopped',
  });
});
