/** F1: malformed messages to a whole device; it must answer each by a count, never by an exception, and go on storing good ones. */
import type { PastReading } from '../src/runtime/readings.js';
import { openStore } from '../src/runtime/store.js';
import { encodeSparkplug } from '../src/transport/sparkplug.js';
import type { SparkplugMetric } from '../src/transport/sparkplug.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { inFolder, installModel, prefix, stream } from './device.js';
import { runInside } from './inside.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures, Random } from './row.js';

/** A good message follows after so many bad ones. */
const PROBE_EVERY = 100;

export const malformedPayloads: FaultRow = {
  id: 'F1',
  what: 'malformed messages to a running device',
  counts: 'crashes, lost neighbours and nonsense stored',
  trials: { C: 20_000, N: 2_000_000 },
  run: (trials, seed) => inFolder((dir) => attack(dir, trials, seed)),
};

async function attack(dir: string, trials: number, seed: number): Promise<Failures> {
  await installModel(dir);
  const clock = fakeClock();
  const store = openStore({ path: `${dir}/device.db`, clock, maxBytes: 4 * 2 ** 30 });
  let databaseErrors = 0;
  const tell = (event: string): void => void (databaseErrors += event === 'database-error' ? 1 : 0);
  const mappings = [
    { topic: 'spBv1.0/+/+', format: 'sparkplugb', metric: '+', stream: '$2_$3' },
    { topic: 'spBv1.0/+/+/+', format: 'sparkplugb', metric: '+', stream: '$3_$4', on_off: true },
  ];
  const device = await runInside(dir, { auto_streams: true, mappings }, { clock, store, tell });

  const failures: string[] = [];
  const streams = store.sql.prepare<[], string>('SELECT name FROM stream').pluck();
  const isNonsense = ({ timeMs, value }: PastReading): boolean =>
    Math.abs(value ?? 0) > 1e308 || !(timeMs >= Date.UTC(2020) && timeMs <= clock.now() + 300_000);
  for (let i = 0; i < trials; i++) {
    const random = createDraws('F1', seed, i);
    const { topic, payload } = malformed(random, clock.now());
    const errorsBefore = databaseErrors;
    try {
      await device.say(topic, payload, random.chance(0.05));
      if (databaseErrors > errorsBefore) failures.push(`trial ${i}: not stored: ${topic} ${show(payload)}`);
    } catch (error) {
      failures.push(`trial ${i}: ${String(error)}: ${topic} ${show(payload)}`);
    }
    if (i % PROBE_EVERY !== PROBE_EVERY - 1) continue;
    await clock.advance(1000);
    const value = 1e6 + i;
    await device.say(`${prefix}/in/probe`, Buffer.from(String(value)));
    store.seal();
    const stored = streams.all().flatMap((name) => store.newest(name, Infinity));
    if (stored.filter((reading) => reading.value === value).length !== 1)
      failures.push(`trial ${i}: the good message after it was not stored`);
    const nonsense = stored.filter(isNonsense).length;
    if (nonsense > 0) failures.push(`trial ${i}: ${nonsense} readings of nonsense are stored`);
    store.sql.exec('DELETE FROM segment');
  }
  await device.stop();
  return failures;
}

const show = (payload: Uint8Array): string => JSON.stringify(Buffer.from(payload.subarray(0, 100)).toString('latin1'));

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

const names = [stream, 'other', 'constructor', '__proto__', 'toString', 'a b', '', 'x'.repeat(65), '+', '#', '\u0000'];
const kinds = ['in', 'in', 'in', 'in', 'in', 'model/desired', 'cmd', 'status', 'event', ''];

function malformed(random: Random, nowMs: number): Message {
  if (random.chance(0.2)) return plant(random, nowMs);
  const kind = random.pick(kinds);
  const tail = kind === 'model/desired' ? kind : `${kind}/${random.pick(names)}`;
  const topic = random.chance(0.05) ? garbage(random, 40).toString('latin1') : `${prefix}/${tail}`;
  return { topic, payload: malformedPayload(random, nowMs) };
}

export function malformedPayload(random: Random, nowMs: number): Buffer {
  const text = (): Buffer =>
    Buffer.from(random.chance(0.5) ? nearlyRight(random, nowMs) : JSON.stringify(tree(random, 3)));
  return random.pick<() => Buffer>([
    () => garbage(random, 300),
    text,
    text,
    () => corrupted(random, text()),
    () => corrupted(random, text()),
    () => Buffer.from('['.repeat(random.int(1, 3000)) + ']'.repeat(random.int(0, 3000))),
    () => Buffer.alloc(random.chance(0.02) ? 300_000 : random.int(0, 50), random.pick(['9', ' ', '{', '"', '\\'])),
  ])();
}

const garbage = (random: Random, longest: number): Buffer =>
  Buffer.from(Array.from({ length: random.int(0, longest) }, () => random.int(0, 255)));

/** Bytes flipped, cut out, doubled. */
function corrupted(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let n = random.int(1, 4); n > 0 && copy.length > 0; n--)
    copy[random.int(0, copy.length - 1)] = random.int(0, 255);
  const at = random.int(0, copy.length);
  return random.pick([copy, copy.subarray(0, at), Buffer.concat([copy, copy.subarray(at)])]);
}

const oddValues = [
  '1e999',
  '-0',
  '1e-400',
  'null',
  '""',
  '"nan"',
  '"1,5"',
  '"0x10"',
  '"٣"',
  '" 7 "',
  'true',
  '[]',
  '{}',
];
const oddTimes = [
  '-1',
  '1e308',
  '0.5',
  '"2026-02-30T00:00:00Z"',
  '"2026-01-01T00:00:00"',
  'null',
  '9007199254740993',
  '"x"',
];
const oddKeys = ['__proto__', 'constructor', 'hasOwnProperty', 'a/b', '', '\\u0000', 'temp', 'x'.repeat(70)];

/** One of the three shapes with something odd in it. */
function nearlyRight(random: Random, nowMs: number): string {
  const time = (): string => (random.chance(0.5) ? String(nowMs - random.int(0, 1e6)) : random.pick(oddTimes));
  const value = (): string => (random.chance(0.3) ? String(random.int(-100, 100)) : random.pick(oddValues));
  const extra = random.pick(['', ',"v":2', ',"unit":"furlong"', ',"seq":-1', ',"ts":1', ',"value":3', ',"samples":[]']);
  return random.pick([
    () => `{"ts":${time()},"value":${value()}${extra}}`,
    () => `{"ts":${time()},"values":{"${random.pick(oddKeys)}":${value()},"b":${value()}}${extra}}`,
    () => `{"samples":[[${time()},${value()}],[${time()}],${value()},[${time()},${value()},1]]${extra}}`,
    () => value(),
  ])();
}

/** A message of a Sparkplug node with something odd in it. Few nodes and names, so that one message follows another. */
function plant(random: Random, nowMs: number): Message {
  const type = random.pick(['NBIRTH', 'DBIRTH', 'NDATA', 'DDATA', 'NDEATH', 'DDEATH', 'NCMD', 'STATE', '']);
  const device = random.chance(type.startsWith('D') ? 0.9 : 0.1) ? `/${random.pick(['d', 'e', ...names])}` : '';
  const integer = (): number | bigint => random.pick([0, 1, 2, 255, nowMs, 2 ** 32 - 1, 2n ** 63n, 2n ** 64n - 1n]);
  const some = <T>(chance: number, value: T): T | undefined => (random.chance(chance) ? value : undefined);
  const metric = () => ({
    name: some(type.endsWith('BIRTH') ? 0.9 : 0.2, random.pick(['bdSeq', 'Temp', ...names])),
    alias: some(0.7, integer()),
    timestamp: some(0.5, random.chance(0.5) ? nowMs - random.int(0, 1e6) : integer()),
    datatype: some(0.8, random.int(0, 35)),
    isHistorical: some(0.1, true),
    isNull: some(0.1, true),
    intValue: some(0.3, integer()),
    longValue: some(0.3, integer()),
    floatValue: some(0.2, random.pick([NaN, Infinity, 1.5, 3e38])),
    doubleValue: some(0.5, random.pick([NaN, -Infinity, 20.5, 1e-320, -0])),
    booleanValue: some(0.2, true),
    stringValue: some(0.2, random.pick(['', 'nan', '7', '1,5', 'warm', '\u0000'])),
  });
  const metrics = Array.from({ length: random.int(0, 5) }, () => metric() as SparkplugMetric);
  const seq = some(0.9, integer());
  const timestamp = some(0.8, integer());
  const payload = encodeSparkplug({
    metrics,
    ...(seq !== undefined && { seq }),
    ...(timestamp !== undefined && { timestamp }),
  });
  return {
    topic: `spBv1.0/plant/${type}/${random.pick(['a', 'b', 'c'])}${device}`,
    payload: random.chance(0.3) ? corrupted(random, Buffer.from(payload)) : payload,
  };
}

/** Any JSON at all. */
function tree(random: Random, depth: number): unknown {
  const leaf = (): unknown => random.pick([null, true, 0, -1e300, 0.1, '', 'ON', '\ud800', '12', '1e5']);
  if (depth === 0 || random.chance(0.3)) return leaf();
  const length = random.int(0, 4);
  if (random.chance(0.5)) return Array.from({ length }, () => tree(random, depth - 1));
  const keys = ['ts', 'value', 'values', 'samples', 'unit', 'v', ...oddKeys];
  return Object.fromEntries(Array.from({ length }, () => [random.pick(keys), tree(random, depth - 1)]));
}
