/** T2: duplicates, late and disordered readings, held against a plain reference that looks at everything again each time. */
import { parseConfig } from '../src/contracts/config.js';
import { createIngest } from '../src/runtime/ingest.js';
import { createMetrics } from '../src/runtime/metrics.js';
import { createSeries } from '../src/runtime/series.js';
import type { Bucket, SeriesSettings } from '../src/runtime/series.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { eachTrial } from './row.js';
import type { FaultRow, Random } from './row.js';

interface Arrival {
  readonly timeMs: number;
  readonly value: number | null;
}

/** Time that goes on without a reading; at `presentMs` the sensor was said to be there. */
interface Pause {
  readonly nowMs: number;
  readonly presentMs: number;
}

/** What an arrival led to. */
interface Step {
  readonly verdict: 'taken' | 'late' | 'duplicate' | 'pause';
  readonly closed: readonly Bucket[];
}

export const disorderedStreams: FaultRow = {
  id: 'T2',
  what: 'streams with duplicates, late and disordered readings against a reference',
  counts: 'mismatches',
  trials: { C: 1000, N: 10_000 },
  run: eachTrial('T2', (random) => {
    const settings: SeriesSettings = {
      cadenceMs: random.pick([1000, 10_000, 60_000]),
      aggregate: random.pick(['mean', 'last', 'sum', 'min', 'max']),
      impute: random.pick(['linear', 'last', 'none']),
      maxGap: random.int(1, 4),
      latenessMs: random.pick([0, 1500, 20_000, 120_000]),
      inputLength: 8,
      holdMs: random.pick([null, null, 20_000, 600_000, 86_400_000]),
    };
    const holds = typeof settings.holdMs === 'number';
    const arrivals = holds ? withPauses(random, settings) : makeArrivals(random, settings.cadenceMs);
    const expected = (holds ? holdingReference(arrivals, settings) : reference(arrivals as Arrival[], settings)).map(
      (step) => JSON.stringify(step),
    );
    const found = device(arrivals, settings).map((step) => JSON.stringify(step));
    const at = expected.findIndex((step, i) => step !== found[i]);
    return at < 0
      ? undefined
      : `reading ${at} with ${JSON.stringify(settings)}: expected ${expected[at]}, found ${found[at]}`;
  }),
};

/** A regular stream, then: some missing, some later than they should be, some twice, some corrected. */
function makeArrivals(random: Random, cadenceMs: number): Arrival[] {
  const startMs = Date.UTC(2026, 0, 1) - 1e9;
  const perBucket = random.pick([0.5, 1, 3]);
  const queue: { at: number; reading: Arrival }[] = [];
  for (let i = 0; i < 120; i++) {
    if (random.chance(0.1)) continue;
    const timeMs = startMs + Math.round((i * cadenceMs) / perBucket) + random.int(0, cadenceMs / 4);
    const reading = { timeMs, value: random.chance(0.05) ? null : random.int(0, 1000) / 8 };
    const at = timeMs + (random.chance(0.2) ? random.int(0, 12 * cadenceMs) : 0);
    queue.push({ at, reading });
    while (random.chance(0.2)) queue.push({ at: at + random.int(0, 8 * cadenceMs), reading });
    if (reading.value !== null && random.chance(0.05))
      queue.push({ at: at + random.int(0, 4 * cadenceMs), reading: { timeMs, value: reading.value + 1 } });
  }
  return queue.sort((a, b) => a.at - b.at).map(({ reading }) => reading);
}

/** Few reports, and time that goes on between them. */
function withPauses(random: Random, { cadenceMs }: SeriesSettings): (Arrival | Pause)[] {
  const reports = makeArrivals(random, cadenceMs).filter(() => random.chance(0.3));
  let nowMs = reports[0]?.timeMs ?? 0;
  return reports.flatMap((report) => {
    nowMs = Math.max(nowMs, report.timeMs);
    const pauses = Array.from({ length: random.int(0, 3) }, () => {
      nowMs += random.int(0, 2 * cadenceMs);
      return { nowMs, presentMs: random.chance(0.2) ? nowMs : -Infinity };
    });
    return [report, ...pauses];
  });
}

function device(arrivals: readonly (Arrival | Pause)[], settings: SeriesSettings): Step[] {
  const config = parseConfig(
    { site: 's', device: 'd', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' }, streams: { boiler: {} } },
    'T2',
  );
  const ingest = createIngest(config, fakeClock(), createMetrics(), { recall: () => [] });
  const series = createSeries(settings);
  const take = ({ timeMs, value }: Arrival): Step['verdict'] => {
    const payload = Buffer.from(JSON.stringify({ ts: timeMs, value }));
    const [reading] = ingest.read('boiler', { payload, retain: false });
    return reading === undefined ? 'duplicate' : series.add(reading.timeMs, reading.value);
  };
  return arrivals.map((arrival) => {
    const verdict = 'nowMs' in arrival ? 'pause' : take(arrival);
    if ('nowMs' in arrival) series.advance(arrival.nowMs, arrival.presentMs);
    const closed: Bucket[] = [];
    for (let bucket = series.close(); bucket !== undefined; bucket = series.close()) closed.push(bucket);
    return { verdict, closed };
  });
}

/**
 * The rules of EDGE.md §4 over two plain lists. A bucket with readings closes at the watermark; an empty one, with the
 * next that has some.
 */
function reference(arrivals: readonly Arrival[], settings: SeriesSettings): Step[] {
  const { cadenceMs, aggregate, impute, maxGap, latenessMs } = settings;
  const startOf = ({ timeMs }: Arrival): number => timeMs - (timeMs % cadenceMs);
  const known: Arrival[] = []; // all that were no duplicates, the late ones too
  const taken: Arrival[] = [];
  let before: Bucket | undefined;
  return arrivals.map((arrival) => {
    if (known.findLast(({ timeMs }) => timeMs === arrival.timeMs)?.value === arrival.value)
      return { verdict: 'duplicate', closed: [] };
    known.push(arrival);
    const isOpen = (each: Arrival): boolean => before === undefined || startOf(each) > before.startMs;
    const late = !isOpen(arrival);
    if (!late) taken.push(arrival);
    const closed: Bucket[] = [];
    const watermark = Math.max(...taken.map(({ timeMs }) => timeMs)) - latenessMs;
    const due = taken.filter((each) => each.value !== null && isOpen(each) && startOf(each) + cadenceMs <= watermark);
    for (const startMs of [...new Set(due.map(startOf))].sort((a, b) => a - b)) {
      const inside = new Map(due.filter((each) => startOf(each) === startMs).map((each) => [each.timeMs, each.value!]));
      const values = [...inside].sort(([a], [b]) => a - b).map(([, value]) => value);
      const sum = values.reduce((a, b) => a + b, 0);
      const [min, max, last] = [Math.min(...values), Math.max(...values), values.at(-1)!];
      const value = { mean: sum / values.length, sum, min, max, last }[aggregate];
      const gap = before === undefined ? 0 : (startMs - before.startMs) / cadenceMs - 1;
      for (let step = 1; before !== undefined && impute !== 'none' && gap <= maxGap && step <= gap; step++) {
        const guess = impute === 'last' ? before.value : before.value + (step / (gap + 1)) * (value - before.value);
        closed.push({ startMs: before.startMs + step * cadenceMs, value: guess, imputed: true });
      }
      before = { startMs, value, imputed: false };
      closed.push(before);
    }
    return { verdict: late ? 'late' : 'taken', closed };
  });
}

/**
 * The same for a stream that reports when its value changes. Step by step through the grid: a bucket closes when all before
 * it are closed or nothing is known of them, and something is known of it.
 */
function holdingReference(arrivals: readonly (Arrival | Pause)[], settings: SeriesSettings): Step[] {
  const { cadenceMs, aggregate, latenessMs } = settings;
  const known: Arrival[] = [];
  const taken: Arrival[] = [];
  let newestMs = -Infinity;
  let presentMs = -Infinity;
  let closedUntilMs = -Infinity;
  return arrivals.map((arrival) => {
    let verdict: Step['verdict'] = 'pause';
    if ('nowMs' in arrival) {
      newestMs = Math.max(newestMs, arrival.nowMs);
      presentMs = Math.max(presentMs, arrival.presentMs);
    } else {
      if (known.findLast(({ timeMs }) => timeMs === arrival.timeMs)?.value === arrival.value)
        return { verdict: 'duplicate', closed: [] };
      known.push(arrival);
      verdict = arrival.timeMs < closedUntilMs ? 'late' : 'taken';
      if (verdict === 'taken') {
        taken.push(arrival);
        newestMs = Math.max(newestMs, arrival.timeMs);
      }
    }
    const closed: Bucket[] = [];
    const first = Math.min(...taken.map(({ timeMs }) => timeMs - (timeMs % cadenceMs)));
    for (let start = Math.max(closedUntilMs, first); start + cadenceMs <= newestMs - latenessMs; start += cadenceMs) {
      // The value at each moment: that of the newest report until then, where there is one and it has not run out.
      const reports = [...new Map(taken.map((each) => [each.timeMs, each.value]))].sort(([a], [b]) => a - b);
      const last = reports.findLast(([timeMs]) => timeMs < start);
      const holds = last !== undefined && start < Math.max(last[0], presentMs) + settings.holdMs!;
      const inside = reports.filter(([timeMs]) => timeMs >= start && timeMs < start + cadenceMs);
      const measured = inside.flatMap(([, value]) => value ?? []);
      const parts = [[start, holds ? last[1] : null] as const, ...inside]
        .map(([timeMs, value], i) => ({ value, lasts: (inside[i]?.[0] ?? start + cadenceMs) - timeMs }))
        .filter((part): part is { value: number; lasts: number } => part.value !== null && part.lasts > 0);
      if (parts.length === 0) continue;
      const values = parts.map((part) => part.value);
      const over = (of: (part: (typeof parts)[number]) => number): number => parts.reduce((a, part) => a + of(part), 0);
      const value = {
        mean: parts.length === 1 ? values[0]! : over((part) => part.value * part.lasts) / over((part) => part.lasts),
        sum: measured.reduce((a, b) => a + b, 0),
        min: Math.min(...values),
        max: Math.max(...values),
        last: values.at(-1)!,
      }[aggregate];
      closed.push({ startMs: start, value, imputed: false, ...(measured.length === 0 && { held: true }) });
      closedUntilMs = start + cadenceMs;
    }
    return { verdict, closed };
  });
}
