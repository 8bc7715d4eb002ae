/** Do tensors fit what a model declares? Asked by us, since a runtime's own words name neither the model nor the cure. */
import { NeuroDivergentError, type ErrorCode } from '../errors.js';
import type { FloatTensor } from './port.js';

export interface Declared {
  readonly name: string;
  /** A text is a size that is open, but one and the same wherever the text stands; an empty text is any size. */
  readonly shape: readonly (number | string)[];
}

type Tensors = Readonly<Record<string, FloatTensor>>;
/** The open sizes of one run by their texts. */
type Sizes = ReadonlyMap<string, number>;

/** Memory for outputs; null where the engine brings it. */
type Memory = Readonly<Record<string, FloatTensor | null>>;

/**
 * A check for every run, of what is fed and of the memory handed in for outputs. Throws `ND_ENGINE_INPUT_MISSING`,
 * `ND_ENGINE_INPUT_SHAPE` and `ND_ENGINE_OUTPUT_MISMATCH`.
 */
export function createRunCheck(
  model: string,
  inputs: readonly Declared[],
  outputs: readonly Declared[],
): (feeds: Tensors, memory?: Memory) => void {
  const checkInputs = createInputCheck(model, inputs);
  let last: { memory: Memory; sizes: Sizes } | undefined;
  return (feeds, memory) => {
    const sizes = checkInputs(feeds);
    // Callers hand in the same memory again and again.
    if (memory === undefined || (memory === last?.memory && sizes === last.sizes)) return;
    checkOutputs(model, outputs, memory, sizes);
    last = { memory, sizes };
  };
}

/**
 * Compares shapes only when a tensor came with other `dims` than the last time, and else costs two comparisons a tensor: a
 * small model runs in 7 µs.
 */
function createInputCheck(model: string, inputs: readonly Declared[]): (feeds: Tensors) => Sizes {
  let fitting: readonly FloatTensor[] = [];
  let found: Sizes = new Map();
  return (feeds) => {
    let same = fitting.length === inputs.length;
    for (let i = 0; same && i < inputs.length; i++) {
      const tensor = feeds[inputs[i]!.name];
      same = tensor?.dims === fitting[i]!.dims && tensor.data.length === fitting[i]!.data.length;
    }
    if (same) return found;
    const sizes = new Map<string, number>();
    // Set as a whole, after the last check: a tensor fits only beside the others.
    fitting = inputs.map(({ name, shape }) => {
      const { data, dims } = feeds[name] ?? refuseMissing(model, name, inputs, feeds);
      const fault = faultOf({ data, dims }, shape, sizes);
      if (fault !== undefined) refuseInput(model, name, { data, dims }, fault);
      return { data, dims };
    });
    return (found = sizes);
  };
}

/** Throws `ND_ENGINE_OUTPUT_MISMATCH` when there is no such output, or the memory for it does not fit. */
function checkOutputs(model: string, outputs: readonly Declared[], given: Memory, sizes: Sizes): void {
  for (const [name, tensor] of Object.entries(given)) {
    const declared = outputs.find((output) => output.name === name);
    const fault =
      declared === undefined
        ? 'the model has no such output'
        : tensor && faultOf(tensor, declared.shape, new Map(sizes));
    if (fault)
      refuse('ND_ENGINE_OUTPUT_MISMATCH', model, `The output "${name}": ${fault}.`, `It has ${listed(outputs)}.`);
  }
}

/** What is wrong with a tensor; `sizes` are the open sizes so far, and gets those that it fixes. */
function faultOf(
  { data, dims }: FloatTensor,
  shape: Declared['shape'],
  sizes: Map<string, number>,
): string | undefined {
  const wanted = shape.map((size) => (typeof size === 'number' ? size : sizes.get(size)));
  if (dims.length !== shape.length || dims.some((dim, axis) => dim !== (wanted[axis] ?? dim))) {
    const known = shape.flatMap((size) =>
      typeof size === 'string' && sizes.has(size) ? [`${size} is ${sizes.get(size)}`] : [],
    );
    return `the model has ${written(shape)}${known.length > 0 ? `, where ${known.join(', ')} already` : ''}`;
  }
  const length = dims.reduce((product, dim) => product * dim, 1);
  if (data.length !== length) return `that takes ${length} values, and there are ${data.length}`;
  for (const [axis, size] of shape.entries()) if (typeof size === 'string' && size !== '') sizes.set(size, dims[axis]!);
  return undefined;
}

function refuseMissing(model: string, name: string, inputs: readonly Declared[], feeds: Tensors): never {
  const unknown = Object.keys(feeds).filter((fed) => !inputs.some((input) => input.name === fed));
  const instead = unknown.length > 0 ? `; what is fed and unknown to the model: ${unknown.join(', ')}` : '';
  return refuse(
    'ND_ENGINE_INPUT_MISSING',
    model,
    `The input "${name}" is not fed${instead}.`,
    `Feed every input: ${listed(inputs)}.`,
  );
}

function refuseInput(model: string, name: string, { dims }: FloatTensor, fault: string): never {
  return refuse(
    'ND_ENGINE_INPUT_SHAPE',
    model,
    `The input "${name}" is [${dims}], but ${fault}.`,
    'Feed windows of the length and columns that the model was made for.',
  );
}

const written = (shape: Declared['shape']): string => `[${shape.map((size) => (size === '' ? '?' : size))}]`;
const listed = (all: readonly Declared[]): string =>
  all.map(({ name, shape }) => `${name} ${written(shape)}`).join(', ');

function refuse(code: ErrorCode, where: string, what: string, mend: string): never {
  throw new NeuroDivergentError(code, { where, what, mend });
}
