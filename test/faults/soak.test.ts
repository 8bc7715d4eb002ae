/** The instruments of the soak: what they say decides whether a device has passed. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLedger } from '../../faults/ledger.js';
import { floorOf, robustSlope } from '../../faults/slope.js';
import { createTap } from '../../faults/tap.js';

const u16 = (value: number): number[] => [value >> 8, value & 0xff];
const text = (words: string): number[] => [...u16(Buffer.byteLength(words)), ...Buffer.from(words)];
function packet(first: number, body: number[]): number[] {
  const length = [];
  for (let left = body.length; ; left >>= 7) {
    if (left < 128) return [first, ...length, left, ...body];
    length.push((left & 0x7f) | 0x80);
  }
}
const connect = (version: number): number[] => packet(0x10, [...text('MQTT'), version, 2, 0, 30]);
const publish = (version: number, id: number, topic: string, payload: string): number[] =>
  packet(0x32, [...text(topic), ...u16(id), ...(version === 5 ? [2, 0x01, 0x01] : []), ...Buffer.from(payload)]);
const puback = (id: number): number[] => packet(0x40, u16(id));

test('the tap hears what a device acknowledges, in either version and however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4, 5),
      fc.array(fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 200 }),
      (version, payloads, cut) => {
        const heard: string[] = [];
        const tap = createTap((topic, payload) => heard.push(`${topic} ${payload.toString()}`));
        const { fromDevice, fromBroker } = tap.connection();
        const send = (to: (chunk: Buffer) => void, bytes: number[]): void => {
          for (let at = 0; at < bytes.length; at += cut) to(Buffer.from(bytes.slice(at, at + cut)));
        };
        send(fromDevice, connect(version));
        send(fromBroker, [...packet(0x90, [0, 1, 0, 1]), ...payloads.flatMap((payload, i) => publish(version, i + 1, 'a/in/b', payload))]); // prettier-ignore
        expect(tap.subscriptions).toBe(1);
        expect(heard).toEqual([]); // delivered is not acknowledged
        payloads.forEach((_, i) => send(fromDevice, puback(i + 1)));
        expect(heard).toEqual(payloads.map((payload) => `a/in/b ${Buffer.from(payload).toString()}`));
        send(fromDevice, puback(1)); // of nothing that is known
        expect(heard).toHaveLength(payloads.length);
      },
    ),
  );
});

test('a device owes what it acknowledged, and what a broker has that did not forget', () => {
  const ledger = createLedger();
  ledger.taken('a', 1);
  ledger.taken('a', 2);
  ledger.acknowledged('a', 2);
  ledger.acknowledged('a', 3); // before the broker told the sensor
  ledger.taken('a', 3);
  ledger.taken('a', 2); // a second copy
  expect(ledger.waiting).toBe(1);
  ledger.forget();
  expect(ledger.waiting).toBe(0);
  expect([...ledger.owed.get('a')!.keys()]).toEqual([2, 3]);
  ledger.acknowledged('a', 1); // it had left the broker before that died
  expect([...ledger.owed.get('a')!.keys()].sort()).toEqual([1, 2, 3]);
});

test('a slope is that of the most, whatever a few points do, with an interval that holds it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -50, max: 50 }),
      fc.integer({ min: 20, max: 60 }),
      fc.integer({ min: 0, max: 19 }),
      (rise, n, odd) => {
        const points = Array.from({ length: n }, (_, i) => [i, rise * i + (i === odd ? 1e6 : 0)] as const);
        const { slope, low, high } = robustSlope(points);
        expect(slope).toBeCloseTo(rise);
        expect(low).toBeLessThanOrEqual(rise);
        expect(high).toBeGreaterThanOrEqual(rise);
      },
    ),
  );
  expect(robustSlope([[1, 1]]).slope).toBeNaN();
});

test('the floor is the least of each stretch', () => {
  expect(floorOf([[0, 5], [0.5, 3], [1, 9], [2.9, 1], [2.1, 4]], 1)).toEqual([[0.5, 3], [1.5, 9], [2.5, 1]]); // prettier-ignore
});
