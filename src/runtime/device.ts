/** The whole device, top to bottom. Data only moves down: message, readings, buckets, verdicts, forecasts, outbox. */
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandReason } from '../contracts/command.js';
import type { DeviceConfig } from '../contracts/config.js';
import { forecastPayload, healthPayload, reportedPayload } from '../contracts/payload.js';
import { createTopics } from '../contracts/topic.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import type { Shape } from '../contracts/reading.js';
import { toWire, wireText } from '../contracts/wire.js';
import type { Engine } from '../engine/port.js';
import type { LinkEvent, MqttLink, MqttMessage } from '../transport/mqtt.js';
import type { Detector, DetectorStep } from './detector.js';
import { openDetectors, storeDetector } from './detector-store.js';
import { createAlertCap } from './alert-cap.js';
import { createCommands } from './commands.js';
import { createConditions } from './conditions.js';
import type { Conditions } from './conditions.js';
import { createEndings } from './endings.js';
import { createForecaster } from './forecaster.js';
import type { Forecast, Forecaster } from './forecaster.js';
import { createHome } from './home-assistant.js';
import { createIngest } from './ingest.js';
import { createMapper } from './mapper.js';
import type { NewReading } from './ingest.js';
import type { StoredReading } from './intake.js';
import type { Lane, Step } from './lane.js';
import { bindLane, storeLane } from './lane-store.js';
import { forecastMessage } from './messages.js';
import { count, createMetrics, hearPublished } from './metrics.js';
import type { Metrics } from './metrics.js';
import { createOutbox } from './outbox.js';
import type { Outbox } from './outbox.js';
import { createOverload } from './overload.js';
import { createPauses } from './pause.js';
import { createPresence } from './presence.js';
import { createQuarantine } from './quarantine.js';
import type { Quarantine } from './quarantine.js';
import { createRecorder } from './recorder.js';
import type { StreamAlert } from './recorder.js';
import { createRules } from './reporting.js';
import type { Ports } from './ports.js';
import { stepEvidence } from './probation.js';
import type { Shadows } from './shadow.js';
import { startsSafe } from './safe.js';
import { openSlots } from './slots.js';
import type { Heard } from './sparkplug-in.js';
import { readingFlag } from './readings.js';
import { snapshotOf } from './snapshot.js';
import { isDamage } from './store.js';
import { createUpdater } from './update.js';
import type { Active, Updater } from './update.js';
import { createVoice } from './voice.js';

/** For those that look at a device from inside its process. */
export interface Probe {
  readonly config: DeviceConfig;
  readonly ports: Ports;
  readonly metrics: Metrics;
  readonly lanes: ReadonlyMap<string, Lane>;
  readonly detectors: ReadonlyMap<string, Detector>;
  readonly conditions: Conditions;
  readonly models: ReadonlyMap<string, Active>;
  readonly outbox: Outbox;
  readonly updater: Updater;
  readonly link: MqttLink;
  readonly quarantine: Quarantine;
}

/** What a message brought and what came of it, judged but not yet on disk. */
interface Pending {
  readonly readings: readonly StoredReading[];
  readonly alerts: readonly StreamAlert[];
  /** Asks for its forecasts, which are made with all others that are due, and looks at what they show. */
  readonly foresee: () => void;
  /** For the database; most messages bring nothing but readings. */
  readonly work: readonly (() => void)[];
  /** What need not survive, after the commit. */
  readonly report: () => void;
}

/** A message, and the stream that it is of. */
interface StreamMessage {
  readonly name: string;
  readonly message: MqttMessage;
  readonly shape?: Shape | undefined;
}

/** Interactive work is small; what has not left by then stays in the outbox. */
const STOP_WAIT_MS = 2000;
const STALE_CHECK_MS = 5000;
const TICK_MS = 1000;
/** Readings of no more than five seconds are lost with the power. */
const SYNC_MS = 4000;
const PRUNE_MS = 3_600_000;
const RESERVE_MS = 60_000;
const SPARKPLUG_MS = 1000;
/** A loop that is later, or readings that nobody has stored for so long: the supervisor is to start the device anew. */
const LATE_MS = 5000;
const UNSTORED_MS = 30_000;
const HOME_SPREAD_MS = 10_000;
/** Longest time that going through stored readings may hold the loop when a model is new. */
const LEARN_BUDGET_MS = 2000;
/** The model may be slower than its self-test was, by accident or not. */
const LEARN_LIMIT_MS = 2 * LEARN_BUDGET_MS;
/** Rings of scores are stored every so many steps; a kill loses at most these. */
const RING_STEPS = 50;

/** Runs until the signal aborts, then stops intake, tells that it goes, and returns. `onReady` sees it from inside. */
export async function runDevice(
  config: DeviceConfig,
  ports: Ports,
  stopSignal: AbortSignal,
  onReady?: (probe: Probe) => void,
): Promise<void> {
  const { clock, store, machine, tell, supervisor } = ports;
  const topics = createTopics(config);
  const metrics = createMetrics();
  const outbox = createOutbox(store, clock);
  const conditions = createConditions(config, store, ports.newId);
  const safe = startsSafe(store, clock);
  const home = createHome(safe ? { ...config, homeAssistant: null } : config, store);
  const pauses = createPauses(store, clock);
  const rulesOf = createRules(config);
  const presence = createPresence(clock, rulesOf);
  const quarantine = createQuarantine(clock, tell);
  const cap = createAlertCap(config, store, clock, ports.newId);
  const overload = createOverload<StreamMessage>(clock, config.maxMessageRate, ({ message }) => {
    count(metrics.rejected, 'overload');
    quarantine.put('overload', message.topic, message.payload);
  });
  const ingest = createIngest(config, clock, metrics, {
    recall: (name, count) => store.newest(name, count),
    outOfRange: (stream, timeMs, value) => conditions.outOfRange(stream, timeMs, value),
    refused: (...refusal) => quarantine.put(...refusal),
    decodeCbor: (payload) => codec.decodeCbor(payload),
  });
  const mapper = createMapper(config.mappings);
  for (const stream of mapper.streams) ingest.admit(stream);
  const lanes = new Map<string, Lane>();
  const detectors = openDetectors(config, store, ports.newId, rulesOf);
  const watchedStreams = [...detectors.values()].flatMap(({ settings }) => settings.streams);
  for (const name of watchedStreams) ingest.admit(name);
  for (const name of [...watchedStreams, ...mapper.streams, ...Object.keys(config.streams)]) presence.expect(name);
  const models = new Map<string, Active>();
  const stepsSinceRings = new WeakMap<Lane, number>();
  const boot = ports.newId();
  let engine: Engine | undefined;
  let shadows: Shadows | undefined; // most devices have none, and load no code for it
  let link: MqttLink | undefined = undefined;
  let arrivedMs = -Infinity;
  let someHeld = true; // by the run before, maybe
  let pending: Pending[] = [];
  const breakdown = new AbortController();
  const signal = AbortSignal.any([stopSignal, breakdown.signal]);
  setMaxListeners(0, signal); // every loop below listens
  const onDamage = (error: unknown): void => breakdown.abort(error);
  const recorder = createRecorder({ ...ports, config, metrics, outbox, conditions, cap, onDamage });
  const { commit, attempt, raiseFacts } = recorder;
  const endings = createEndings({ lanes, detectors, conditions, presence, pauses, recorder, store, clock });
  const voice = createVoice({
    ...ports,
    config,
    boot,
    metrics,
    outbox,
    home,
    lanes,
    detectors,
    conditions,
    models,
    reported: () => updater.reported(),
    link: () => link,
    complain: recorder.complain,
  });

  const edge =
    config.sparkplug === null
      ? undefined
      : (await import('./sparkplug-out.js')).createEdgeNode(config.sparkplug, ports, { lanes, detectors, conditions });

  const meter = { monotonicMs: () => clock.monotonicMs(), peakBytes: () => machine.peakBytes() };
  const slots = openSlots(config.stateDir);
  const updater = createUpdater({
    ...config,
    store,
    clock,
    metrics,
    tell,
    activate,
    deactivate,
    shadows: { start: shadow, end: (line) => shadows?.end(line) },
    slots,
    able: { arch: machine.arch, providers: await ports.providers() },
    runtimeVersion: machine.runtime,
    repositoryUrl: config.repository?.url ?? undefined,
    asks: config.repository?.install === 'asked',
    safe,
    openRepository: ports.openRepository,
    openUpdateFile: ports.openUpdateFile,
    selfTest: ports.selfTest,
    report(reported) {
      outbox.put('model', { topic: topics.reported, payload: wireText(reportedPayload, reported), retain: true });
      home.report(link, reported);
    },
  });

  const commands = createCommands(topics.prefix, store, clock, {
    ping: () => accept({ boot, ts: clock.now() }),
    status: () => accept(toWire(healthPayload, voice.health()) as object),
    'forecast-now': ({ stream }) => forecastNow(stream),
    silence({ key, minutes, by }) {
      const untilMs = clock.now() + minutes * 60_000;
      store.put(`silence/${key}`, JSON.stringify({ untilMs, by }));
      return accept({ key, until: untilMs });
    },
    snapshot: ({ stream, readings }) =>
      snapshotOf({ lanes, detectors, conditions, pauses, metrics, quarantine, store }, stream, readings),
    pause({ stream, minutes, by }) {
      flush(); // what came before is forecast and judged
      const until = minutes === undefined ? null : clock.now() + minutes * 60_000;
      pauses.begin(stream, { until, by });
      endings.paused(`paused by ${by}`);
      return accept({ until });
    },
    resume: ({ stream }) => (pauses.end(stream) ? accept({}) : refuse('not_possible', 'it is not paused')),
    rollback: ({ line, by }) => updater.rollBack(line, `asked for by ${by}`),
    'model-install': () => updater.installWaiting(),
    reload: ports.reload,
    'log-level'({ level }) {
      ports.setLogLevel(level);
      return accept({ level });
    },
  });

  if (store.setAside !== undefined)
    tell('database-set-aside', { reason: store.start, path: store.setAside, salvaged: store.salvaged });
  if (safe) tell('safe-mode', { detail: 'it ended uncleanly again and again: no entities, and no model on probation' });
  await updater.start();
  const codec = await import('../transport/cbor.js'); // forecasts need not wait for it
  const nodes =
    mapper.sparkplug.topics.length === 0
      ? undefined
      : (await import('./sparkplug-in.js')).createSparkplugIn(mapper.sparkplug, clock, config.sparkplug);
  const bare = await ports.connect({
    will: { topic: topics.status, payload: voice.status('offline'), qos: 1, retain: true },
    subscriptions: [
      { filter: topics.allInputs, qos: 1, skipRetained: true },
      { filter: topics.desired, qos: 1 },
      { filter: `${topics.prefix}/cmd/+`, qos: 1, skipRetained: true },
      ...mapper.subscriptions,
      ...(nodes?.subscriptions ?? []),
      ...(home.statusTopic === undefined ? [] : [{ filter: home.statusTopic, qos: 1 as const, skipRetained: true }]),
    ],
    onMessage: orBreakdown(receive),
    commit: orBreakdown(flush),
    onLink,
  });
  link = hearPublished(bare, (topic) => count(metrics.messages, `out ${topics.classOf(topic)}`));
  await edge?.open();
  const probe: Probe = {
    config,
    ports,
    metrics,
    lanes,
    detectors,
    conditions,
    models,
    outbox,
    updater,
    link,
    quarantine,
  };
  onReady?.(probe);
  tell('running', { boot });
  supervisor.say('ready');
  if (store.start === 'full') recorder.noteFull();
  store.reserve();

  const { createTuning } = await import('./tuning.js');
  const tuning = createTuning({ ...ports, config, slots, adopt: (line) => updater.adopt(line), signal });
  const loops = [
    outbox.drain(link, signal),
    updater.run(signal),
    import('./offline.js').then((it) => it.watchOffline({ ...config, store, clock, install: updater.install }, signal)),
    every(config.healthMs, voice.tellHealth),
    every(SYNC_MS, recorder.sync),
    every(TICK_MS, () => {
      overload.due().forEach(readMessage);
      passTime();
      recorder.tellFolded();
    }),
    every(STALE_CHECK_MS, () => {
      stampHeld();
      conditions.overload(clock.now(), metrics.rejected.overload ?? 0, overloadFact());
      endings.silent();
      tuning();
    }),
    every(PRUNE_MS, recorder.tidy),
    every(RESERVE_MS, store.reserve),
    ...(edge === undefined ? [] : [every(SPARKPLUG_MS, edge.sync)]),
    measureLag(),
    ...(supervisor.aliveEveryMs === undefined ? [] : [every(supervisor.aliveEveryMs, sayAlive)]),
  ];
  // Not before the first forecast, which need not wait for it.
  if (config.http.port !== null) loops.push(import('./http.js').then(({ servePages }) => servePages(probe, signal)));
  await Promise.all(loops).catch((error: unknown) => breakdown.abort(error));
  shadows?.close();
  if (breakdown.signal.aborted) {
    await Promise.all([link.close(), edge?.close()]);
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
    count(metrics.messages, `in ${topics.classOf(topic)}`);
    const name = topics.streamOf(topic);
    if (name !== undefined) return readInto(name, message);
    if (topic === topics.desired) return updater.offer(payload);
    if (topic === home.statusTopic) return void homeStarted(message);
    if (topic.startsWith(`${topics.prefix}/`)) return command(message);
    const heard = nodes?.receive(message);
    if (heard !== undefined) return hearNode(heard, message);
    for (const { stream, mapping } of mapper.routes(topic)) readInto(stream, message, mapping);
    noteGone(mapper.offline(topic, payload));
    for (const stream of mapper.online(topic, payload))
      if (presence.present(stream)) conditions.present(stream, clock.now());
    raiseFacts();
  }

  function hearNode({ samples, gone, rejected, request }: Heard, message: MqttMessage): void {
    for (const reason of rejected) {
      count(metrics.rejected, reason);
      quarantine.put(reason, message.topic, message.payload);
    }
    keep(() => samples.flatMap((one) => ingest.read(one.stream, { ...message, decoded: one.decoded }, one.mapping)));
    noteGone(gone);
    if (request === undefined) return;
    tell('sparkplug-rebirth', { topic: request.topic });
    void link?.publish(request.topic, request.payload, { qos: 0 });
  }

  function noteGone(streams: readonly string[]): void {
    for (const stream of streams) {
      presence.gone(stream);
      conditions.offline(stream, clock.now());
    }
    raiseFacts();
  }

  function readInto(name: string, message: MqttMessage, shape?: Shape): void {
    overload.take(name, { name, message, shape }).forEach(readMessage);
  }

  function readMessage({ name, message, shape }: StreamMessage): void {
    keep(() => ingest.read(name, message, shape));
  }

  /** What came in: on disk, with all that comes of it, after the next `flush`. */
  function keep(read: () => readonly NewReading[]): void {
    const began = clock.monotonicMs();
    if (someHeld) stampHeld(); // before what comes now

    const arrived = read();
    const held = arrived.filter(({ timeSource }) => timeSource === 'held');
    if (held.length > 0) {
      someHeld = true;
      const nothing = { readings: [], alerts: [], foresee: () => undefined, report: () => undefined };
      pending.push({ ...nothing, work: [() => held.forEach(hold)] });
    }
    take(held.length > 0 ? arrived.filter((reading) => !held.includes(reading)) : arrived, began);
  }

  /**
   * What messages brought goes to disk together. The readings last: those whose verdicts alone were stored come again, and
   * are not judged twice.
   */
  function flush(): void {
    if (pending.length === 0) return;
    const taken = pending;
    pending = [];
    for (const { foresee } of taken) foresee();
    const foreseen = conditions.take();
    const work = [...taken.flatMap((one) => one.work), ...foreseen.map((fact) => () => conditions.remember(fact))];
    const alerts = [...foreseen, ...taken.flatMap((one) => one.alerts)];
    if (work.length > 0 || alerts.length > 0) commit(() => work.forEach((one) => one()), alerts);
    const readings = taken.flatMap((one) => one.readings);
    if (readings.length > 0) attempt(() => store.append(readings));
    for (const { report } of taken) report();
  }

  function hold({ stream: { name }, timeMs, value }: NewReading): void {
    store.hold(name, timeMs, value ?? null);
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
    take(stamped, clock.monotonicMs());
    flush();
    commit(store.release); // now that they are stored
  }

  /** Readings in, of these streams; on disk, with all that comes of them, after the next `flush`. */
  function take(
    readings: readonly NewReading[],
    began: number,
    streams = readings.map(({ stream }) => stream.name),
  ): void {
    const stored = readings.map(addToLane);
    const steps = [...new Set(streams)].map((name) => ({
      name,
      lane: lanes.get(name),
      steps: stepAll(lanes.get(name), pauses.paused(name)),
    }));
    const watched = [...detectors.values()].map((detector) => ({
      detector,
      steps: stepAll(detector, pauses.paused(detector.subject.stream)),
    }));
    for (const reading of readings) conditions.inspect(reading);
    const facts = conditions.take();
    const anomalies = (stream: string, done: readonly (Step | DetectorStep)[]): StreamAlert[] =>
      done.flatMap(({ alert }) => (alert === undefined ? [] : [{ stream, alert, kind: 'anomaly' }]));
    const alerts = [
      ...facts,
      ...steps.flatMap(({ lane, steps: done }) => anomalies(lane?.settings.subject.stream ?? '', done)),
      ...watched.flatMap(({ detector, steps: done }) => anomalies(detector.subject.stream, done)),
    ];
    pending.push({
      readings: stored,
      alerts,
      foresee() {
        for (const { lane, steps: done } of steps) {
          for (const { run } of done) run();
          if (lane !== undefined) conditions.foresee(lane, done);
        }
      },
      work: [
        ...steps.flatMap(({ lane, steps: done }) => (done.length > 0 ? [() => putSteps(lane!, done)] : [])),
        ...watched.flatMap(({ detector, steps: done }) =>
          done.length > 0 ? [() => storeDetector(store, detector, done.length)] : [],
        ),
        ...facts.map((fact) => () => conditions.remember(fact)),
      ],
      report() {
        const tookMs = clock.monotonicMs() - began;
        if (steps.some((group) => group.steps.length > 0)) metrics.ingest.add(tookMs);
        for (const { lane, steps: done } of steps) if (lane !== undefined) report(lane, done, tookMs);
        for (const { name, lane, steps: done } of steps) shadows?.follow(name, lane, done, pauses.paused(name));
        for (const { detector, steps: done } of watched) reportVerdicts(detector, done);
      },
    });
  }

  /** Returns the reading as it is stored. */
  function addToLane({ stream, timeMs, value, timeSource }: NewReading): StoredReading {
    presence.heard(stream.name);
    arrivedMs = clock.monotonicMs();
    const late = lanes.get(stream.name)?.add(timeMs, value) === 'late';
    shadows?.add(stream.name, timeMs, value);
    metrics.samples[late ? 'late' : 'stored']++;
    if (value === undefined) metrics.samples.missing++;
    for (const detector of detectors.values())
      if (detector.settings.streams.includes(stream.name)) detector.add(stream.name, timeMs, value);
    const flags = (late ? readingFlag.late : 0) | (timeSource === 'arrival' ? readingFlag.arrivalTime : 0);
    return { stream: stream.name, timeMs, value: value ?? null, flags };
  }

  /** Of streams that report when their value changes, time closes the buckets. */
  function passTime(): void {
    const holding = presence.holding();
    if (holding.length > 0 && clock.synced()) {
      const began = clock.monotonicMs();
      for (const { stream, presentMs } of holding) {
        lanes.get(stream)?.advance(clock.now(), presentMs);
        shadows?.advance(stream, clock.now(), presentMs);
        for (const detector of detectors.values())
          if (detector.settings.streams.includes(stream)) detector.advance(stream, clock.now(), presentMs);
      }
      take(
        [],
        began,
        holding.map(({ stream }) => stream),
      );
    }
    flush();
  }

  function stepAll<T>(stepper: { step(rests: boolean): T | undefined } | undefined, rests: boolean): T[] {
    const steps: T[] = [];
    for (let step = stepper?.step(rests); step !== undefined; step = stepper!.step(rests)) steps.push(step);
    return steps;
  }

  /** Of the forecasts only the newest, since the others are about the past. */
  function putSteps(lane: Lane, steps: readonly Step[]): void {
    const { forecast, inferenceMs = 0 } = steps.at(-1)?.run() ?? {};
    if (forecast !== undefined) putForecast(lane, forecast, inferenceMs);
    const sinceRings = (stepsSinceRings.get(lane) ?? 0) + steps.length;
    stepsSinceRings.set(lane, sinceRings >= RING_STEPS ? 0 : sinceRings);
    storeLane(store, lane, sinceRings >= RING_STEPS);
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
    edge?.forecast(message);
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
  function report(lane: Lane, steps: readonly Step[], tookMs: number): void {
    const { subject, series, active } = lane.settings;
    for (const step of steps) {
      const { bucket, surprise, run } = step;
      const { failed, forecast, inferenceMs } = run();
      const isLate = step === steps.at(-1) && tookMs > series.cadenceMs; // the others are about the past
      if (failed !== undefined) metrics.forecasts.failed++;
      if (forecast !== undefined) metrics.inference(active).add(inferenceMs);
      if (failed !== undefined || forecast !== undefined)
        updater.observe(
          active.line,
          active.pointer.release,
          stepEvidence(step, active.manifest.budget, isLate),
          failed,
        );
      if (surprise !== undefined) voice.tellScore({ ...subject, ...series, ...surprise, timeMs: bucket.startMs });
    }
  }

  function reportVerdicts({ subject, settings }: Detector, steps: readonly DetectorStep[]): void {
    for (const { timeMs, verdict } of steps) {
      const { stream, detector: model } = subject;
      if (verdict !== undefined && verdict.score !== null)
        voice.tellScore({ stream, model, ...settings, ...verdict, score: verdict.score, timeMs });
    }
  }

  async function load(active: Active): Promise<Forecaster> {
    engine ??= await ports.engine();
    const ownMeter = active.isProven ? { ...meter, peakBytes: () => 0 } : meter; // to ask takes as long as a small model
    return createForecaster(engine, active, readFileSync(join(active.dir, active.modelFile)), ownMeter);
  }

  async function shadow(active: Active): Promise<void> {
    const { createShadows } = await import('./shadow.js');
    const observe = (...seen: Parameters<Updater['observe']>): void => {
      try {
        updater.observe(...seen);
      } catch (error) {
        breakdown.abort(error);
      }
    };
    shadows ??= createShadows({ store, clock, load, flush, admit: (stream) => ingest.admit(stream), observe });
    await shadows.start(active);
  }

  /** Swaps a model in: the old lanes of its line end, new ones start with the stored readings. */
  async function activate(active: Active): Promise<void> {
    const forecaster = await load(active);
    deactivate(active.line);
    models.set(active.line, active);
    for (const name of active.pointer.streams) {
      const stream = ingest.admit(name);
      const { lane, readings, continued } = bindLane({
        config,
        store,
        monotonicMs: meter.monotonicMs,
        active,
        forecaster,
        stream,
        newId: ports.newId,
      });
      const affordable = Math.floor(LEARN_BUDGET_MS / Math.max(active.p95Ms ?? 1, 0.05));
      const learnSteps = continued ? 0 : Math.min(affordable, config.alerts.ringSize);
      const forecast = lane.rehearse(readings, {
        learnSteps,
        budgetMs: LEARN_LIMIT_MS,
        ...(clock.synced() && { untilMs: clock.now() }),
      });
      lanes.set(name, lane);
      presence.expect(name);
      commit(() => {
        if (forecast !== undefined) putForecast(lane, forecast, 0);
        storeLane(store, lane, true);
      });
    }
    voice.tellInfo();
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

  function onLink(event: LinkEvent): void {
    tell('link', { ...event });
    if (event.state === 'offline') count(metrics.reconnects, event.fault);
    if (event.state !== 'online') return;
    if (!event.sessionPresent) nodes?.forget();
    voice.introduce();
    outbox.resume();
  }

  /** It asks all devices at once; they answer one after another. */
  async function homeStarted({ payload }: MqttMessage): Promise<void> {
    if (Buffer.from(payload).toString() !== 'online') return;
    await clock.sleep(Math.random() * HOME_SPREAD_MS, signal);
    if (!signal.aborted) voice.announce();
  }

  function command(message: MqttMessage): void {
    commands(message).then((reply) => {
      if (reply === undefined) return;
      const { topic, payload, correlationData } = reply;
      void link?.publish(topic, payload, { qos: 1, expirySeconds: 60, correlationData });
    }, recorder.complain);
  }

  function forecastNow(stream: string | undefined): Outcome<object, CommandReason> {
    const asked = [...lanes].filter(([name]) => stream === undefined || name === stream);
    const runs = asked.map(([name, lane]) => ({ name, lane, run: lane.forecast() }));
    const done = runs.flatMap(({ name, lane, run }) => {
      const { forecast, inferenceMs } = run();
      if (forecast === undefined) return [];
      commit(() => putForecast(lane, forecast, inferenceMs));
      return [name];
    });
    return done.length > 0 ? accept({ streams: done }) : refuse('not_possible', 'no stream has a model and its window');
  }

  function overloadFact(): string | undefined {
    const stream = overload.excess();
    return stream && `${stream} sends more than ${config.maxMessageRate} messages a second: the newest are kept`;
  }

  /** A disk that is full is said by an alert, and a restart would not mend it. */
  function sayAlive(): void {
    const stores = recorder.diskFull || recorder.storedMs >= arrivedMs - UNSTORED_MS;
    if (metrics.loopLagMs < LATE_MS && stores) supervisor.say('alive');
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
      link!.publish(topics.status, voice.status('offline'), { qos: 1, retain: true }),
      clock.sleep(STOP_WAIT_MS, timeout.signal),
    ]);
    timeout.abort();
    await Promise.all([link!.close(), edge?.close()]);
    overload.drain().forEach(readMessage);
    flush();
    for (const lane of lanes.values()) commit(() => storeLane(store, lane, true));
    for (const detector of detectors.values()) commit(() => storeDetector(store, detector, 0, true));
    for (const { settings } of lanes.values()) settings.forecaster.close();
    tell('stopped', { boot });
  }
}
