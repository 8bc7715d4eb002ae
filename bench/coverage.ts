/**
 * Do the intervals of a device hold what they promise? A small N-HiTS is trained and packed as always, and the rest of
 * each series is replayed through the device's own lane, which widens and narrows its intervals by what it sees.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportOnnx, Forecaster, nhits } from '../src/index.js';
import type { TimeSeriesFrame } from '../src/index.js';
import { holdOut, packModel } from '../src/cli/ship.js';
import { rowsOf } from '../src/data/frame.js';
import { createOrtEngine } from '../src/engine/ort.js';
import { alertSettings } from '../src/contracts/config.js';
import { readWire } from '../src/contracts/wire.js';
import { chooseTarget, createForecaster } from '../src/runtime/forecaster.js';
import { createLane } from '../src/runtime/lane.js';
import type { LaneSettings } from '../src/runtime/lane.js';
import { seriesSettings } from '../src/runtime/series.js';
import { onGrid, readEtt, readM4, readNab } from './data.js';
import { rounded } from './statistics.js';

const [inputLength, horizon] = [96, 24];
const promised = 0.9;
/** Of each series, the newest part is replayed, that before it calibrates. */
const replayedShare = 0.4;
const calibratedShare = 0.2;
const trainingSteps = 300;
/** Forecasts at a device are not judged before it has seen so many. */
const warmUp = 300;

const datasets: Readonly<Record<string, () => readonly TimeSeriesFrame[]>> = {
  ETTh1: () => [readEtt()],
  'M4 Hourly': () => [hourly(readM4(50))],
  NAB: readNab,
};

const valuesOf = (frame: TimeSeriesFrame, i: number): number[] =>
  Array.from(frame.columns['target'].subarray(rowsOf(frame, i).from, rowsOf(frame, i).to));

const hourly = (frame: TimeSeriesFrame): TimeSeriesFrame =>
  onGrid(frame.ids, frame.ids.map((_, i) => valuesOf(frame, i)), 3_600_000); // prettier-ignore

export interface CoverageRow {
  readonly dataset: string;
  readonly series: number;
  /** Values that were held against an interval. */
  readonly values: number;
  /** Share of them inside, one step ahead and over the horizon; the aim is 0.9, within 0.02. */
  readonly oneAhead: number;
  readonly overHorizon: number;
  /** Over the horizon, by the bundle's own interval, which does not learn. */
  readonly asPacked: number;
}

interface Tally {
  values: number;
  readonly inside: { one: number; all: number; packed: number };
  ones: number;
  series: number;
}

/** All data sets, or those named. */
export async function benchCoverage({
  seed = 1,
  only,
}: { seed?: number; only?: readonly string[] | undefined } = {}): Promise<{ rows: CoverageRow[]; aim: string }> {
  const rows: CoverageRow[] = [];
  for (const [dataset, read] of Object.entries(datasets)) {
    if (only?.includes(dataset) === false) continue;
    const tally: Tally = { values: 0, ones: 0, series: 0, inside: { one: 0, all: 0, packed: 0 } };
    for (const frame of read()) await measure(frame, seed, tally);
    const { values, ones, series, inside } = tally;
    rows.push({
      dataset,
      series,
      values,
      oneAhead: rounded(inside.one / ones),
      overHorizon: rounded(inside.all / values),
      asPacked: rounded(inside.packed / values),
    });
    console.error(JSON.stringify(rows.at(-1)));
  }
  return { rows, aim: '0.9 within 0.02' };
}

async function measure(frame: TimeSeriesFrame, seed: number, tally: Tally): Promise<void> {
  const lengths = frame.ids.map((_, i) => rowsOf(frame, i).to - rowsOf(frame, i).from);
  const shortest = Math.min(...lengths);
  const replayed = Math.floor(replayedShare * shortest);
  const calibrated = Math.floor(calibratedShare * shortest);
  const { rest: before } = holdOut(frame, replayed, inputLength);
  const { held } = holdOut(before, calibrated, inputLength);
  const forecaster = new Forecaster({ models: [nhits({ inputLength, horizon })], train: { maxSteps: trainingSteps }, seed }); // prettier-ignore
  await forecaster.fit(before, { validationSize: calibrated });
  const model = forecaster.models[0]!;

  const dir = mkdtempSync(join(tmpdir(), 'nd-coverage-'));
  const engine = createOrtEngine();
  try {
    const models = { fp32: exportOnnx(model) };
    const { bundle } = await packModel({ dir, line: 'bench', release: 1, models, unit: null, createdMs: 0, model, heldOut: held, dataset: 'bench', engine }); // prettier-ignore
    const choice = chooseTarget(bundle.manifest, { arch: process.arch, providers: ['cpu'] })!;
    const served = await createForecaster(engine, choice, readFileSync(join(dir, choice.modelFile)));
    for (const [i] of frame.ids.entries()) {
      replay(valuesOf(frame, i), lengths[i]! - replayed, served, tally);
    }
    served.close();
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The readings of one series, a bucket each; what comes from `begin` on is held against the intervals. */
function replay(values: readonly number[], begin: number, served: LaneSettings['forecaster'], tally: Tally): void {
  const defaults = readWire(alertSettings, {});
  if (!defaults.ok) throw new Error('the defaults are no settings');
  const alerts = defaults.value;
  const { manifest } = served;
  const series = seriesSettings(manifest, { maxGap: 3, latenessMs: 0, holdMs: null });
  const lane = createLane({
    forecaster: served,
    monotonicMs: () => 0,
    series,
    calibration: { ...alerts, coverage: promised },
    rules: { ...alerts, threshold: manifest.thresholds.anomalyP },
    subject: { key: 'bench', stream: 'bench', detector: alerts.method, model: 'bench', newId: () => 'bench' },
    unit: null,
  } as unknown as LaneSettings);

  tally.series++;
  let judged = 0;
  for (const [i, value] of values.entries()) {
    lane.add(i * series.cadenceMs, value);
    for (let step = lane.step(); step !== undefined; step = lane.step()) {
      const { forecast } = step.run();
      const interval = forecast && lane.interval(forecast);
      const at = forecast === undefined ? 0 : Math.round(forecast.startMs / series.cadenceMs);
      if (interval === undefined || at < begin || at + horizon > values.length || judged++ < Math.min(warmUp, begin))
        continue;
      for (let lead = 0; lead < horizon; lead++) {
        const truth = values[at + lead]!;
        const isInside = truth >= interval.lo[lead]! && truth <= interval.hi[lead]!;
        const asPacked = Math.abs(truth - forecast!.p50[lead]!) <= forecast!.halfWidth[lead]!;
        tally.values++;
        if (isInside) tally.inside.all++;
        if (asPacked) tally.inside.packed++;
        if (lead > 0) continue;
        tally.ones++;
        if (isInside) tally.inside.one++;
      }
    }
  }
}
