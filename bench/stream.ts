/**
 * Readings per second, one in each message: in by MQTT at QoS 1, committed to SQLite, and only then acknowledged. Broker,
 * sender and device share the machine, as on a small computer. The bare loop of mqtt.js runs beside it, in turn.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { createMosquitto, pause, until } from '../faults/process.js';
import { followIntake } from '../src/runtime/intake.js';
import { cpuMsOf, memoryOf } from './device.js';
import { percentile, rounded } from './statistics.js';

const base = { base: 'neuro-divergent', site: 'plant1', device: 'pi7' };
const prefix = Object.values(base).join('/');
/** In flight at the sender: enough that the broker never waits for it, little enough that its queue stays short. */
const WINDOW = 2000;
const PATIENCE_MS = 120_000;

export interface StreamRow {
  readonly what: 'device' | 'bare mqtt.js loop';
  readonly readingsPerSecond: number;
  readonly cpuUsPerReading: number;
  /** From the sender's clock to a commit, at half of that speed. */
  readonly p99MsAtHalfLoad: number;
  readonly rssMb: number;
}

interface Subject {
  readonly what: StreamRow['what'];
  readonly start: (dir: string, url: string) => ChildProcess;
  readonly ready: (event: Record<string, unknown>) => boolean;
  readonly observe: (dir: string) => Observer;
}

/** Looks at what is stored, from outside. */
interface Observer {
  count(): number;
  /** Times of the readings that were stored since the last look. */
  look(): number[];
  close(): void;
}

const here = dirname(fileURLToPath(import.meta.url));
const subjects: readonly Subject[] = [
  {
    what: 'device',
    observe: (dir) => observeDevice(join(dir, 'device.db')),
    ready: ({ event, state }) => event === 'link' && state === 'online',
    start(dir, url) {
      const config = join(dir, 'device.yaml');
      const settings = {
        ...base,
        state_dir: dir,
        clock: 'trusted',
        mqtt: { url },
        http: { port: null },
        auto_streams: true,
        max_message_rate: 1_000_000,
      };
      writeFileSync(config, JSON.stringify({ ...settings, database_bytes: 2 ** 30 }));
      return spawn(process.execPath, [resolve('dist/device/nd-device.js'), config, '--events']);
    },
  },
  {
    what: 'bare mqtt.js loop',
    observe: (dir) => observeTable(join(dir, 'bare.db')),
    ready: ({ event }) => event === 'ready',
    start: (dir, url) =>
      spawn(process.execPath, [join(here, 'stream-bare.js'), url, `${prefix}/in/+`, join(dir, 'bare.db')]),
  },
];

/** `rounds` of each in turn; the best counts, as what disturbs only slows down. Needs `npm run build` and mosquitto. */
export async function benchStream({ rounds = 3, seconds = 8 } = {}) {
  const runs: StreamRow[] = [];
  for (let round = 0; round < rounds; round++)
    for (const subject of subjects) runs.push(await measure(subject, seconds));
  const rows = subjects.map(({ what }) => {
    const own = runs.filter((run) => run.what === what);
    return own.reduce((best, run) => (run.readingsPerSecond > best.readingsPerSecond ? run : best));
  });
  const [device, bare] = rows;
  return { rows, ratio: rounded(device!.readingsPerSecond / bare!.readingsPerSecond), runs };
}

async function measure({ what, start, ready, observe }: Subject, seconds: number): Promise<StreamRow> {
  const dir = mkdtempSync(join(tmpdir(), 'nd-stream-'));
  mkdirSync(join(dir, 'broker'));
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const child = start(dir, broker.url);
  child.stderr!.pipe(process.stderr);
  let isReady = false;
  createInterface(child.stdout!).on('line', (line) => (isReady ||= ready(JSON.parse(line) as Record<string, unknown>)));
  await until('it is ready', () => isReady);
  const sender = await createSender(broker.port);
  const observer = observe(dir);
  const stored = (): number => observer.count();
  try {
    await sender.send(2000, stored);
    await until('all is stored', () => stored() === sender.sent, PATIENCE_MS);

    const before = { rows: stored(), cpuMs: cpuMsOf(child.pid!), ms: performance.now() };
    const sending = sender.flood(() => performance.now() - before.ms < seconds * 1000, stored);
    await sending;
    await until('all is stored', () => stored() === sender.sent, PATIENCE_MS);
    const rows = stored() - before.rows;
    const readingsPerSecond = rows / ((performance.now() - before.ms) / 1000);
    const cpuUsPerReading = (1000 * (cpuMsOf(child.pid!) - before.cpuMs)) / rows;

    const delays = await sender.pace(readingsPerSecond / 2, seconds * 1000, observer);
    return {
      what,
      readingsPerSecond: Math.round(readingsPerSecond),
      cpuUsPerReading: rounded(cpuUsPerReading),
      p99MsAtHalfLoad: rounded(percentile(delays, 0.99)),
      rssMb: Math.round(memoryOf(child.pid!).rssMb),
    };
  } finally {
    observer.close();
    sender.close();
    child.kill('SIGKILL');
    await broker.kill();
    rmSync(dir, { recursive: true });
  }
}

function observeTable(path: string): Observer {
  const sql = new Database(path, { readonly: true });
  const newest = sql.prepare<[], number | null>('SELECT max(rowid) FROM tail').pluck();
  const after = sql.prepare<[number, number], number>('SELECT ts FROM tail WHERE rowid > ? AND rowid <= ?').pluck();
  let seen = 0;
  return {
    count: () => newest.get() ?? 0,
    look() {
      const before = seen;
      seen = newest.get() ?? 0;
      return after.all(before, seen);
    },
    close: () => void sql.close(),
  };
}

/** A moment's readings are missed when they are packed between two looks. */
function observeDevice(path: string): Observer {
  const sql = new Database(path, { readonly: true });
  const packed = sql.prepare<[number], number>('SELECT total(rows) FROM segment WHERE id < ?').pluck();
  const follow = followIntake(`${path}.intake`);
  let number = 0;
  let seen = new Map<string, number>();
  return {
    count() {
      const unsealed = follow();
      return packed.get(unsealed?.number ?? Number.MAX_SAFE_INTEGER)! + (unsealed?.rows ?? 0);
    },
    look() {
      const unsealed = follow();
      if (unsealed === undefined) return [];
      if (unsealed.number !== number) seen = new Map();
      number = unsealed.number;
      return [...unsealed.streams].flatMap(([name, { times }]) => {
        const fresh = times.slice(seen.get(name) ?? 0);
        seen.set(name, times.length);
        return fresh;
      });
    },
    close: () => void sql.close(),
  };
}

/** MQTT 3.1.1 in its plainest form, so that the sender costs little: PUBLISH at QoS 1, PUBACKs are read and forgotten. */
async function createSender(port: number) {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  await new Promise((done) => socket.once('connect', done));
  socket.write(packet(0x10, Buffer.concat([text('MQTT'), Buffer.from([4, 2, 0, 0]), text('sender')])));
  await new Promise((done) => socket.once('data', done)); // CONNACK
  socket.on('data', () => undefined);
  let sent = 0;
  const publish = (count: number): Promise<void> => {
    const packets = Array.from({ length: count }, () => {
      const body = `{"ts":${Date.now()},"value":${sent}}`;
      const id = Buffer.from([((sent % 65_535) + 1) >> 8, ((sent % 65_535) + 1) & 255]);
      return packet(0x32, Buffer.concat([text(`${prefix}/in/s${sent++ % 100}`), id, Buffer.from(body)]));
    });
    return new Promise((done) => socket.write(Buffer.concat(packets), () => done()));
  };
  return {
    get sent() {
      return sent;
    },
    async send(count: number, stored: () => number): Promise<void> {
      for (const end = sent + count; sent < end;) {
        if (sent - stored() < WINDOW) await publish(50);
        else await pause(1);
      }
    },
    /** As fast as it is taken. */
    async flood(more: () => boolean, stored: () => number): Promise<void> {
      while (more()) {
        const room = WINDOW - (sent - stored());
        if (room >= 200) await publish(Math.min(room, 500));
        else await pause(2);
      }
    },
    /** So many a second; gives the delay of each from sending to its commit, as seen every millisecond or two. */
    async pace(perSecond: number, ms: number, observer: Observer): Promise<number[]> {
      const delays: number[] = [];
      observer.look();
      const look = (): void => {
        const times = observer.look();
        const now = Date.now();
        for (const time of times) delays.push(now - time);
      };
      const first = sent;
      for (const began = performance.now(); performance.now() - began < ms; await pause(1)) {
        const due = Math.floor(((performance.now() - began) / 1000) * perSecond) - (sent - first);
        if (due > 0) await publish(due);
        look();
      }
      for (
        const began = performance.now();
        delays.length < sent - first && performance.now() - began < 5000;
        await pause(1)
      )
        look();
      return delays;
    },
    close: () => socket.destroy(),
  };
}

function packet(kind: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = body.length; length.length === 0 || rest > 0; rest >>= 7)
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
  return Buffer.concat([Buffer.from([kind, ...length]), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}
