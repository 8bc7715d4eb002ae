import { encode, Token, Type } from 'cborg';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseReading } from '../../src/contracts/reading.js';
import { decodeCbor } from '../../src/transport/cbor.js';

const nowMs = 1_763_823_600_123;
const read = (payload: Uint8Array) => parseReading(payload, { nowMs, shape: { format: 'cbor' }, decodeCbor });
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('the shapes of JSON, in CBOR', () => {
  expect(read(encode({ ts: nowMs, value: 21.5 })).readings).toMatchObject([{ timeMs: nowMs, value: 21.5 }]);
  expect(read(encode({ samples: [[nowMs, 1], [nowMs + 1, null]] })).readings).toMatchObject([{ value: 1 }, { value: undefined }]); // prettier-ignore
  expect(read(encode(7)).readings).toMatchObject([{ value: 7, timeSource: 'arrival' }]);
  expect(read(encode({ ts: nowMs, values: { a: NaN, b: 2 } })).readings).toMatchObject([{ channel: 'a', value: undefined }, { channel: 'b', value: 2 }]); // prettier-ignore
});

test('times as tags: RFC 8949’s own examples', () => {
  expect(decodeCbor(hex('c1 1a 514b67b0'))).toMatchObject({ value: 1363896240_000 });
  expect(decodeCbor(hex('c1 fb 41d452d9ec200000'))).toMatchObject({ value: 1363896240_500 });
  expect(decodeCbor(hex('c0 74 323031332d30332d32315432303a30343a30305a'))).toMatchObject({ value: '2013-03-21T20:04:00Z' }); // prettier-ignore
  const ts = [new Token(Type.tag, 1), new Token(Type.uint, nowMs / 1000 - 0.123)];
  const payload = Buffer.concat([hex('a2 62 7473'), encode(null, { typeEncoders: { null: () => ts } }), hex('65 76616c7565 03')]); // prettier-ignore
  expect(read(payload).readings).toMatchObject([{ timeMs: nowMs - 123, timeSource: 'payload', value: 3 }]);
});

test.each([
  ['bytes behind the end', '03 03', 'undecodable'],
  ['a key twice', 'a2 61 61 01 61 61 02', 'undecodable'],
  ['a tag of its own', 'd9 d9f7 03', 'undecodable'],
  ['half a message', 'a1 61', 'undecodable'],
  ['a list longer than the message', '9b 7fffffffffffffff 01', 'undecodable'],
  ['nine lists in each other', `${'81'.repeat(9)}01`, 'too_large'],
  ['a tower of lists', '81'.repeat(200_000), 'undecodable'],
  ['infinity', 'a1 65 76616c7565 f9 7c00', 'not_a_number'],
  ['a number beyond 64 bits', 'a1 65 76616c7565 c2 49 010000000000000000', 'undecodable'],
  ['bytes', 'a1 65 76616c7565 41 01', 'not_a_number'],
])('%s', (_, text, reason) => {
  expect(read(hex(text))).toMatchObject({ readings: [], rejected: [{ reason }] });
});

test('no bytes make it throw, and a good message survives a change of any byte without harm', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => void read(payload)));
  const good = encode({ ts: nowMs, values: { a: 1.5, b: [2, 'x'] } });
  fc.assert(
    fc.property(
      fc.nat(good.length - 1),
      fc.nat(255),
      (i, byte) => void read(good.map((b, at) => (at === i ? byte : b))),
    ),
  );
});
