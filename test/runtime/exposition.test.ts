import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import type { Probe } from '../../src/runtime/device.js';
import { contentType, exposition, LABELLED_STREAMS, metrics as table } from '../../src/runtime/exposition.js';
import type { Metric } from '../../src/runtime/exposition.js';
import { count, createMetrics } from '../../src/runtime/metrics.js';
import { fakeClock, fakeMachine, manifestOf } from './fakes.js';
import { parseExposition, valueOf } from './prometheus.js';

/** What a page reads of a device: one model on `streams`, an alert that is open, and what the rest says of itself. */
function probeOf(streams: readonly string[] = ['boiler']): Probe {
  const clock = fakeClock();
  const metrics = createMetrics();
  const model = {
    line: 'heat',
    manifest: manifestOf(),
    precision: 'fp32',
    provider: 'cuda',
    pointer: { release: 12, slot: 'b' },
  };
  const alert = { severity: 'critical' };
  const lane = { forecastMs: -1500, quality: { absError: 0.5, coverage: 0.9, drift: 0.25 }, watch: { alert } };
  const quiet = { forecastMs: undefined, quality: undefined, watch: {} };
  const config = { site: 'a', device: 'b', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' } };
  return {
    config: parseConfig(config, 'test'),
    metrics,
    ports: { clock, machine: fakeMachine, store: { start: 'damaged', sizeBytes: () => 4096 } },
    lanes: new Map<string, object>([...streams.map((name) => [name, lane] as const), ['new', quiet]]),
    detectors: new Map([['watch', { watch: {} }]]),
    conditions: { all: () => [{ watch: { alert: { severity: 'info' } } }] },
    models: new Map([['heat', model]]),
    outbox: {
      waiting: () => ({ rows: { alert: 1, model: 0, forecast: 2, health: 0 }, oldestMs: clock.now() - 2500 }),
      depth: () => ({ messages: 3, bytes: 77 }),
      dropped: { alert: 0, model: 0, forecast: 4, health: 0, expired: 5 },
    },
    updater: { reported: () => ({ models: [{ state: 'committed' }, { state: 'committed' }, { state: 'failed' }] }) },
    link: { online: true },
  } as unknown as Probe;
}

test('every metric reads what the device counts', () => {
  const probe = probeOf();
  const { metrics } = probe;
  metrics.samples.stored = 7;
  count(metrics.rejected, 'future');
  count(metrics.rejected, 'undecodable');
  count(metrics.messages, 'in in');
  count(metrics.messages, 'out forecast');
  count(metrics.reconnects, 'tls');
  count(metrics.alerts, 'anomaly critical opened');
  count(metrics.databaseErrors, 'full');
  count(metrics.updates.failed, 'frozen');
  count(metrics.pages.answered, '200');
  count(metrics.pages.failed, 'address_in_use');
  metrics.loopLagMs = 12;
  for (const ms of [0.4, 3, 3, 9000]) metrics.ingest.add(ms);
  metrics.inference(probe.models.get('heat')!).add(2);

  const page = parseExposition(exposition(probe));
  expect([...page.keys()]).toEqual(table.map(({ name }) => name));
  const expected: [name: string, labels: Record<string, string>, value: number][] = [
    ['nd_build_info', { version: '0.1.0', arch: 'x64', provider: 'cuda' }, 1],
    ['nd_mqtt_connected', {}, 1],
    ['nd_mqtt_reconnects_total', { reason: 'tls' }, 1],
    ['nd_mqtt_reconnects_total', { reason: 'refused' }, 0],
    ['nd_mqtt_messages_total', { direction: 'in', class: 'in' }, 1],
    ['nd_mqtt_messages_total', { direction: 'out', class: 'forecast' }, 1],
    ['nd_samples_total', { result: 'stored' }, 7],
    ['nd_samples_total', { result: 'rejected' }, 2],
    ['nd_rejected_total', { code: 'future' }, 1],
    ['nd_ingest_seconds_bucket', { le: '0.0025' }, 1],
    ['nd_ingest_seconds_bucket', { le: '0.005' }, 3],
    ['nd_ingest_seconds_bucket', { le: '5' }, 3],
    ['nd_ingest_seconds_bucket', { le: '+Inf' }, 4],
    ['nd_ingest_seconds_count', {}, 4],
    ['nd_inference_seconds_count', { model: 'boiler-naive@12', slot: 'b' }, 1],
    ['nd_inference_seconds_sum', { model: 'boiler-naive@12', slot: 'b' }, 0.002],
    ['nd_forecast_age_seconds', { stream: 'boiler' }, 1.5],
    ['nd_forecast_abs_error', { stream: 'boiler' }, 0.5],
    ['nd_interval_coverage_ratio', { stream: 'boiler' }, 0.9],
    ['nd_drift_score', { stream: 'boiler' }, 0.25],
    ['nd_alerts_total', { kind: 'anomaly', severity: 'critical', event: 'opened' }, 1],
    ['nd_alerts_firing', { severity: 'critical' }, 1],
    ['nd_alerts_firing', { severity: 'info' }, 1],
    ['nd_alerts_firing', { severity: 'warning' }, 0],
    ['nd_outbox_messages', { class: 'forecast' }, 2],
    ['nd_outbox_bytes', {}, 77],
    ['nd_outbox_dropped_total', { class: 'expired' }, 5],
    ['nd_outbox_oldest_seconds', {}, 2.5],
    ['nd_db_bytes', {}, 4096],
    ['nd_db_errors_total', { code: 'full' }, 1],
    ['nd_db_recoveries_total', {}, 1],
    ['nd_clock_synced', {}, 1],
    ['nd_clock_steps_total', {}, 0],
    ['nd_model_info', { line: 'heat', release: '12', slot: 'b', precision: 'fp32' }, 1],
    ['nd_update_state', { state: 'committed' }, 2],
    ['nd_update_state', { state: 'idle' }, 0],
    ['nd_update_failures_total', { code: 'frozen' }, 1],
    ['nd_http_requests_total', { status: '200' }, 1],
    ['nd_http_failures_total', { reason: 'address_in_use' }, 1],
    ['nd_event_loop_lag_seconds', {}, 0.012],
    ['process_resident_memory_bytes', {}, 64 * 1024 * 1024],
    ['nodejs_version_info', { version: process.version }, 1],
  ];
  expect(expected.map(([name, labels]) => [name, labels, valueOf(page, name, labels)])).toEqual(expected);
  expect(page.get('nd_ingest_seconds')!.series.find(({ name }) => name.endsWith('_sum'))!.value).toBeCloseTo(
    9.0064,
    12,
  );
});

test('what is not known is left out, and is not 0', () => {
  const page = parseExposition(exposition(probeOf([])));
  for (const name of [
    'nd_forecast_age_seconds',
    'nd_forecast_abs_error',
    'nd_interval_coverage_ratio',
    'nd_drift_score',
  ])
    expect(page.get(name)!.series).toEqual([]);
});

test('series of single streams are left out when there are more than 200', () => {
  const streams = (length: number): string[] => Array.from({ length }, (_, i) => `s${i}`);
  const withLabel = (probe: Probe): number =>
    [...parseExposition(exposition(probe)).values()].flatMap(({ series }) =>
      series.filter(({ labels }) => 'stream' in labels),
    ).length;
  expect(withLabel(probeOf(streams(LABELLED_STREAMS - 1)))).toBe(4 * (LABELLED_STREAMS - 1)); // `new` is the last one
  expect(withLabel(probeOf(streams(LABELLED_STREAMS)))).toBe(0);
});

test('names keep to the rules: prefix, base units, _total for counters alone', () => {
  for (const { name, type } of table) {
    expect(name).toMatch(/^(?:nd|process|nodejs)_[a-z_]+$/);
    expect(name).not.toMatch(/_(?:ms|millis|mb|kb|percent)(?:_|$)/);
    if (name !== 'nodejs_active_resources_total')
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
  }
  expect(new Set(table.map(({ name }) => name)).size).toBe(table.length);
  expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
});

describe('the text', () => {
  const write = (help: string, labels: readonly string[], value: number): string => {
    const names = labels.map((_, i) => `label_${i}`);
    const one: Metric = { name: 'nd_x', type: 'gauge', help, labels: names, read: () => [[value, ...labels]] };
    return exposition(probeOf(), [one]);
  };

  test('escapes what would end a line or a value, and nothing else', () => {
    expect(write('a\\b\n"c"', ['a\\b\n"c"\r\té°'], 1.5)).toBe(
      '# HELP nd_x a\\\\b\\n"c"\n# TYPE nd_x gauge\nnd_x{label_0="a\\\\b\\n\\"c\\"\r\té°"} 1.5\n',
    );
    expect(write('x', [], -Infinity)).toMatch(/^nd_x -Inf$/m);
  });

  test('is read back as it was, whatever stands in labels, help and values', () => {
    const text = fc.string({ unit: fc.oneof(fc.constantFrom('\\', '"', '\n', '{', '}', ',', '=', ' ', 'n'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })) }); // prettier-ignore
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 4 }), fc.double(), (help, labels, value) => {
        const { series, help: read } = parseExposition(write(help, labels, value)).get('nd_x')!;
        expect(read).toBe(help);
        expect(series).toHaveLength(1);
        expect(Object.values(series[0]!.labels)).toEqual(labels);
        expect(series[0]!.value).toBe(value === 0 ? value + 0 : value); // there is one zero
      }),
    );
  });

  test('has histograms whose buckets add up, whatever is measured', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e7, noNaN: true })), (times) => {
        const probe = probeOf();
        for (const ms of times) probe.metrics.ingest.add(ms);
        const page = parseExposition(exposition(probe));
        expect(valueOf(page, 'nd_ingest_seconds_count')).toBe(times.length);
        for (const le of [0.0005, 0.05, 1])
          expect(valueOf(page, 'nd_ingest_seconds_bucket', { le: String(le) })).toBe(
            times.filter((ms) => ms <= le * 1000).length,
          );
      }),
      { numRuns: 30 },
    );
  });
});

describe('docs/guides/monitoring.md', () => {
  const manual = readFileSync('docs/guides/monitoring.md', 'utf8');

  test('has the table of the code', () => {
    const rows = table.map(({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`.replace(
        '|  |',
        '| |',
      ),
    );
    const found = manual
      .slice(manual.indexOf('## All metrics'))
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(found).toEqual(rows);
  });

  test('and the other pages name no metric that does not exist', () => {
    const folders = ['docs', 'docs/guides'];
    const pages = folders
      .flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
      .filter((path) => path.endsWith('.md'));
    const named = pages.flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/\bnd_[a-z_]+_(?:total|seconds|bytes|ratio|info|state|messages|score|error|firing|connected|synced)\b/g)].map(([name]) => name)); // prettier-ignore
    expect([...new Set(named)].filter((name) => !table.some((one) => one.name === name))).toEqual([]);
  });
});
