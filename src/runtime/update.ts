/**
 * From a desired state to a running model (EDGE.md §11 and §12). Each step is written down before it acts and is safe
 * to repeat; a refusal, whatever its reason, never disturbs what runs.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { DesiredModel } from '../contracts/desired.js';
import type { ReportedPayload, UpdateState } from '../contracts/payload.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome, Refusal, UpdateReason } from '../contracts/reason.js';
import type { UpdateClient } from '../transport/update-client.js';
import type { UpdateFile } from '../transport/update-file.js';
import type { Clock } from './clock.js';
import { chooseTarget } from './forecaster.js';
import type { Able, Choice } from './forecaster.js';
import { count } from './metrics.js';
import type { Metrics } from './metrics.js';
import { boundStreams, fetchAndTest, verifyOffer } from './offer.js';
import type { SelfTest } from './self-test.js';
import { otherSlot } from './slots.js';
import type { Pointer, Slots } from './slots.js';
import { addEvidence, afterShadow, disproof, newTally, reportedMetrics } from './probation.js';
import type { Evidence, Tally } from './probation.js';
import type { Shadows } from './shadow.js';
import { isDamage, isFull } from './store.js';
import type { Store } from './store.js';
import { nextState } from './update-state.js';
import type { UpdateEvent } from './update-state.js';

/** Reasons that time may mend: tried again after a while. All others wait for another desired state. */
const passing: ReadonlySet<UpdateReason> = new Set([
  'unreachable',
  'timed_out',
  'slow_retrieval',
  'no_space',
  'endless_data',
]);
const isPassing = (outcome: Outcome<unknown>): boolean => !outcome.ok && passing.has(outcome.reason);
const RETRY_MS = [5000, 30_000, 300_000] as const;

/** What is known of a line; one JSON value in `kv`. */
interface LineRecord {
  readonly line: string;
  readonly state: UpdateState;
  /** The release the state is about. */
  readonly release: number | null;
  readonly since: number;
  readonly code: UpdateReason | null;
  readonly detail: string | null;
  readonly metrics: Readonly<Record<string, number>>;
  /** Lowest release that is still taken; rises at commit. */
  readonly floor: number;
  /** Unclean starts since activation. */
  readonly crashes: number;
  readonly probation: {
    readonly minutes: number;
    readonly untilMs: number;
    readonly forecasts: number;
    /** What it did wrong while another update was under way; judged when that has ended. */
    readonly failure?: string;
  };
  /** What is activated and not proven yet; set from `activating` to the end of probation, whatever is offered meanwhile. */
  readonly candidate: Pointer | null;
  /** What forecasts unheard, in the slot that is not in use. Never beside a candidate, whose predecessor lies there. */
  readonly shadow: Pointer | null;
  /** What the candidate or the shadow has shown, or the last one had; null before there was one. */
  readonly tally: Tally | null;
  /** Manifest of the shadow that was stopped last: the same word again must not stop the line. */
  readonly dismissed: string | null;
}

const MAX_CRASHES = 3;
const DEFAULT_PROBATION = { minutes: 60, forecasts: 100 };
/** What is seen of a candidate is written down, and reported, so often; a kill loses at most that. */
const SAVE_STEPS = 50;
const SAVE_MS = 60_000;

/** A verified bundle in a slot, ready to serve. */
export interface Active extends Choice {
  readonly line: string;
  readonly pointer: Pointer;
  readonly dir: string;
  /** 95th percentile of the self-test, where it ran. */
  readonly p95Ms: number | undefined;
  /** False for a candidate and a shadow. */
  readonly isProven: boolean;
}

export interface UpdaterOptions {
  readonly site: string;
  readonly device: string;
  readonly runtimeVersion: string;
  readonly able: Able;
  readonly repositoryUrl: string | undefined;
  /** What is desired waits for `install`. */
  readonly asks: boolean;
  /** Nothing that is on probation is brought up. */
  readonly safe: boolean;
  readonly store: Store;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly openRepository: (url: string) => Promise<UpdateClient>;
  readonly openUpdateFile: (path: string) => Promise<Outcome<UpdateFile>>;
  readonly selfTest: SelfTest;
  /** Swaps the running model between two buckets. Throws when the model does not load. */
  readonly activate: (active: Active) => Promise<void>;
  readonly deactivate: (line: string) => void;
  readonly shadows: Pick<Shadows, 'start' | 'end'>;
  /** Called with each change; publish it. Runs inside the transaction that writes the state. */
  readonly report: (reported: ReportedPayload) => void;
  readonly tell: (event: string, facts: Readonly<Record<string, unknown>>) => void;
}

export interface Updater {
  /** Brings up what ran before; a broken slot falls back to the previous one, then to none. */
  start(): Promise<void>;
  /** A message on `model/desired`; returns at once. The newest one wins. */
  offer(bytes: Uint8Array): void;
  /** Applies an update file: the desired state in it, or the newest message, with the repository in it. True when it may be mended by time. */
  readonly install: (path: string) => Promise<boolean>;
  /** What was tuned for this line waits (tuned.ts); returns at once. Offers go first. */
  adopt(line: string): void;
  /** Works off offers until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** What a release has shown, as long as it is a candidate or a shadow; a failure ends that. */
  observe(line: string, release: number, evidence: Evidence, failure?: string): void;
  /** Takes what waits to be asked for. */
  installWaiting(): Outcome<object, 'not_possible'>;
  /** The model before serves again. */
  rollBack(line: string, detail: string): Outcome<object, 'not_possible'>;
  reported(): ReportedPayload;
}

export function createUpdater(options: UpdaterOptions): Updater {
  const { store, slots, clock } = options;
  const records = new Map<string, LineRecord>();
  let seqSeen = Number(store.get('desired/seq')?.toString() ?? 0);
  let appliedText = store.get('desired/applied')?.toString();
  let refused: ReportedPayload['refused'] = null;
  let offered: Uint8Array | undefined;
  let waiting: Uint8Array | undefined;
  let installing = false;
  /** The newest message, which an update file without a desired state fulfils. */
  let newest: Uint8Array | undefined;
  /** One offer is worked off after the other. */
  let turn: Promise<unknown> = Promise.resolve();
  let rolling = Promise.resolve();
  const unsaved = new Map<string, { steps: number; sinceMs: number }>();
  const tuned = new Set<string>();
  let wake = (): void => undefined;

  const recordOf = (line: string): LineRecord =>
    records.get(line) ?? {
      line,
      state: 'idle',
      release: null,
      since: clock.now(),
      code: null,
      detail: null,
      metrics: {},
      floor: slots.pointer(line)?.release ?? 0,
      crashes: 0,
      probation: { ...DEFAULT_PROBATION, untilMs: 0 },
      candidate: null,
      shadow: null,
      tally: null,
      dismissed: null,
    };

  function reported(): ReportedPayload {
    const models = [...records.values()].map((record) => {
      const { line, state, release, since, code, detail, metrics, candidate, shadow, tally } = record;
      const pointer = shadow ?? slots.pointer(line);
      const isOfRelease = candidate === null || candidate.release === release;
      return {
        line,
        state,
        release,
        since,
        code,
        detail,
        metrics: { ...metrics, ...(tally !== null && isOfRelease && reportedMetrics(tally, shadow !== null)) },
        arm: pointer?.arm ?? null,
        slot: pointer?.slot ?? null,
        tunedFrom: pointer?.tunedFrom,
        previous:
          pointer === undefined
            ? null
            : pointer.release === release
              ? (pointer.previous?.release ?? null)
              : pointer.release,
      };
    });
    return { v: 1, seqSeen, models, refused };
  }

  function save(record: LineRecord, durability: 'normal' | 'full' = 'full'): void {
    records.set(record.line, record);
    unsaved.delete(record.line);
    store.write(() => {
      store.put(`model/${record.line}`, JSON.stringify(record));
      options.report(reported());
    }, durability);
  }

  /** In memory at once; written down with the next change, or when it has become much or old. */
  function remember(record: LineRecord): void {
    records.set(record.line, record);
    const { steps, sinceMs } = unsaved.get(record.line) ?? { steps: 0, sinceMs: clock.monotonicMs() };
    unsaved.set(record.line, { steps: steps + 1, sinceMs });
    if (steps + 1 >= SAVE_STEPS || clock.monotonicMs() - sinceMs >= SAVE_MS) save(record, 'normal');
  }

  /** A full disk costs the record: it is known in memory, and written down with the next change. */
  function orFull(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isFull(error)) throw error;
      options.tell('database-error', { detail: (error as Error).message });
    }
  }

  function move(line: string, event: UpdateEvent, change: Partial<LineRecord> = {}): void {
    const record = recordOf(line);
    const state = nextState(record.state, event);
    if (state === undefined) return; // a late word about something that has already ended
    save({ ...record, state, since: clock.now(), ...change });
    options.tell('model-state', { line, state, release: recordOf(line).release, code: recordOf(line).code });
  }

  function refuseLine(line: string, { reason, detail }: Refusal): void {
    count(options.metrics.updates.failed, reason);
    options.shadows.end(line);
    move(line, 'refuse', { code: reason, detail: detail.slice(0, 500), shadow: null });
    settle(line);
  }

  /** Ends a probation that is decided, unless an update is under way, which may replace the model anyway. */
  function settle(line: string): void {
    const { state, candidate, probation, floor } = recordOf(line);
    if (candidate === null || (state !== 'probation' && state !== 'failed')) return;
    const { release } = candidate;
    if (probation.failure !== undefined) rolling = rolling.then(() => rollBack(line, probation.failure!));
    else if (probation.forecasts <= 0 && clock.now() >= probation.untilMs)
      move(line, 'proven', { release, floor: Math.max(floor, release), code: null, detail: null, candidate: null });
    else return;
    offered ??= waiting;
    wake();
  }

  /** Reads the bundle in a slot; undefined when it is damaged or not for this machine. */
  function activeOf(line: string, pointer: Pointer): Active | undefined {
    const manifest = slots.read(line, pointer);
    const choice = manifest && chooseTarget(manifest, options.able);
    const { candidate, shadow, metrics } = recordOf(line);
    const isProven = ![candidate, shadow].some((unproven) => unproven?.slot === pointer.slot);
    return (
      choice && { ...choice, line, pointer, dir: slots.dir(line, pointer.slot), p95Ms: metrics['p95Ms'], isProven }
    );
  }

  /** True when the model at the pointer serves. */
  async function bringUp(line: string, pointer: Pointer): Promise<boolean> {
    const active = activeOf(line, pointer);
    if (active === undefined) return false;
    try {
      await options.activate(active);
      return true;
    } catch (error) {
      if (isDamage(error)) throw error; // of the database, which is no fault of the model
      options.tell('model-failed', { line, release: pointer.release, detail: (error as Error).message });
      return false;
    }
  }

  /** `code` is null when somebody wished it. */
  async function rollBack(line: string, detail: string, code: UpdateReason | null = 'self_test_failed'): Promise<void> {
    const { candidate, state } = recordOf(line);
    if (nextState(state, 'disproven') === undefined && state !== 'rolling_back') return; // it is gone already
    const from = candidate ?? slots.pointer(line);
    const previous = from?.previous ?? null;
    if (code !== null) count(options.metrics.updates.failed, code);
    move(line, 'disproven', {
      code,
      detail: detail.slice(0, 500),
      ...(from !== undefined && { release: from.release }),
      candidate: from ?? null,
    });
    slots.point(line, previous && { ...previous, previous: null });
    if (previous === null || !(await bringUp(line, { ...previous, previous: null }))) options.deactivate(line);
    move(line, 'restored', { candidate: null, crashes: 0 });
  }

  async function activate(line: string, candidate: Pointer): Promise<void> {
    slots.point(line, candidate);
    if (await bringUp(line, candidate)) {
      const { probation } = recordOf(line);
      const untilMs = clock.now() + probation.minutes * 60_000;
      move(line, 'activated', { crashes: 0, probation: { ...probation, untilMs } });
      options.tell('model-active', { line, release: candidate.release });
    } else await rollBack(line, 'the model did not load');
  }

  /** Loads what the record calls a shadow. It never disturbs what runs. */
  async function bringUpShadow(line: string): Promise<Outcome<'done'>> {
    const { shadow, crashes } = recordOf(line);
    if (options.safe) return refuse('self_test_failed', 'several unclean ends');
    if (crashes >= MAX_CRASHES) return refuse('self_test_failed', `${crashes} unclean ends since it began`);
    const active = shadow === null ? undefined : activeOf(line, shadow);
    if (active === undefined) return refuse('self_test_failed', 'the slot does not hold it any more');
    try {
      await options.shadows.start(active);
      return accept('done');
    } catch (error) {
      if (isDamage(error)) throw error;
      return refuse('self_test_failed', (error as Error).message);
    }
  }

  /** A shadow is wanted in the place of what it has run beside: it lies in its slot, and what is known of it decides. */
  async function choose(shadow: Pointer, streams: readonly string[], wanted: DesiredModel): Promise<Outcome<'done'>> {
    const { line } = wanted;
    const tally = recordOf(line).tally ?? newTally;
    const wrong = disproof(tally);
    if (wrong !== undefined) return refuse('self_test_failed', wrong);
    options.shadows.end(line);
    const candidate = { ...shadow, streams, arm: wanted.arm ?? null };
    const probation = { ...DEFAULT_PROBATION, ...wanted.probation, untilMs: 0 };
    move(line, 'chosen', { candidate, shadow: null, tally: afterShadow(tally), probation });
    await activate(line, candidate);
    return accept('done');
  }

  /** Ends the shadow that is named; else the line. */
  function stop({ line, manifestSha256 }: DesiredModel): void {
    const { shadow, dismissed } = recordOf(line);
    if (slots.pointer(line) !== undefined && [shadow?.manifestSha256, dismissed].includes(manifestSha256))
      return dismiss(line);
    options.shadows.end(line);
    options.deactivate(line);
    slots.point(line, null);
    move(line, 'stop', { release: null, candidate: null, shadow: null, tally: null });
  }

  /** What it has run beside goes on. */
  function dismiss(line: string): void {
    const { shadow } = recordOf(line);
    if (shadow === null) return;
    options.shadows.end(line);
    const { release } = slots.pointer(line)!;
    move(line, 'dismissed', { release, shadow: null, tally: null, metrics: {}, dismissed: shadow.manifestSha256 });
  }

  /** The checks and steps for one model of a verified desired state. */
  async function applyModel(
    wanted: DesiredModel,
    client: UpdateClient,
    all: readonly DesiredModel[],
  ): Promise<Outcome<'done' | 'waits'>> {
    const { line, release, mode } = wanted;
    if (mode === 'stop') {
      stop(wanted);
      return accept('done');
    }
    const running = slots.pointer(line);
    const { shadow, candidate: onProbation } = recordOf(line);
    const known = [running, shadow].find(
      (one) =>
        one !== undefined &&
        one !== null &&
        (one.tunedFrom ?? one.manifestSha256) === wanted.manifestSha256 &&
        one.release === release,
    );
    const streams = boundStreams(wanted, known ? slots.read(line, known) : undefined);
    if (known && mode === 'shadow' && known === running)
      return refuse('unsupported', `release ${release} is the one that runs: it cannot be its own shadow`);
    if (known && streams !== undefined) {
      if (mode === 'active' && known === shadow) {
        if (options.asks && !installing) return accept('waits');
        const chosen = await choose(shadow, streams, wanted);
        if (!chosen.ok) refuseLine(line, chosen);
        return chosen;
      }
      if (String(streams) === String(known.streams)) {
        if (!all.some((one) => one.line === line && one.mode === 'shadow')) dismiss(line);
        return accept('done');
      }
    }

    options.shadows.end(line); // the offer takes its place
    const forgotten = { code: null, detail: null, metrics: {}, shadow: null, dismissed: null };
    move(line, 'offer', { ...forgotten, release, ...(onProbation === null && { tally: null }) });
    if (options.asks && !installing) {
      if (onProbation !== null) move(line, 'resume', { release: onProbation.release }); // it is proven first
      return accept('waits');
    }
    const outcome = await deliver(wanted, client, running);
    if (!outcome.ok) {
      refuseLine(line, outcome);
      return outcome;
    }
    const { manifest, metrics } = outcome.value;
    await rolling; // a probation may have ended badly while this one was tested
    const now = slots.pointer(line);
    const fresh = { metrics, tally: newTally, crashes: 0 };
    // What is not proven makes room; what is proven is never written over.
    const unproven = recordOf(line).candidate !== null && now?.previous ? now : undefined;
    const slot = unproven?.slot ?? otherSlot(now?.slot);
    // A shadow lies where the predecessor of the running model lay: there is none to go back to any more.
    if (mode === 'shadow' && now !== undefined) slots.point(line, { ...now, previous: null });
    slots.install(line, slot);
    const candidate: Pointer = {
      slot,
      release,
      manifestSha256: wanted.manifestSha256,
      streams: boundStreams(wanted, manifest)!,
      arm: wanted.arm ?? null,
      previous: unproven?.previous ?? (now === undefined ? null : withoutPrevious(now)),
    };
    if (mode === 'shadow') {
      move(line, 'shadowed', { ...fresh, shadow: candidate });
      const begun = await bringUpShadow(line);
      if (!begun.ok) refuseLine(line, begun);
      return begun;
    }
    const probation = { ...DEFAULT_PROBATION, ...wanted.probation, untilMs: 0 };
    move(line, 'passed', { ...fresh, candidate, probation });
    await activate(line, candidate);
    return accept('done');
  }

  function deliver(
    wanted: DesiredModel,
    client: UpdateClient,
    running: Pointer | undefined,
  ): ReturnType<typeof fetchAndTest> {
    const { line } = wanted;
    const { candidate, floor } = recordOf(line);
    if (wanted.mode === 'shadow' && candidate !== null)
      return Promise.resolve(
        refuse('no_space', `both slots are taken while release ${candidate.release} is on probation`),
      );
    const stagingDir = slots.stagingDir(line);
    const step = (event: UpdateEvent): void => move(line, event);
    return fetchAndTest(wanted, client, { ...options, floor, previous: running?.previous?.release, stagingDir, step });
  }

  /** The whole desired state, whose signature is checked first. */
  async function apply(bytes: Uint8Array, client: UpdateClient): Promise<Outcome<'done' | 'waits'>> {
    const fresh = await client.refresh();
    if (!fresh.ok) return fresh;
    const desired = await verifyOffer(bytes, client, { ...options, lastSeq: seqSeen });
    if (!desired.ok) return desired;

    const { seq } = desired.value;
    const digest = createHash('sha256').update(JSON.stringify(desired.value)).digest('hex');
    const taken = store.get('desired/digest')?.toString();
    if (seq === seqSeen && taken !== undefined && taken !== digest)
      return refuse('replayed', `another desired state with the sequence number ${seq} was taken`);
    seqSeen = seq;
    store.write(() => {
      store.put('desired/seq', String(seqSeen));
      store.put('desired/digest', digest);
    }, 'full');
    let worst: Outcome<'done' | 'waits'> = accept('done');
    for (const model of desired.value.models) {
      const outcome = await applyModel(model, client, desired.value.models);
      if (outcome.ok ? worst.ok && outcome.value === 'waits' : worst.ok || passing.has(outcome.reason)) worst = outcome;
    }
    waiting = worst.ok && worst.value === 'waits' ? bytes : undefined;
    if (worst.ok && waiting === undefined) appliedText = textOf(bytes);
    return worst;
  }

  async function applyFromServer(bytes: Uint8Array): Promise<Outcome<'done' | 'waits'>> {
    if (options.repositoryUrl === undefined) return refuse('unsupported', 'no repository is configured');
    return apply(bytes, await options.openRepository(options.repositoryUrl));
  }

  async function applyFile(path: string): Promise<Outcome<'done' | 'waits'>> {
    const named = <T>(outcome: Outcome<T>): Outcome<T> =>
      outcome.ok ? outcome : refuse(outcome.reason, `${basename(path)}: ${outcome.detail}`);
    const opened = named(await options.openUpdateFile(path));
    if (!opened.ok) return opened;
    const { client, desired = newest, close } = opened.value;
    const asked = installing;
    installing = true; // by whoever brought the file
    try {
      return named(
        desired === undefined
          ? refuse('unsupported', 'it says not what to run, and no message has')
          : await apply(desired, client),
      );
    } finally {
      installing = asked;
      await close();
    }
  }

  /** Brings up what the line ran before. */
  async function resume(line: string): Promise<void> {
    const { state, candidate, shadow } = recordOf(line);
    const crashed = store.start === 'unclean' && (candidate ?? shadow) !== null && state !== 'rolling_back';
    if (crashed) save({ ...recordOf(line), crashes: recordOf(line).crashes + 1 });
    if (candidate !== null) move(line, 'resume', { release: candidate.release });
    move(line, 'restart');
    const { crashes, detail } = recordOf(line);
    if (state === 'rolling_back' || (candidate !== null && (options.safe || crashes >= MAX_CRASHES))) {
      const cause = options.safe ? 'several unclean ends' : `${crashes} unclean ends since activation`;
      return rollBack(line, detail ?? cause);
    }
    if (state === 'activating' && candidate !== null) return activate(line, candidate);
    const pointer = slots.pointer(line);
    if (pointer === undefined || (await bringUp(line, pointer))) return;
    if (candidate !== null) return rollBack(line, 'the slot does not hold the model any more');
    // The slot is damaged: what ran before is better than nothing, and nothing is better than not starting.
    if (pointer.previous !== null) {
      slots.point(line, { ...pointer.previous, previous: null });
      if (await bringUp(line, { ...pointer.previous, previous: null })) return;
    }
    options.tell('degraded', { line, detail: 'no slot holds a usable model' });
  }

  /** Puts what was tuned here in the place of what it was made from. It waits while an update of the fleet is not proven. */
  async function takeUp(line: string): Promise<void> {
    const running = slots.pointer(line);
    const { state, candidate: unproven } = recordOf(line);
    const busy = nextState(state, 'tuned') === undefined || (unproven !== null && unproven.tunedFrom === undefined);
    if (running === undefined || busy) return;
    const { takeTuned } = await import('./tuned.js');
    let found = await takeTuned(line, running, options);
    await rolling; // a probation may have ended badly while it was tested
    if (found.ok && slots.pointer(line)?.manifestSha256 !== running.manifestSha256)
      found = refuse('mix_and_match', 'the model it was made from was taken back');
    if (!found.ok) return options.tell('tuned-refused', { line, code: found.reason, detail: found.detail });
    const { metrics, ...made } = found.value;
    const slot = unproven?.slot ?? otherSlot(running.slot); // what is not proven makes room
    slots.install(line, slot);
    const previous = unproven === null ? withoutPrevious(running) : unproven.previous;
    const candidate: Pointer = { ...running, ...made, slot, previous };
    const probation = { ...DEFAULT_PROBATION, untilMs: 0 };
    move(line, 'tuned', { candidate, release: running.release, metrics, probation, tally: null, code: null, detail: null }); // prettier-ignore
    await activate(line, candidate);
  }

  /** Makes an attempt; counts, writes down and tells what came of it. */
  async function conclude(
    attempt: Promise<Outcome<'done' | 'waits'>>,
    text?: string,
  ): Promise<Outcome<'done' | 'waits'>> {
    const outcome = await attempt.catch((error: unknown) => {
      if (isDamage(error)) throw error;
      return refuse('unreachable', (error as Error).message);
    });
    const refusal = outcome.ok ? null : { code: outcome.reason, detail: outcome.detail.slice(0, 500) };
    const told =
      refusal !== null && [...records.values()].some(({ state, code }) => state === 'failed' && code === refusal.code);
    if (refusal !== null && !told) count(options.metrics.updates.failed, refusal.code);
    refused = told ? null : refusal;
    if (text !== undefined && refusal !== null && !passing.has(refusal.code)) appliedText = text;
    store.write(() => {
      if (appliedText !== undefined) store.put('desired/applied', appliedText);
      options.report(reported());
    }, 'full');
    if (refusal !== null) options.tell('update-refused', { code: refusal.code, detail: refusal.detail });
    return outcome;
  }

  /** Applies a message; true when it should be tried again later. */
  async function work(bytes: Uint8Array): Promise<boolean> {
    const text = textOf(bytes);
    if (text === appliedText) return false; // the broker repeats the retained message on each connect
    const again = isPassing(await conclude(applyFromServer(bytes), text));
    if (!again) installing = false;
    return again;
  }

  function inTurn<T>(job: () => Promise<T>): Promise<T> {
    const done = turn.then(job);
    turn = done.catch(() => undefined);
    return done;
  }

  return {
    reported,
    async start() {
      for (const line of slots.lines()) {
        const stored = store.get(`model/${line}`);
        if (stored !== undefined)
          records.set(line, { ...recordOf(line), ...(JSON.parse(stored.toString()) as LineRecord) });
        else records.set(line, { ...recordOf(line), release: slots.pointer(line)?.release ?? null });
        await resume(line);
        const shadowed = recordOf(line).shadow === null ? accept('done') : await bringUpShadow(line);
        if (!shadowed.ok) refuseLine(line, shadowed);
      }
    },
    offer(bytes) {
      offered = newest = bytes;
      wake();
    },
    adopt(line) {
      tuned.add(line);
      wake();
    },
    install: (path) => inTurn(async () => isPassing(await conclude(applyFile(path)))),
    installWaiting() {
      if (waiting === undefined) return refuse('not_possible', 'no model waits to be installed');
      installing = true;
      offered = waiting;
      wake();
      return accept({ models: reported().models.flatMap(({ line, state, release }) => (state === 'offered' ? [{ line, release }] : [])) }); // prettier-ignore
    },
    rollBack(line, detail) {
      const { state, candidate } = recordOf(line);
      const previous = candidate === null ? slots.pointer(line)?.previous : candidate.previous;
      if (nextState(state, 'disproven') === undefined || !previous)
        return refuse('not_possible', `“${line}” has no model before to go back to`);
      rolling = rolling.then(() => rollBack(line, detail, null));
      return accept({ line, release: previous.release });
    },
    async run(signal) {
      let attempt = 0;
      let retry: AbortController | undefined;
      signal.addEventListener('abort', () => wake(), { once: true });
      while (!signal.aborted) {
        const woken = new Promise<void>((resolve) => (wake = resolve));
        const bytes = offered;
        offered = undefined;
        if (bytes !== undefined) {
          const again = await inTurn(() => work(bytes));
          if (!again) attempt = 0;
          else {
            const superseded = new AbortController();
            retry = superseded;
            void clock
              .sleep(RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]!, AbortSignal.any([signal, superseded.signal]))
              .then(() => {
                if (superseded.signal.aborted) return; // a newer message came, after which this one would be a replay
                offered ??= bytes;
                wake();
              });
          }
        }
        const [line] = tuned;
        if (offered === undefined && line !== undefined) {
          tuned.delete(line);
          await inTurn(() => takeUp(line));
        } else if (offered === undefined) await woken;
        if (offered !== undefined || signal.aborted) retry?.abort();
      }
      await rolling;
      for (const line of [...unsaved.keys()]) orFull(() => save(recordOf(line), 'normal'));
    },
    observe(line, release, evidence, failure) {
      const record = recordOf(line);
      const { candidate, shadow, probation } = record;
      if ((candidate ?? shadow)?.release !== release) return;
      const tally = addEvidence(record.tally ?? newTally, evidence);
      orFull(() => {
        if (shadow !== null) {
          remember({ ...record, tally });
          const wrong = failure ?? disproof(tally, 'burden');
          if (wrong !== undefined) refuseLine(line, refuse('self_test_failed', wrong));
          return;
        }
        const wrong = probation.failure ?? failure ?? disproof(tally);
        const forecasts = probation.forecasts - (evidence.forecasts ?? 0);
        const now = { ...probation, forecasts, ...(wrong !== undefined && { failure: wrong }) };
        remember({ ...record, tally, probation: now });
        settle(line);
      });
    },
  };
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

const withoutPrevious = ({ previous: _, ...pointer }: Pointer): Omit<Pointer, 'previous'> => pointer;
