/**
 * The metrics of a device (EDGE.md §14) as one table from name to how it is read, and the text that Prometheus scrapes
 * (https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md, version 0.0.4).
 */
import { severities, updateStates } from '../contracts/payload.js';
import { rejectionReasons, updateReasons } from '../contracts/reason.js';
import { linkFaults } from '../transport/mqtt.js';
import type { Probe } from './device.js';
import type { Lane } from './lane.js';
import { providerInUse } from './messages.js';
import { bucketSeconds } from './metrics.js';
import type { Histogram } from './metrics.js';
import { openFiles, openFilesLimit, startSeconds, virtualBytes, writtenBytes } from './process-facts.js';

/** A value and the values of the labels, in the order of their names. What is not known is left out. */
type Sample = readonly [value: number | Histogram | null | undefined, ...labels: readonly string[]];

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (probe: Probe) => readonly Sample[];
}

export const contentType = 'text/plain; version=0.0.4; charset=utf-8';

/** More streams than this, and metrics of single streams are left out: each would be that many series. */
export const LABELLED_STREAMS = 200;

type Read = Metric['read'];
const metric =
  (type: Metric['type']) =>
  (name: string, labels: readonly string[], help: string, read: Read): Metric => ({ name, type, help, labels, read });
const counter = metric('counter');
const gauge = metric('gauge');
const histogram = metric('histogram');

/** One value without labels. */
const only =
  (read: (probe: Probe) => Sample[0]): Read =>
  (probe) => [[read(probe)]];

/** Of each stream that has a model. */
const ofStreams =
  (read: (lane: Lane, probe: Probe) => number | undefined): Read =>
  (probe) =>
    probe.lanes.size > LABELLED_STREAMS ? [] : [...probe.lanes].map(([name, lane]) => [read(lane, probe), name]);

/** Counts by label values that are divided by spaces. */
const ofCounts = (counts: Readonly<Record<string, number | undefined>>): Sample[] =>
  Object.entries(counts).map(([key, value]) => [value, ...key.split(' ')]);

/** The same for a closed list, whose first count would not show as an increase if it had not been 0 before. */
const ofList = (all: readonly string[], counts: Readonly<Record<string, number | undefined>>): Sample[] =>
  all.map((key) => [counts[key] ?? 0, key]);

/** How many of `found` are each of `all`. */
const tally = (all: readonly string[], found: readonly string[]): Sample[] =>
  all.map((one) => [found.filter((other) => other === one).length, one]);

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

function firing({ lanes, detectors, conditions }: Probe): Sample[] {
  const watches = [...lanes.values(), ...detectors.values(), ...conditions.all()].map(({ watch }) => watch);
  return tally(
    severities,
    watches.flatMap(({ alert }) => (alert === undefined ? [] : [alert.severity])),
  );
}

export const metrics: readonly Metric[] = [
  gauge(
    'nd_build_info',
    ['version', 'arch', 'provider'],
    'What runs here and what computes; always 1.',
    ({ ports: { machine }, models }) => [[1, machine.runtime, machine.arch, providerInUse([...models.values()])]],
  ),

  gauge(
    'nd_mqtt_connected',
    [],
    '1 while there is a link to the broker.',
    only(({ link }) => (link.online ? 1 : 0)),
  ),
  counter('nd_mqtt_reconnects_total', ['reason'], 'Attempts to connect again, by what ended the one before.', (probe) =>
    ofList(linkFaults, probe.metrics.reconnects),
  ),
  counter(
    'nd_mqtt_messages_total',
    ['direction', 'class'],
    'Messages taken from the broker (in) and taken by it (out).',
    (probe) => ofCounts(probe.metrics.messages),
  ),

  counter('nd_samples_total', ['result'], 'Readings by what became of them.', ({ metrics: { samples, rejected } }) => [
    [samples.stored, 'stored'],
    [samples.duplicate, 'duplicate'],
    [samples.late, 'late'],
    [sum(rejected), 'rejected'],
  ]),
  counter('nd_rejected_total', ['code'], 'Readings and messages that were refused, by reason.', (probe) =>
    ofList(rejectionReasons, probe.metrics.rejected),
  ),
  histogram(
    'nd_ingest_seconds',
    [],
    'From a message that closes a bucket to its forecast on disk.',
    only((probe) => probe.metrics.ingest),
  ),
  histogram('nd_inference_seconds', ['model', 'slot'], 'One inference.', (probe) =>
    [...probe.models.values()].map((active) => [
      probe.metrics.inference(active),
      `${active.manifest.name}@${active.pointer.release}`,
      active.pointer.slot,
    ]),
  ),
  counter('nd_forecasts_total', ['result'], 'Forecasts that were issued, and such that failed.', (probe) =>
    ofCounts(probe.metrics.forecasts),
  ),
  gauge(
    'nd_forecast_age_seconds',
    ['stream'],
    'Time since the newest forecast.',
    ofStreams(({ forecastMs }, { ports }) =>
      forecastMs === undefined ? undefined : (ports.clock.monotonicMs() - forecastMs) / 1000,
    ),
  ),
  gauge(
    'nd_forecast_abs_error',
    ['stream'],
    'Mean absolute error one step ahead, over the newest 100 buckets, in the unit of the stream.',
    ofStreams(({ quality }) => quality?.absError),
  ),
  gauge(
    'nd_interval_coverage_ratio',
    ['stream'],
    'Share of the newest 100 buckets that lay inside the interval one step ahead.',
    ofStreams(({ quality }) => quality?.coverage),
  ),
  gauge(
    'nd_drift_score',
    ['stream'],
    'Tracking signal over the newest 100 buckets: about 0.1 by chance, 1 when all errors fall on one side.',
    ofStreams(({ quality }) => quality?.drift),
  ),

  counter('nd_alerts_total', ['kind', 'severity', 'event'], 'Changes of alerts.', (probe) =>
    ofCounts(probe.metrics.alerts),
  ),
  gauge('nd_alerts_firing', ['severity'], 'Alerts that are open.', firing),

  gauge('nd_outbox_messages', ['class'], 'Messages that wait for the broker.', ({ outbox }) =>
    ofCounts(outbox.waiting().rows),
  ),
  gauge(
    'nd_outbox_bytes',
    [],
    'Payloads of the messages that wait.',
    only(({ outbox }) => outbox.depth().bytes),
  ),
  counter('nd_outbox_dropped_total', ['class'], 'Messages given up over a cap, and such that expired.', ({ outbox }) =>
    ofCounts(outbox.dropped),
  ),
  gauge(
    'nd_outbox_oldest_seconds',
    [],
    'Age of the oldest message that waits; 0 when none does.',
    only(({ outbox, ports }) => {
      const { oldestMs } = outbox.waiting();
      return oldestMs === null ? 0 : Math.max(0, ports.clock.now() - oldestMs) / 1000;
    }),
  ),

  gauge(
    'nd_db_bytes',
    [],
    'Size of the database.',
    only(({ ports }) => ports.store.sizeBytes()),
  ),
  counter(
    'nd_db_written_bytes_total',
    [],
    'Bytes that the process sent to the disk: the database, its log, and models that arrive.',
    only(writtenBytes),
  ),
  counter('nd_db_errors_total', ['code'], 'Transactions that failed, by the primary result code of SQLite.', (probe) =>
    ofCounts(probe.metrics.databaseErrors),
  ),
  counter(
    'nd_db_recoveries_total',
    [],
    'Databases found damaged and begun anew since the process began.',
    only(({ ports }) => (ports.store.start === 'damaged' ? 1 : 0)),
  ),

  gauge(
    'nd_clock_synced',
    [],
    '1 when the wall clock can be believed.',
    only(({ ports }) => (ports.clock.synced() ? 1 : 0)),
  ),
  counter(
    'nd_clock_steps_total',
    [],
    'Times that the wall clock was set.',
    only(({ ports }) => ports.clock.steps),
  ),

  gauge('nd_model_info', ['line', 'release', 'slot', 'precision'], 'Models that serve; always 1.', ({ models }) =>
    [...models.values()].map(({ line, pointer, precision }) => [
      1,
      line,
      String(pointer.release),
      pointer.slot,
      precision,
    ]),
  ),
  gauge('nd_update_state', ['state'], 'Lines of models that are in this state.', ({ updater }) =>
    tally(
      updateStates,
      updater.reported().models.map(({ state }) => state),
    ),
  ),
  counter('nd_update_failures_total', ['code'], 'Updates that were refused or taken back, by reason.', (probe) =>
    ofList(updateReasons, probe.metrics.updates.failed),
  ),

  counter('nd_http_requests_total', ['status'], 'Requests to these pages, by the status of the answer.', (probe) =>
    ofCounts(probe.metrics.pages.answered),
  ),
  counter('nd_http_failures_total', ['reason'], 'Times that these pages could not be offered.', (probe) =>
    ofCounts(probe.metrics.pages.failed),
  ),

  gauge(
    'nd_event_loop_lag_seconds',
    [],
    'How much later than asked for a timer came, measured each second.',
    only((probe) => probe.metrics.loopLagMs / 1000),
  ),
  counter(
    'process_cpu_user_seconds_total',
    [],
    'Processor time in the program.',
    only(() => process.cpuUsage().user / 1e6),
  ),
  counter(
    'process_cpu_system_seconds_total',
    [],
    'Processor time in the kernel.',
    only(() => process.cpuUsage().system / 1e6),
  ),
  counter(
    'process_cpu_seconds_total',
    [],
    'Processor time.',
    only(() => sum({ ...process.cpuUsage() }) / 1e6),
  ),
  gauge('process_start_time_seconds', [], 'Start of the process, in seconds since 1970.', only(startSeconds)),
  gauge(
    'process_resident_memory_bytes',
    [],
    'Memory in use.',
    only(({ ports }) => ports.machine.rssBytes()),
  ),
  gauge('process_virtual_memory_bytes', [], 'Address space in use.', only(virtualBytes)),
  gauge('process_open_fds', [], 'Open files and connections.', only(openFiles)),
  gauge('process_max_fds', [], 'Open files and connections that are allowed.', only(openFilesLimit)),
  gauge('nodejs_version_info', ['version'], 'Version of Node; always 1.', () => [[1, process.version]]),
  gauge(
    'nodejs_eventloop_lag_seconds',
    [],
    'The same as nd_event_loop_lag_seconds.',
    only((probe) => probe.metrics.loopLagMs / 1000),
  ),
  gauge(
    'nodejs_heap_size_total_bytes',
    [],
    'Heap of JavaScript.',
    only(() => process.memoryUsage().heapTotal),
  ),
  gauge(
    'nodejs_heap_size_used_bytes',
    [],
    'Heap of JavaScript in use.',
    only(() => process.memoryUsage().heapUsed),
  ),
  gauge(
    'nodejs_external_memory_bytes',
    [],
    'Memory outside of the heap.',
    only(() => process.memoryUsage().external),
  ),
  gauge(
    'nodejs_active_resources_total',
    [],
    'Sockets, timers and requests that keep Node running.',
    only(() => process.getActiveResourcesInfo().length),
  ),
];

/** The page, every metric with its HELP and TYPE. */
export function exposition(probe: Probe, table: readonly Metric[] = metrics): string {
  return table
    .map(({ name, type, help, labels, read }) =>
      [
        `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n`,
        ...read(probe).flatMap(([value, ...values]) => {
          const named = values.map((text, i): Named => [labels[i]!, text]);
          if (value === null || value === undefined) return [];
          return typeof value === 'number' ? line(name, named, value) : histogramLines(name, named, value);
        }),
      ].join(''),
    )
    .join('');
}

type Named = readonly [label: string, value: string];

function histogramLines(name: string, named: readonly Named[], { counts, sumSeconds }: Histogram): string[] {
  let below = 0;
  const buckets = counts.map((each, i) => {
    const limit = i < bucketSeconds.length ? String(bucketSeconds[i]) : '+Inf';
    return line(`${name}_bucket`, [...named, ['le', limit]], (below += each));
  });
  return [...buckets, line(`${name}_sum`, named, sumSeconds), line(`${name}_count`, named, below)];
}

function line(name: string, named: readonly Named[], value: number): string {
  const pairs = named.map(([label, text]) => `${label}="${escapeLabel(text)}"`).join(',');
  return `${name}${pairs === '' ? '' : `{${pairs}}`} ${spell(value)}\n`;
}

const escapeLabel = (text: string): string => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');

/** As Go reads it. */
const spell = (value: number): string =>
  Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
