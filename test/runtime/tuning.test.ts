import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { accept, refuse } from '../../src/contracts/reason.js';
import type { Slots } from '../../src/runtime/slots.js';
import type { Store } from '../../src/runtime/store.js';
import type { Tune } from '../../src/runtime/tune-process.js';
import { createTuning } from '../../src/runtime/tuning.js';
import { fakeClock } from './fakes.js';

const day = 86_400_000;
const report = { line: 'boiler', release: 1, windows: 9, steps: 3, kept: true, gate: { ratio: 0.5, thirds: [], streams: {}, windows: 5, better: true, why: '' } }; // prettier-ignore

/** Two lines, and a tuner that answers when it is told to. */
function world(tuning: object | null, kept = new Map<string, string>()) {
  const clock = fakeClock();
  const stopping = new AbortController();
  const asked: { line: string; limits: Parameters<Tune>[1] }[] = [];
  const told: string[] = [];
  let answer: (outcome: Awaited<ReturnType<Tune>>) => void = () => undefined;
  let full = false;
  const store = {
    get: (key: string) => (kept.has(key) ? Buffer.from(kept.get(key)!) : undefined),
    put: (key: string, value: string) => void kept.set(key, value),
    write: (work: () => void) => {
      if (full) throw Object.assign(new Error('no room'), { code: 'SQLITE_FULL' });
      work();
    },
  } as unknown as Store;
  const slots = {
    lines: () => ['boiler', 'pump', 'empty'],
    pointer: (line: string) => (line === 'empty' ? undefined : {}),
    tunedDir: () => '/nowhere',
  } as unknown as Slots;
  const look = createTuning({
    config: parseConfig(
      { site: 'a', device: 'b', state_dir: '/nowhere', mqtt: { url: 'mqtt://127.0.0.1' }, tuning },
      'test',
    ),
    store,
    clock,
    slots,
    tune: ({ line }, limits) => {
      asked.push({ line, limits });
      return new Promise((resolve) => (answer = resolve));
    },
    tell: (event, facts) => void told.push('line' in facts ? `${event} ${facts['line'] as string}` : event),
    adopt: () => undefined,
    signal: stopping.signal,
  });
  return {
    clock,
    kept,
    asked,
    told,
    stopping,
    look,
    fill: (value: boolean) => void (full = value),
    end: async (outcome: Awaited<ReturnType<Tune>>): Promise<void> => {
      answer(outcome);
      await clock.advance(0);
    },
  };
}

describe('the schedule', () => {
  test('tunes one line after another when the time has come, and then again', async () => {
    const { look, clock, asked, told, end } = world({ every: '1d', minutes: 2, steps: 7 });
    look();
    expect(asked).toEqual([]); // a model that is new is given its time
    await clock.advance(day);
    look();
    look();
    expect(asked).toMatchObject([{ line: 'boiler', limits: { minutes: 2, memoryMb: 256 } }]);
    await end(accept(report));
    look();
    expect(asked.map(({ line }) => line)).toEqual(['boiler', 'pump']);
    await end(refuse('too_few_windows', 'none'));
    look();
    expect(asked).toHaveLength(2);
    expect(told).toEqual(['tuning boiler', 'tuned boiler', 'tuning pump', 'tuning-failed pump']);
    await clock.advance(day);
    look();
    expect(asked).toHaveLength(3);
  });

  test('goes on after a restart where it was, and begins no clock anew', async () => {
    const first = world({ every: '1d' });
    first.look();
    const second = world({ every: '1d' }, first.kept);
    await second.clock.advance(day);
    second.look();
    expect(second.asked).toHaveLength(1);
  });

  test('waits for a clock that can be believed, and for nothing where there is none', async () => {
    const { look, clock, asked } = world({ every: '1d' });
    clock.isSynced = false;
    await clock.advance(9 * day);
    look();
    expect(asked).toEqual([]);
    const off = world(null);
    await off.clock.advance(99 * day);
    off.look();
    expect(off.asked).toEqual([]);
  });

  test('ends with the device, and is due again after the next start', async () => {
    const { look, clock, asked, told, end, stopping } = world({ every: '1d' });
    look();
    await clock.advance(day);
    look();
    stopping.abort();
    expect(asked[0]!.limits.signal!.aborted).toBe(true);
    await end(refuse('stopped', 'the process ended with a stop'));
    look();
    expect([asked.length, told]).toEqual([1, ['tuning boiler']]);
  });

  test('a full disk costs the note and not the device', async () => {
    const { look, fill, told } = world({ every: '1d' });
    fill(true);
    look();
    expect(told).toEqual(['database-error', 'database-error']);
  });
});
