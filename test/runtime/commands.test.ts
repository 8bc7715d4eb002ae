import { beforeEach, describe, expect, test } from 'vitest';
import { commandSchemas } from '../../src/contracts/command.js';
import { accept } from '../../src/contracts/reason.js';
import { createCommands } from '../../src/runtime/commands.js';
import type { Actions } from '../../src/runtime/commands.js';
import type { Store } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';

const prefix = 'neuro-divergent/plant1/pi7';
const nowMs = Date.UTC(2026, 0, 1);
let kept: Map<string, string>;
let done: unknown[];
let store: Store;
beforeEach(() => {
  kept = new Map();
  done = [];
  store = {
    get: (key: string) => (kept.has(key) ? Buffer.from(kept.get(key)!) : undefined),
    put: (key: string, value: string) => void kept.set(key, value),
    write: (work: () => void, durability: string) => {
      done.push(durability);
      work();
    },
  } as unknown as Store;
});
const note = (given: object) => {
  done.push(given);
  return accept({ noted: true });
};
const send = async (name: string, given: unknown, change: object = {}) => {
  const actions = Object.fromEntries(Object.keys(commandSchemas).map((name) => [name, note])) as unknown as Actions;
  const commands = createCommands(prefix, store, fakeClock(nowMs), actions);
  const payload = Buffer.from(typeof given === 'string' ? given : JSON.stringify(given));
  const reply = await commands({ topic: `${prefix}/cmd/${name}`, payload, retain: false, duplicate: false, ...change });
  return reply && { ...reply, payload: JSON.parse(reply.payload) as unknown };
};
const silence = { id: 'a1', key: 'pi7/boiler/anomaly', minutes: 30, by: 'night shift' };

describe('a command', () => {
  test('that only asks needs nothing, and is answered on its own topic', async () => {
    expect(await send('ping', '')).toEqual({ topic: `${prefix}/reply/ping`, payload: { v: 1, ok: true, noted: true }, correlationData: undefined }); // prettier-ignore
  });

  test('is answered where its sender listens, with what the sender needs to know it by', async () => {
    const correlationData = Buffer.from('7');
    expect(await send('ping', { id: 'x' }, { responseTopic: 'me/answers', correlationData })).toMatchObject({ topic: 'me/answers', payload: { id: 'x' }, correlationData }); // prettier-ignore
    expect(await send('ping', { reply_to: 'me/too' })).toMatchObject({ topic: 'me/too' });
  });

  test('that changes something is done once: its id is on disk before', async () => {
    expect(await send('silence', silence)).toMatchObject({ payload: { id: 'a1', ok: true } });
    expect(done).toEqual(['full', silence]);
    expect(await send('silence', silence)).toMatchObject({
      payload: { ok: false, error: { code: 'repeated', where: 'cmd/silence' } },
    });
    expect(done).toHaveLength(2);
    for (let i = 0; i < 1000; i++) await send('silence', { ...silence, id: `b${i}` });
    expect((JSON.parse(kept.get('command/ids')!) as string[]).length).toBe(1000);
  });

  test('that is retained is old, and that is none of ours is not ours', async () => {
    expect(await send('silence', silence, { retain: true })).toBeUndefined();
    expect(await send('a/b', {})).toBeUndefined();
    expect(await send('ping', {}, { topic: 'elsewhere' })).toBeUndefined();
    expect(done).toEqual([]);
  });
});

test.each([
  ['dance', {}, 'unknown_command'],
  ['__proto__', {}, 'unknown_command'],
  ['silence', { ...silence, id: undefined }, 'malformed'],
  ['silence', { ...silence, minutes: 1441 }, 'malformed'],
  ['silence', { ...silence, key: 'boiler' }, 'malformed'],
  ['silence', '{', 'malformed'],
  ['ping', { reply_to: 'a/#' }, 'malformed'],
  ['ping', `{"id":"${'x'.repeat(20_000)}"}`, 'malformed'],
  ['silence', { ...silence, expires: nowMs }, 'expired'],
])('%s %j is refused as %s, and nothing is done', async (name, given, code) => {
  expect(await send(name, given)).toMatchObject({
    topic: `${prefix}/reply/${name}`,
    payload: { ok: false, error: { code } },
  });
  expect(done).toEqual([]);
});
