/** The format of NeuralForecast 3.3: tensors as safetensors, everything else as JSON where `__nf__` marks what is no plain value. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readSafetensors } from '../contracts/safetensors.js';
import { parseJson } from '../contracts/wire.js';
import { aliasOf, readPart, refused, unsupported, type Checkpoint, type CheckpointModel } from './checkpoint.js';
import type { ReferenceTensor } from './mapping.js';

const formatVersion = '2';
const jsonBytesMax = 1 << 24;
/** Files of the folder that hold no model. */
const notModels = ['configuration.safetensors', 'dataset.safetensors'];

const values = z.record(z.string(), z.unknown());
const configuration = z.object({
  nf_format: z.literal(formatVersion),
  configuration: z.object({
    freq: z.union([z.string(), z.int()]),
    scalers_: z
      .record(z.string(), z.object({ __nf__: z.literal('scaler'), type: z.string(), stats_: z.unknown() }))
      .nullish(),
    static_scalers_: values.nullish(),
  }),
});
const header = z.object({
  nf_format: z.literal(formatVersion),
  model_class: z.string(),
  hyper_parameters: z.string(),
  shared: z.string().default('{}'),
});
const taggedLoss = z.object({ __nf__: z.literal('loss'), cls: z.string(), args: values });
const taggedTensor = z.object({ __nf__: z.literal('tensor'), key: z.string() });
const taggedArray = z.object({
  __nf__: z.literal('array'),
  shape: z.array(z.int().min(0)),
  values: z.array(z.number()),
});

type Tensors = Readonly<Record<string, ReferenceTensor>>;

export function readCurrentFormat(folder: string): Checkpoint {
  const where = join(folder, 'configuration.json');
  const { configuration: config } = checked(configuration, json(readPart(where, jsonBytesMax), where), where);
  if (Object.keys(config.static_scalers_ ?? {}).length > 0)
    throw unsupported(where, 'It scales static columns (local_static_scaler_type)');
  const files = readdirSync(folder).sort();
  const sidecar = files.includes(notModels[0]!) ? readTensors(join(folder, notModels[0]!)).tensors : {};
  const scalers = Object.entries(config.scalers_ ?? {}).map(
    ([column, { type, stats_ }]) =>
      [column, { type, statistics: tensorOf(stats_, sidecar, `${where}: scalers_.${column}`) }] as const,
  );
  return {
    frequency: String(config.freq),
    seriesScalers: Object.fromEntries(scalers),
    models: files
      .filter((file) => file.endsWith('.safetensors') && !notModels.includes(file))
      .map((file) => readModel(folder, file)),
  };
}

function readModel(folder: string, file: string): CheckpointModel {
  const where = join(folder, file);
  const { tensors, metadata } = readTensors(where);
  const { model_class: className, hyper_parameters: text, shared } = checked(header, metadata, where);
  const hyperparameters = checked(values, json(Buffer.from(text), where), `${where}: hyper_parameters`);
  const { cls, args } = checked(taggedLoss, hyperparameters['loss'], `${where}: hyper_parameters.loss`);
  const aliases = checked(
    z.record(z.string(), z.array(z.string())),
    json(Buffer.from(shared), where),
    `${where}: shared`,
  );
  const known = Object.entries(args).map(
    ([name, value]) => [name, plain(value, tensors, `${where}: loss.${name}`)] as const,
  );
  const tied = Object.entries(aliases).flatMap(([stored, names]) =>
    names.map((name) => [name, tensors[stored]!] as const),
  );
  return {
    name: aliasOf(file),
    className,
    hyperparameters,
    loss: { name: cls, args: Object.fromEntries(known) },
    tensors: { ...Object.fromEntries(tied.filter(([, tensor]) => tensor !== undefined)), ...tensors },
  };
}

function readTensors(path: string): { tensors: Tensors; metadata: Readonly<Record<string, string>> } {
  const { tensors, metadata } = readSafetensors(readPart(path), path);
  const floats = Object.entries(tensors).map(([name, { data, shape, dtype }]) => {
    if (dtype === 'F16' || dtype === 'BF16') throw refused(path, `"${name}" is ${dtype}; only 32 bit weights are read`);
    return [name, { data: Float32Array.from(data as Iterable<number>, Number), dims: shape }] as const;
  });
  return { tensors: Object.fromEntries(floats), metadata };
}

/** An argument of a loss: a plain value, or the numbers of a tensor. */
function plain(value: unknown, tensors: Tensors, where: string): unknown {
  const tagged = typeof value === 'object' && value !== null && '__nf__' in value;
  return tagged ? Array.from(tensorOf(value, tensors, where).data) : value;
}

function tensorOf(value: unknown, tensors: Tensors, where: string): ReferenceTensor {
  const inline = taggedArray.safeParse(value).data;
  if (inline) return { data: Float32Array.from(inline.values), dims: inline.shape };
  const tensor = tensors[checked(taggedTensor, value, where).key];
  if (tensor === undefined) throw refused(where, 'It names a tensor that is not there');
  return tensor;
}

function json(bytes: Uint8Array, where: string): unknown {
  const parsed = parseJson(bytes);
  if (!parsed.ok) throw refused(where, `It cannot be read: ${parsed.detail ?? 'not JSON'}`);
  return parsed.value;
}

function checked<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw refused(where, result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
}
