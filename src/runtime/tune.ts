/**
 * A model trained further on the device's own readings: released parameters in, a candidate in its folder out, or the
 * reason why not. It reads what the device keeps and writes nothing but that folder, in one rename.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceConfig } from '../contracts/config.js';
import type { Manifest } from '../contracts/manifest.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome, TuneReason, UpdateReason } from '../contracts/reason.js';
import { withInitializers } from '../engine/onnx-file.js';
import type { Engine } from '../engine/port.js';
import { createSampler } from '../engine/sample.js';
import { createTrainingStep } from '../engine/training-step.js';
import type { Clock } from './clock.js';
import { chooseTarget, createForecaster } from './forecaster.js';
import { readStored } from './readings.js';
import { createRules } from './reporting.js';
import { seriesSettings } from './series.js';
import { openSlots } from './slots.js';
import { judgeTuned } from './tune-gate.js';
import type { GateReport } from './tune-gate.js';
import { createFeeds, gatherInto, splitWindows, stretchesOf } from './tune-windows.js';
import type { Place, Task } from './tune-windows.js';
import { readSource } from './tune-source.js';
import type { Source, Values } from './tune-source.js';
import { writeTuned } from './tuned.js';

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
  const source = readSource(slots.dir(line, pointer.slot), pointer);
  if (!source.ok) return source;
  const { released, plan, values, train, template } = source.value;

  const parts = new Map(pointer.streams.map((name) => [name, windowsOf(config, name, manifest)]));
  const learned = [...parts].flatMap(([name, part]) => (stream === null || name === stream ? part.learned : []));
  const held = new Map([...parts].flatMap(([name, part]) => (part.held.length > 0 ? [[name, part.held]] : [])));
  const heldCount = [...held.values()].flat().length;
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
  const to = slots.tunedDir(line);
  if (kept) await writeTuned({ to, released, model, judged, createdMs: clock.now(), engine });
  const { release } = pointer;
  return accept({ line, release, windows: learned.length, steps, gate: judged.gate, kept });
}

/** Of all that is stored of a stream. */
function windowsOf(config: DeviceConfig, stream: string, manifest: Manifest): ReturnType<typeof splitWindows> {
  const path = join(config.stateDir, 'device.db');
  const stored = existsSync(path) ? readStored(path) : undefined;
  const readings = stored?.readings(stream, 0) ?? [];
  stored?.close();
  const settings = seriesSettings(manifest, createRules(config)(stream));
  return splitWindows(stretchesOf(readings, settings), manifest);
}

interface Training extends Pick<Source, 'plan' | 'values' | 'train'>, TuneTools {
  readonly task: Task;
  readonly steps: number;
}

/** The workstation's loop without validation: the same windows in the same order, the same step, on one thread. */
export async function trainOn(
  places: readonly Place[],
  { engine, clock, train, plan, values, task, steps, say = () => undefined }: Training,
): Promise<Tuned<Values>> {
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
      gatherInto(
        feeds,
        Array.from(chosen, (index) => places[index]!),
        task,
      );
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
