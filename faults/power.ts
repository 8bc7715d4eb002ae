/**
 * K3: the power is cut. A recording of every write and sync of the database's files gives the disk as it can be at any
 * moment: what was synced is there, and of what was written since, any part.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openStore } from '../src/runtime/store.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { findProgram } from '../test/program.js';
import { inFolder, stream } from './device.js';
import { createDraws } from './row.js';
import type { FaultRow, Random } from './row.js';

const STEPS = 1200;
const STEP_MS = 100;
/** So much of the readings may be lost. */
const LOST_MS = 5000;
/** A disk writes these whole. */
const SECTOR = 512;

export const powerCuts: FaultRow = {
  id: 'K3',
  what: 'images of a disk whose power is cut, from recorded writes and syncs',
  counts: 'damaged databases, alerts or model states lost, more than 5 s of readings lost',
  trials: { C: 100, N: 15_000 },
  run: (trials, seed) =>
    inFolder((dir) => {
      const events = record(dir);
      if (events.length === 0) {
        console.error('K3 SKIPPED: strace may not look at a process here');
        return [];
      }
      const failures: string[] = [];
      for (let trial = 0; trial < trials; trial++) {
        const random = createDraws('K3', seed, trial);
        const wrong = cut(join(dir, 'image'), events, random);
        if (wrong !== undefined) failures.push(`trial ${trial}: ${wrong}`);
      }
      return failures;
    }),
};

type Event =
  | { readonly kind: 'write'; readonly file: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly file: string; readonly size: number }
  | { readonly kind: 'sync'; readonly file: string }
  | { readonly kind: 'told'; readonly what: string; readonly number: number };

/** The index beside the log is made anew, and the journal of the first moments is gone by then. */
const recorded = ['device.db', 'device.db-wal', 'device.db.intake', 'told'];

/** Runs the writer and gives what it did to the disk, and what it said, in order. */
function record(dir: string): Event[] {
  const strace = findProgram('strace');
  if (strace === undefined) return [];
  const [path, told, trace] = ['device.db', 'told', 'trace'].map((name) => join(dir, name));
  const writer = join(dirname(fileURLToPath(import.meta.url)), 'power-writer.js');
  const calls = 'trace=pwrite64,write,fsync,fdatasync,ftruncate';
  const { status, stderr } = spawnSync(
    strace,
    ['-f', '-qq', '-y', '-xx', '-s', '1000000', '-e', calls, '-o', trace!, process.execPath, writer, path!, told!, String(STEPS), String(STEP_MS)], // prettier-ignore
    { encoding: 'utf8' },
  );
  if (status !== 0) {
    if (/ptrace|Operation not permitted/i.test(stderr)) return [];
    throw new Error(`the writer failed: ${stderr.slice(-500)}`);
  }
  return readFileSync(trace!, 'latin1')
    .split('\n')
    .flatMap((line): Event[] => {
      const [, call, hexPath, rest] = /^\d+ +(\w+)\(\d+<([^>]*)>(.*)$/.exec(line) ?? [];
      const file = hexPath === undefined ? '' : basename(text(hexPath));
      if (call === undefined || !recorded.includes(file)) return [];
      if (call === 'fsync' || call === 'fdatasync') return [{ kind: 'sync', file }];
      if (call === 'ftruncate') return [{ kind: 'truncate', file, size: Number(/^, (\d+)/.exec(rest!)![1]) }];
      const [, hex, at] = /^, "([^"]*)", \d+(?:, (\d+))?/.exec(rest!) ?? [];
      if (hex === undefined) return [];
      if (file === 'told') {
        const [what, number] = text(hex).trim().split(' ');
        return [{ kind: 'told', what: what!, number: Number(number) }];
      }
      return at === undefined ? [] : [{ kind: 'write', file, at: Number(at), bytes: bytesOf(hex) }];
    });
}

const bytesOf = (escaped: string): Buffer => Buffer.from(escaped.replaceAll('\\x', ''), 'hex');
const text = (escaped: string): string => (escaped.includes('\\x') ? bytesOf(escaped).toString() : escaped);

/** The disk at a random moment, opened again. Says what is wrong with it. */
function cut(dir: string, events: readonly Event[], random: Random): string | undefined {
  const begun = events.findIndex((event) => event.kind === 'told' && event.what === 'begun');
  const end = random.int(begun + 1, events.length);
  const told = { reading: -1, alert: -1, model: -1, begun: -1 };
  const synced = new Map<string, Content>();
  const pending = new Map<string, Event[]>();
  for (const event of events.slice(0, end)) {
    if (event.kind === 'told') {
      told[event.what as keyof typeof told] = event.number;
      continue;
    }
    if (!pending.has(event.file)) pending.set(event.file, []);
    if (!synced.has(event.file)) synced.set(event.file, { bytes: Buffer.alloc(0), length: 0 });
    if (event.kind !== 'sync') pending.get(event.file)!.push(event);
    else for (const done of pending.get(event.file)!.splice(0)) apply(synced.get(event.file)!, done);
  }

  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  for (const [file, content] of synced) {
    for (const event of pending.get(file)!.flatMap((event) => torn(event, random))) apply(content, event);
    writeFileSync(join(dir, file), content.bytes.subarray(0, content.length));
  }
  writeFileSync(join(dir, 'device.db.running'), '');
  const store = openStore({ path: join(dir, 'device.db'), clock: fakeClock() });
  try {
    if (store.start !== 'unclean') return `the database was ${store.start}`;
    const alerts = store.sql.prepare<[], { id: string }>('SELECT id FROM alert ORDER BY rowid DESC LIMIT 1').get();
    if (Number(alerts?.id.split(' ')[1] ?? -1) < told.alert) return `alert ${told.alert} is lost`;
    if (Number(store.get('model/boiler')?.toString() ?? -2) < told.model) return `model state ${told.model} is lost`;
    const [newest] = store.newest(stream, 1);
    const lostMs = (told.reading - (newest?.timeMs ?? -1)) * STEP_MS;
    return lostMs > LOST_MS ? `${lostMs} ms of readings are lost` : undefined;
  } finally {
    store.close();
  }
}

/** What may have reached the disk of something that was not synced: nothing, all, or some sectors. */
function torn(event: Event, random: Random): Event[] {
  const chance = random();
  if (chance < 0.3) return [];
  if (event.kind !== 'write' || chance < 0.8) return [event];
  const sectors = Math.ceil(event.bytes.length / SECTOR);
  return Array.from({ length: sectors }, (_, i) => i)
    .filter(() => random.chance(0.5))
    .map((i) => ({ ...event, at: event.at + i * SECTOR, bytes: event.bytes.subarray(i * SECTOR, (i + 1) * SECTOR) }));
}

interface Content {
  /** Zeros behind `length`. */
  bytes: Buffer;
  length: number;
}

function apply(content: Content, event: Event): void {
  if (event.kind === 'truncate') {
    content.bytes.fill(0, Math.min(event.size, content.length), content.length);
    resize(content, event.size);
  } else if (event.kind === 'write') {
    resize(content, Math.max(content.length, event.at + event.bytes.length));
    event.bytes.copy(content.bytes, event.at);
  }
}

function resize(content: Content, length: number): void {
  if (length > content.bytes.length) {
    const larger = Buffer.alloc(2 * length);
    content.bytes.copy(larger);
    content.bytes = larger;
  }
  content.length = length;
}
