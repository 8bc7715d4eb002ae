/**
 * Products whose input is brought to uint8 when they run, with the range it then has: nothing to calibrate, at the price
 * of looking for that range at every run. Passes make them, after differentiation.
 */
import { ShapeError } from '../../errors.js';
import { defineOp, type BinaryWith } from '../ir.js';
import { roundHalfEven } from './quantized.js';

interface ColumnScale {
  /** One for each column of the weight. */
  readonly scale: readonly number[];
}

/** `x [..., inner]` times `w [inner, columns]` in int8. One range serves all of `x`, the whole batch. */
export const dynamicProduct: BinaryWith<ColumnScale> = defineOp({
  name: 'dynamicProduct',
  inputs: ['x', 'w'],
  dtype: () => 'float32',
  shape: ({ x, w }, { scale }: ColumnScale) => {
    if (w.length === 2 && x.at(-1) === w[0] && scale.length === w[1]) return [...x.slice(0, -1), w[1]];
    throw new ShapeError({
      where: 'dynamicProduct',
      what: `x is [${x}], w is [${w}], and there are ${scale.length} scales.`,
      mend: 'Pass a weight of [last axis of x, columns], and a scale for each column.',
    });
  },
  grad: 'none',
  // In this order ONNX Runtime makes one node of it.
  onnx: ({ scale }, emit, { inputs: [x, w], outputs }) => {
    const [codes, step, zero] = emit.node('DynamicQuantizeLinear', [x!], { outputs: 3 }) as [string, string, string];
    const [sums] = emit.node('MatMulInteger', [codes, w!, zero]) as [string];
    const [real] = emit.node('Cast', [sums], { attributes: { to: 1 } }) as [string];
    const [steps] = emit.node('Mul', [step, emit.constant(Float32Array.from(scale), [scale.length])]) as [string];
    emit.node('Mul', [real, steps], { outputs });
  },
  run: ({ x, w }, { scale }) => {
    const { codes, step, zero } = toUint8(x.data);
    const columns = scale.length;
    const inner = w.shape[0]!;
    return Float64Array.from({ length: (x.data.length / inner) * columns }, (_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns];
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += (codes[row * inner + k]! - zero) * w.data[k * columns + column]!;
      return sum * Math.fround(step * scale[column]!);
    });
  },
  samples: [
    { shapes: [[3, 4], [4, 2]], with: { scale: [0.01, 0.02] }, dtype: ['float32', 'int8'] }, // prettier-ignore
    { shapes: [[2, 3, 4], [4, 3]], with: { scale: [0.01, 0.02, 0.5] }, dtype: ['float32', 'int8'] }, // prettier-ignore
  ],
  // Weights of seven bits, as passes make them: a CPU without VNNI clips sums of two products with wider ones (ENGINE.md §5).
  domain: [-0.49, 0.49],
});

/** As ONNX's DynamicQuantizeLinear does it: the range reaches 0, and 0 is exact. */
function toUint8(values: Float64Array | ArrayLike<number>): { codes: Float64Array; step: number; zero: number } {
  let [low, high] = [0, 0];
  for (let i = 0; i < values.length; i++) [low, high] = [Math.min(low, values[i]!), Math.max(high, values[i]!)];
  const step = Math.fround((Math.fround(high) - Math.fround(low)) / 255) || 1;
  const clip = (value: number): number => Math.min(255, Math.max(0, value));
  const zero = clip(roundHalfEven(Math.fround(-low / step)));
  const codes = Float64Array.from(values, (value) =>
    clip(roundHalfEven(Math.fround(Math.fround(value) / step)) + zero),
  );
  return { codes, step, zero };
}
