/**
 * K2: kill -9 at every step of an update that is made to last: before each rename, sync, write, removal and commit. What runs then is the old
 * model or the new one, whole, and the update completes.
 */
import { cpSync, existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import { startBroker } from '../src/transport/broker.js';
import { openSlots } from '../src/runtime/slots.js';
import { openStore } from '../src/runtime/store.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { inFolder, installModel, memoryFolder, minute, prefix, settings, stream, writeSettings } from './device.js';
import { createFleet } from './fleet.js';
import { pause, startDevice, until } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures } from './row.js';

const READING_EVERY_MS = 200;
const OLD = 1;
const NEW = 2;

export const killedWhileUpdating: FaultRow = {
  id: 'K2',
  what: 'kill -9 before each thing that an update makes last, evenly over all of them when there are fewer trials',
  counts: 'neither the old nor the new model whole, a damaged state, an update that does not complete',
  trials: { C: 12, N: 500 },
  run: (trials, seed) => inFolder((dir) => killInTurn(dir, trials, seed), memoryFolder),
};

async function killInTurn(dir: string, trials: number, seed: number): Promise<Failures> {
  const failures: string[] = [];
  const stateDir = join(dir, 'state');
  const [before, counted] = [join(dir, 'before'), join(dir, 'count')];
  await installModel(before);
  openStore({ path: join(before, 'device.db'), clock: fakeClock() }).close();
  const broker = await startBroker();
  const fleet = await createFleet(dir, 0);
  const config = writeSettings(
    dir,
    settings(stateDir, broker.url, { retention_days: 10_000, repository: fleet.settings }),
  );
  const start = (env?: Record<string, string>) =>
    startDevice(config, ['--import', join(dirname(fileURLToPath(import.meta.url)), 'killer.js')], env);

  const client = await mqtt.connectAsync(broker.url);
  const forecasts: string[] = [];
  client.on('message', (_, payload) => forecasts.push((JSON.parse(payload.toString()) as { model: string }).model));
  await client.subscribeAsync(`${prefix}/forecast/${stream}`, { qos: 1 });
  await client.publishAsync(`${prefix}/model/desired`, Buffer.from(await fleet.publish(NEW)), { qos: 1, retain: true });
  let sending = true;
  const sender = (async () => {
    for (let ts = Date.UTC(2021, 0, 1); sending; ts += minute) {
      await client.publishAsync(`${prefix}/in/${stream}`, `{"ts":${ts},"value":1}`, { qos: 1 });
      await pause(READING_EVERY_MS);
    }
  })();

  const anew = (): void => {
    rmSync(stateDir, { recursive: true, force: true });
    cpSync(before, stateDir, { recursive: true });
  };
  /** Lets the device complete the update, and stops it; resolves with what is wrong. */
  const complete = async (env?: Record<string, string>): Promise<string | undefined> => {
    const device = start(env);
    try {
      await until('the new model is committed', () => recordOf(stateDir)?.state === 'committed');
      const from = forecasts.length;
      await until('the new model forecasts', () => forecasts.slice(from).includes(`boiler-naive@${NEW}`));
      return wrongWith(stateDir, [NEW]);
    } catch (error) {
      return `${(error as Error).message}: ${JSON.stringify(recordOf(stateDir))}`;
    } finally {
      await device.kill('SIGTERM');
    }
  };

  anew();
  const undisturbed = await complete({ ND_KILL_COUNT: counted });
  if (undisturbed !== undefined) failures.push(`without a kill: ${undisturbed}`);
  const steps = Number(readFileSync(counted, 'utf8'));
  const offset = createDraws('K2', seed)();
  for (let trial = 0; trial < trials && undisturbed === undefined; trial++) {
    const step = 1 + (Math.floor(((trial + offset) / trials) * steps) % steps);
    anew();
    const device = start({ ND_KILL_AT: String(step) });
    await until('it dies', () => device.ended || recordOf(stateDir)?.state === 'committed').catch(() => undefined);
    await device.kill();
    const wrong = wrongWith(stateDir, [OLD, NEW]) ?? (await complete());
    if (wrong !== undefined) failures.push(`trial ${trial}, killed before step ${step} of ${steps}: ${wrong}`);
  }
  sending = false;
  await sender;
  await client.endAsync(true);
  await fleet.close();
  await broker.close();
  return failures;
}

interface LineState {
  readonly state: string;
  readonly release: number;
  readonly candidate: object | null;
}

function recordOf(stateDir: string): LineState | undefined {
  const sql = new Database(join(stateDir, 'device.db'), { readonly: true });
  try {
    const row = sql.prepare<[string], { v: Buffer }>('SELECT v FROM kv WHERE k = ?').get(`model/${stream}`);
    return row && (JSON.parse(row.v.toString()) as LineState);
  } finally {
    sql.close();
  }
}

function wrongWith(stateDir: string, releases: readonly number[]): string | undefined {
  const slots = openSlots(stateDir);
  const pointer = slots.pointer(stream);
  if (pointer === undefined || slots.read(stream, pointer) === undefined) return 'no slot holds a whole model';
  if (!releases.includes(pointer.release)) return `release ${pointer.release} is pointed to`;
  const trust = join(stateDir, 'trust');
  for (const name of existsSync(trust) ? readdirSync(trust).filter((each) => each.endsWith('.json')) : [])
    JSON.parse(readFileSync(join(trust, name), 'utf8'));
  const sql = new Database(join(stateDir, 'device.db'), { readonly: true });
  const sound = sql.pragma('quick_check(1)', { simple: true }) === 'ok';
  sql.close();
  return sound ? undefined : 'the database is damaged';
}
