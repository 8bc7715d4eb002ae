/** `nd demo`: the main job, start to end, on a real sensor. Read it top to bottom. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createOrtEngine } from '../../engine/ort.js';
import { renderReport } from '../../evaluate/report.js';
import { compress, packModel } from '../ship.js';
import { formatBytes, formatChange, formatPercent, type Terminal } from '../terminal.js';
import { createCleanup } from './cleanup.js';
import { startDevice } from './device.js';
import { device, pushModel, raiseFleet } from './fleet.js';
import { learn, naiveError } from './learn.js';
import { judgeOutcome } from './outcome.js';
import { joinWorld, replay, type Series } from './replay.js';
import { demoReport } from './report.js';
import { loadScenario, type ScenarioName } from './scenario.js';

export interface DemoOptions {
  readonly series: ScenarioName;
  readonly report: string;
  readonly seed: number;
}

/** What `nd demo --json` prints. */
export interface DemoResult {
  readonly models: readonly { readonly name: string; readonly mae: number; readonly seasonalNaiveMae: number }[];
  readonly int8: { readonly model: string; readonly sizeRatio: number; readonly maeLoss: number };
  readonly messages: number;
  readonly forecasts: number;
  readonly alerts: {
    readonly opened: number;
    readonly resolved: number;
    readonly labelledWindows: number;
    readonly windowsHit: number;
  };
  readonly forecastMae: number;
  readonly coverage: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  readonly coldStartMs: number;
  readonly rssMb: number;
  readonly seconds: number;
  readonly report: string;
}

const weekMs = 7 * 86_400_000;

export async function runDemo(
  { series, report, seed }: DemoOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<DemoResult> {
  const startedAt = performance.now();
  const cleanup = createCleanup();
  const dir = mkdtempSync(join(tmpdir(), 'nd-demo-'));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  try {
    const scenario = loadScenario(series);
    const { stream, unit, windows } = scenario;
    const engine = createOrtEngine();

    terminal.say(`1  Learn the ${scenario.title} from the time before its first failure`);
    const learned = await learn(scenario, { seed, terminal, signal });
    const { best, frame } = learned;

    terminal.say(`2  Quantize ${best.name} to INT8`);
    const compressed = await compress(best, {
      engine,
      to: 'int8',
      calibration: learned.train,
      validation: learned.validation,
    });
    const { report: int8, latency } = compressed;
    terminal.say(
      `  FP32 ${formatBytes(int8.fp32Bytes)}, ${Math.round(latency.fp32.p50Us)} µs a window; INT8 ${formatBytes(int8.sizeBytes)}, ${Math.round(latency.small.p50Us)} µs;` +
        ` ${formatPercent(int8.sizeRatio, 0)} of the size, error ${formatChange(int8.maeLoss)}\n`,
    );

    terminal.say('3  Pack it, sign it, and start a broker and a device');
    const { bundle } = await packModel({
      dir: join(dir, 'bundle'),
      line: stream,
      release: 1,
      models: { int8: compressed.model },
      model: best,
      heldOut: learned.test,
      dataset: scenario.title,
      unit,
      createdMs: Date.now(),
      engine,
    });
    const fleet = await raiseFleet(dir, bundle.dir, scenario, cleanup);
    const world = await joinWorld(fleet.brokerUrl, device, signal);
    cleanup.add(() => world.close());
    const running = startDevice(fleet.configPath);
    cleanup.add(() => running.stop());
    await running.first('running');
    await pushModel(world.link, fleet, stream, Date.now());
    await running.first('model-active');
    terminal.say(
      `  ${stream} release ${fleet.published.release} pushed, downloaded, verified, tested with its golden vectors, active\n`,
    );

    terminal.say('4  Replay the sensor, faster than real time');
    const shift = shiftOf(frame.time);
    const readings = readingsAfter(frame, learned.validation.time[scenario.inputLength]!, shift);
    const bar = terminal.progress('readings', readings.time.length);
    const messages = await replay(world, device, stream, readings, {
      signal,
      onProgress: (sent) =>
        bar.update(sent, `${world.heard.forecasts.length} forecasts, ${world.heard.events.length} alert events`),
    });
    const last = readings.time[readings.time.length - 1]!;
    await world.until(
      ({ forecasts }) => (forecasts.at(-1)?.start ?? 0) > last - 3 * scenario.cadenceMs,
      'the last forecast',
      60_000,
    );
    await settle(world.heard.forecasts);
    bar.done(
      `${messages} sent, ${world.heard.forecasts.length} forecasts and ${world.heard.events.length} alert events heard`,
    );

    terminal.say('  the device is stopped and started again, to see how fast it is back');
    await world.until(({ health }) => health !== undefined, 'a health message', 10_000);
    const rssMb = world.heard.health!.rssMb;
    await running.stop();
    const again = startDevice(fleet.configPath);
    cleanup.add(() => again.stop());
    const coldStartMs = await again.millisecondsTo('first-forecast');
    await again.stop();

    const outcome = judgeOutcome(
      world.heard.forecasts,
      world.heard.events,
      windows.map(([from, to]) => [from + shift, to + shift] as const),
      readings,
    );
    const result: DemoResult = {
      models: learned.rows
        .filter(({ name }) => learned.models.some((model) => model.name === name))
        .map(({ name, mae }) => ({ name, mae, seasonalNaiveMae: naiveError(learned) })),
      int8: { model: best.name, sizeRatio: int8.sizeRatio, maeLoss: int8.maeLoss },
      messages,
      forecasts: world.heard.forecasts.length,
      alerts: {
        opened: outcome.alerts.length,
        resolved: outcome.alerts.filter(({ endedMs }) => endedMs !== null).length,
        labelledWindows: windows.length,
        windowsHit: outcome.windowsHit,
      },
      forecastMae: outcome.forecastMae,
      coverage: outcome.coverage,
      latencyMs: outcome.latencyMs,
      coldStartMs,
      rssMb,
      seconds: (performance.now() - startedAt) / 1000,
      report: resolve(report),
    };
    writeFileSync(
      report,
      renderReport(demoReport({ scenario, learned, compressed, readings, shift, heard: world.heard, outcome, result })),
    );
    return result;
  } finally {
    await cleanup.run();
  }
}

/** Whole weeks that bring the last reading close to now: a device refuses readings that are years old. */
const shiftOf = (time: ArrayLike<number>): number =>
  Math.floor((Date.now() - time[time.length - 1]!) / weekMs) * weekMs;

/** What the sensor really sent from a moment on, moved by `shift`. */
function readingsAfter(
  { time, columns, available }: { time: Float64Array; columns: { target: Float32Array }; available: Uint8Array },
  from: number,
  shift: number,
): Series {
  const rows = [...time.keys()].filter((row) => time[row]! >= from && available[row] === 1);
  return { time: rows.map((row) => time[row]! + shift), value: rows.map((row) => columns.target[row]!) };
}

/** Waits until nothing more arrives. */
async function settle(list: readonly unknown[]): Promise<void> {
  for (let before = -1; before !== list.length;) {
    before = list.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
