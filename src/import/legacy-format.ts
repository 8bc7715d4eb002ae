/** The format of NeuralForecast before 3.3: pickles, of which the models are wrapped in the zip of `torch.save`. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { losses } from '../losses/index.js';
import { aliasOf, readPart, refused, unsupported, type Checkpoint, type CheckpointModel } from './checkpoint.js';
import type { ReferenceTensor } from './mapping.js';
import { built, readPickle, type Built, type Dictionary, type PickleReader } from './pickle.js';
import { readZip } from './zip.js';

const pickleBytesMax = 1 << 24;
const lossModule = 'neuralforecast.losses.pytorch';

interface Storage {
  readonly read: (index: number) => number;
  readonly length: number;
}

/** Element types of torch: bytes, and how one is read. */
const storageTypes: Readonly<Record<string, readonly [bytes: number, read: (view: DataView, at: number) => number]>> = {
  'torch FloatStorage': [4, (view, at) => view.getFloat32(at, true)],
  'torch DoubleStorage': [8, (view, at) => view.getFloat64(at, true)],
  'torch LongStorage': [8, (view, at) => Number(view.getBigInt64(at, true))],
  'torch IntStorage': [4, (view, at) => view.getInt32(at, true)],
  'torch BoolStorage': [1, (view, at) => view.getUint8(at)],
};

const emptyMap = (): Dictionary => new Map();
const classNames = new Set(Object.values(losses).map(({ reference }) => reference.split(' ')[0]!));
/** Everything a pickle of the library may name. A loss with a distribution names functions of torch and is not among it. */
const globals = (where: string): PickleReader['globals'] => ({
  'collections OrderedDict': emptyMap,
  'lightning_fabric.utilities.data AttributeDict': emptyMap,
  'pytorch_lightning.utilities.parsing AttributeDict': emptyMap,
  '__builtin__ set': ([items]) => items ?? [],
  'builtins set': ([items]) => items ?? [],
  'torch._utils _rebuild_parameter': ([tensor]) => tensor,
  'torch._utils _rebuild_tensor_v2': (args) => tensorOf(args, where),
  'numpy dtype': built('dtype'),
  'numpy._core.multiarray scalar': (args) => scalarOf(args, where),
  'numpy.core.multiarray scalar': (args) => scalarOf(args, where),
  '_codecs encode': ([text]) => Buffer.from(textOf(text, where), 'latin1'),
  ...Object.fromEntries(Object.keys(storageTypes).map((name) => [name, built(name)])),
  ...Object.fromEntries([...classNames].map((name) => [`${lossModule} ${name}`, built(name)])),
});

export function readLegacyFormat(folder: string): Checkpoint {
  const config = dictionary(join(folder, 'configuration.pkl'));
  const aliases = existsSync(join(folder, 'alias_to_model.pkl'))
    ? dictionary(join(folder, 'alias_to_model.pkl'))
    : emptyMap();
  for (const key of ['scalers_', 'static_scalers_', 'categorical_vocab_']) {
    const value = config.get(key);
    if (value instanceof Map && value.size > 0)
      throw unsupported(folder, `It scales or encodes whole columns (${key})`);
  }
  const files = readdirSync(folder).sort();
  return {
    frequency: textOf(config.get('freq'), folder),
    seriesScalers: {},
    models: files
      .filter((file) => file.endsWith('.ckpt'))
      .map((file) => readModel(join(folder, file), aliasOf(file), aliases)),
  };
}

function readModel(where: string, name: string, aliases: Dictionary): CheckpointModel {
  const entries = readZip(readPart(where), where);
  const main = [...entries.keys()].find((entry) => /^[^/]+\/data\.pkl$/.test(entry));
  if (main === undefined) throw refused(where, 'It holds no data.pkl, so torch.save did not write it');
  const prefix = main.slice(0, -'data.pkl'.length);
  const order = entries.get(`${prefix}byteorder`);
  if (order !== undefined && Buffer.from(order).toString('latin1') !== 'little')
    throw refused(where, 'Its numbers are not little endian');
  const content = asMap(
    readPickle(entries.get(main)!, where, {
      globals: globals(where),
      persistent: (id) => storageOf(id, entries, prefix, where),
    }),
    where,
  );
  const hyperparameters = Object.fromEntries(asMap(content.get('hyper_parameters'), where)) as Record<string, unknown>;
  const tensors = [...asMap(content.get('state_dict'), where)].flatMap(([key, value]) =>
    isTensor(value) ? [[textOf(key, where), value] as const] : [],
  );
  return {
    name,
    className: textOf(aliases.get(name) ?? name, where),
    hyperparameters,
    loss: lossOf(hyperparameters['loss'], where),
    tensors: Object.fromEntries(tensors),
  };
}

/** A loss was pickled with all its attributes; those that are arguments of its class say how it was made. */
function lossOf(value: unknown, where: string): CheckpointModel['loss'] {
  const { global, state } = (value ?? {}) as Partial<Built>;
  if (typeof global !== 'string' || !(state instanceof Map)) throw refused(where, 'Its loss is none of the library');
  const attributes = state as Dictionary;
  const registered = [attributes.get('_parameters'), attributes.get('_buffers')].flatMap((own) =>
    own instanceof Map ? [...(own as Dictionary)] : [],
  );
  const args = [...attributes, ...registered].flatMap(([key, given]) => {
    if (typeof key !== 'string' || key.startsWith('_') || given === null) return [];
    return [[key, isTensor(given) ? Array.from(given.data, shortest) : given] as const];
  });
  return { name: global, args: Object.fromEntries(args) };
}

/** 0.1 as a 32 bit number is 0.10000000149. */
const shortest = (value: number): number => Number(value.toPrecision(7));

function dictionary(path: string): Dictionary {
  return asMap(readPickle(readPart(path, pickleBytesMax), path, { globals: globals(path) }), path);
}

/** Never `String(value)`: a list that holds itself twice, often enough, would be a text without end. */
function textOf(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw refused(where, 'A text is missing where the library writes one');
}

function asMap(value: unknown, where: string): Dictionary {
  if (value instanceof Map) return value as Dictionary;
  throw refused(where, 'A dictionary is missing where the library writes one');
}

/** `('storage', type, key, device, length)` → the entry `data/key` of the zip. */
function storageOf(id: unknown, entries: ReadonlyMap<string, Uint8Array>, prefix: string, where: string): Storage {
  const [kind, type, number, , length] = (Array.isArray(id) ? id : []) as readonly unknown[];
  const key = textOf(number, where);
  const data = entries.get(`${prefix}data/${key}`);
  const { name } = (type ?? {}) as { readonly name?: string }; // a class that was named and not called
  const [width, read] = storageTypes[name ?? ''] ?? [];
  if (kind !== 'storage' || data === undefined || width === undefined || read === undefined)
    throw refused(where, `The storage ${key} is missing or of an unknown type`);
  if (length !== data.byteLength / width) throw refused(where, `The storage ${key} has another length than it says`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return { length: data.byteLength / width, read: (index) => read(view, index * width) };
}

/** `(storage, offset, size, stride, …)` → its numbers, row-major. Never more than the storage has. */
function tensorOf([storage, offset, size, stride]: readonly unknown[], where: string): ReferenceTensor {
  const { read, length } = (storage ?? {}) as Partial<Storage>;
  const whole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  const list = (value: unknown): value is number[] => Array.isArray(value) && value.every(whole);
  if (
    read === undefined ||
    length === undefined ||
    !whole(offset) ||
    !list(size) ||
    !list(stride) ||
    size.length !== stride.length
  )
    throw refused(where, 'A tensor is not described as torch does it');
  const count = size.reduce((product, dim) => product * dim, 1);
  const last = size.reduce((sum, dim, axis) => sum + (dim - 1) * stride[axis]!, offset);
  if (count > length || (count > 0 && last >= length))
    throw refused(where, `A tensor [${size}] reaches beyond its storage`);
  const data = Float32Array.from({ length: count }, (_, position) => {
    let rest = position;
    let index = offset;
    for (let axis = size.length - 1; axis >= 0; axis--) {
      index += (rest % size[axis]!) * stride[axis]!;
      rest = Math.floor(rest / size[axis]!);
    }
    return read(index);
  });
  return { data, dims: size };
}

/** A number or a text of numpy: `(dtype, bytes)`. */
function scalarOf([dtype, bytes]: readonly unknown[], where: string): unknown {
  const code = textOf((dtype as Partial<Built> | undefined)?.args?.[0], where);
  if (!(bytes instanceof Uint8Array)) throw refused(where, 'A number of numpy has no bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (/^U\d+$/.test(code) && bytes.byteLength % 4 === 0)
    return String.fromCodePoint(
      ...Array.from({ length: bytes.byteLength / 4 }, (_, i) => Math.min(view.getUint32(i * 4, true), 0x10ffff)),
    ).replace(/\0+$/, '');
  if (code === 'f8' && bytes.byteLength === 8) return view.getFloat64(0, true);
  if (code === 'f4' && bytes.byteLength === 4) return view.getFloat32(0, true);
  if (code === 'i8' && bytes.byteLength === 8) return Number(view.getBigInt64(0, true));
  throw refused(where, `A number of numpy has the type ${code}, which is not on the list of what is read`);
}

const isTensor = (value: unknown): value is ReferenceTensor =>
  typeof value === 'object' && value !== null && 'data' in value && 'dims' in value;
