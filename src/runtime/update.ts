/**
 * From a desired state to a running model (EDGE.md §11 and §12). Each step is written down before it acts and is safe
 * to repeat; a refusal, whatever its reason, never disturbs what runs.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Desired, DesiredModel } from '../contracts/desired.js';
import type { Manifest } from '../contracts/manifest.js';
import type { ReportedPayload, UpdateState } from '../contracts/payload.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome, Refusal, UpdateReason } from '../contracts/reason.js';
import type { UpdateClient } from '../transport/update-client.js';
import type { Clock } from './clock.js';
import { chooseTarget } from './forecaster.js';
import type { Able, Choice } from './forecaster.js';
import { count } from './metrics.js';
import type { Metrics } from './metrics.js';
import type { SelfTest } from './self-test.js';
import { otherSlot } from './slots.js';
import type { Pointer, Slots } from './slots.js';
import { isDamage, isFull } from './store.js';
import type { Store } from './store.js';

export type UpdateEvent =
  | 'offer'
  | 'accept'
  | 'fetched'
  | 'verified'
  | 'test'
  | 'passed'
  | 'activated'
  | 'proven'
  | 'refuse'
  | 'disproven'
  | 'restored'
  | 'tuned'
  | 'restart'
  | 'resume'
  | 'stop';

/** Any pair that is not here cannot happen; `nextState` says so. */
export const updateTable: readonly (readonly [state: UpdateState, event: UpdateEvent, next: UpdateState])[] = [
  ['idle', 'offer', 'offered'],
  ['committed', 'offer', 'offered'],
  ['probation', 'offer', 'offered'],
  ['failed', 'offer', 'offered'],
  ['rolled_back', 'offer', 'offered'],

  ['offered', 'accept', 'downloading'],
  ['downloading', 'fetched', 'verifying'],
  ['verifying', 'verified', 'staged'],
  ['staged', 'test', 'testing'],
  ['testing', 'passed', 'activating'],
  ['activating', 'activated', 'probation'],
  // Tuned and tested on this machine, in the place of the release it was made from.
  ['idle', 'tuned', 'activating'],
  ['committed', 'tuned', 'activating'],
  ['probation', 'tuned', 'activating'],
  ['failed', 'tuned', 'activating'],
  ['rolled_back', 'tuned', 'activating'],
  ['probation', 'proven', 'committed'],

  ['offered', 'refuse', 'failed'],
  ['downloading', 'refuse', 'failed'],
  ['verifying', 'refuse', 'failed'],
  ['staged', 'refuse', 'failed'],
  ['testing', 'refuse', 'failed'],

  ['activating', 'disproven', 'rolling_back'],
  ['probation', 'disproven', 'rolling_back'],
  // An offer was refused while the model before it was, and is, on probation.
  ['failed', 'proven', 'committed'],
  ['failed', 'disproven', 'rolling_back'],
  ['rolling_back', 'restored', 'rolled_back'],

  // Killed on the way: the retained desired state comes again and everything before activation is simply repeated.
  ['offered', 'restart', 'idle'],
  ['downloading', 'restart', 'idle'],
  ['verifying', 'restart', 'idle'],
  ['staged', 'restart', 'idle'],
  ['testing', 'restart', 'idle'],
  ['activating', 'restart', 'activating'],
  ['rolling_back', 'restart', 'rolling_back'],

  // The same, while another model is on probation.
  ['offered', 'resume', 'probation'],
  ['downloading', 'resume', 'probation'],
  ['verifying', 'resume', 'probation'],
  ['staged', 'resume', 'probation'],
  ['testing', 'resume', 'probation'],

  ['idle', 'stop', 'idle'],
  ['committed', 'stop', 'idle'],
  ['probation', 'stop', 'idle'],
  ['failed', 'stop', 'idle'],
  ['rolled_back', 'stop', 'idle'],
];

/** Undefined when the event has no meaning in this state. */
export function nextState(state: UpdateState, event: UpdateEvent): UpdateState | undefined {
  return updateTable.find(([from, when]) => from === state && when === event)?.[2];
}

/** Reasons that time may mend: tried again after a while. All others wait for another desired state. */
const passing: ReadonlySet<UpdateReason> = new Set([
  'unreachable',
  'timed_out',
  'slow_retrieval',
  'no_space',
  'endless_data',
]);
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
}

const MAX_CRASHES = 3;
const DEFAULT_PROBATION = { minutes: 60, forecasts: 100 };

/** A verified bundle in a slot, ready to serve. */
export interface Active extends Choice {
  readonly line: string;
  readonly pointer: Pointer;
  readonly dir: string;
  /** 95th percentile of the self-test, where it ran. */
  readonly p95Ms: number | undefined;
}

export interface UpdaterOptions {
  readonly site: string;
  readonly device: string;
  readonly runtimeVersion: string;
  readonly able: Able;
  readonly repositoryUrl: string | undefined;
  readonly store: Store;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly openRepository: (url: string) => Promise<UpdateClient>;
  readonly selfTest: SelfTest;
  /** Swaps the running model between two buckets. Throws when the model does not load. */
  readonly activate: (active: Active) => Promise<void>;
  readonly deactivate: (line: string) => void;
  /** Called with each change; publish it. Runs inside the transaction that writes the state. */
  readonly report: (reported: ReportedPayload) => void;
  readonly tell: (event: string, facts: Readonly<Record<string, unknown>>) => void;
}

export interface Updater {
  /** Brings up what ran before; a broken slot falls back to the previous one, then to none. */
  start(): Promise<void>;
  /** A message on `model/desired`; returns at once. The newest one wins. */
  offer(bytes: Uint8Array): void;
  /** What was tuned for this line waits (tuned.ts); returns at once. Offers go first. */
  adopt(line: string): void;
  /** Works off offers until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Counts towards probation; a failure ends it. */
  observe(line: string, failure?: string): void;
  reported(): ReportedPayload;
}

export function createUpdater(options: UpdaterOptions): Updater {
  const { store, slots, clock } = options;
  const records = new Map<string, LineRecord>();
  let seqSeen = Number(store.get('desired/seq')?.toString() ?? 0);
  let appliedText = store.get('desired/applied')?.toString();
  let refused: ReportedPayload['refused'] = null;
  let offered: Uint8Array | undefined;
  let rolling = Promise.resolve();
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
    };

  function reported(): ReportedPayload {
    const models = [...records.values()].map(({ line, state, release, since, code, detail, metrics }) => {
      const pointer = slots.pointer(line);
      return {
        line,
        state,
        release,
        since,
        code,
        detail,
        metrics: { ...metrics },
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

  function save(record: LineRecord): void {
    records.set(record.line, record);
    store.write(() => {
      store.put(`model/${record.line}`, JSON.stringify(record));
      options.report(reported());
    }, 'full');
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
    move(line, 'refuse', { code: reason, detail: detail.slice(0, 500) });
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
  }

  /** Reads the bundle in a slot; undefined when it is damaged or not for this machine. */
  function activeOf(line: string, pointer: Pointer): Active | undefined {
    const manifest = slots.read(line, pointer);
    const choice = manifest && chooseTarget(manifest, options.able);
    return (
      choice && { ...choice, line, pointer, dir: slots.dir(line, pointer.slot), p95Ms: recordOf(line).metrics['p95Ms'] }
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

  async function rollBack(line: string, detail: string): Promise<void> {
    const { candidate, state } = recordOf(line);
    if (nextState(state, 'disproven') === undefined && state !== 'rolling_back') return; // it is gone already
    const previous = candidate?.previous ?? null;
    count(options.metrics.updates.failed, 'self_test_failed');
    move(line, 'disproven', {
      code: 'self_test_failed',
      detail: detail.slice(0, 500),
      ...(candidate !== null && { release: candidate.release }),
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

  /** The checks and steps for one model of a verified desired state. */
  async function applyModel(wanted: DesiredModel, client: UpdateClient): Promise<Outcome<undefined>> {
    const { line, release } = wanted;
    const running = slots.pointer(line);
    if (wanted.mode === 'stop') {
      options.deactivate(line);
      slots.point(line, null);
      move(line, 'stop', { release: null, candidate: null });
      return accept(undefined);
    }
    const same =
      running !== undefined &&
      (running.tunedFrom ?? running.manifestSha256) === wanted.manifestSha256 &&
      running.release === release;
    const streams = boundStreams(wanted, same ? slots.read(line, running) : undefined);
    if (same && streams !== undefined && String(streams) === String(running.streams)) return accept(undefined);

    move(line, 'offer', { release, code: null, detail: null, metrics: {} });
    const outcome = await fetchAndTest(wanted, client, running);
    if (!outcome.ok) {
      refuseLine(line, outcome);
      return outcome;
    }
    const { manifest, metrics } = outcome.value;
    await rolling; // a probation may have ended badly while this one was tested
    const now = slots.pointer(line);
    // What is not proven makes room; what is proven is never written over.
    const unproven = recordOf(line).candidate !== null && now?.previous ? now : undefined;
    const slot = unproven?.slot ?? otherSlot(now?.slot);
    slots.install(line, slot);
    const candidate: Pointer = {
      slot,
      release,
      manifestSha256: wanted.manifestSha256,
      streams: boundStreams(wanted, manifest)!,
      arm: wanted.arm ?? null,
      previous: unproven?.previous ?? (now === undefined ? null : withoutPrevious(now)),
    };
    const probation = { ...DEFAULT_PROBATION, ...wanted.probation, untilMs: 0 };
    move(line, 'passed', { candidate, metrics, probation });
    await activate(line, candidate);
    return accept(undefined);
  }

  async function fetchAndTest(
    wanted: DesiredModel,
    client: UpdateClient,
    running: Pointer | undefined,
  ): Promise<Outcome<{ manifest: Manifest; metrics: Record<string, number> }>> {
    const { line, release } = wanted;
    if (wanted.mode === 'shadow') return refuse('unsupported', 'shadow mode is not built into this runtime');
    const { checkRelease } = await import('../bundle/verify.js');
    const checks = {
      wanted,
      floor: recordOf(line).floor,
      previous: running?.previous?.release,
      runtimeVersion: options.runtimeVersion,
      arch: options.able.arch,
    };

    move(line, 'accept');
    const download = await client.downloadBundle({
      line,
      release,
      manifestSha256: wanted.manifestSha256,
      stagingDir: slots.stagingDir(line),
      accept: (manifest) => {
        const checked = checkRelease(manifest, checks);
        return checked.ok ? checkServable(manifest, wanted, options.able) : checked;
      },
    });
    if (!download.ok) return download;
    const { manifest, dir } = download.value;
    move(line, 'fetched');

    const choice = chooseTarget(manifest, options.able)!; // `checkServable` has seen it
    const { checkModel } = await import('../bundle/onnx.js');
    const model = checkModel(readFileSync(join(dir, choice.modelFile)), manifest);
    if (!model.ok) return model;
    move(line, 'verified');
    move(line, 'test');
    const tested = await options.selfTest({ dir, choice });
    return tested.ok ? accept({ manifest, metrics: { ...tested.value } }) : tested;
  }

  /** The whole desired state, whose signature is checked first. */
  async function apply(bytes: Uint8Array): Promise<Outcome<undefined>> {
    if (options.repositoryUrl === undefined) return refuse('unsupported', 'no repository is configured');
    const client = await options.openRepository(options.repositoryUrl);
    const fresh = await client.refresh();
    if (!fresh.ok) return fresh;
    const desired = await verify(bytes, client);
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
    let worst: Outcome<undefined> = accept(undefined);
    for (const model of desired.value.models) {
      const outcome = await applyModel(model, client);
      if (!outcome.ok && (worst.ok || passing.has(outcome.reason))) worst = outcome;
    }
    return worst;
  }

  async function verify(bytes: Uint8Array, client: UpdateClient): Promise<Outcome<Desired>> {
    const { limits } = await import('../contracts/limit.js');
    const { fleetKeysSchema } = await import('../contracts/desired.js');
    const { parseWire } = await import('../contracts/wire.js');
    const { verifyDesired } = await import('../bundle/desired.js');
    const target = await client.readTarget('keys/fleet.json', limits.desiredBytes);
    if (!target.ok) return target;
    const keys = parseWire(fleetKeysSchema, target.value, limits.desiredBytes);
    if (!keys.ok) return keys;
    const { site, device } = options;
    return verifyDesired(bytes, {
      fleetKeys: keys.value,
      site,
      device,
      lastSeq: seqSeen,
      nowMs: clock.now(),
      clockSynced: clock.synced(),
    });
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
    move(line, 'tuned', { candidate, release: running.release, metrics, probation, code: null, detail: null });
    await activate(line, candidate);
  }

  /** Applies one offer; true when it should be tried again later. */
  async function work(bytes: Uint8Array): Promise<boolean> {
    const text = Buffer.from(bytes).toString('latin1');
    if (text === appliedText) return false; // the broker repeats the retained message on each connect
    const attempt = await apply(bytes).catch((error: unknown) => {
      if (isDamage(error)) throw error;
      return refuse('unreachable', (error as Error).message);
    });
    const refusal = attempt.ok ? null : { code: attempt.reason, detail: attempt.detail.slice(0, 500) };
    const told =
      refusal !== null && [...records.values()].some(({ state, code }) => state === 'failed' && code === refusal.code);
    if (refusal !== null && !told) count(options.metrics.updates.failed, refusal.code);
    refused = told ? null : refusal;
    const again = refusal !== null && passing.has(refusal.code);
    if (!again) appliedText = text;
    store.write(() => {
      if (!again) store.put('desired/applied', text);
      options.report(reported());
    }, 'full');
    if (refusal !== null) options.tell('update-refused', { code: refusal.code, detail: refusal.detail });
    return again;
  }

  return {
    reported,
    async start() {
      for (const line of slots.lines()) {
        const stored = store.get(`model/${line}`);
        if (stored !== undefined) records.set(line, JSON.parse(stored.toString()) as LineRecord);
        else records.set(line, { ...recordOf(line), release: slots.pointer(line)?.release ?? null });
        const { state, candidate } = recordOf(line);
        const crashed = store.start === 'unclean' && candidate !== null && state !== 'rolling_back';
        if (crashed) save({ ...recordOf(line), crashes: recordOf(line).crashes + 1 });
        if (candidate !== null) move(line, 'resume', { release: candidate.release });
        move(line, 'restart');
        if (state === 'rolling_back' || (candidate !== null && recordOf(line).crashes >= MAX_CRASHES)) {
          await rollBack(line, recordOf(line).detail ?? `${recordOf(line).crashes} unclean ends since activation`);
          continue;
        }
        if (state === 'activating' && candidate !== null) {
          await activate(line, candidate);
          continue;
        }
        const pointer = slots.pointer(line);
        if (pointer === undefined || (await bringUp(line, pointer))) continue;
        if (candidate !== null) {
          await rollBack(line, 'the slot does not hold the model any more');
          continue;
        }
        // The slot is damaged: what ran before is better than nothing, and nothing is better than not starting.
        if (pointer.previous !== null) {
          slots.point(line, { ...pointer.previous, previous: null });
          if (await bringUp(line, { ...pointer.previous, previous: null })) continue;
        }
        options.tell('degraded', { line, detail: 'no slot holds a usable model' });
      }
    },
    offer(bytes) {
      offered = bytes;
      wake();
    },
    adopt(line) {
      tuned.add(line);
      wake();
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
          const again = await work(bytes);
          if (!again) attempt = 0;
          else {
            retry = new AbortController();
            void clock
              .sleep(RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]!, AbortSignal.any([signal, retry.signal]))
              .then(() => {
                offered ??= bytes;
                wake();
              });
          }
        }
        const [line] = tuned;
        if (offered === undefined && line !== undefined) {
          tuned.delete(line);
          await takeUp(line);
        } else if (offered === undefined) await woken;
        if (offered !== undefined || signal.aborted) retry?.abort();
      }
      await rolling;
    },
    observe(line, failure) {
      const record = recordOf(line);
      if (record.candidate === null) return;
      const { probation } = record;
      const forecasts = failure === undefined ? probation.forecasts - 1 : probation.forecasts;
      const wrong = failure ?? probation.failure;
      records.set(line, {
        ...record,
        probation: { ...probation, forecasts, ...(wrong !== undefined && { failure: wrong }) },
      });
      try {
        settle(line);
      } catch (error) {
        if (!isFull(error)) throw error; // known in memory, and written down with the next change
        options.tell('database-error', { detail: (error as Error).message });
      }
    },
  };
}

const withoutPrevious = ({ previous: _, ...pointer }: Pointer): Omit<Pointer, 'previous'> => pointer;

/** The streams a model serves, from `bind`; undefined when a binding names other roles than the manifest's target. */
export function boundStreams(wanted: DesiredModel, manifest: Manifest | undefined): string[] | undefined {
  const role = manifest?.inputs.find(({ kind }) => kind === 'target')?.role;
  const bindings = Array.isArray(wanted.bind) ? wanted.bind : [wanted.bind];
  const streams = bindings.map((binding) => (role === undefined ? undefined : binding[role]));
  return streams.every((stream) => stream !== undefined) && streams.length > 0 ? [...new Set(streams)] : undefined;
}

/** Is this a model for this machine, its streams and this runtime? */
function checkServable(manifest: Manifest, wanted: DesiredModel, able: Able): Outcome<Manifest> {
  if (manifest.inputs.length !== 1 || manifest.inputs[0]!.kind !== 'target')
    return refuse('unsupported', 'this runtime serves models of one target input');
  if (chooseTarget(manifest, able) === undefined)
    return refuse('unsupported', `no target for ${able.providers.join(', ')} of ${able.arch}`);
  if (boundStreams(wanted, manifest) === undefined)
    return refuse('malformed', `bind must name a stream for “${manifest.inputs[0]!.role}”`);
  return accept(manifest);
}
