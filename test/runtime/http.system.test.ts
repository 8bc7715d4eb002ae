/** The pages over real sockets, with a real database; and those of a device that is a process of its own. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { packBundle } from '../../src/bundle/pack.js';
import { parseConfig } from '../../src/contracts/config.js';
import { writeSafetensors } from '../../src/contracts/safetensors.js';
import { add, createGraph, toOnnx } from '../../src/graph/index.js';
import type { Probe } from '../../src/runtime/device.js';
import { servePages } from '../../src/runtime/http.js';
import { createMetrics } from '../../src/runtime/metrics.js';
import { createOutbox } from '../../src/runtime/outbox.js';
import { openSlots } from '../../src/runtime/slots.js';
import { openStore } from '../../src/runtime/store.js';
import type { Store } from '../../src/runtime/store.js';
import { findProgram } from '../program.js';
import { buildDevice } from './built.js';
import { fakeClock, fakeMachine, manifestOf } from './fakes.js';
import { parseExposition, valueOf } from './prometheus.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-http-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Pages of a device that does nothing else. */
async function serve(http: Record<string, unknown> = {}, { connectionMs = 5000, models = 0 } = {}) {
  const clock = fakeClock();
  const store: Store = openStore({ path: join(dir, 'device.db'), clock });
  const told: Record<string, unknown>[] = [];
  const metrics = createMetrics();
  const config = {
    site: 'a',
    device: 'b',
    state_dir: dir,
    mqtt: { url: 'mqtt://127.0.0.1' },
    http: { port: 0, ...http },
  };
  const probe = {
    config: parseConfig(config, 'test'),
    metrics,
    ports: {
      clock,
      machine: fakeMachine,
      store,
      tell: (event: string, facts: object) => told.push({ event, ...facts }),
    },
    lanes: new Map(),
    detectors: new Map(),
    conditions: { all: () => [] },
    models: new Map(
      Array.from({ length: models }, (_, i) => [String(i), { provider: 'cpu', manifest: {}, pointer: {} }]),
    ),
    outbox: createOutbox(store, clock),
    updater: { reported: () => ({ models: [] }) },
    link: { online: false },
  } as unknown as Probe;
  const stopping = new AbortController();
  const ended = servePages(probe, stopping.signal, connectionMs);
  ended.catch(() => undefined); // looked at by the test that expects it
  onTestFinished(async () => {
    stopping.abort();
    await ended.catch(() => undefined);
    if (store.sql.open) store.close();
  });
  const last = (event: string) => told.findLast((each) => each['event'] === event);
  const listening = () => expect.poll(() => last('http')).toBeDefined();
  const port = (): number => last('http')!['port'] as number;
  const ask = (path: string, { method = 'GET', headers = {}, body = '' } = {}): Promise<Answered> =>
    new Promise((resolve, reject) => {
      const sent = request({ port: port(), path, method, headers, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  return { clock, store, metrics, probe, told, last, listening, port, ask, ended, stopping };
}

/** Writes this to the server and returns all it answers until it hangs up. */
const raw = (port: number, text: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', () => undefined); // cut while we write
    socket.on('close', () => resolve(answer));
  });

describe('the pages', () => {
  test('are metrics in the format of Prometheus, health, readiness and version', async () => {
    const { ask, listening } = await serve();
    await listening();
    const metrics = await ask('/metrics');
    expect(metrics).toMatchObject({ status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } }); // prettier-ignore
    expect(valueOf(parseExposition(metrics.body), 'nd_mqtt_connected')).toBe(0);
    expect(await ask('/healthz')).toMatchObject({ status: 200, body: '{"ok":true,"loop":true,"database":true}\n' });
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: '{"ok":false,"model":false}\n' });
    const version = await ask('/version?x=1');
    expect(JSON.parse(version.body)).toEqual({ version: '0.1.0', node: '20', arch: 'x64' });
    expect(version.headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'no-store' });
    const again = parseExposition((await ask('/metrics')).body);
    expect(valueOf(again, 'nd_http_requests_total', { status: '200' })).toBe(3);
  });

  test('are ready with a model, or where none is asked for', async () => {
    const withModel = await serve({}, { models: 1 });
    await withModel.listening();
    expect(await withModel.ask('/readyz')).toMatchObject({ status: 200 });
    withModel.stopping.abort();
    await withModel.ended;
    withModel.store.close();
    const without = await serve({ degraded_ok: true });
    await without.listening();
    expect(await without.ask('/readyz')).toMatchObject({ status: 200 });
  });

  test('say that a device is ill whose loop lags or whose database takes nothing', async () => {
    const { ask, listening, metrics, store, clock } = await serve();
    await listening();
    metrics.loopLagMs = 5000;
    expect(await ask('/healthz')).toMatchObject({ status: 503, body: '{"ok":false,"loop":false,"database":true}\n' });
    metrics.loopLagMs = 4999;
    store.sql.pragma('query_only = ON');
    expect(await ask('/healthz')).toMatchObject({ status: 200 }); // the disk is not written to for every request
    await clock.advance(5000);
    expect(await ask('/healthz')).toMatchObject({ status: 503, body: '{"ok":false,"loop":true,"database":false}\n' });
    store.sql.pragma('query_only = OFF');
    await clock.advance(5000);
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
  });

  test('answer HEAD like GET without a body, and nothing but reading', async () => {
    const { ask, listening } = await serve();
    await listening();
    const head = await ask('/version', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: '' });
    expect(head.headers['content-length']).toBe(String((await ask('/version')).body.length));
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])
      expect(await ask('/metrics', { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    expect(JSON.parse((await ask('/metrics', { method: 'POST' })).body)).toEqual({
      code: 'method_not_allowed',
      where: 'http',
      what: 'These pages are only read.',
      mend: 'Use GET or HEAD.',
    });
    for (const path of ['/', '/metrics/', '/%6detrics', '//metrics', '/__proto__', '/toString', '/../version'])
      expect(await ask(path)).toMatchObject({ status: 404, body: expect.stringContaining('"code":"not_found"') as string }); // prettier-ignore
  });
});

describe('a token', () => {
  test('is asked for on every page when there is one', async () => {
    const tokenFile = join(dir, 'token');
    writeFileSync(tokenFile, 'öpen sesame\n');
    const { ask, listening } = await serve({ host: '0.0.0.0', token_file: tokenFile });
    await listening();
    const authorization = `Bearer ${Buffer.from('öpen sesame').toString('latin1')}`;
    for (const path of ['/metrics', '/healthz', '/readyz', '/version', '/nowhere'])
      for (const headers of [
        {},
        { authorization: 'Bearer ' },
        { authorization: `${authorization}x` },
        { authorization: 'Basic b3Blbg==' },
      ])
        // prettier-ignore
        expect(await ask(path, { headers })).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
    expect(await ask('/version', { headers: { authorization } })).toMatchObject({ status: 200 });
  });

  test.each([
    ['is not there', undefined],
    ['is empty', ' \n'],
  ])('whose file %s opens nothing; it is told, counted and tried again', async (_, text) => {
    const tokenFile = join(dir, 'token');
    if (text !== undefined) writeFileSync(tokenFile, text);
    const { last, metrics, clock, ask, listening } = await serve({ token_file: tokenFile });
    await expect.poll(() => last('http-failed')).toMatchObject({ reason: 'token_missing', retryMs: 60_000 });
    expect(last('http')).toBeUndefined();
    expect(metrics.pages.failed).toEqual({ token_missing: 1 });
    writeFileSync(tokenFile, 'secret');
    await clock.advance(60_000);
    await listening();
    expect(await ask('/version', { headers: { authorization: 'Bearer secret' } })).toMatchObject({ status: 200 });
  });
});

test('a port that is taken is told, counted and tried again', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const { last, metrics, clock, ask, listening } = await serve({ port });
  await expect.poll(() => last('http-failed')).toMatchObject({ reason: 'address_in_use', port });
  await new Promise((resolve) => other.close(resolve));
  await clock.advance(60_000);
  await listening();
  expect(metrics.pages.failed).toEqual({ address_in_use: 1 });
  const page = parseExposition((await ask('/metrics')).body);
  expect(valueOf(page, 'nd_http_failures_total', { reason: 'address_in_use' })).toBe(1);
});

test('an address that is not this machine’s is told', async () => {
  writeFileSync(join(dir, 'token'), 'secret');
  const { last } = await serve({ host: '192.0.2.1', token_file: join(dir, 'token') });
  await expect.poll(() => last('http-failed')).toMatchObject({ reason: 'no_such_address' });
});

describe('whoever misuses them', () => {
  test('by rubbish is refused and counted', async () => {
    const { port, listening, metrics } = await serve();
    await listening();
    expect(await raw(port(), 'rubbish\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 Bad Request\r\n(?:.+\r\n)+\r\n\{"code":"malformed"/,
    );
    expect(await raw(port(), 'GET /metrics HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /); // no Host
    expect(await raw(port(), '\x16\x03\x01\x02\x00')).toMatch(/^HTTP\/1\.1 400 /); // a TLS greeting
    expect(metrics.pages.answered['400']).toBeGreaterThanOrEqual(2);
  });

  test('by headers or bodies without end is refused', async () => {
    const { port, listening, ask, metrics } = await serve();
    await listening();
    const long = 'x'.repeat(9000);
    expect(await raw(port(), `GET /metrics HTTP/1.1\r\nhost: a\r\nx: ${long}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await raw(port(), `GET /${long} HTTP/1.1\r\nhost: a\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await ask('/metrics', { body: 'x'.repeat(1e6), headers: { 'content-length': 1e6 } })).toMatchObject({ status: 413 }); // prettier-ignore
    expect(await raw(port(), 'GET /metrics HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n')).toMatch(/^HTTP\/1\.1 413 /); // prettier-ignore
    expect(metrics.pages.answered).toMatchObject({ 413: 2, 431: 2 });
  });

  test('by sending slowly, or nothing, is cut off', async () => {
    const { port, listening, ask } = await serve({}, { connectionMs: 100 });
    await listening();
    expect(await raw(port(), 'GET /metrics HTTP/1.1\r\nhost:')).toBe('');
    expect(await raw(port(), '')).toBe('');
    expect(await ask('/version')).toMatchObject({ status: 200 });
  });

  test('by many connections at once finds the door closed until some have ended', async () => {
    const { port, listening, ask } = await serve({}, { connectionMs: 300 });
    await listening();
    const held = Array.from({ length: 40 }, () => raw(port(), 'GET '));
    const answers = await Promise.all(held);
    expect(answers.every((answer) => answer === '')).toBe(true);
    expect(await ask('/version')).toMatchObject({ status: 200 });
  });
});

test('a device that lives in memory, as its disk was full when it started, is not well', async () => {
  const { ask, listening, store } = await serve();
  await listening();
  Object.assign(store, { start: 'full' });
  expect(await ask('/healthz')).toMatchObject({ status: 503, body: '{"ok":false,"loop":true,"database":false}\n' });
});

test('a page that cannot be made is answered with 500 and told, and the others go on', async () => {
  const { ask, listening, probe, last, metrics } = await serve();
  await listening();
  probe.conditions.all = () => {
    throw new Error('unforeseen');
  };
  expect(await ask('/metrics?token=secret')).toMatchObject({ status: 500 });
  expect(last('page-failed')).toEqual({ event: 'page-failed', page: '/metrics', detail: 'unforeseen' });
  expect(metrics.pages.answered).toEqual({ 500: 1 });
  expect(await ask('/version')).toMatchObject({ status: 200 });
});

test('a page that finds the database damaged ends them, so that the device is started anew', async () => {
  const { ask, listening, store, ended } = await serve();
  await listening();
  store.put = () => {
    throw Object.assign(new Error('database disk image is malformed'), { code: 'SQLITE_CORRUPT' });
  };
  await ask('/healthz').catch(() => undefined); // cut in the middle
  await expect(ended).rejects.toThrow('malformed');
});

const mosquitto = findProgram('mosquitto');

describe.skipIf(mosquitto === undefined)('a device process on a mosquitto', () => {
  const minute = 60_000;
  const length = 4;
  const built = buildDevice();
  afterAll(() => rmSync(dirname(built('package.json')), { recursive: true }));

  /** Expects the last window again. */
  async function installModel(stateDir: string): Promise<void> {
    const slots = openSlots(stateDir);
    const g = createGraph();
    const { schema: _s, files: _f, opset: _o, ops: _p, ...manifest } = manifestOf();
    const { manifestSha256 } = await packBundle({
      dir: slots.stagingDir('heat'),
      manifest,
      files: {
        'model.fp32.onnx': {
          role: 'model',
          content: toOnnx(g.finish({ forecast: add(g.input('past', ['batch', length, 1]), 0) })),
        },
        'golden.safetensors': { role: 'golden', content: writeSafetensors({}) },
      },
    });
    slots.install('heat', 'a');
    slots.point('heat', { slot: 'a', release: 1, manifestSha256, streams: ['boiler'], arm: null, previous: null });
  }

  async function startMosquitto(): Promise<string> {
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const { port: free } = server.address() as AddressInfo;
        server.close(() => resolve(free));
      });
    });
    const config = join(dir, 'mosquitto.conf');
    writeFileSync(
      config,
      [`listener ${port} 127.0.0.1`, 'allow_anonymous true', `user ${userInfo().username}`, ''].join('\n'),
    );
    const child = spawn(mosquitto!, ['-c', config], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    return `mqtt://127.0.0.1:${port}`;
  }

  function startDevice(config: object): {
    told: (event: string) => Promise<Record<string, unknown>>;
    stop: () => Promise<unknown>;
  } {
    const path = join(dir, 'device.yaml');
    writeFileSync(path, JSON.stringify(config));
    const child = spawn(process.execPath, [built('runtime/main.js'), path, '--events'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const events: Record<string, unknown>[] = [];
    createInterface(child.stdout).on('line', (line) => events.push(JSON.parse(line) as Record<string, unknown>));
    const gone = new Promise((resolve) => child.once('close', resolve));
    return {
      told: async (event) => {
        const find = () => events.find((facts) => facts['event'] === event);
        await expect.poll(find, { timeout: 20_000, message: event }).toBeDefined();
        return find()!;
      },
      stop: () => (child.kill('SIGTERM'), gone),
    };
  }

  test('tells on its pages what it does', async () => {
    const url = await startMosquitto();
    await installModel(join(dir, 'state'));
    const device = startDevice({
      site: 'plant1',
      device: 'pi7',
      state_dir: 'state',
      clock: 'trusted',
      mqtt: { url },
      http: { port: 0 },
      streams: { boiler: { lateness: 0, max: 1000 } },
      alerts: { threshold: 0.01, ring_minimum: 20 },
    });
    const { port } = await device.told('http');
    const page = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${String(port)}${path}`);
      return { status: response.status, text: await response.text() };
    };
    const metrics = async () => parseExposition((await page('/metrics')).text);
    await expect.poll(async () => valueOf(await metrics(), 'nd_mqtt_connected'), { timeout: 20_000 }).toBe(1);
    expect(await page('/healthz')).toMatchObject({ status: 200 });
    expect(await page('/readyz')).toMatchObject({ status: 200 });
    expect(JSON.parse((await page('/version')).text)).toMatchObject({
      node: process.versions.node,
      arch: process.arch,
    });

    const { default: mqtt } = await import('mqtt');
    const sensor = await mqtt.connectAsync(url);
    onTestFinished(() => sensor.endAsync(true));
    const startMs = Math.floor(Date.now() / minute) * minute - 100 * minute;
    const send = (at: number, value: number) =>
      sensor.publishAsync(
        'neuro-divergent/plant1/pi7/in/boiler',
        JSON.stringify({ ts: startMs + at * minute, value }),
        { qos: 1 },
      );
    for (let at = 0; at < 50; at++) await send(at, 20 + (at % length) + ((at * 7919) % 13) / 50);
    await send(49, 21);
    await send(50, 2000); // out of range: an alert
    await send(51, 20);
    await sensor.publishAsync('neuro-divergent/plant1/pi7/in/nobody', '1', { qos: 1 });
    await expect.poll(async () => valueOf(await metrics(), 'nd_rejected_total', { code: 'unknown_stream' })).toBe(1);

    await expect.poll(async () => valueOf(await metrics(), 'nd_outbox_bytes')).toBe(0);
    const seen = await metrics();
    const read = (name: string, labels: Record<string, string> = {}): number | undefined => valueOf(seen, name, labels);
    expect({
      taken: read('nd_mqtt_messages_total', { direction: 'in', class: 'in' }),
      outOfRange: read('nd_rejected_total', { code: 'out_of_range' }),
      rejected: read('nd_samples_total', { result: 'rejected' }),
      opened: read('nd_alerts_total', { kind: 'sensor_range', event: 'opened' }),
      model: read('nd_model_info', { line: 'heat', release: '1', slot: 'a', precision: 'fp32' }),
      written: read('nd_db_bytes')! > 4096,
      synced: read('nd_clock_synced'),
      errors: seen.get('nd_db_errors_total')!.series,
      idle: read('nd_update_state', { state: 'idle' }),
    }).toEqual({
      taken: 54,
      outOfRange: 1,
      rejected: 2,
      opened: 1,
      model: 1,
      written: true,
      synced: 1,
      errors: [],
      idle: 1,
    });
    const issued = read('nd_forecasts_total', { result: 'issued' })!;
    expect(issued).toBeGreaterThan(40);
    expect(read('nd_inference_seconds_count', { model: 'boiler-naive@1', slot: 'a' })).toBe(issued);
    expect(read('nd_ingest_seconds_count')).toBeGreaterThan(40);
    expect(read('nd_mqtt_messages_total', { direction: 'out', class: 'forecast' })).toBe(issued);
    expect(read('nd_forecast_age_seconds', { stream: 'boiler' })).toBeGreaterThan(0);
    expect(read('nd_forecast_abs_error', { stream: 'boiler' })).toBeGreaterThan(0);
    expect(read('nd_forecast_abs_error', { stream: 'boiler' })).toBeLessThan(0.3);
    expect(read('nd_interval_coverage_ratio', { stream: 'boiler' })).toBeGreaterThan(0.5);
    expect(read('nd_drift_score', { stream: 'boiler' })).toBeLessThan(0.5);
    expect(read('process_cpu_seconds_total')).toBeGreaterThan(0);
    await device.stop();
  });

  test('runs when another program has its port', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const config = {
      site: 'plant1',
      device: 'pi7',
      state_dir: 'state',
      mqtt: { url: await startMosquitto() },
      http: { port },
    };
    const device = startDevice(config);
    expect(await device.told('http-failed')).toMatchObject({ reason: 'address_in_use', port });
    await device.told('link');
    expect(await device.stop()).toBe(0);
  });
});
