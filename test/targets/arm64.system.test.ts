/** The ARM64 package as a board gets it: built, installed, and run under emulation from a sensor's message to forecast and alert. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readBundle } from '../../src/bundle/pack.js';
import { openSlots } from '../../src/runtime/slots.js';
import { startBroker } from '../../src/transport/broker.js';
import { connectMqtt } from '../../src/transport/mqtt.js';
import { example, nd } from '../cli/nd.js';

const able =
  spawnSync('qemu-aarch64-static', ['--version']).status === 0 &&
  spawnSync('aarch64-linux-gnu-g++', ['--version']).status === 0 &&
  spawnSync('dpkg-deb', ['--version']).status === 0;
const hour = 3_600_000;
const emulate = resolve('targets/arm64/emulate.sh');

let dir: string;
let app: string;
let deb: string;
const bundle = (): string => join(dir, 'bundle');

beforeAll(async () => {
  if (!able) return;
  dir = mkdtempSync(join(tmpdir(), 'nd-arm64-'));
  execFileSync('bash', ['targets/package.sh', 'arm64', join(dir, 'packages')], { stdio: 'pipe' });
  const files = readdirSync(join(dir, 'packages'));
  const path = (end: string): string =>
    join(
      dir,
      'packages',
      files.find((name) => name.endsWith(end))!,
    );
  deb = path('.deb');
  execFileSync('tar', ['-xzf', path('.tar.gz'), '-C', dir]);
  app = join(dir, 'neuro-divergent');
  for (const file of [path('.tar.gz'), deb]) expect(statSync(file).size).toBeLessThan(20e6);

  const data = ['--data', example, '--fill-gaps', 'linear'];
  const trained = await nd(['train', ...data, '--out', 'office', '--model', 'nhits', '--horizon', '6', '--max-steps', '40', '--batch', '32', '--set', 'nhits.hidden=[64,64]'], { cwd: dir }); // prettier-ignore
  expect(trained.code, trained.stderr).toBe(0);
  const packed = await nd(['pack', 'office', ...data, '--line', 'office', '--out', 'bundle', '--precisions', 'int8,fp32', '--max-loss', '1'], { cwd: dir }); // prettier-ignore
  expect(packed.code, packed.stderr).toBe(0);
}, 600_000);
afterAll(() => {
  if (able) rmSync(dir, { recursive: true });
});

test.skipIf(!able).each(['pi3', 'pi4', 'pi5'])(
  'both native modules load and a model runs on an emulated %s (needs qemu-user-static, g++-aarch64-linux-gnu, dpkg)',
  (board) => {
    const script = ['targets/arm64/smoke.mjs', app, join(bundle(), 'model.int8.onnx')];
    const said = execFileSync('bash', [emulate, '--board', board, ...script], { encoding: 'utf8' });
    expect(said).toMatch(/^arm64, Node v?20\.\d+\.\d+, SQLite 3\.5/);
    expect(said).toMatch(/forecast \[1,6(,1)?\] -?\d+\.\d+ /);
  },
  120_000,
);

interface Forecast {
  readonly start: number;
  readonly p50: number[];
  readonly lo: number[];
}

/** What a device says of 160 hours of readings, of which the last three are far off. */
async function replay(name: string, command: readonly string[]) {
  const broker = await startBroker();
  onTestFinished(() => broker.close());
  const stateDir = join(dir, name);
  const slots = openSlots(stateDir);
  const {
    manifest: { line, release },
    manifestSha256,
  } = await readBundle(bundle());
  mkdirSync(slots.dir(line, 'a'), { recursive: true });
  cpSync(bundle(), slots.dir(line, 'a'), { recursive: true });
  slots.point(line, { slot: 'a', release, manifestSha256, streams: ['office'], arm: null, previous: null });
  const config = join(dir, `${name}.json`);
  writeFileSync(
    config,
    JSON.stringify({
      site: 's',
      device: 'd',
      state_dir: stateDir,
      clock: 'trusted',
      mqtt: { url: broker.url },
      http: { port: null },
      streams: { office: { lateness: 0 } },
      alerts: { threshold: 0.05, ring_minimum: 20, open_count: 1, clear_threshold: 0.06 },
    }),
  );
  const forecasts = new Map<number, Forecast>();
  const alerts: { event: string; started: number }[] = [];
  let online = false;
  const ear = connectMqtt({
    url: broker.url,
    clientId: 'ear',
    subscriptions: [{ filter: 'neuro-divergent/s/d/#' }],
    onMessage: ({ topic, payload }) => {
      const text = Buffer.from(payload).toString();
      if (topic.endsWith('/status')) online = (JSON.parse(text) as { state: string }).state === 'online';
      if (topic.includes('/forecast/')) {
        const forecast = JSON.parse(text) as Forecast;
        forecasts.set(forecast.start, forecast);
      }
      if (topic.includes('/event/')) alerts.push(JSON.parse(text) as (typeof alerts)[number]);
    },
    onLink: () => undefined,
  });
  onTestFinished(() => ear.close());
  const child = spawn(command[0]!, [...command.slice(1), config], { stdio: ['ignore', 'ignore', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await expect.poll(() => online, { timeout: 60_000 }).toBe(true);
  const value = (i: number): number => 70 + 4 * Math.sin(i / 4) + ((i * 7919) % 13) / 10 + (i < 157 ? 0 : 40);
  const first = firstHour;
  for (let i = 0; i < 160; i++)
    await ear.publish('neuro-divergent/s/d/in/office', JSON.stringify({ ts: first + i * hour, value: value(i) }));
  const last = first + 159 * hour;
  await expect.poll(() => [...forecasts.keys()].some((start) => start >= last), { timeout: 60_000 }).toBe(true);
  await expect.poll(() => alerts.map(({ event }) => event), { timeout: 60_000 }).toContain('opened');
  child.kill('SIGTERM');
  await new Promise((ended) => child.once('close', ended));
  return { forecasts, alerts };
}
const firstHour = Math.floor(Date.now() / hour) * hour - 200 * hour;

test.skipIf(!able)(
  'the packaged device under an emulated Cortex-A72 forecasts and alerts as on x86-64, within the tolerance of the bundle',
  async () => {
    const here = await replay('x86', [process.execPath, join(resolve('dist/device'), 'nd-device.js')]);
    const there = await replay('arm', ['bash', emulate, '--board', 'pi4', join(app, 'nd-device.js')]);
    const { golden } = (await readBundle(bundle())).manifest;
    const shared = [...here.forecasts.values()].filter(({ start }) => there.forecasts.has(start));
    expect(shared.length).toBeGreaterThan(50);
    for (const { start, p50 } of shared) {
      const theirs = there.forecasts.get(start)!.p50;
      const scale = Math.max(...p50.map(Math.abs));
      for (const [step, expected] of p50.entries())
        expect(Math.abs(theirs[step]! - expected) / scale, `step ${step} of ${start}`).toBeLessThanOrEqual(
          golden.tolerance.int8!,
        );
    }
    expect(there.alerts.map(({ event, started }) => [event, started])).toEqual(here.alerts.map(({ event, started }) => [event, started])); // prettier-ignore
  },
  300_000,
);

describe.skipIf(!able)('the Debian package, in a root of its own', () => {
  test('installs what the unit names, keeps a configuration that was edited, and leaves nothing when purged', () => {
    const root = join(dir, 'root');
    for (const folder of ['info', 'updates', 'triggers']) mkdirSync(join(root, 'var/lib/dpkg', folder), { recursive: true }); // prettier-ignore
    writeFileSync(join(root, 'var/lib/dpkg/status'), '');
    const dpkg = (...args: string[]): string =>
      execFileSync('dpkg', [`--root=${root}`, '--force-depends', '--force-architecture', '--force-script-chrootless', '--force-not-root', ...args], { encoding: 'utf8', stdio: 'pipe', env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } }); // prettier-ignore
    expect(dpkg('--install', deb)).toContain('config.yaml');
    const unit = readFileSync(join(root, 'usr/lib/systemd/system/neuro-divergent.service'), 'utf8');
    const [, program, config] = /^ExecStart=\S+ .*?(\/\S+\.js) (\S+)$/m.exec(unit)!;
    expect(existsSync(join(root, program!))).toBe(true);
    const edited = 'site: mine\ndevice: d\nstate_dir: .\nmqtt: { url: mqtt://127.0.0.1 }\n';
    writeFileSync(join(root, config!), edited);
    dpkg('--install', deb);
    expect(readFileSync(join(root, config!), 'utf8')).toBe(edited);
    dpkg('--remove', 'neuro-divergent-device');
    expect(existsSync(join(root, program!))).toBe(false);
    expect(existsSync(join(root, config!))).toBe(true);
    mkdirSync(join(root, 'var/lib/neuro-divergent'));
    dpkg('--purge', 'neuro-divergent-device');
    for (const path of [
      'opt/neuro-divergent',
      'etc/neuro-divergent',
      'var/lib/neuro-divergent',
      'usr/lib/systemd/system/neuro-divergent.service',
    ])
      // prettier-ignore
      expect(existsSync(join(root, path)), path).toBe(false);
  });
});
