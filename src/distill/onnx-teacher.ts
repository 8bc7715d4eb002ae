/** An ONNX file as a teacher: a window goes in, a forecast comes out. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Engine, FloatTensor, Session } from '../engine/port.js';
import { field, readMessage, type Message } from '../engine/onnx-file.js';
import { NeuroDivergentError } from '../errors.js';
import { fingerprint } from '../train/start.js';
import type { Teacher } from './teacher.js';

interface Port {
  readonly name: string;
  /** Undefined where it is open. */
  readonly shape: readonly (number | undefined)[];
}

/**
 * Reads a model with one input of the past, `[batch, time]` or `[batch, time, 1]` (called `past`, or the only one beside
 * `mask`, which is 1 where the past was observed), and a forecast `[batch, horizon]` or `[batch, horizon, 1]` (called
 * `forecast`, or the first output). Where its lengths are open, those of the student hold. Throws `ND_FILE_NOT_FOUND`,
 * `ND_ENGINE_…` and `ND_DISTILL_TEACHER_UNSUPPORTED`.
 */
export async function onnxTeacher(
  path: string,
  { engine, inputLength: wanted, horizon }: { engine: Engine; inputLength: number; horizon: number },
): Promise<Teacher> {
  const file = read(path);
  const session = await engine.load(file);
  try {
    return teacherOf(path, file, session, { wanted, horizon });
  } catch (error) {
    session.close();
    throw error;
  }
}

function teacherOf(
  path: string,
  file: Uint8Array,
  session: Session,
  { wanted, horizon: asked }: { wanted: number; horizon: number },
): Teacher {
  const { inputs, outputs } = portsOf(file, session);
  const values = inputs.filter(({ name }) => name !== 'mask');
  const past = inputs.find(({ name }) => name === 'past') ?? (values.length === 1 ? values[0] : undefined);
  const unknown = inputs.filter((input) => input !== past && input.name !== 'mask');
  const output = outputs.find(({ name }) => name === 'forecast') ?? outputs[0];
  if (past === undefined || output === undefined || unknown.length > 0) {
    throw unsupported(
      path,
      `Its inputs are ${inputs.map(({ name }) => name).join(', ')}, and only past and mask can be fed.`,
    );
  }
  const isWindow = ({ shape: [, , columns, ...more] }: Port): boolean =>
    more.length === 0 && (columns === undefined || columns === 1);
  const wrong = [...inputs, output].find((port) => port.shape.length < 2 || !isWindow(port));
  if (wrong !== undefined)
    throw unsupported(
      path,
      `${wrong.name} is [${wrong.shape.map((dim) => dim ?? '?')}], not one series with one value per step.`,
    );
  const inputLength = past.shape[1] ?? wanted;
  const horizon = output.shape[1] ?? asked;
  const fixed = past.shape[0];
  const dims = (count: number, { shape }: Port): number[] => [count, inputLength, ...(shape.length === 3 ? [1] : [])];
  return {
    name: basename(path, '.onnx'),
    inputLength,
    horizon,
    quantiles: [],
    point: 0,
    fingerprint: fingerprint('onnx', `${inputLength} ${horizon}`, file),
    predict: (batch, count) => {
      const size = fixed ?? count;
      const forecasts = new Float32Array(count * horizon);
      for (let from = 0; from < count; from += size) {
        const feeds = Object.fromEntries(
          inputs.map((port): [string, FloatTensor] => {
            const data = new Float32Array(size * inputLength);
            const rows = port === past ? batch.past : batch.mask;
            data.set(rows.subarray(from * inputLength, Math.min(from + size, count) * inputLength));
            return [port.name, { data, dims: dims(size, port) }];
          }),
        );
        const { data } = session.run(feeds)[output.name]!;
        if (data.length !== size * horizon)
          throw unsupported(path, `${size} windows gave ${data.length} values, not ${horizon} each.`);
        forecasts.set(data.subarray(0, Math.min(size, count - from) * horizon), from * horizon);
      }
      return forecasts;
    },
    close: () => session.close(),
  };
}

const read = (path: string): Uint8Array => {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `It cannot be read: ${(cause as Error).message}.`,
      mend: 'Name an ONNX file, or a folder with a forecaster.',
      cause,
    });
  }
};

/** Inputs that are fed and outputs, with their shapes; weights may be listed as inputs too, and are left out. */
function portsOf(file: Uint8Array, { inputNames, outputNames }: Session): { inputs: Port[]; outputs: Port[] } {
  const [graph] = readMessage(file).children(field.model.graph);
  const ports = (number: number, names: readonly string[]): Port[] =>
    graph!
      .children(number)
      .map((value) => ({ name: value.text(field.value.name), shape: shapeOf(value) }))
      .filter(({ name }) => names.includes(name));
  return { inputs: ports(field.graph.input, inputNames), outputs: ports(field.graph.output, outputNames) };
}

function shapeOf(value: Message): (number | undefined)[] {
  const shape = value
    .children(field.value.type)
    .flatMap((type) => type.children(field.type.tensor))
    .flatMap((tensor) => tensor.children(field.tensorType.shape));
  return shape.flatMap((dims) => dims.children(field.shape.dim)).map((dim) => dim.numbers(field.dim.value)[0]);
}

const unsupported = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_DISTILL_TEACHER_UNSUPPORTED', {
    where,
    what,
    mend: 'Export a model that takes past [batch, time] and gives forecast [batch, horizon], with its scaling inside.',
  });
