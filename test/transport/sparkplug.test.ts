/** The codec against golden bytes, made by npm's `sparkplug-payload` 1.0.3 (protobuf.js on the published schema). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeSparkplug,
  encodeSparkplug,
  parseSparkplugTopic,
  rebirthRequest,
  valueOf,
} from '../../src/transport/sparkplug.js';
import type { SparkplugMetric, SparkplugPayload } from '../../src/transport/sparkplug.js';

const timestamp = 1_763_823_600_123;
const bytes = (hex: string): Uint8Array => Buffer.from(hex.replace(/\s/g, ''), 'hex');

const golden: Readonly<Record<string, readonly [hex: string, payload: SparkplugPayload]>> = {
  birth: [
    `08fb83d1e0aa33
     12120a05626453657118fb83d1e0aa3320085807
     12210a144e6f646520436f6e74726f6c2f5265626972746818fb83d1e0aa33200b7000
     121a0a0454656d70100118fb83d1e0aa33200a696666666666663540
     12170a054c6576656c100218fb83d1e0aa332009650000003f
     12190a064f6666736574100318fb83d1e0aa33200250fdffffff0f
     121e0a05436f756e7410ac0218fb83d1e0aa33200458fbffffffffffffffff01
     121d0a05546f74616c100518fb83d1e0aa33200858ffffffffffffffffff01
     12110a024f6e100618fb83d1e0aa33200b7001
     12160a044d6f6465100718fb83d1e0aa33200c7a03c3b66c
     12170a04466c6f77100818fb83d1e0aa3320075880d0acf30e
     12130a04476f6e65100918fb83d1e0aa3320033801
     1800`,
    {
      timestamp,
      metrics: [
        { name: 'bdSeq', timestamp, datatype: 8, longValue: 7 },
        { name: 'Node Control/Rebirth', timestamp, datatype: 11, booleanValue: false },
        { name: 'Temp', alias: 1, timestamp, datatype: 10, doubleValue: 21.4 },
        { name: 'Level', alias: 2, timestamp, datatype: 9, floatValue: 0.5 },
        { name: 'Offset', alias: 3, timestamp, datatype: 2, intValue: 4_294_967_293 },
        { name: 'Count', alias: 300, timestamp, datatype: 4, longValue: 2n ** 64n - 5n },
        { name: 'Total', alias: 5, timestamp, datatype: 8, longValue: 2n ** 64n - 1n },
        { name: 'On', alias: 6, timestamp, datatype: 11, booleanValue: true },
        { name: 'Mode', alias: 7, timestamp, datatype: 12, stringValue: 'öl' },
        { name: 'Flow', alias: 8, timestamp, datatype: 7, longValue: 4_000_000_000 },
        { name: 'Gone', alias: 9, timestamp, datatype: 3, isNull: true },
      ],
      seq: 0,
    },
  ],
  data: [
    '08e38bd1e0aa33 1216100118ff8ad1e0aa33200a280169000000000080364018ff01',
    {
      timestamp: timestamp + 1000,
      metrics: [{ alias: 1, timestamp: timestamp + 900, datatype: 10, isHistorical: true, doubleValue: 22.5 }],
      seq: 255,
    },
  ],
  death: [
    '08fb83d1e0aa33 12120a05626453657118fb83d1e0aa3320085807',
    { timestamp, metrics: [{ name: 'bdSeq', timestamp, datatype: 8, longValue: 7 }] },
  ],
};

describe.each(Object.entries(golden))('golden bytes: %s', (_, [hex, payload]) => {
  test('are read', () => expect(decodeSparkplug(bytes(hex))).toEqual({ ok: true, value: payload }));
  test('are written', () => expect(Buffer.from(encodeSparkplug(payload))).toEqual(bytes(hex)));
});

test('what we do not need is passed over: metadata, properties, data sets, bytes, a body', () => {
  const hex = `08fb83d1e0aa33
    12320a0154100118fb83d1e0aa33200a3001420520034201644a100a07656e67556e69741205080c42014369000000000000f83f
    121e0a0144100218fb83d1e0aa3320108a010d0801120161180322040a020801
    12140a0142100318fb83d1e0aa33201182010301020312130a015718fb83d1e0aa33200d58fb83d1e0aa33
    18012201752a0109`;
  expect(decodeSparkplug(bytes(hex))).toEqual({
    ok: true,
    value: {
      timestamp,
      metrics: [
        { name: 'T', alias: 1, timestamp, datatype: 10, doubleValue: 1.5 },
        { name: 'D', alias: 2, timestamp, datatype: 16 },
        { name: 'B', alias: 3, timestamp, datatype: 17 },
        { name: 'W', timestamp, datatype: 13, longValue: timestamp },
      ],
      seq: 1,
    },
  });
});

test.each([
  ['a number that does not end', 'ffffffffffffffffffff01'],
  ['a number that is cut', '0880'],
  ['a text that is cut', '1203 0a0561'],
  ['a metric that is cut', '120a 0a01'],
  ['a length beyond all bytes', '12ffffffffffffffffff01'],
  ['a group, which the format gave up long ago', '0b'],
  ['a framing that does not exist', '0f'],
  ['a field without a number', '0001'],
  ['a text that is not UTF-8', '12030a01ff'],
  ['a double that is cut', '1204 690000 00'],
  ['a compressed payload', '2212 53504256312e305f434f4d50524553534544'],
])('%s is refused', (_, hex) => {
  expect(decodeSparkplug(bytes(hex))).toMatchObject({ ok: false, reason: 'undecodable' });
});

const integer = fc
  .bigInt(0n, 2n ** 64n - 1n)
  .map((one) => (one <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(one) : one));
const text = fc.string({ unit: 'binary' }).filter((one) => Buffer.from(one).toString() === one);
const metric: fc.Arbitrary<SparkplugMetric> = fc.record(
  {
    name: text,
    alias: integer,
    timestamp: integer,
    datatype: fc.nat(34),
    isHistorical: fc.boolean(),
    isNull: fc.boolean(),
    intValue: fc.nat(2 ** 32 - 1),
    longValue: integer,
    floatValue: fc.float(),
    doubleValue: fc.double(),
    booleanValue: fc.boolean(),
    stringValue: text,
  },
  { requiredKeys: [] },
);
const payloads = fc
  .record({ timestamp: integer, seq: fc.nat(255), metrics: fc.array(metric) }, { requiredKeys: ['metrics'] })
  .map((one): SparkplugPayload => one);

test('what is written is read again', () => {
  fc.assert(
    fc.property(payloads, (payload) => {
      expect(decodeSparkplug(encodeSparkplug(payload))).toEqual({ ok: true, value: payload });
    }),
  );
});

test('no bytes make it throw, whole or cut', () => {
  const garbled = fc.tuple(payloads, fc.nat(), fc.uint8Array({ maxLength: 8 })).map(([payload, at, noise]) => {
    const sound = encodeSparkplug(payload);
    return Buffer.concat([sound.subarray(0, at % (sound.length + 1)), noise, sound.subarray(at % (sound.length + 1))]);
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), garbled), (some) => {
      expect([true, false]).toContain(decodeSparkplug(some).ok);
    }),
  );
});

test.each([
  ['Int8', 1, { intValue: 253 }, -3],
  ['Int8, its sign carried on', 1, { intValue: 4_294_967_293 }, -3],
  ['Int16', 2, { intValue: 65_533 }, -3],
  ['Int32', 3, { intValue: 4_294_967_293 }, -3],
  ['Int64', 4, { longValue: 2n ** 64n - 5n }, -5],
  ['Int64 that no number holds', 4, { longValue: 2n ** 62n }, undefined],
  ['UInt8', 5, { intValue: 200 }, 200],
  ['UInt16', 6, { intValue: 65_533 }, 65_533],
  ['UInt32', 7, { intValue: 4_000_000_000 }, 4_000_000_000],
  ['UInt32 as a long', 7, { longValue: 4_000_000_000 }, 4_000_000_000],
  ['UInt64', 8, { longValue: 5 }, 5],
  ['UInt64 that no number holds', 8, { longValue: 2n ** 64n - 1n }, undefined],
  ['Float', 9, { floatValue: 0.5 }, 0.5],
  ['Double', 10, { doubleValue: 1e300 }, 1e300],
  ['Double that is none', 10, { doubleValue: NaN }, null],
  ['Boolean', 11, { booleanValue: false }, false],
  ['String', 12, { stringValue: 'on' }, 'on'],
  ['Text', 14, { stringValue: '3' }, '3'],
  ['DateTime', 13, { longValue: timestamp }, undefined],
  ['a null', 10, { isNull: true, doubleValue: 3 }, null],
  ['a type that does not fit the value', 10, { intValue: 3 }, undefined],
  ['no type at all', undefined, { doubleValue: 3 }, undefined],
])('%s', (_, type, given, value) => expect(valueOf(given, type)).toBe(value));

test.each([
  ['spBv1.0/g/NBIRTH/n', { group: 'g', type: 'NBIRTH', node: 'n', device: undefined }],
  ['spBv1.0/My Group/DDATA/n/d', { group: 'My Group', type: 'DDATA', node: 'n', device: 'd' }],
  ['spBv1.0/g/NDATA/n/d', undefined],
  ['spBv1.0/g/DDATA/n', undefined],
  ['spBv1.0/g/DDATA/n/', undefined],
  ['spBv1.0/g/DDATA/n/d/e', undefined],
  ['spBv1.0/g/NDATA/', undefined],
  ['spBv1.0//NDATA/n', undefined],
  ['spBv1.0/STATE/host', undefined],
  ['spBv1.0/g/toString/n', undefined],
  ['spAv1.0/g/NDATA/n', undefined],
])('the topic %s', (topic, parts) => expect(parseSparkplugTopic(topic)).toEqual(parts));

test('a request for a BIRTH is a command by name', () => {
  expect(decodeSparkplug(rebirthRequest(timestamp))).toEqual({
    ok: true,
    value: { timestamp, metrics: [{ name: 'Node Control/Rebirth', timestamp, datatype: 11, booleanValue: true }] },
  });
});
