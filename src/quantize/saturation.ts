/**
 * Would the integer products saturate on some processor? x86 without VNNI adds two neighbouring products of uint8 and
 * int8 in 16 bits and clips the sum, silently (`vpmaddubsw`); this counts such sums, whatever the processor it runs on.
 */
import { conv1d, type Node } from '../graph/index.js';

const largestSum = 32_767;

/** How many pair sums of `x [rows, inner]` times `w [inner, columns]` do not fit 16 bits. */
export function saturatedPairs(x: Uint8Array, w: Int8Array, inner: number): number {
  const rows = x.length / inner;
  const columns = w.length / inner;
  let count = 0;
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k + 1 < inner; k += 2) {
      const a = x[row * inner + k]!;
      const b = x[row * inner + k + 1]!;
      for (let column = 0; column < columns; column++) {
        const sum = a * w[k * columns + column]! + b * w[(k + 1) * columns + column]!;
        if (sum > largestSum || sum < -largestSum - 1) count++;
      }
    }
  }
  return count;
}

/** A node's product as a plain one: rows of inputs `[rows, inner]`, weights `[inner, columns]`. Convolutions are unrolled. */
export function asProduct(
  { op, inputs, attributes }: Node,
  x: Uint8Array,
  w: Int8Array,
): { x: Uint8Array; w: Int8Array; inner: number } {
  const shape = inputs[1]!.shape as readonly number[];
  if (op !== conv1d.op) return { x, w, inner: shape[0]! };
  const [out, channels, kernel] = shape as [number, number, number];
  const { dilation } = attributes as { dilation: number };
  const time = inputs[0]!.shape[2] as number;
  const inner = channels * kernel;
  const steps = time - (kernel - 1) * dilation;
  const windows = x.length / (channels * time);
  const unrolled = new Uint8Array(windows * steps * inner);
  let to = 0;
  for (let b = 0; b < windows; b++) {
    for (let t = 0; t < steps; t++) {
      for (let k = 0; k < kernel; k++)
        for (let c = 0; c < channels; c++) unrolled[to++] = x[(b * channels + c) * time + t + k * dilation]!;
    }
  }
  const weights = new Int8Array(inner * out);
  for (let o = 0; o < out; o++) {
    for (let c = 0; c < channels; c++)
      for (let k = 0; k < kernel; k++) weights[(k * channels + c) * out + o] = w[(o * channels + c) * kernel + k]!;
  }
  return { x: unrolled, w: weights, inner };
}
