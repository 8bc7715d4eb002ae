/** The page the demo leaves behind: what was read, forecast and raised, and how good it was. */
import type { Report } from '../../evaluate/report.js';
import { version } from '../../version.js';
import type { Compressed } from '../ship.js';
import { formatBytes, formatChange, formatPercent } from '../terminal.js';
import type { DemoResult } from './demo.js';
import { naiveError, type Learned } from './learn.js';
import type { Alert, Outcome } from './outcome.js';
import type { Heard, Series } from './replay.js';
import type { Scenario } from './scenario.js';

export interface ReportParts {
  readonly scenario: Scenario;
  readonly learned: Learned;
  readonly compressed: Compressed;
  readonly readings: Series;
  /** Milliseconds the readings were moved by; the page shows them where they were. */
  readonly shift: number;
  readonly heard: Heard;
  readonly outcome: Outcome;
  readonly result: Omit<DemoResult, 'report'>;
}

const hourMs = 3_600_000;
const modelColours = ['blue', 'orange', 'green'] as const;

export function demoReport({
  scenario,
  learned,
  compressed,
  readings,
  shift,
  heard,
  outcome,
  result,
}: ReportParts): Report {
  const { unit, windows } = scenario;
  const back = (time: number): number => time - shift;
  const spans = windows.map(([from, to], i) => ({ from, to, label: String(i + 1) }));
  const x = Array.from(readings.time, back);
  const first = {
    x: heard.forecasts.map(({ start }) => back(start)),
    p50: column(heard, 'p50'),
    lo: column(heard, 'lo'),
    hi: column(heard, 'hi'),
  };
  const markers = (list: readonly Alert[], time: (alert: Alert) => number | null) =>
    list.flatMap((alert) => {
      const at = time(alert);
      return at === null
        ? []
        : [
            {
              x: back(at),
              label: `${new Date(back(at)).toISOString().slice(0, 16)} ${alert.severity}: ${alert.reason}`,
            },
          ];
    });
  const closeUp = closest(outcome.alerts, back);

  const chart = (title: string, description: string, from: number, to: number) => ({
    kind: 'chart' as const,
    title,
    description,
    x: { kind: 'time' as const },
    y: { label: unit },
    lines: [
      { name: 'reading', ...cut(x, readings.value, from, to), colour: 'ink' as const },
      { name: 'forecast, one step ahead', ...cut(first.x, first.p50, from, to), colour: 'blue' as const },
    ],
    bands: [band('90 % interval', first, from, to)],
    ranges: { name: 'labelled failure', spans: spans.filter((span) => span.to > from && span.from < to) },
    markers: [
      {
        name: 'alert opened',
        shape: 'triangle' as const,
        colour: 'red' as const,
        points: markers(outcome.alerts, ({ openedMs }) => openedMs).filter((point) => point.x >= from && point.x <= to),
      },
      {
        name: 'alert resolved',
        shape: 'circle' as const,
        colour: 'green' as const,
        points: markers(outcome.alerts, ({ endedMs }) => endedMs).filter((point) => point.x >= from && point.x <= to),
      },
    ],
  });

  return {
    title: `neuro-divergent demo: ${scenario.title}`,
    subtitle: `${learned.best.name} learned from ${learned.train.time.length} quiet readings, went to a device as INT8, and met ${result.messages} readings with ${windows.length} labelled failures.`,
    cards: [
      {
        label: 'Failures found',
        value: `${outcome.windowsHit} of ${windows.length}`,
        tone: outcome.windowsHit === windows.length ? 'good' : 'bad',
      },
      {
        label: 'Alerts',
        value: String(outcome.alerts.length),
        note: `${outcome.alerts.filter(({ window }) => window === null).length} outside the labels, ${result.alerts.resolved} resolved`,
      },
      {
        label: 'Forecasts',
        value: String(result.forecasts),
        note: `mean error ${outcome.forecastMae.toFixed(2)} ${unit}, one step ${outcome.firstStepMae.toFixed(2)}`,
      },
      { label: 'Interval', value: formatPercent(outcome.coverage, 0), note: 'of values inside, 90 % promised' },
      {
        label: 'Inference',
        value: `${outcome.latencyMs.p50.toFixed(2)} ms`,
        note: `p99 ${outcome.latencyMs.p99.toFixed(2)} ms`,
      },
      { label: 'Cold start', value: `${Math.round(result.coldStartMs)} ms`, note: 'process start to first forecast' },
      { label: 'Memory', value: `${Math.round(result.rssMb)} MB`, note: 'of the device process' },
      {
        label: 'Model',
        value: formatBytes(compressed.report.sizeBytes),
        note: `INT8, ${formatPercent(compressed.report.sizeRatio, 0)} of FP32, error ${formatChange(compressed.report.maeLoss)}`,
      },
    ],
    blocks: [
      chart(
        'What the device saw, expected and raised',
        'Readings, the forecast one step ahead with its interval, labelled failures (shaded, numbered) and alerts.',
        x[0]!,
        x.at(-1)!,
      ),
      ...(closeUp === undefined
        ? []
        : [
            chart(
              'A closer look at one failure',
              'The same, around the first alert that falls into a labelled failure.',
              closeUp - 24 * hourMs * scale(scenario),
              closeUp + 24 * hourMs * scale(scenario),
            ),
          ]),
      {
        kind: 'chart',
        title: 'Learning',
        description:
          'Mean absolute error in scaled units at each check: on the validation part, and dashed on the windows learned from. The weights with the best validation are kept.',
        x: { kind: 'linear', label: 'training step' },
        y: { label: 'loss' },
        lines: learned.models.flatMap(({ name, history }, i) => {
          const colour = modelColours[i]!;
          const x = history.map(({ step }) => step);
          return [
            { name, colour, x, y: history.map(({ validationLoss }) => validationLoss ?? Number.NaN) },
            { name: `${name}, training`, colour, x, y: history.map(({ trainLoss }) => trainLoss), dashed: true },
          ];
        }),
      },
      {
        kind: 'table',
        title: 'Held-out windows',
        description: `Errors in ${unit} on windows before the first failure that no model has seen. ${learned.season > 1 ? `A season is ${learned.season} steps.` : 'The series has no season, so seasonal naive repeats the last value.'}`,
        columns: ['model', 'MAE', 'RMSE', 'sMAPE', 'MASE'],
        rows: learned.rows.map(({ name, mae, rmse, smape, mase }) => [name, mae, rmse, smape, mase]),
        highlight: learned.rows.findIndex(({ name }) => name === learned.best.name),
      },
      {
        kind: 'table',
        title: `${learned.best.name}, FP32 and INT8`,
        description: `Calibrated on training windows (${compressed.report.method}), measured on validation windows.`,
        columns: ['', 'FP32', 'INT8'],
        rows: [
          ['file', formatBytes(compressed.report.fp32Bytes), formatBytes(compressed.report.sizeBytes)],
          [`MAE, ${unit}`, compressed.report.fp32Mae, compressed.report.mae],
          ['latency p50, µs', compressed.latency.fp32.p50Us, compressed.latency.small.p50Us],
          ['latency p99, µs', compressed.latency.fp32.p99Us, compressed.latency.small.p99Us],
        ],
      },
      {
        kind: 'table',
        title: 'Alerts',
        columns: ['opened (UTC)', 'resolved', 'severity', 'failure', 'reason'],
        rows: outcome.alerts.map(({ openedMs, endedMs, severity, window, reason }) => [
          stamp(back(openedMs)),
          endedMs === null ? 'open' : stamp(back(endedMs)),
          severity,
          window === null ? '–' : String(window + 1),
          reason,
        ]),
      },
    ],
    notes: [
      'Data: Numenta Anomaly Benchmark, realKnownCause, MIT licence; the times of the readings were moved to the present for the device and back for this page.',
      `Seasonal naive reaches ${naiveError(learned).toFixed(3)} ${unit} on the held-out windows.`,
      `neuro-divergent ${version}, made by \`nd demo\` in ${Math.round(result.seconds)} s.`,
    ],
  };
}

const stamp = (time: number): string => new Date(time).toISOString().slice(0, 16).replace('T', ' ');
const column = ({ forecasts }: Heard, name: 'p50' | 'lo' | 'hi'): number[] =>
  forecasts.map((forecast) => forecast[name][0] ?? Number.NaN);
/** A closer look spans two days of five-minute readings, and as many readings of any other cadence. */
const scale = ({ cadenceMs }: Scenario): number => cadenceMs / (5 * 60_000);

function cut(x: readonly number[], y: ArrayLike<number>, from: number, to: number): { x: number[]; y: number[] } {
  const rows = [...x.keys()].filter((row) => x[row]! >= from && x[row]! <= to);
  return { x: rows.map((row) => x[row]!), y: rows.map((row) => y[row]!) };
}

function band(
  name: string,
  { x, lo, hi }: { x: readonly number[]; lo: readonly number[]; hi: readonly number[] },
  from: number,
  to: number,
) {
  return {
    name,
    x: cut(x, lo, from, to).x,
    lo: cut(x, lo, from, to).y,
    hi: cut(x, hi, from, to).y,
    colour: 'blue' as const,
  };
}

/** The first alert inside a labelled failure. */
const closest = (alerts: readonly Alert[], back: (time: number) => number): number | undefined => {
  const hit = alerts.find(({ window }) => window !== null);
  return hit && back(hit.openedMs);
};
