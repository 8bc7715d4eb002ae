/**
 * What a device needs to train its own model further, beside the graphs: what their tensors are for, and the settings of
 * the workstation. It stands in the metadata of the file of role `parameters`, whose tensors are the values to begin with.
 */
import * as z from 'zod/mini';
import type { Outcome } from './reason.js';
import { accept, refuse } from './reason.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
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

export type TuningValues = Readonly<Record<string, Float32Array>>;

const metadataKey = 'tuning';
const planBytesMax = 1024 * 1024;

/** The file of role `parameters`; `values` has every parameter and state of the layout. */
export function writeTuning(plan: TuningPlan, values: TuningValues): Uint8Array {
  const { parameters, states } = plan.layout;
  const tensors = [...parameters, ...states].map(
    ({ name, shape: dims }) =>
      [name, { dtype: 'F32' as const, shape: dims, data: Float32Array.from(values[name]!) }] as const,
  );
  return writeSafetensors(Object.fromEntries(tensors), { [metadataKey]: wireText(tuningPlan, plan) });
}

/** `malformed` when the plan is none, or a tensor of it is missing or has another shape. */
export function readTuning(bytes: Uint8Array): Outcome<{ plan: TuningPlan; values: TuningValues }> {
  let file: ReturnType<typeof readSafetensors>;
  try {
    file = readSafetensors(bytes);
  } catch (error) {
    return refuse('malformed', (error as Error).message);
  }
  const plan = parseWire(tuningPlan, Buffer.from(file.metadata[metadataKey] ?? ''), planBytesMax);
  if (!plan.ok) return plan;
  const { parameters, states } = plan.value.layout;
  const wanted = [...parameters, ...states];
  const wrong = wanted.find(({ name, shape: dims }) => {
    const stored = file.tensors[name];
    return stored?.dtype !== 'F32' || String(stored.shape) !== String(dims);
  });
  if (wrong !== undefined) return refuse('malformed', `${wrong.name} is not F32 [${wrong.shape}]`);
  const values = wanted.map(({ name }) => [name, file.tensors[name]!.data as Float32Array] as const);
  return accept({ plan: plan.value, values: Object.fromEntries(values) });
}
