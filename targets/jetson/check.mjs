/**
 * What a machine with a graphics card must show, one line each: which providers compute, that every file of a bundle gives its
 * golden vectors on them and how fast, and that a device forecasts on the best one from a message to the forecast.
 *
 *     node targets/jetson/check.mjs BUNDLE…        (folders of `nd pack --device jetson-orin`, after `npm run build`)
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { readBundle } from '../../dist/bundle/pack.js';
import { createOrtEngine, usableProviders } from '../../dist/engine/ort.js';
import { createSystemClock } from '../../dist/runtime/index.js';
import { openSlots } from '../../dist/runtime/slots.js';
import { runSelfTest } from '../../dist/runtime/self-test.js';
import { chooseTarget } from '../../dist/runtime/forecaster.js';
import { startBroker } from '../../dist/transport/broker.js';
import { connectMqtt } from '../../dist/transport/mqtt.js';

const PATIENCE_MS = 60_000;
const wanted = ['tensorrt', 'cuda', 'cpu'];
const bundles = process.argv.slice(2);
const clock = createSystemClock('trusted');
let failures = 0;
const say = (ok, text) => {
  if (!ok) failures++;
  console.log(`${ok ? '✓' : '✗'} ${text}`);
};

const usable = usableProviders(wanted);
say(
  usable.some((provider) => provider !== 'cpu'),
  `providers that compute here: ${usable.join(', ')}`,
);

for (const dir of bundles) {
  const { manifest: whole } = await readBundle(dir);
  for (const provider of usable) {
    for (const target of whole.targets.filter((one) => one.provider === (provider === 'cpu' ? 'cpu' : 'cuda'))) {
      const manifest = { ...whole, targets: [target] };
      const choice = chooseTarget(manifest, { arch: process.arch, providers: [provider] });
      const { ok, value, refusal } = await runSelfTest({ dir, choice }, createOrtEngine(), clock);
      say(
        ok,
        `${whole.name} ${target.precision} on ${provider}: ` +
          (ok ? `deviation ${value.deviation.toExponential(1)}, p95 ${value.p95Ms.toFixed(2)} ms` : refusal.detail),
      );
    }
  }
}
if (bundles.length > 0) {
  const { provider, forecasts } = await runDevice(resolve(bundles[0]), ['tensorrt', 'cuda', 'cpu'], true);
  say(
    forecasts > 0 && provider !== 'cpu',
    `a device forecasts on ${provider}: ${forecasts} forecasts from 200 readings`,
  );
}
process.exit(failures > 0 ? 1 : 0);

/** A device with the bundle in its slot, a broker and 200 readings; what it says it computes with, and its forecasts. */
async function runDevice(bundle, providers, requireGpu) {
  const dir = mkdtempSync(join(tmpdir(), 'nd-gpu-'));
  const broker = await startBroker();
  const {
    manifest: { line, release, inputs },
    manifestSha256,
  } = await readBundle(bundle);
  const slots = openSlots(dir);
  mkdirSync(join(dir, 'slots', line), { recursive: true });
  cpSync(bundle, slots.dir(line, 'a'), { recursive: true });
  slots.point(line, { slot: 'a', release, manifestSha256, streams: ['sensor'], arm: null, previous: null });
  const config = join(dir, 'device.yaml');
  const engine = { providers, require_gpu: requireGpu };
  writeFileSync(
    config,
    JSON.stringify({
      site: 's',
      device: 'd',
      state_dir: dir,
      clock: 'trusted',
      engine,
      mqtt: { url: broker.url },
      http: { port: null },
    }),
  );
  let provider = 'none';
  let forecasts = 0;
  const listener = connectMqtt({
    url: broker.url,
    clientId: 'listener',
    subscriptions: [{ filter: 'neuro-divergent/s/d/#' }],
    onMessage: ({ topic, payload }) => {
      if (topic.endsWith('/info')) provider = JSON.parse(Buffer.from(payload)).provider;
      if (topic.includes('/forecast/')) forecasts++;
    },
    onLink: () => undefined,
  });
  const child = spawn(process.execPath, [resolve('dist/device/nd-device.js'), config, '--events'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let online = false;
  let ended = false;
  child.once('exit', () => (ended = true));
  createInterface(child.stdout).on('line', (text) => {
    const { event, state } = JSON.parse(text);
    if (event === 'link' && state === 'online') online = true;
  });
  const until = async (holds) => {
    for (const began = Date.now(); !holds() && !ended && Date.now() - began < PATIENCE_MS;)
      await new Promise((done) => setTimeout(done, 20));
  };
  await until(() => online && listener.online);
  const cadenceMs = inputs[0].cadenceMs;
  const first = Math.floor(Date.now() / cadenceMs) * cadenceMs - 200 * cadenceMs;
  for (let i = 0; i < 200 && !ended; i++)
    await listener.publish(
      'neuro-divergent/s/d/in/sensor',
      JSON.stringify({ ts: first + i * cadenceMs, value: 80 + 5 * Math.sin(i / 9) }),
    );
  await until(() => forecasts > 0);
  await new Promise((done) => setTimeout(done, 1000));
  child.kill();
  await listener.close();
  await broker.close();
  rmSync(dir, { recursive: true, force: true });
  return { provider, forecasts };
}
