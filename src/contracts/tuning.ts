/**
 * What a device needs to train its own model further. The file of role `train` is the workstation's training graph, with
 * this plan in its metadata; that of role `template` is the forecast with an initializer for every parameter and state,
 * under its own name: the values to begin with, and the place for those that come out.
 */
import * as z from 'zod/mini';
import type { Outcome } from './reason.js';
import { parseWire, wireObject, wireText } from './wire.js';

const count = z.int().check(z.positive());
const shape = z.array(z.int().check(z.nonnegative()));
const text = z.string();

/** See `TrainingLayout` of the engine. */
const layout = wireObject({
  inputs: z.array(wireObject({ name: z.enum(['past', 'mask', 'target', 'targetMask']), shape })),
  parameters: z.array(wireObject({ name: text, shape, gradient: text, missed: z.optional(text) })),
  states: z.array(wireObject({ name: text, shape, next: text })),
  draws: z.array(wireObject({ name: text, shape, keep: z.optional(z.number().check(z.gt(0), z.lte(1))) })),
  loss: text,
});

const tuningPlan = wireObject({
  v: z.literal(1),
  layout,
  /** Windows of a step: the training graph is made for so many. */
  batch: count,
  learningRate: z.number().check(z.positive()),
  clipNorm: z.number().check(z.positive()),
  weightDecay: z.number().check(z.nonnegative()),
  seed: z.int().check(z.nonnegative()),
});
export type TuningPlan = z.output<typeof tuningPlan>;

const metadataKey = 'tuning';
const planBytesMax = 1024 * 1024;

/** Metadata of the training graph. */
export const tuningMetadata = (plan: TuningPlan): Record<string, string> => ({
  [metadataKey]: wireText(tuningPlan, plan),
});

/** `malformed` where the metadata of a model hold no plan. */
export const readTuningPlan = (metadata: Readonly<Record<string, string>>): Outcome<TuningPlan> =>
  parseWire(tuningPlan, Buffer.from(metadata[metadataKey] ?? ''), planBytesMax);
