import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createOutbox } from '../../src/runtime/outbox.js';
import type { Outbox, OutboxCaps } from '../../src/runtime/outbox.js';
import { openStore } from '../../src/runtime/store.js';
import type { Store } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';
import type { FakeClock } from './fakes.js';

let dir: string;
let store: Store;
let clock: FakeClock;
let stop: AbortController;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-outbox-'));
  clock = fakeClock();
  store = openStore({ path: join(dir, 'device.db'), clock });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  store.close();
  rmSync(dir, { recursive: true });
});

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
const put = (
  outbox: Outbox,
  kind: 'alert' | 'forecast' | 'health' | 'model',
  payload: string,
  expiresInMs?: number,
): void =>
  store.write(() =>
    outbox.put(kind, { topic: `t/${kind}`, payload, ...(expiresInMs === undefined ? {} : { expiresInMs }) }),
  );

/** A link whose PUBACKs are given by hand. */
function handLink() {
  const waiting: { payload: string; options: unknown; ack: (taken: boolean) => void }[] = [];
  return {
    online: true,
    waiting,
    publish: (_topic: string, payload: string | Uint8Array, options: unknown) =>
      new Promise<boolean>((resolve) =>
        waiting.push({ payload: Buffer.from(payload).toString(), options, ack: resolve }),
      ),
  };
}

test('rows are sent by class, then by age, and deleted only after their PUBACK', async () => {
  const outbox = createOutbox(store, clock);
  put(outbox, 'forecast', 'f1');
  put(outbox, 'health', 'h1');
  put(outbox, 'alert', 'a1');
  put(outbox, 'alert', 'a2');
  const link = handLink();
  const drained = outbox.drain(link, stop.signal);
  await turn();
  expect(link.waiting).toEqual([]); // nothing before the link is up
  outbox.resume();
  await turn();
  expect(link.waiting.map(({ payload }) => payload)).toEqual(['a1', 'a2', 'f1', 'h1']);
  expect(outbox.depth()).toEqual({ messages: 4, bytes: 8 });
  expect(outbox.waiting()).toEqual({ rows: { alert: 2, model: 0, forecast: 1, health: 1 }, oldestMs: clock.now() });
  for (const { ack } of link.waiting) ack(true);
  await turn();
  expect(outbox.depth()).toEqual({ messages: 0, bytes: 0 });
  expect(outbox.waiting().oldestMs).toBeNull();
  stop.abort();
  await drained;
});

test('at most 32 are in flight', async () => {
  const outbox = createOutbox(store, clock);
  for (let i = 0; i < 40; i++) put(outbox, 'forecast', `f${i}`);
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  await turn();
  expect(link.waiting).toHaveLength(32);
  for (let i = 0; i < 16; i++) link.waiting[i]!.ack(true);
  await turn();
  expect(link.waiting).toHaveLength(40);
});

test('what a lost link did not take is sent again in order, by the next process too', async () => {
  const outbox = createOutbox(store, clock);
  for (const payload of ['1', '2', '3']) put(outbox, 'forecast', payload);
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  await turn();
  link.waiting[0]!.ack(true);
  link.online = false;
  link.waiting[1]!.ack(false);
  link.waiting[2]!.ack(false);
  await turn();
  expect(link.waiting).toHaveLength(3);
  stop.abort();

  const again = createOutbox(store, clock);
  expect(again.depth().messages).toBe(2);
  const second = handLink();
  stop = new AbortController();
  void again.drain(second, stop.signal);
  again.resume();
  await turn();
  expect(second.waiting.map(({ payload }) => payload)).toEqual(['2', '3']);
});

test('a row that outlived its use is counted, not sent', async () => {
  const outbox = createOutbox(store, clock);
  put(outbox, 'forecast', 'old', 1000);
  await clock.advance(2000);
  put(outbox, 'forecast', 'new', 1500);
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  await turn();
  expect(link.waiting).toMatchObject([{ payload: 'new', options: { expirySeconds: 2, qos: 1, retain: false } }]);
  expect(outbox.dropped.expired).toBe(1);
});

test('over the cap of a class its oldest go; of alerts, what happened between opening and end goes first', () => {
  const caps: OutboxCaps = { rows: { alert: 2, model: 9, forecast: 2, health: 9 }, bytes: 1e6 };
  const outbox = createOutbox(store, clock, caps);
  for (const payload of ['f1', 'f2', 'f3']) put(outbox, 'forecast', payload);
  for (const event of ['opened', 'updated', 'resolved', 'opened']) put(outbox, 'alert', JSON.stringify({ event }));
  const payloads = store.sql.prepare('SELECT CAST(payload AS TEXT) AS p FROM outbox ORDER BY class, id').pluck().all();
  expect(payloads).toEqual(['{"event":"resolved"}', '{"event":"opened"}', 'f2', 'f3']);
  expect(outbox.dropped).toMatchObject({ alert: 2, forecast: 1 });
});

test('over the cap in bytes the lowest class pays', () => {
  const outbox = createOutbox(store, clock, { rows: { alert: 9, model: 9, forecast: 9, health: 9 }, bytes: 10 });
  put(outbox, 'health', 'hhhh');
  put(outbox, 'forecast', 'ffff');
  put(outbox, 'alert', 'aaaaaa');
  expect(outbox.dropped).toMatchObject({ health: 1, forecast: 0, alert: 0 });
  expect(outbox.depth()).toEqual({ messages: 2, bytes: 10 });
});

test('a row dropped while in flight is not counted twice', async () => {
  const outbox = createOutbox(store, clock, { rows: { alert: 1, model: 1, forecast: 1, health: 1 }, bytes: 1e6 });
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  put(outbox, 'forecast', 'f1');
  await turn();
  put(outbox, 'forecast', 'f2');
  link.waiting[0]!.ack(true);
  await turn();
  expect(outbox.depth().messages).toBe(1);
});

test('the PUBACK of a row that was dropped takes no later row with it', async () => {
  const outbox = createOutbox(store, clock, { rows: { alert: 1, model: 1, forecast: 1, health: 1 }, bytes: 4 });
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  put(outbox, 'health', 'h1');
  await turn();
  put(outbox, 'alert', 'a1'); // the cap in bytes is reached
  put(outbox, 'alert', 'a2'); // and h1 dropped
  await turn();
  for (const payload of ['a1', 'a2']) link.waiting.find((sent) => sent.payload === payload)?.ack(true);
  await turn();
  store.write(() => outbox.put('health', { topic: 't/health', payload: 'h2' })); // the table was empty
  link.waiting[0]!.ack(true);
  await turn();
  expect(outbox.depth().messages).toBe(1);
  expect(link.waiting.at(-1)!.payload).toBe('h2');
});

test('an alert overtakes a backlog that is being sent', async () => {
  const outbox = createOutbox(store, clock);
  for (let i = 0; i < 100; i++) put(outbox, 'forecast', `f${i}`);
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  await turn();
  put(outbox, 'alert', 'a1');
  for (let i = 0; i < 16; i++) link.waiting[i]!.ack(true);
  await turn();
  const sent = link.waiting.map(({ payload }) => payload);
  expect(sent.slice(32)).toEqual(['a1', ...Array.from({ length: 15 }, (_, i) => `f${32 + i}`)]);
});

test('what was not taken goes out again before what is newer', async () => {
  const outbox = createOutbox(store, clock);
  const link = handLink();
  void outbox.drain(link, stop.signal);
  outbox.resume();
  put(outbox, 'forecast', 'f1');
  put(outbox, 'forecast', 'f2');
  await turn();
  link.online = false;
  for (const { ack } of link.waiting.splice(0)) ack(false);
  await turn();
  put(outbox, 'forecast', 'f3');
  link.online = true;
  outbox.resume();
  await turn();
  expect(link.waiting.map(({ payload }) => payload)).toEqual(['f1', 'f2', 'f3']);
});

test('rows that were taken after the device stopped sending are gone too', async () => {
  const outbox = createOutbox(store, clock);
  const link = handLink();
  const drained = outbox.drain(link, stop.signal);
  outbox.resume();
  put(outbox, 'forecast', 'f1');
  await turn();
  stop.abort();
  await drained;
  link.waiting[0]!.ack(true);
  await turn();
  expect(createOutbox(store, clock).depth().messages).toBe(0);
});

test('alerts of a transaction that is lost go out from memory, again until they are taken; all counts are as before', async () => {
  const outbox = createOutbox(store, clock);
  put(outbox, 'forecast', 'f1');
  expect(() => {
    outbox.hold([{ topic: 't/alert', payload: 'a1', retain: true }]);
    store.write(() => {
      outbox.put('alert', { topic: 't/alert', payload: 'a1', retain: true });
      throw new Error('the disk is full');
    });
  }).toThrow('full');
  expect(outbox.stranded).toBe(1);
  expect(outbox.depth()).toEqual({ messages: 1, bytes: 2 });

  const link = handLink();
  const drained = outbox.drain(link, stop.signal);
  outbox.resume();
  await turn();
  expect(link.waiting.map(({ payload }) => payload)).toEqual(['a1', 'f1']);
  expect(link.waiting[0]!.options).toEqual({ qos: 1, retain: true });
  link.waiting[0]!.ack(false);
  await turn();
  expect(outbox.stranded).toBe(1);
  put(outbox, 'alert', 'a2');
  await turn();
  expect(link.waiting.map(({ payload }) => payload).slice(2)).toEqual(['a1', 'a2']);
  for (const { ack } of link.waiting.slice(1)) ack(true);
  await turn();
  expect(outbox.stranded).toBe(0);
  expect(outbox.depth()).toEqual({ messages: 0, bytes: 0 });
  stop.abort();
  await drained;
});
