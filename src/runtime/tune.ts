/**
 * A model trained further on the device's own readings: released parameters in, a candidate in its folder out, or the
 * reason why not. It reads what the device keeps and writes nothing but that folder, in one rename.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkModel } from '../bundle/onnx.js';
import type { DeviceConfig } from '../contracts/config.js';
import { limits } from '../contracts/limit.js';
import { manifestSchema, tuningRoles } from '../contracts/manifest.js';
import type { BundleFile, Manifest } from '../contracts/manifest.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome, TuneReason, UpdateReason } from '../contracts/reason.js';
import { readTuning } from '../contracts/tuning.js';
import type { TuningPlan, TuningValues } from '../contracts/tuning.js';
import { parseWire } from '../contracts/wire.js';
import { withInitializers } from '../engine/onnx-file.js';
import type { Engine } from '../engine/port.js';
import { createSampler } from '../engine/sample.js';
import { createTrainingStep } from '../engine/training-step.js';
import type { Clock } from './clock.js';
import { chooseTarget, createForecaster } from './forecaster.js';
import { defaultStream } from './ingest.js';
import { seriesSettings } from './series.js';
import { openSlots } from './slots.js';
import type { Pointer, Slots } from './slots.js';
import { storedReadings } from './store.js';
import { judgeTuned } from './tune-gate.js';
import type { GateReport } from './tune-gate.js';
import { createFeeds, gatherInto, splitWindows, stretchesOf } from './tune-windows.js';
import type { Place, Task } from './tune-windows.js';
import { releasedFolder, writeTuned } from './tuned.js';

export interface TuneJob {
  readonly config: DeviceConfig;
  readonly line: string;
  /** The only stream to learn from; all that the line serves when null. It is judged on all of them. */
  readonly stream: string | null;
  readonly steps: number;
  /** Leave no candidate. */
  readonly dryRun: boolean;
}

export interface TuneReport {
  readonly line: string;
  readonly release: number;
  /** Windows that it learned from. */
  readonly windows: number;
  readonly steps: number;
  readonly gate: GateReport;
  /** It waits to be taken up. */
  readonly kept: boolean;
}

export interface TuneProgress {
  readonly step: number;
  readonly loss: number;
}

export interface TuneTools {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Hears of it about ten times a second. */
  readonly say?: ((progress: TuneProgress) => void) | undefined;
}

type Tuned<T> = Outcome<T, TuneReason | UpdateReason>;

/** A look at the held-out part with fewer windows says nothing. */
const heldLeast = 20;
/** How long training keeps its thread before it lets a word out. */
const turnMs = 100;

/** Throws what the engine and SQLite throw. */
export async function tuneLine(
  { config, line, stream, steps, dryRun }: TuneJob,
  { engine, clock, say = () => undefined }: TuneTools,
): Promise<Tuned<TuneReport>> {
  const slots = openSlots(config.stateDir);
  const pointer = slots.pointer(line);
  const manifest = pointer && slots.read(line, pointer);
  if (pointer === undefined || manifest === undefined)
    return refuse('no_model', `no model of line ${line} lies in a slot of ${config.stateDir}`);
  if (stream !== null && !pointer.streams.includes(stream))
    return refuse('no_model', `${line} serves ${pointer.streams.join(', ')}, and not ${stream}`);
  const source = readSource(slots, line, pointer);
  if (!source.ok) return source;
  const { released, plan, values, train, template } = source.value;

  const parts = pointer.streams.map((name) => {
    const settings = seriesSettings(manifest, config.streams[name] ?? defaultStream);
    const path = join(config.stateDir, 'device.db');
    return [name, splitWindows(stretchesOf(existsSync(path) ? storedReadings(path, name) : [], settings), manifest)] as const; // prettier-ignore
  });
  const learned = parts.filter(([name]) => stream === null || name === stream).flatMap(([, part]) => part.learned);
  const held = new Map(parts.map(([name, part]) => [name, part.held] as const).filter(([, places]) => places.length > 0)); // prettier-ignore
  const heldCount = [...held.values()].reduce((sum, places) => sum + places.length, 0);
  if (learned.length < plan.batch || heldCount < heldLeast)
    return refuse(
      'too_few_windows',
      `${learned.length} windows of ${manifest.inputLength} + ${manifest.horizon} steps to learn from and ${heldCount} to judge by, at least ${plan.batch} and ${heldLeast} are needed`,
    );

  const trained = await trainOn(learned, { engine, train, plan, values, task: manifest, steps, clock, say });
  if (!trained.ok) return trained;
  // What counts steps is no part of a forecast.
  const counters = new Set(plan.layout.parameters.map(({ missed }) => missed));
  const inTemplate = Object.entries(trained.value).filter(([name]) => !counters.has(name));
  const model = withInitializers(template, Object.fromEntries(inTemplate));

  const choice = chooseTarget(manifest, { arch: process.arch, providers: ['cpu'] });
  if (choice === undefined) return refuse('not_tunable', `the bundle has no model for the processor (${process.arch})`);
  const runningModel = readFileSync(join(slots.dir(line, pointer.slot), choice.modelFile));
  const running = await createForecaster(engine, choice, runningModel);
  const tuned = await createForecaster(engine, choice, model);
  const judged = judgeTuned(running, tuned, held, manifest);
  running.close();
  tuned.close();

  const kept = judged.gate.better && !dryRun;
  if (kept) {
    const releasedSha256 = pointer.tunedFrom ?? pointer.manifestSha256;
    await writeTuned({
      to: slots.tunedDir(line),
      released,
      releasedSha256,
      model,
      judged,
      createdMs: clock.now(),
      engine,
    });
  }
  const { release } = pointer;
  return accept({ line, release, windows: learned.length, steps, gate: judged.gate, kept });
}

/** What training begins with: the released bundle, its files checked as they are read. */
export interface Source {
  readonly released: { readonly dir: string; readonly manifest: Manifest };
  readonly plan: TuningPlan;
  readonly values: TuningValues;
  readonly train: Uint8Array;
  readonly template: Uint8Array;
}

/** Always the release and never what was tuned before: nothing drifts, and equal readings give equal bits. */
function readSource(slots: Slots, line: string, pointer: Pointer): Tuned<Source> {
  const inSlot = slots.dir(line, pointer.slot);
  const dir = pointer.tunedFrom === undefined ? inSlot : join(inSlot, releasedFolder);
  const bytes = readFileSync(join(dir, 'manifest.json'));
  if (sha256(bytes) !== (pointer.tunedFrom ?? pointer.manifestSha256))
    return refuse('hash_mismatch', `the manifest in ${dir} is not the one that was installed`);
  const parsed = parseWire(manifestSchema, bytes, limits.manifestBytes);
  if (!parsed.ok) return parsed;
  const manifest = parsed.value;
  const content = new Map<BundleFile['role'], Uint8Array>();
  for (const file of manifest.files.filter(({ role }) => (tuningRoles as readonly string[]).includes(role))) {
    const read = readFileSync(join(dir, file.path));
    if (sha256(read) !== file.sha256) return refuse('hash_mismatch', `${file.path} is not the one that was installed`);
    content.set(file.role, read);
  }
  const [train, template, parameters] = tuningRoles.map((role) => content.get(role));
  if (train === undefined || template === undefined || parameters === undefined)
    return refuse('not_tunable', `${manifest.name}, release ${manifest.release}, was packed without --tunable`);
  for (const model of [train, template]) {
    const checked = checkModel(model, manifest);
    if (!checked.ok) return checked;
  }
  const tuning = readTuning(parameters);
  return tuning.ok ? accept({ released: { dir, manifest }, ...tuning.value, train, template }) : tuning;
}

interface Training extends Pick<Source, 'plan' | 'values' | 'train'>, TuneTools {
  readonly task: Task;
  readonly steps: number;
}

/** The workstation's loop without validation: the same windows in the same order, the same step, on one thread. */
export async function trainOn(
  places: readonly Place[],
  { engine, clock, train, plan, values, task, steps, say = () => undefined }: Training,
): Promise<Tuned<TuningValues>> {
  const { layout, batch, seed, learningRate, clipNorm, weightDecay } = plan;
  const training = await createTrainingStep({ engine, model: train, layout, seed, threads: 1 });
  try {
    training.load(values);
    const sample = createSampler(places.length, seed);
    const chosen = new Uint32Array(batch);
    const feeds = createFeeds(batch, task);
    let turn = clock.monotonicMs();
    for (let step = 0; step < steps; step++) {
      sample(step, chosen);
      gatherInto(feeds, Array.from(chosen, (index) => places[index]!), task); // prettier-ignore
      const { loss, finite } = training.step(feeds, { learningRate, clipNorm, weightDecay });
      if (!finite) return refuse('not_finite', `step ${step + 1}: the loss is ${loss}`);
      if (clock.monotonicMs() - turn < turnMs) continue;
      say({ step: step + 1, loss });
      await new Promise((resolve) => setImmediate(resolve));
      turn = clock.monotonicMs();
    }
    return accept(training.copyValues());
  } finally {
    training.close();
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
