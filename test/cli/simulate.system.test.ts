/** `nd simulate` as a user runs it: into a file, and through mosquitto to a device, whose counts must be its ground truth. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installModel, settings, writeSettings } from '../../faults/device.js';
import { createMosquitto, pause, until } from '../../faults/process.js';
import { startDevice } from '../../src/cli/demo/device.js';
import { healthPayload } from '../../src/contracts/payload.js';
import { parseWire } from '../../src/contracts/wire.js';
import type { SimulateResult } from '../../src/cli/commands/simulate.js';
import { findProgram } from '../program.js';
import { jsonOf, nd } from './nd.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-simulate-'));
});
afterAll(() => rmSync(dir, { recursive: true }));
const simulate = (...args: string[]) => nd(['simulate', ...args], { cwd: dir });
const trace = (name: string) =>
  readFileSync(join(dir, name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { at: number; topic: string; payload: string; fault?: string });

test('without faults a trace is the recording, reading by reading', async () => {
  writeFileSync(join(dir, 'boiler.csv'), 'time,value\n2026-01-01T00:00:00Z,1.5\n2026-01-01T00:01:00Z,2.25\n2026-01-01T00:02:00Z,-3\n'); // prettier-ignore
  expect(await simulate('--data', 'boiler.csv', '--out', 'plain.jsonl', '--stream', 'boiler', '--site', 'home')).toMatchObject({ code: 0 }); // prettier-ignore
  const start = Date.UTC(2026, 0, 1);
  expect(trace('plain.jsonl')).toEqual(
    [1.5, 2.25, -3].map((value, seq) => ({
      at: start + seq * 60_000,
      topic: 'neuro-divergent/home/device/in/boiler',
      payload: JSON.stringify({ ts: start + seq * 60_000, value, seq }),
    })),
  );
});

test('the same seed gives the same bytes, and the report counts what is in the trace', async () => {
  const many = ['--devices', '2', '--sensors', '3', '--faults', 'all:0.02', '--duration', '2d', '--json'];
  const [one, two, other] = await Promise.all([
    simulate('--out', 'one.jsonl', ...many),
    simulate('--out', 'two.jsonl', ...many),
    simulate('--out', 'other.jsonl', '--seed', '2', ...many),
  ]);
  expect([one.code, two.code, other.code]).toEqual([0, 0, 0]);
  const bytes = (name: string): Buffer => readFileSync(join(dir, name));
  expect(bytes('two.jsonl').equals(bytes('one.jsonl'))).toBe(true);
  expect(bytes('other.jsonl').equals(bytes('one.jsonl'))).toBe(false);

  const { messages, faults } = jsonOf(one) as unknown as SimulateResult;
  const lines = trace('one.jsonl');
  expect(lines).toHaveLength(messages);
  expect(new Set(lines.map(({ topic }) => topic)).size).toBe(6);
  for (const [name, count] of Object.entries(faults))
    if (!['gap', 'outage'].includes(name)) expect(lines.filter(({ fault }) => fault === name)).toHaveLength(count);
});

test.each([
  [[], 2, /--broker URL and --out FILE.*ND_CLI_USAGE/],
  [['--out', 'x', '--broker', 'mqtt://127.0.0.1'], 2, /ND_CLI_USAGE/],
  [['--out', '-', '--json'], 2, /ND_CLI_USAGE/],
  [['--out', 'x', '--sensors', '0'], 2, /ND_CLI_USAGE/],
  [['--out', 'x', '--preset', 'constructor'], 2, /native, tasmota.*ND_CLI_USAGE/],
  [['--out', 'x', '--speed', '0'], 2, /above 0/],
  [['--out', 'x', '--duration', '1 week'], 2, /duration such as/],
  [['--out', 'x', '--start', 'now'], 2, /time such as/],
  [['--out', 'x', '--faults', 'lates'], 4, /ND_CONFIG_OUT_OF_RANGE/],
  [['--out', 'x', '--device', 'a/b'], 4, /ND_CONFIG_OUT_OF_RANGE/],
  [['--out', 'no/x'], 7, /ND_FILE_NOT_FOUND/],
  [['--data', 'no.csv', '--out', 'x'], 7, /ND_FILE_NOT_FOUND/],
])('nd simulate %s is refused with code %d', async (args, code, message) => {
  const ended = await simulate(...args);
  const text = args.includes('--json') ? ended.stdout : ended.stderr;
  expect(text).toMatch(message);
  expect(ended.code).toBe(code);
});

const mosquitto = findProgram('mosquitto');

test.skipIf(mosquitto === undefined)(
  'what a device counts as stored, late and duplicate is exactly what was done to its sensors',
  async () => {
    const streams = ['sensor1', 'sensor2', 'sensor3', 'sensor4'];
    const stateDir = join(dir, 'state');
    mkdirSync(stateDir);
    await installModel(stateDir, streams);
    const broker = await createMosquitto(join(dir, 'broker'));
    await broker.start();
    const config = { retention_days: 10_000, streams: Object.fromEntries(streams.map((name) => [name, {}])) };
    const device = startDevice(
      writeSettings(dir, settings(stateDir, broker.url, config)),
      resolve('dist/device/nd-device.js'),
    );
    try {
      await device.first('link'); // its session holds from now on
      const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
      const replies: Uint8Array[] = [];
      client.on('message', (_, payload) => void replies.push(payload));
      await client.subscribeAsync('neuro-divergent/plant1/pi7/reply/status', { qos: 1 });
      const health = async () => {
        const before = replies.length;
        await client.publishAsync('neuro-divergent/plant1/pi7/cmd/status', '{}', { qos: 1 });
        await until('the device answers', () => replies.length > before);
        const parsed = parseWire(healthPayload, replies.at(-1)!, 1e6);
        if (!parsed.ok) throw new Error(parsed.detail);
        return parsed.value;
      };

      writeMinutes(join(dir, 'minutes.csv'));
      const ended = await simulate('--data', 'minutes.csv', '--broker', broker.url, '--speed', 'max', '--sensors', '4', '--site', 'plant1', '--device', 'pi7', '--faults', 'all,duplicate:0.05,late:0.02,outage:0.05,drift:0.05,spike:0.01', '--seed', '5', '--json'); // prettier-ignore
      expect(ended.code, ended.stderr).toBe(0);
      const { readings, messages, faults, resent } = jsonOf(ended) as unknown as SimulateResult;
      expect(resent).toBe(0);
      expect(readings).toBe(4 * 1200);
      expect(Object.keys(faults)).toHaveLength(9);

      const late = faults['late']! + faults['clock-step']!;
      const duplicates = faults['duplicate']!;
      const expected = { samples: messages - late - duplicates, late, duplicates, rejected: {} };
      let seen = await health();
      await until('all has arrived', async () => {
        seen = await health();
        return seen.samples + seen.late! + seen.duplicates! >= messages;
      });
      await pause(200);
      seen = await health();
      const { samples, rejected } = seen;
      expect({ samples, late: seen.late, duplicates: seen.duplicates, rejected }).toEqual(expected);
      await client.endAsync(true);
    } finally {
      await device.stop();
      await broker.kill();
    }
  },
);

/** A part of the shipped machine, as if it had been read once a minute: the step of the test model. */
function writeMinutes(path: string): void {
  const [header, ...rows] = readFileSync('examples/data/machine_temperature_system_failure.csv', 'utf8').trimEnd().split('\n'); // prettier-ignore
  const start = Date.UTC(2026, 0, 1);
  const lines = rows.slice(0, 1200).map((row, i) => `${new Date(start + i * 60_000).toISOString()},${row.split(',')[1]}`); // prettier-ignore
  writeFileSync(path, `${header}\n${lines.join('\n')}\n`);
}
