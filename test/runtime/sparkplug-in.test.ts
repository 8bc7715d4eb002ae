import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createMapper } from '../../src/runtime/mapper.js';
import { createSparkplugIn } from '../../src/runtime/sparkplug-in.js';
import { decodeSparkplug, encodeSparkplug } from '../../src/transport/sparkplug.js';
import type { SparkplugMetric, SparkplugPayload } from '../../src/transport/sparkplug.js';
import { fakeClock } from './fakes.js';

const timestamp = 1_763_823_600_123;
const press = {
  topic: 'spBv1.0/Plant 1/+/Press',
  format: 'sparkplugb',
  metric: 'Zone/+/Temp',
  stream: '$1_zone$2',
  unit: '°C',
};
const load = { topic: 'spBv1.0/Plant 1/line4', format: 'sparkplugb', metric: 'Load', stream: 'load' };
const configOf = (...mappings: object[]) =>
  parseConfig({ site: 's', device: 'd', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' }, mappings }, 'test').mappings;

/** What it hears of messages that are said one after the other. */
function listen(mappings: object[] = [press, load], own?: { group: string; node: string }) {
  const clock = fakeClock(timestamp);
  const input = createSparkplugIn(createMapper(configOf(...mappings)).sparkplug, clock, own);
  const raw = (tail: string, payload: Uint8Array, retain = false) => {
    const [type, ...rest] = tail.split('/');
    const heard = input.receive({ topic: `spBv1.0/Plant 1/${type}/${rest.join('/')}`, payload, retain })!;
    return {
      samples: heard.samples.map(({ stream, decoded }) => ({ stream, ...decoded })),
      ...(heard.gone.length > 0 && { gone: heard.gone }),
      ...(heard.rejected.length > 0 && { rejected: heard.rejected }),
      ...(heard.request && { request: heard.request.topic }),
    };
  };
  const say = (tail: string, metrics: SparkplugMetric[], change: Partial<SparkplugPayload> = {}) =>
    raw(tail, encodeSparkplug({ timestamp, metrics, ...change }));
  return { clock, input, say, raw };
}

const bdSeq = (longValue: number): SparkplugMetric => ({ name: 'bdSeq', datatype: 4, longValue });
const named: SparkplugMetric = { name: 'Zone/2/Temp', alias: 7, datatype: 10, doubleValue: 20 };
const told = (doubleValue: number): SparkplugMetric => ({ alias: 7, doubleValue });

/** A node and its device, born. */
function born(mappings?: object[]) {
  const ear = listen(mappings);
  ear.say('NBIRTH/line4', [bdSeq(3), { name: 'Load', alias: 1, datatype: 9, floatValue: 0.5 }], { seq: 0 });
  ear.say('DBIRTH/line4/Press', [named], { seq: 1 });
  return ear;
}

test('a BIRTH gives names to aliases, and values; data follow under the aliases', () => {
  const { say } = listen();
  const birth = [bdSeq(3), { name: 'Load', alias: 1, datatype: 9, floatValue: 0.5 }, { name: 'Other', alias: 2 }];
  expect(say('NBIRTH/line4', birth, { seq: 0 })).toEqual({ samples: [{ stream: 'load', ts: timestamp, value: 0.5 }] });
  expect(say('DBIRTH/line4/Press', [named], { seq: 1 })).toEqual({
    samples: [{ stream: 'line4_zone2', ts: timestamp, value: 20 }],
  });
  const data = [
    { alias: 7, doubleValue: 21, timestamp: timestamp - 500 },
    { alias: 7, isNull: true },
    { alias: 7, doubleValue: 19, timestamp: 1, isHistorical: true },
    { name: 'Zone/2/Temp', doubleValue: 22 },
  ];
  expect(say('DDATA/line4/Press', data, { seq: 2 }).samples).toEqual([
    { stream: 'line4_zone2', ts: timestamp - 500, value: 21 },
    { stream: 'line4_zone2', ts: timestamp, value: null },
    { stream: 'line4_zone2', ts: 1, value: 19 },
    { stream: 'line4_zone2', ts: timestamp, value: 22 },
  ]);
  const both = [
    { alias: 1, floatValue: 2, timestamp: 2n ** 63n },
    { alias: 2, intValue: 1 },
  ];
  expect(say('NDATA/line4', both, { seq: 3 })).toEqual({ samples: [{ stream: 'load', ts: NaN, value: 2 }] });
  expect(say('NDATA/line4', [{ alias: 1, floatValue: 3 }], { seq: 4, timestamp: undefined as never })).toEqual({
    samples: [{ stream: 'load', ts: undefined, value: 3 }],
  });
});

test('everything of a node is subscribed, since everything counts on', () => {
  const { input } = listen([press, load]);
  expect(input.subscriptions.map(({ filter }) => filter)).toEqual([
    ...['NBIRTH/+', 'NDATA/+', 'NDEATH/+', 'DBIRTH/+/+', 'DDATA/+/+', 'DDEATH/+/+'],
    ...['NBIRTH/line4', 'NDATA/line4', 'NDEATH/line4', 'DBIRTH/line4/+', 'DDATA/line4/+', 'DDEATH/line4/+'],
  ].map((tail) => `spBv1.0/Plant 1/${tail}`)); // prettier-ignore
});

test('other topics are left to others, commands and our own node alone', () => {
  const { input, say } = listen([press], { group: 'Plant 1', node: 'ours' });
  expect(input.receive({ topic: 'tele/x/SENSOR', payload: Buffer.from('{}'), retain: false })).toBeUndefined();
  expect(say('NCMD/line4', [])).toEqual({ samples: [] });
  expect(say('DDATA/ours/Press', [told(1)])).toEqual({ samples: [] });
});

describe('what is missed is asked for', () => {
  test.each([
    ['data of a node that was never born', 'NDATA/else', { alias: 1 }],
    ['data of a device that was never born', 'DDATA/line4/Oven', { alias: 7 }],
    ['an alias that the BIRTH did not tell', 'DDATA/line4/Press', { alias: 8 }],
    ['a name that the BIRTH did not tell', 'NDATA/line4', { name: 'Zone/2/Temp' }],
  ])('%s', (_, tail, metric) => {
    const { say } = born();
    expect(say(tail, [metric], { seq: 2 })).toEqual({
      samples: [],
      rejected: ['unknown_metric'],
      request: `spBv1.0/Plant 1/NCMD/${tail.split('/')[1]!}`,
    });
  });

  test('a gap in seq; what came is taken still', () => {
    const { say, clock } = born();
    const request = 'spBv1.0/Plant 1/NCMD/line4';
    expect(say('DDATA/line4/Press', [told(21)], { seq: 2 })).not.toHaveProperty('request');
    expect(say('DDATA/line4/Press', [told(21)], { seq: 2 })).not.toHaveProperty('request'); // twice delivered
    expect(say('DDATA/line4/Press', [told(22)], { seq: 4 })).toMatchObject({ request, samples: [{ value: 22 }] });
    void clock.advance(10_000);
    expect(say('DDATA/line4/Press', [told(23)], { seq: 5 })).not.toHaveProperty('request');
    expect(say('DDATA/line4/Press', [told(24)])).not.toHaveProperty('request'); // it does not count
  });

  test('seq wraps at 255', () => {
    const { say } = listen();
    say('NBIRTH/line4', [], { seq: 0 });
    for (let seq = 1; seq < 600; seq++) expect(say('NDATA/line4', [], { seq: seq % 256 })).toEqual({ samples: [] });
  });

  test('at most once in 10 s, from each node', () => {
    const { say, clock } = listen();
    const asks = (node: string) => 'request' in say(`NDATA/${node}`, [{ alias: 1 }], { seq: 5 });
    expect([asks('a'), asks('a'), asks('b')]).toEqual([true, false, true]);
    void clock.advance(9999);
    expect([asks('a'), asks('b')]).toEqual([false, false]);
    void clock.advance(1);
    expect([asks('a'), asks('a'), asks('b')]).toEqual([true, false, true]);
  });

  test('the request is one that a node understands', () => {
    const { input } = listen();
    const payload = encodeSparkplug({ metrics: [{ alias: 1 }] });
    const { request } = input.receive({ topic: 'spBv1.0/Plant 1/NDATA/n', payload, retain: false })!;
    expect(decodeSparkplug(request!.payload)).toMatchObject({
      value: { timestamp, metrics: [{ name: 'Node Control/Rebirth', booleanValue: true }] },
    });
  });
});

describe('death', () => {
  test('of a node takes all its streams, if it is of the connection that was born', () => {
    const { say } = born();
    expect(say('NDEATH/line4', [bdSeq(2)])).toEqual({ samples: [] }); // the will of the connection before
    expect(say('NDEATH/line4', [bdSeq(3)])).toEqual({ samples: [], gone: ['load', 'line4_zone2'] });
    expect(say('NDEATH/line4', [bdSeq(3)])).toEqual({ samples: [] });
    expect(say('DDATA/line4/Press', [told(1)], { seq: 2 })).toMatchObject({ rejected: ['unknown_metric'] });
  });

  test('of a device takes the streams of that device', () => {
    const { say } = born();
    expect(say('DDEATH/line4/Press', [], { seq: 2 })).toEqual({ samples: [], gone: ['line4_zone2'] });
    expect(say('DDEATH/line4/Oven', [], { seq: 3 })).toEqual({ samples: [] });
    expect(say('NDATA/line4', [{ alias: 1, floatValue: 1 }], { seq: 4 })).toMatchObject({ samples: [{ value: 1 }] });
  });

  test('a BIRTH of the node makes the ones before void', () => {
    const { say } = born();
    say('NBIRTH/line4', [bdSeq(4), { name: 'Load', alias: 7, datatype: 3, intValue: 1 }], { seq: 0 });
    expect(say('NDATA/line4', [{ alias: 7, intValue: 5 }], { seq: 1 }).samples).toEqual([
      { stream: 'load', ts: timestamp, value: 5 },
    ]);
    expect(say('DDATA/line4/Press', [told(1)], { seq: 2 })).toMatchObject({ rejected: ['unknown_metric'] });
  });

  test('a lost session makes all of them void', () => {
    const { say, input } = born();
    input.forget();
    expect(say('DDATA/line4/Press', [told(1)], { seq: 2 })).toMatchObject({ rejected: ['unknown_metric'] });
  });
});

describe('bounds', () => {
  test.each([
    ['retained', Buffer.from(''), true],
    ['undecodable', Buffer.from('ff', 'hex'), false],
    ['too_large', Buffer.alloc(256 * 1024 + 1), false],
  ])('%s', (reason, payload, retain) => {
    expect(listen().raw('NBIRTH/line4', payload, retain)).toEqual({ samples: [], rejected: [reason] });
  });

  test('rows of one message', () => {
    const { say } = born();
    const rows = Array.from({ length: 5001 }, () => told(1));
    expect(say('DDATA/line4/Press', rows, { seq: 2 })).toEqual({ samples: [], rejected: ['too_large'] });
  });

  test('topics and names', () => {
    const { say } = listen();
    expect(say(`NBIRTH/${'n'.repeat(512)}`, [])).toMatchObject({ rejected: ['too_large'] });
    expect(say('NBIRTH/line4', [{ name: 'x'.repeat(513), alias: 1 }], { seq: 0 })).toMatchObject({
      rejected: ['unknown_metric'],
    });
    expect(say('DBIRTH/line4/Press', [{ alias: 1 }], { seq: 1 })).toMatchObject({ rejected: ['unknown_metric'] });
  });

  test('nodes, and metrics of all nodes; what has died makes room', () => {
    const { say } = listen();
    for (let i = 0; i < 500; i++) say(`NBIRTH/n${i}`, [bdSeq(0)]);
    expect(say('NBIRTH/one-more', [bdSeq(0)])).toEqual({ samples: [], rejected: ['stream_limit'] });
    say('NDEATH/n0', [bdSeq(0)]);
    expect(say('NBIRTH/one-more', [bdSeq(0)])).toEqual({ samples: [] });
    const many = Array.from({ length: 20_000 }, (_, i) => ({ name: `m${i}` }));
    for (const device of ['a', 'b']) say(`DBIRTH/n1/${device}`, many);
    expect(say('DBIRTH/n1/c', many)).toEqual({ samples: [], rejected: ['stream_limit'] });
    expect(say('DBIRTH/n1/a', many)).toEqual({ samples: [] });
    say('DDEATH/n1/b', []);
    expect(say('DBIRTH/n1/c', many)).toEqual({ samples: [] });
  });

  test('nodes that are asked', () => {
    const { say } = listen();
    const asked = Array.from({ length: 600 }, (_, i) => say(`NDATA/n${i}`, [{ alias: 1 }])).filter(
      (one) => 'request' in one,
    );
    expect(asked).toHaveLength(500);
  });
});

test('whatever a node says, nothing is thrown, and a sample is of a metric that its BIRTH named', () => {
  const metric = fc.record(
    {
      name: fc.constantFrom('Load', 'Zone/1/Temp', '__proto__', ''),
      alias: fc.constantFrom(0, 1, 2, 2n ** 60n),
      datatype: fc.nat(20),
      doubleValue: fc.double(),
      intValue: fc.nat(),
      isNull: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  const message = fc.record({
    tail: fc.constantFrom('NBIRTH/line4', 'NDATA/line4', 'NDEATH/line4', 'DBIRTH/line4/Press', 'DDATA/line4/Press', 'DDEATH/line4/Press'), // prettier-ignore
    metrics: fc.array(metric, { maxLength: 4 }),
    seq: fc.nat(257),
  });
  fc.assert(
    fc.property(fc.array(message), (messages) => {
      const { say } = listen();
      let bornSince = new Set<string>();
      for (const { tail, metrics, seq } of messages) {
        const source = tail.split('/').slice(1).join('/');
        if (tail.startsWith('NBIRTH')) bornSince = new Set();
        if (/^.BIRTH/.test(tail)) bornSince.add(source);
        if (say(tail, metrics, { seq }).samples.length > 0) expect(bornSince).toContain(source);
      }
    }),
  );
});

test.each([
  [{ ...press, metric: undefined }, /needs format: sparkplugb/],
  [{ ...press, path: '/a' }, /needs format: sparkplugb/],
  [{ ...press, format: 'json' }, /needs format: sparkplugb/],
  [{ ...press, topic: 'spBv1.0/Plant 1' }, /needs format: sparkplugb/],
  [{ ...press, topic: 'spBv1.0/Plant 1/DDATA/line4/Press' }, /needs format: sparkplugb/],
])('%j is no mapping', (mapping, message) => {
  expect(() => configOf(mapping)).toThrow(message);
});
