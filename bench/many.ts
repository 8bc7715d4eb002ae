/**
 * A hundred streams, a reading a second each, a forecast every ten: time from the reading that closes a bucket to its
 * forecast at a listener, processor and memory. All streams speak at the same moment, which is the worst of it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { assign } from '../src/bundle/assign.js';
import { createCleanup } from '../src/cli/demo/cleanup.js';
import { startDevice } from '../src/cli/demo/device.js';
import { device, raiseFleet } from '../src/cli/demo/fleet.js';
import { createTopics } from '../src/contracts/topic.js';
import { connectMqtt } from '../src/transport/mqtt.js';
import { cpuMsOf, inputLength, memoryOf, packUntrained, scenario, valueAt, type DeviceRow } from './device.js';
import { percentile } from './statistics.js';

const cadenceMs = 10_000;
const patienceMs = 60_000;

/** Needs `npm run build` before. */
export async function benchMany({ streams = 100, seconds = 120, warmUpSeconds = 30 } = {}): Promise<{
  rows: DeviceRow[];
}> {
  const cleanup = createCleanup();
  const dir = mkdtempSync(join(tmpdir(), 'nd-many-'));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  const topics = createTopics(device);
  const names = Array.from({ length: streams }, (_, i) => `s${i}`);
  try {
    const bundle = await packUntrained(join(dir, 'bundle'), cadenceMs);
    const fleet = await raiseFleet(dir, bundle, { ...scenario, cadenceMs }, cleanup);
    const config = JSON.parse(readFileSync(fleet.configPath, 'utf8')) as Record<string, unknown>;
    const settings = Object.fromEntries(names.map((name) => [name, { lateness: 0 }]));
    writeFileSync(fleet.configPath, JSON.stringify({ ...config, streams: settings }));

    /** By stream, then by start of the forecast: when the reading was sent that closed the bucket before. */
    const sentAt = new Map(names.map((name) => [name, new Map<number, number>()]));
    const delays: number[] = [];
    let measuring = false;
    let forecasts = 0;
    const link = connectMqtt({
      url: fleet.brokerUrl,
      clientId: 'nd-bench-many',
      subscriptions: [{ filter: `${topics.prefix}/forecast/+` }],
      onMessage: ({ topic, payload }) => {
        forecasts++;
        const { start } = JSON.parse(Buffer.from(payload).toString()) as { start: number };
        const sent = sentAt.get(topic.split('/').at(-1)!)?.get(start);
        if (sent !== undefined && measuring) delays.push(performance.now() - sent);
      },
      onLink: () => undefined,
    });
    cleanup.add(() => link.close());

    const running = startDevice(fleet.configPath, resolve('dist/device/nd-device.js'));
    cleanup.add(() => running.stop());
    await running.first('running');
    const { line } = fleet.published;
    const { envelope } = await assign({ ...device, dir: join(dir, 'repository'), line, streams: names, mode: 'active', lifetimeDays: 1 }); // prettier-ignore
    await link.publish(topics.desired, envelope, { retain: true });
    await running.first('model-active');

    const firstMs = (Math.floor(Date.now() / cadenceMs) - inputLength - 4) * cadenceMs;
    const past = Array.from({ length: inputLength + 4 }, (_, i) => [firstMs + i * cadenceMs, valueAt(i)]);
    for (const name of names) await link.publish(topics.in(name), JSON.stringify({ samples: past }));
    for (const began = performance.now(); forecasts < streams; await sleep(50))
      if (performance.now() - began > patienceMs) throw new Error(`${forecasts} of ${streams} streams forecast.`);

    let before = { cpuMs: 0, at: 0, rssMb: 0 };
    for (let second = -warmUpSeconds; second < seconds; second++) {
      const began = performance.now();
      if (second === 0) {
        before = { cpuMs: cpuMsOf(running.pid), at: began, rssMb: memoryOf(running.pid).rssMb };
        measuring = true;
      }
      const ts = Date.now();
      for (const name of names) {
        const start = Math.floor(ts / cadenceMs) * cadenceMs;
        const sent = sentAt.get(name)!;
        if (!sent.has(start)) sent.set(start, performance.now());
        void link.publish(topics.in(name), JSON.stringify({ ts, value: valueAt(second) }));
      }
      await sleep(1000 - (performance.now() - began));
    }
    const cpu = (cpuMsOf(running.pid) - before.cpuMs) / (performance.now() - before.at);
    const { rssMb } = memoryOf(running.pid);
    const row = (what: string, unit: DeviceRow['unit'], value: number, target: number | null): DeviceRow => ({ what, unit, value: Number(value.toFixed(2)), target }); // prettier-ignore
    return {
      rows: [
        row(`sample to forecast, p50 of ${delays.length}`, 'ms', percentile(delays, 0.5), null),
        row(`sample to forecast, p99 of ${delays.length}`, 'ms', percentile(delays, 0.99), 250),
        row('processor, share of one core', '%', 100 * cpu, 50),
        row('memory', 'MB', rssMb, 115),
        row(`memory, more than ${seconds} s before`, 'MB', rssMb - before.rssMb, 2),
      ],
    };
  } finally {
    await cleanup.run();
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolved) => setTimeout(resolved, Math.max(0, ms)));
