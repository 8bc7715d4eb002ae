import { describe, expect, test } from 'vitest';
import type { ForecastPayload } from '../../src/contracts/payload.js';
import type { LinkOptions } from '../../src/runtime/ports.js';
import { createEdgeNode } from '../../src/runtime/sparkplug-out.js';
import type { Told } from '../../src/runtime/sparkplug-out.js';
import type { Store } from '../../src/runtime/store.js';
import type { Will } from '../../src/transport/mqtt.js';
import { decodeSparkplug, encodeSparkplug, rebirthRequest } from '../../src/transport/sparkplug.js';
import type { SparkplugPayload } from '../../src/transport/sparkplug.js';
import { fakeClock, manifestOf } from './fakes.js';

const startMs = Date.UTC(2026, 0, 1);
const read = (payload: Uint8Array | string): SparkplugPayload => {
  const decoded = decodeSparkplug(payload as Uint8Array);
  if (!decoded.ok) throw new Error(decoded.detail);
  return decoded.value;
};

type Stored = Pick<Store, 'get' | 'put' | 'write'>;
function memory(): Stored {
  const rows = new Map<string, Buffer>();
  return {
    get: (key) => rows.get(key),
    put: (key, value) => void rows.set(key, Buffer.from(value)),
    write: (work) => work(),
  };
}

/** An edge node whose connection is made and cut by hand; its broker notes what it hears. */
async function world({ store = memory(), horizon = 2, takes = true } = {}) {
  const clock = fakeClock(startMs);
  const said: { type: string; qos: number | undefined; retain: boolean | undefined; payload: SparkplugPayload }[] = [];
  const told: string[] = [];
  let options: LinkOptions | undefined;
  let as: string | undefined;
  const link = {
    online: false,
    takes,
    closed: false,
    publish: async (
      topic: string,
      payload: Uint8Array | string,
      { qos, retain }: { qos?: number; retain?: boolean } = {},
    ) => {
      if (!link.online || !link.takes) return false;
      const [, group, type, node] = topic.split('/');
      expect([group, node]).toEqual(['Plant 1', 'pi7']);
      said.push({ type: type!, qos, retain, payload: read(payload) });
      return true;
    },
    subscribe: async () => true,
    close: async () => void (link.closed = true),
  };
  const watch = { state: 'normal' };
  const lanes = new Map<string, object>();
  const lane = (name: string, model: string, steps: number) =>
    lanes.set(name, {
      settings: { subject: { model }, active: { manifest: manifestOf({ horizon: steps }) } },
      watch: { state: 'warming' },
    });
  lane('boiler', 'boiler@1', horizon);
  const conditions = [
    { kind: 'level', subject: { stream: 'boiler' }, watch },
    { kind: 'disk_full', subject: { stream: 'boiler' }, watch: { state: 'normal' } },
  ];
  const node = createEdgeNode(
    { group: 'Plant 1', node: 'pi7', mqtt: null },
    {
      clock,
      store: store as Store,
      connect: async (given, how) => {
        options = given;
        as = how;
        return link;
      },
      tell: (event) => void told.push(event),
    },
    { lanes, detectors: new Map(), conditions: { all: () => conditions } } as unknown as Told,
  );
  await node.open();
  const will = (): Will => (options!.will as () => Will)();
  return {
    clock,
    said,
    told,
    link,
    node,
    watch,
    lane,
    lanes,
    options: options!,
    as,
    will,
    online() {
      will();
      link.online = true;
      options!.onLink({ state: 'online', protocol: 5, sessionPresent: false });
    },
    offline() {
      link.online = false;
      options!.onLink({ state: 'offline', reason: 'cut', fault: 'closed', retryMs: 1 });
    },
    command: (payload: Uint8Array, retain = false) =>
      void options!.onMessage({ topic: 'spBv1.0/Plant 1/NCMD/pi7', payload, retain, duplicate: false }),
    forecast: (issued: number, p50: number[], model = 'boiler@1') =>
      node.forecast({ stream: 'boiler', model, issued, p50 } as unknown as ForecastPayload),
    /** Types and sequence numbers since it was last asked. */
    heard: () => said.splice(0).map(({ type, payload }) => [type, payload.seq]),
  };
}

const alertNames = ['alert/boiler/anomaly/state', 'alert/boiler/level/state'];

test('it is born with bdSeq, the command, and every metric with name, alias, type and time', async () => {
  const w = await world();
  w.forecast(startMs - 5, [20, 21]);
  w.online();
  expect(w.as).toBe('edge-node');
  expect(w.options).toMatchObject({ clean: true, subscriptions: [{ filter: 'spBv1.0/Plant 1/NCMD/pi7', qos: 1 }] });
  expect(w.told).toEqual(['sparkplug-link']);
  const now = { timestamp: startMs };
  expect(w.said).toEqual([
    {
      type: 'NBIRTH',
      qos: 0,
      retain: undefined,
      payload: {
        ...now,
        seq: 0,
        metrics: [
          { name: 'bdSeq', datatype: 4, longValue: 0, ...now },
          { name: 'Node Control/Rebirth', datatype: 11, booleanValue: false, ...now },
          { name: alertNames[0], alias: 1, datatype: 12, stringValue: 'warming', ...now },
          { name: alertNames[1], alias: 2, datatype: 12, stringValue: 'normal', ...now },
          { name: 'forecast/boiler/p50/h001', alias: 3, datatype: 10, doubleValue: 20, timestamp: startMs - 5 },
          { name: 'forecast/boiler/p50/h002', alias: 4, datatype: 10, doubleValue: 21, timestamp: startMs - 5 },
        ],
      },
    },
  ]);
});

test('data carry the alias and no name, and only what has changed', async () => {
  const w = await world();
  w.online();
  w.heard();
  w.node.sync();
  expect(w.heard()).toEqual([]);
  await w.clock.advance(1000);
  w.watch.state = 'firing';
  w.forecast(startMs + 900, [20, 21]);
  w.node.sync();
  expect(w.said[0]!.payload).toEqual({
    timestamp: startMs + 1000,
    seq: 1,
    metrics: [
      { alias: 2, datatype: 12, stringValue: 'firing', timestamp: startMs + 1000 },
      { alias: 3, datatype: 10, doubleValue: 20, timestamp: startMs + 900 },
      { alias: 4, datatype: 10, doubleValue: 21, timestamp: startMs + 900 },
    ],
  });
});

describe('the number of the connection', () => {
  test('is one more with each CONNECT, is kept over a restart, and stands in the will', async () => {
    const store = memory();
    const w = await world({ store });
    const numbers = Array.from({ length: 257 }, () => {
      const will = w.will();
      expect(will).toMatchObject({ topic: 'spBv1.0/Plant 1/NDEATH/pi7', qos: 1, retain: false });
      expect(read(will.payload)).toEqual({
        metrics: [{ name: 'bdSeq', datatype: 4, longValue: expect.any(Number) as number }],
      });
      return read(will.payload).metrics[0]!.longValue;
    });
    expect(numbers).toEqual([...Array(256).keys(), 0]);
    const again = await world({ store });
    expect(read(again.will().payload).metrics[0]!.longValue).toBe(1);
  });

  test('goes on when it cannot be kept', async () => {
    const full: Stored = {
      ...memory(),
      write: () => {
        throw Object.assign(new Error('full'), { code: 'SQLITE_FULL' });
      },
    };
    const w = await world({ store: full });
    expect([w.will(), w.will()].map(({ payload }) => read(payload).metrics[0]!.longValue)).toEqual([0, 1]);
  });
});

describe('it is born again', () => {
  test('when a host asks for it: no data before that', async () => {
    const w = await world();
    w.online();
    w.forecast(startMs + 1, [20, 21]);
    w.node.sync();
    expect(w.heard()).toEqual([
      ['NBIRTH', 0],
      ['NDATA', 1],
    ]);
    w.command(rebirthRequest(startMs));
    w.forecast(startMs + 2, [22, 23]);
    w.node.sync();
    w.forecast(startMs + 3, [24, 25]);
    w.node.sync();
    expect(w.said[0]!.payload.metrics[0]).toMatchObject({ name: 'bdSeq', longValue: 0 });
    expect(w.heard()).toEqual([
      ['NBIRTH', 0],
      ['NDATA', 1],
    ]);
  });

  test.each([
    ['no Sparkplug', Buffer.from('ff', 'hex'), false],
    ['another command', encodeSparkplug({ metrics: [{ name: 'Node Control/Reboot', booleanValue: true }] }), false],
    ['a command that is taken back', encodeSparkplug({ metrics: [{ name: 'Node Control/Rebirth', booleanValue: false }] }), false], // prettier-ignore
    ['an old command', rebirthRequest(startMs), true],
  ])('but not for %s', async (_, payload, retain) => {
    const w = await world();
    w.online();
    w.heard();
    w.command(payload, retain);
    w.node.sync();
    expect(w.heard()).toEqual([]);
  });

  test('when there is more to tell, or less, or a model of another length', async () => {
    const w = await world();
    w.online();
    const names = () => w.said.splice(0).flatMap(({ payload }) => payload.metrics.slice(4).map(({ name }) => name));
    names();
    w.lane('boiler', 'boiler@2', 1);
    w.node.sync();
    expect(names()).toEqual(['forecast/boiler/p50/h001']);
    w.lanes.delete('boiler');
    w.node.sync();
    expect(w.said.splice(0).map(({ payload }) => payload.metrics.length)).toEqual([3]);
    w.lane('pump', 'pump@1', 1);
    w.node.sync();
    expect(names()).toEqual(['forecast/pump/p50/h001']);
  });

  test('and what another model said is told no more', async () => {
    const w = await world();
    w.forecast(startMs - 5, [20, 21]);
    w.online();
    w.said.length = 0;
    w.lane('boiler', 'boiler@2', 2);
    w.node.sync();
    expect(w.said[0]!.payload.metrics).toEqual([
      { alias: 3, datatype: 10, isNull: true, timestamp: startMs },
      { alias: 4, datatype: 10, isNull: true, timestamp: startMs },
    ]);
  });
});

describe('without a connection', () => {
  test('values wait, and are told as historical after the BIRTH; the newest stand in it', async () => {
    const w = await world();
    w.online();
    w.offline();
    w.heard();
    for (const i of [1, 2, 3]) {
      w.forecast(startMs + i, [20 + i, 30 + i]);
      w.node.sync();
    }
    expect(w.heard()).toEqual([]);
    w.online();
    expect(w.said[0]!.payload.metrics[0]).toMatchObject({ name: 'bdSeq', longValue: 1 });
    expect(w.said[0]!.payload.metrics.at(-1)).toMatchObject({ doubleValue: 33, timestamp: startMs + 3 });
    expect(w.said[1]!.payload.metrics).toEqual(
      [1, 2].flatMap((i) => [
        { alias: 3, datatype: 10, doubleValue: 20 + i, timestamp: startMs + i, isHistorical: true },
        { alias: 4, datatype: 10, doubleValue: 30 + i, timestamp: startMs + i, isHistorical: true },
      ]),
    );
    expect(w.heard()).toEqual([
      ['NBIRTH', 0],
      ['NDATA', 1],
    ]);
  });

  test('what was on its way when it was cut waits too; the oldest of 10,000 is dropped, and messages are of 500', async () => {
    const w = await world({ horizon: 1 });
    w.online();
    w.link.takes = false;
    w.forecast(startMs + 1, [1]);
    w.node.sync();
    await w.clock.advance(1);
    w.offline();
    w.forecast(startMs + 2, [2]);
    w.node.sync();
    w.link.takes = true;
    w.heard();
    w.online();
    expect(w.said[1]!.payload.metrics).toEqual([
      { alias: 3, datatype: 10, doubleValue: 1, timestamp: startMs + 1, isHistorical: true },
    ]);
    w.offline();
    for (let i = 0; i < 10_300; i++) {
      w.forecast(startMs + 100 + i, [i]);
      w.node.sync();
    }
    w.said.length = 0;
    w.online();
    const data = w.said.slice(1).map(({ payload }) => payload.metrics);
    expect(data.map((metrics) => metrics.length)).toEqual([...Array<number>(19).fill(500), 499]); // the newest is in the BIRTH
    expect(data[0]![0]).toMatchObject({ doubleValue: 300 });
  });
});

test('a BIRTH is bounded: alerts first', async () => {
  const w = await world({ horizon: 6000 });
  w.online();
  expect(w.said[0]!.payload.metrics).toHaveLength(5002);
  expect(w.said[0]!.payload.metrics.slice(2, 4).map(({ name }) => name)).toEqual(alertNames);
});

test('it says that it goes, and goes though the broker does not answer', async () => {
  const w = await world();
  w.online();
  w.heard();
  await w.node.close();
  expect(w.said).toMatchObject([{ type: 'NDEATH', qos: 1, payload: { metrics: [{ name: 'bdSeq', longValue: 0 }] } }]);
  expect(w.link.closed).toBe(true);

  const silent = await world();
  silent.online();
  silent.link.publish = () => new Promise(() => undefined);
  const closing = silent.node.close();
  await silent.clock.advance(2000);
  await closing;
  expect(silent.link.closed).toBe(true);
});
