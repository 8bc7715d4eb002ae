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
  readonly database: string;
}

const here = dirname(fileURLToPath(import.meta.url));
const subjects: readonly Subject[] = [
  {
    what: 'device',
    database: 'device.db',
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
      };
      writeFileSync(config, JSON.stringify({ ...settings, database_bytes: 2 ** 30 }));
      return spawn(process.execPath, [resolve('dist/device/nd-device.js'), config, '--events']);
    },
  },
  {
    what: 'bare mqtt.js loop',
    database: 'bare.db',
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

async function measure({ what, start, ready, database }: Subject, seconds: number): Promise<StreamRow> {
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
  const sql = new Database(join(dir, database), { readonly: true });
  const count = sql.prepare<[], { rows: number | null }>('SELECT max(rowid) AS rows FROM tail');
  const stored = (): number => count.get()!.rows ?? 0;
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

    const delays = await sender.pace(readingsPerSecond / 2, seconds * 1000, sql);
    return {
      what,
      readingsPerSecond: Math.round(readingsPerSecond),
      cpuUsPerReading: rounded(cpuUsPerReading),
      p99MsAtHalfLoad: rounded(percentile(delays, 0.99)),
      rssMb: Math.round(memoryOf(child.pid!).rssMb),
    };
  } finally {
    sql.close();
    sender.close();
    child.kill('SIGKILL');
    await broker.kill();
    rmSync(dir, { recursive: true });
  }
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
    async pace(perSecond: number, ms: number, sql: Database.Database): Promise<number[]> {
      const rowsAfter = sql.prepare<[number], { rowid: number; ts: number }>(
        'SELECT rowid, ts FROM tail WHERE rowid > ? ORDER BY rowid',
      );
      const delays: number[] = [];
      let seen = sql.prepare<[], { rows: number }>('SELECT max(rowid) AS rows FROM tail').get()!.rows;
      const look = (): void => {
        const rows = rowsAfter.all(seen);
        const now = Date.now();
        for (const { ts } of rows) delays.push(now - ts);
        seen = rows.at(-1)?.rowid ?? seen;
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
