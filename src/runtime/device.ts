/** The whole device, top to bottom. Data only moves down: message, readings, buckets, verdicts, forecasts, outbox. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandReason } from '../contracts/command.js';
import type { DeviceConfig } from '../contracts/config.js';
import {
  alertPayload,
  forecastPayload,
  healthPayload,
  infoPayload,
  reportedPayload,
  scorePayload,
  statusPayload,
} from '../contracts/payload.js';
import type { AlertPayload, HealthPayload } from '../contracts/payload.js';
import { createTopics } from '../contracts/topic.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import type { Shape } from '../contracts/reading.js';
import { toWire, wireText } from '../contracts/wire.js';
import type { Engine } from '../engine/port.js';
import type { LinkEvent, MqttLink, MqttMessage } from '../transport/mqtt.js';
import type { Detector, DetectorStep } from './detector.js';
import { openDetectors, storeDetector } from './detector-store.js';
import { createCommands } from './commands.js';
import { createConditions } from './conditions.js';
import { createForecaster } from './forecaster.js';
import type { Forecast } from './forecaster.js';
import { createHome } from './home-assistant.js';
import { createIngest } from './ingest.js';
import { createMapper } from './mapper.js';
import type { NewReading } from './ingest.js';
import type { Lane, Step } from './lane.js';
import { bindLane, storeLane } from './lane-store.js';
import { forecastMessage, healthMessage, infoMessage } from './messages.js';
import { count, createMetrics } from './metrics.js';
import type { Metrics } from './metrics.js';
import { createOutbox } from './outbox.js';
import type { OutboxMessage } from './outbox.js';
import type { Ports } from './ports.js';
import { openSlots } from './slots.js';
import { isDamage, isFull, readingFlag } from './store.js';
import { createUpdater } from './update.js';
import type { Active } from './update.js';

/** For those that look at a device from inside its process. */
export interface Probe {
  readonly metrics: Metrics;
  readonly lanes: ReadonlyMap<string, Lane>;
}

/** What a message brought and what came of it, judged but not yet on disk. */
interface Pending {
  /** What shows in the forecasts that are due: all of a flush are made together. */
  readonly foresee?: () => void;
  readonly alerts: () => readonly StreamAlert[];
  readonly work: () => void;
  /** What need not survive, after the commit. */
  readonly report: () => void;
}

interface StreamAlert {
  readonly stream: string;
  readonly alert: AlertPayload;
  readonly kind: string;
}

/** Interactive work is small; what has not left by then stays in the outbox. */
const STOP_WAIT_MS = 2000;
const STALE_CHECK_MS = 5000;
const PRUNE_MS = 3_600_000;
const RESERVE_MS = 60_000;
const DISK_FULL = 'nothing can be stored: the disk is full';
const MIN_SILENCE_MS = 60_000;
const HOME_SPREAD_MS = 10_000;
/** Longest time that going through stored readings may hold the loop when a model is new. */
const LEARN_BUDGET_MS = 2000;
/** Rings of scores are stored every so many steps; a kill loses at most these. */
const RING_STEPS = 50;

/** Runs until the signal aborts, then stops intake, tells that it goes, and returns. `onReady` sees it from inside. */
export async function runDevice(
  config: DeviceConfig,
  ports: Ports,
  stopSignal: AbortSignal,
  onReady?: (probe: Probe) => void,
): Promise<void> {
  const { clock, store, machine, tell } = ports;
  const topics = createTopics(config);
  const metrics = createMetrics();
  const outbox = createOutbox(store, clock);
  const conditions = createConditions(config, store, ports.newId);
  const home = createHome(config, store);
  const ingest = createIngest(config, clock, metrics, {
    recall: (name, count) => store.newest(name, count),
    outOfRange: (stream, timeMs, value) => conditions.outOfRange(stream, timeMs, value),
    decodeCbor: (payload) => codec.decodeCbor(payload),
  });
  const mapper = createMapper(config.mappings);
  for (const stream of mapper.streams) ingest.admit(stream);
  const lanes = new Map<string, Lane>();
  const detectors = openDetectors(config, store, ports.newId);
  const lastArrivalMs = new Map<string, number>();
  for (const name of [...detectors.values()].flatMap(({ settings }) => settings.streams)) {
    ingest.admit(name);
    lastArrivalMs.set(name, clock.monotonicMs());
  }
  const models = new Map<string, Active>();
  const stepsSinceRings = new WeakMap<Lane, number>();
  const boot = ports.newId();
  let engine: Engine | undefined;
  let link: MqttLink | undefined = undefined;
  let diskFull = false;
  let someHeld = true; // by the run before, maybe
  let pending: Pending[] = [];
  const breakdown = new AbortController();
  const signal = AbortSignal.any([stopSignal, breakdown.signal]);

  const updater = createUpdater({
    ...config,
    store,
    clock,
    metrics,
    tell,
    activate,
    deactivate,
    slots: openSlots(config.stateDir),
    able: { arch: machine.arch, providers: await ports.providers() },
    runtimeVersion: machine.runtime,
    repositoryUrl: config.repository?.url,
    openRepository: ports.openRepository,
    selfTest: ports.selfTest,
    report(reported) {
      outbox.put('model', { topic: topics.reported, payload: wireText(reportedPayload, reported), retain: true });
      home.report(link, reported);
    },
  });

  const commands = createCommands(topics.prefix, store, clock, {
    ping: () => accept({ boot, ts: clock.now() }),
    status: () => accept(toWire(healthPayload, health()) as object),
    'forecast-now': ({ stream }) => forecastNow(stream),
    silence({ key, minutes, by }) {
      const untilMs = clock.now() + minutes * 60_000;
      store.put(`silence/${key}`, JSON.stringify({ untilMs, by }));
      return accept({ key, until: untilMs });
    },
  });

  for (const [name, { maxSilenceMs }] of Object.entries(config.streams))
    if (maxSilenceMs !== null) lastArrivalMs.set(name, clock.monotonicMs());

  if (store.setAside !== undefined)
    tell('database-set-aside', { reason: store.start, path: store.setAside, salvaged: store.salvaged });
  await updater.start();
  const codec = await import('../transport/cbor.js'); // forecasts need not wait for it
  link = await ports.connect({
    will: { topic: topics.status, payload: status('offline'), qos: 1, retain: true },
    subscriptions: [
      { filter: topics.allInputs, qos: 1, skipRetained: true },
      { filter: topics.desired, qos: 1 },
      { filter: `${topics.prefix}/cmd/+`, qos: 1, skipRetained: true },
      ...mapper.subscriptions,
      ...(home.statusTopic === undefined ? [] : [{ filter: home.statusTopic, qos: 1 as const, skipRetained: true }]),
    ],
    onMessage: orBreakdown(receive),
    commit: orBreakdown(flush),
    onLink,
  });
  onReady?.({ metrics, lanes });
  tell('running', { boot });
  if (store.start === 'full') noteDisk(DISK_FULL);
  store.reserve();

  const loops = [
    outbox.drain(link, signal),
    updater.run(signal),
    every(config.healthMs, sendHealth),
    every(STALE_CHECK_MS, stampHeld),
    every(STALE_CHECK_MS, endStale),
    every(STALE_CHECK_MS, findSilent),
    every(PRUNE_MS, prune),
    every(RESERVE_MS, store.reserve),
    measureLag(),
  ];
  await Promise.all(loops).catch((error: unknown) => breakdown.abort(error));
  if (breakdown.signal.aborted) {
    await link.close();
    throw breakdown.signal.reason;
  }
  await stop();

  /** A damaged file shows wherever it is touched. */
  function orBreakdown<T extends readonly unknown[]>(work: (...given: T) => void): (...given: T) => void {
    return (...given) => {
      try {
        work(...given);
      } catch (error) {
        if (isDamage(error)) breakdown.abort(error);
        throw error;
      }
    };
  }

  function receive(message: MqttMessage): void {
    const { topic, payload } = message;
    const name = topics.streamOf(topic);
    if (name !== undefined) return readInto(name, message);
    if (topic === topics.desired) return updater.offer(payload);
    if (topic === home.statusTopic) return void homeStarted(message);
    if (topic.startsWith(`${topics.prefix}/`)) return command(message);
    for (const { stream, mapping } of mapper.routes(topic)) readInto(stream, message, mapping);
    for (const stream of mapper.offline(topic, payload)) conditions.offline(stream, clock.now());
    raiseFacts();
  }

  /** A message in: on disk, with all that comes of it, after the next `flush`. */
  function readInto(name: string, message: MqttMessage, shape?: Shape): void {
    const began = clock.monotonicMs();
    if (someHeld) stampHeld(); // before what comes now

    const arrived = ingest.read(name, message, shape);
    const held = arrived.filter(({ timeSource }) => timeSource === 'held');
    if (held.length > 0) {
      someHeld = true;
      pending.push({ alerts: () => [], work: () => held.forEach(hold), report: () => undefined });
    }
    take(held.length > 0 ? arrived.filter((reading) => !held.includes(reading)) : arrived, began);
  }

  /** What messages brought goes to disk in one transaction, since a commit costs more than a reading. */
  function flush(): void {
    if (pending.length === 0) return;
    const taken = pending;
    pending = [];
    for (const { foresee } of taken) foresee?.();
    commit(
      () => {
        for (const { work } of taken) work();
      },
      taken.flatMap(({ alerts }) => alerts()),
    );
    for (const { report } of taken) report();
  }

  function hold({ stream: { name, settings }, timeMs, value }: NewReading): void {
    store.hold(store.stream(name, settings.unit), timeMs, value ?? null);
  }

  /** The clock can be believed from now on: what came before gets the time at which it came. */
  function stampHeld(): void {
    if (!someHeld || !clock.synced()) return;
    someHeld = false;
    flush();
    const { readings, lost } = store.held();
    const offsetMs = clock.now() - clock.monotonicMs();
    for (let i = 0; i < lost; i++) count(metrics.rejected, 'bad_time'); // of a run of the machine that has ended
    const stamped = readings.map(({ stream, monotonicMs, value }) =>
      ingest.stamp(stream, monotonicMs + offsetMs, value ?? undefined),
    );
    take(stamped, clock.monotonicMs(), store.release);
    flush();
  }

  /** Readings in; on disk, with all that comes of them and `also`, after the next `flush`. */
  function take(readings: readonly NewReading[], began: number, also: () => void = () => undefined): void {
    const flags = readings.map(addToLane);
    const steps = [...new Set(readings.map(({ stream }) => stream.name))].map((name) => ({
      lane: lanes.get(name),
      steps: stepAll(lanes.get(name)),
    }));
    const watched = [...detectors.values()].map((detector) => ({ detector, steps: stepAll(detector) }));
    for (const reading of readings) conditions.inspect(reading);
    const facts = [...conditions.take()];
    const anomalies = (stream: string, done: readonly (Step | DetectorStep)[]): StreamAlert[] =>
      done.flatMap(({ alert }) => (alert === undefined ? [] : [{ stream, alert, kind: 'anomaly' }]));
    pending.push({
      foresee() {
        for (const { lane, steps: done } of steps) if (lane !== undefined) conditions.foresee(lane, done);
        facts.push(...conditions.take());
      },
      alerts: () => [
        ...facts,
        ...steps.flatMap(({ lane, steps: done }) => anomalies(lane?.settings.subject.stream ?? '', done)),
        ...watched.flatMap(({ detector, steps: done }) => anomalies(detector.subject.stream, done)),
      ],
      work() {
        readings.forEach((reading, i) => storeReading(reading, flags[i]!));
        for (const { lane, steps: done } of steps) if (lane !== undefined) putSteps(lane, done);
        for (const { detector, steps: done } of watched)
          if (done.length > 0) storeDetector(store, detector, done.length);
        facts.forEach(conditions.remember);
        also();
      },
      report() {
        if (steps.some((group) => group.steps.length > 0)) metrics.ingest.add(clock.monotonicMs() - began);
        for (const { lane, steps: done } of steps) if (lane !== undefined) report(lane, done);
        for (const { detector, steps: done } of watched) reportVerdicts(detector, done);
      },
    });
  }

  /** Returns the flags the reading is stored with. */
  function addToLane({ stream, timeMs, value, timeSource }: NewReading): number {
    lastArrivalMs.set(stream.name, clock.monotonicMs());
    const late = lanes.get(stream.name)?.add(timeMs, value) === 'late';
    metrics.samples[late ? 'late' : 'stored']++;
    if (value === undefined) metrics.samples.missing++;
    for (const detector of detectors.values())
      if (detector.settings.streams.includes(stream.name)) detector.add(stream.name, timeMs, value);
    return (late ? readingFlag.late : 0) | (timeSource === 'arrival' ? readingFlag.arrivalTime : 0);
  }

  function stepAll<T>(stepper: { step(): T | undefined } | undefined): T[] {
    const steps: T[] = [];
    for (let step = stepper?.step(); step !== undefined; step = stepper!.step()) steps.push(step);
    return steps;
  }

  function storeReading({ stream, timeMs, value }: NewReading, flags: number): void {
    store.append({ stream: store.stream(stream.name, stream.settings.unit), timeMs, value: value ?? null, flags });
  }

  /** Of the forecasts only the newest, since the others are about the past. */
  function putSteps(lane: Lane, steps: readonly Step[]): void {
    const newest = steps.at(-1)?.answer();
    if (newest?.forecast !== undefined) putForecast(lane, newest.forecast, newest.inferenceMs);
    const sinceRings = (stepsSinceRings.get(lane) ?? 0) + steps.length;
    stepsSinceRings.set(lane, sinceRings >= RING_STEPS ? 0 : sinceRings);
    if (steps.length > 0) storeLane(store, lane, sinceRings >= RING_STEPS);
  }

  function alertMessages({ stream, alert, kind }: StreamAlert): OutboxMessage[] {
    const payload = wireText(alertPayload, alert);
    const silence = JSON.parse(store.get(`silence/${alert.key}`)?.toString() ?? '{"untilMs":0}') as { untilMs: number };
    return [
      { topic: topics.alert(stream, kind), payload, retain: true },
      ...(clock.now() < silence.untilMs ? [] : [{ topic: topics.event(stream), payload, expiresInMs: 86_400_000 }]),
    ];
  }

  function storeAlert({ alert }: StreamAlert): void {
    store.sql
      .prepare(
        'INSERT INTO alert(id, key, state, seq, body, updated) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET state = excluded.state, seq = excluded.seq, body = excluded.body, updated = excluded.updated',
      )
      .run(alert.id, alert.key, alert.state, alert.seq, wireText(alertPayload, alert), clock.now());
  }

  function putForecast(lane: Lane, forecast: Forecast, inferenceMs: number): void {
    const { subject, series } = lane.settings;
    const { slot, arm } = lane.settings.active.pointer;
    const message = forecastMessage(lane, forecast, {
      id: ports.newId(),
      issuedMs: clock.now(),
      slot,
      arm,
      late: metrics.samples.late,
      inferenceMs,
    });
    outbox.put('forecast', {
      topic: topics.forecast(subject.stream),
      payload: wireText(forecastPayload, message),
      expiresInMs: 2 * series.cadenceMs,
    });
    metrics.forecasts.issued++;
    if (metrics.coldStartMs !== null) return;
    metrics.coldStartMs = machine.uptimeMs();
    tell('first-forecast', {
      ms: metrics.coldStartMs,
      rssMb: machine.rssBytes() / 1024 / 1024,
      stream: subject.stream,
    });
  }

  /** What need not survive: scores, and the updater's probation. */
  function report(lane: Lane, steps: readonly Step[]): void {
    const { subject, series } = lane.settings;
    const { line } = lane.settings.active;
    for (const { bucket, surprise, answer } of steps) {
      const { failed, forecast, inferenceMs = 0 } = answer() ?? {};
      if (failed !== undefined) metrics.forecasts.failed++;
      if (forecast !== undefined) metrics.inference.add(inferenceMs);
      if (failed !== undefined || forecast !== undefined) updater.observe(line, failed);
      if (surprise !== undefined)
        publishScore(subject.stream, subject.model, series.cadenceMs, bucket.startMs, surprise);
    }
  }

  function reportVerdicts({ subject, settings }: Detector, steps: readonly DetectorStep[]): void {
    for (const { timeMs, verdict } of steps) {
      if (verdict !== undefined && verdict.score !== null)
        publishScore(subject.stream, subject.detector, settings.cadenceMs, timeMs, {
          ...verdict,
          score: verdict.score,
        });
    }
  }

  function publishScore(
    stream: string,
    model: string,
    cadenceMs: number,
    ts: number,
    { score, p }: { readonly score: number; readonly p: number },
  ): void {
    if (link?.online !== true) return;
    void link.publish(topics.score(stream), wireText(scorePayload, { v: 1, ts, score, p, model }), {
      qos: 0,
      expirySeconds: Math.ceil((2 * cadenceMs) / 1000),
    });
  }

  /**
   * One transaction, on disk for good when there are alerts in it. A full disk costs the record, never the service:
   * forecasting goes on and alerts leave from memory. A damaged file is begun anew.
   */
  function commit(work: () => void, alerts: readonly StreamAlert[] = []): void {
    const messages = alerts.flatMap(alertMessages);
    outbox.hold(messages);
    try {
      store.write(
        () => {
          alerts.forEach(storeAlert);
          for (const message of messages) outbox.put('alert', message);
          work();
        },
        alerts.length > 0 ? 'full' : 'normal',
      );
      if (store.start !== 'full') noteDisk(undefined);
    } catch (error) {
      metrics.databaseErrors++;
      if (isDamage(error)) {
        breakdown.abort(error);
        throw error;
      }
      tell('database-error', { detail: (error as Error).message });
      if (isFull(error)) noteDisk(DISK_FULL);
    }
    for (const { stream, alert } of alerts) {
      const { event: change, severity, started, ended, reason } = alert;
      count(metrics.alerts, change);
      tell('alert', { stream, change, severity, started, ended, reason });
    }
  }

  function noteDisk(trouble: string | undefined): void {
    if ((trouble === undefined) !== diskFull) return;
    diskFull = !diskFull;
    conditions.disk(clock.now(), machine.diskFreeBytes() ?? 0, trouble);
    raiseFacts();
  }

  /** Swaps a model in: the old lanes of its line end, new ones start with the stored readings. */
  async function activate(active: Active): Promise<void> {
    engine ??= await ports.engine();
    const forecaster = await createForecaster(engine, active, readFileSync(join(active.dir, active.modelFile)), () =>
      clock.monotonicMs(),
    );
    deactivate(active.line);
    models.set(active.line, active);
    for (const name of active.pointer.streams) {
      const stream = ingest.admit(name);
      const { lane, readings, continued } = bindLane({
        config,
        store,
        active,
        forecaster,
        stream,
        newId: ports.newId,
      });
      const affordable = Math.floor(LEARN_BUDGET_MS / Math.max(active.p95Ms ?? 1, 0.05));
      const forecast = lane.rehearse(readings, continued ? 0 : Math.min(affordable, config.alerts.ringSize));
      lanes.set(name, lane);
      lastArrivalMs.set(name, clock.monotonicMs());
      commit(() => {
        if (forecast !== undefined) putForecast(lane, forecast, 0);
        storeLane(store, lane, true);
      });
    }
    publishInfo();
  }

  function deactivate(line: string): void {
    flush();
    const ended = [...lanes].filter(([, lane]) => lane.settings.active.line === line);
    for (const [name, lane] of ended) {
      const alert = lane.end('superseded', clock.now(), 'the model was changed');
      if (alert !== undefined) commit(() => undefined, [{ stream: name, alert, kind: 'anomaly' }]);
      lanes.delete(name);
    }
    ended[0]?.[1].settings.forecaster.close();
    models.delete(line);
  }

  /** After each connect, in this order, since brokers lose retained messages when they are killed. */
  function onLink(event: LinkEvent): void {
    tell('link', { ...event });
    if (event.state !== 'online') return;
    metrics.reconnects++;
    const say = (topic: string, payload: string): void => void link?.publish(topic, payload, { qos: 1, retain: true });
    say(topics.status, status('online'));
    publishInfo();
    say(topics.reported, wireText(reportedPayload, updater.reported()));
    home.report(link, updater.reported());
    for (const [name, { watch }] of [...lanes, ...detectors])
      if (watch.alert !== undefined) say(topics.alert(name, 'anomaly'), wireText(alertPayload, watch.alert));
    for (const { subject, kind, watch } of conditions.all())
      if (watch.alert !== undefined) say(topics.alert(subject.stream, kind), wireText(alertPayload, watch.alert));
    outbox.resume();
  }

  function publishInfo(): void {
    const info = infoMessage(config, machine, [...lanes.keys()], [...models.values()]);
    void link?.publish(topics.info, wireText(infoPayload, info), { qos: 1, retain: true });
    announce();
  }

  /** For Home Assistant. */
  function announce(): void {
    const forecasts = [...lanes].map(([stream, { settings }]) => ({
      stream,
      unit: settings.unit,
      cadenceMs: settings.series.cadenceMs,
      horizon: settings.active.manifest.horizon,
    }));
    const watched = [...detectors].map(([name, { settings }]) => ({ name, cadenceMs: settings.cadenceMs }));
    home.announce(link, { forecasts, detectors: watched }).catch((error: unknown) => {
      if (isDamage(error)) breakdown.abort(error);
      tell('database-error', { detail: (error as Error).message });
    });
  }

  /** It asks all devices at once; they answer one after another. */
  async function homeStarted({ payload }: MqttMessage): Promise<void> {
    if (Buffer.from(payload).toString() !== 'online') return;
    await clock.sleep(Math.random() * HOME_SPREAD_MS, signal);
    if (!signal.aborted) announce();
  }

  function status(state: 'online' | 'offline'): string {
    const since = clock.now();
    return wireText(
      statusPayload,
      state === 'offline'
        ? { v: 1, state, boot }
        : { v: 1, state, boot, since, clock: clock.synced() ? 'synced' : 'unsynced' },
    );
  }

  function health(): HealthPayload {
    return healthMessage(clock.now(), metrics, outbox, machine);
  }

  function sendHealth(): void {
    void link?.publish(topics.health, wireText(healthPayload, health()), { qos: 0, expirySeconds: 120 });
  }

  function command(message: MqttMessage): void {
    const reply = commands(message);
    if (reply === undefined) return;
    const { topic, payload, correlationData } = reply;
    void link?.publish(topic, payload, { qos: 1, expirySeconds: 60, correlationData });
  }

  function forecastNow(stream: string | undefined): Outcome<object, CommandReason> {
    const asked = [...lanes].filter(([name]) => stream === undefined || name === stream);
    const done = asked.flatMap(([name, lane]) => {
      const answer = lane.forecast();
      if (answer?.forecast === undefined) return [];
      const { forecast, inferenceMs } = answer;
      commit(() => putForecast(lane, forecast, inferenceMs));
      return [name];
    });
    return done.length > 0 ? accept({ streams: done }) : refuse('not_possible', 'no stream has a model and its window');
  }

  /** An alert whose stream fell silent ends: nobody can say any more that it lasts. */
  function endStale(): void {
    for (const [name, lane] of lanes)
      endIfSilent(name, lane, [name], lane.settings.series.cadenceMs, () => storeLane(store, lane, true));
    for (const [name, detector] of detectors) {
      const { streams, cadenceMs } = detector.settings;
      endIfSilent(name, detector, streams, cadenceMs, () => storeDetector(store, detector, 0, true));
    }
  }

  function findSilent(): void {
    for (const [name, { maxSilenceMs }] of Object.entries(config.streams)) {
      const silentMs = clock.monotonicMs() - (lastArrivalMs.get(name) ?? Infinity);
      if (maxSilenceMs !== null && silentMs > maxSilenceMs) conditions.silent(name, clock.now(), silentMs);
    }
    raiseFacts();
  }

  function raiseFacts(): void {
    const facts = conditions.take();
    if (facts.length > 0) commit(() => facts.forEach(conditions.remember), facts);
  }

  function endIfSilent(
    name: string,
    watching: Pick<Lane | Detector, 'closedUntilMs'> & Pick<Lane, 'end'>,
    streams: readonly string[],
    cadenceMs: number,
    remember: () => void,
  ): void {
    const silentMs = Math.max(...streams.map((stream) => clock.monotonicMs() - (lastArrivalMs.get(stream) ?? 0)));
    if (silentMs <= Math.max(3 * cadenceMs, MIN_SILENCE_MS)) return;
    const reason = `no reading for ${Math.round(silentMs / 1000)} s`;
    const alert = watching.end('stale', watching.closedUntilMs, reason);
    if (alert !== undefined) commit(remember, [{ stream: name, alert, kind: 'anomaly' }]);
  }

  function prune(): void {
    commit(() => void store.prune(clock.now() - config.retentionDays * 86_400_000));
  }

  async function every(ms: number, work: () => void): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(ms, signal);
      if (!signal.aborted) work();
    }
  }

  async function measureLag(): Promise<void> {
    while (!signal.aborted) {
      const before = clock.monotonicMs();
      await clock.sleep(1000, signal);
      if (!signal.aborted) metrics.loopLagMs = Math.max(0, clock.monotonicMs() - before - 1000);
    }
  }

  /** Say so, and leave; what comes until the link is closed is taken still, since it will be acknowledged. */
  async function stop(): Promise<void> {
    const timeout = new AbortController();
    await Promise.race([
      link!.publish(topics.status, status('offline'), { qos: 1, retain: true }),
      clock.sleep(STOP_WAIT_MS, timeout.signal),
    ]);
    timeout.abort();
    await link!.close();
    flush();
    for (const lane of lanes.values()) commit(() => storeLane(store, lane, true));
    for (const detector of detectors.values()) commit(() => storeDetector(store, detector, 0, true));
    for (const { settings } of lanes.values()) settings.forecaster.close();
    tell('stopped', { boot });
  }
}
