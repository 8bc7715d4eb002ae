/** The discrete Fourier transform of real values along the last axis, as products with constant matrices. */
import { add, constant, matmul, type Tensor } from '../../graph/index.js';

export interface Spectrum {
  /** `[…, frequencies]`, as is `imaginary`. */
  readonly real: Tensor;
  readonly imaginary: Tensor;
}

/** Frequencies of `time` real values: 0 to the highest that they can show. */
export const frequencyCount = (time: number): number => Math.floor(time / 2) + 1;

/** `[rows, columns]` of `value(row, column)`. */
const table = (rows: number, columns: number, value: (row: number, column: number) => number): Tensor =>
  constant(
    Float64Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns)),
    [rows, columns],
  );
const angle = (frequency: number, step: number, time: number): number =>
  (2 * Math.PI * ((frequency * step) % time)) / time;

/** `x […, time]` → its frequencies. */
export function spectrumOf(x: Tensor): Spectrum {
  const time = x.shape.at(-1) as number;
  const count = frequencyCount(time);
  return {
    real: matmul(
      x,
      table(time, count, (step, frequency) => Math.cos(angle(frequency, step, time))),
    ),
    imaginary: matmul(
      x,
      table(time, count, (step, frequency) => -Math.sin(angle(frequency, step, time))),
    ),
  };
}

/** The `time` values of these frequencies, `[…, time]`. What the first and the last have of an imaginary part is lost. */
export function valuesOf({ real, imaginary }: Spectrum, time: number): Tensor {
  const count = real.shape.at(-1) as number;
  const weight = (frequency: number): number => (frequency === 0 || 2 * frequency === time ? 1 : 2) / time;
  const cosines = table(count, time, (frequency, step) => weight(frequency) * Math.cos(angle(frequency, step, time)));
  const sines = table(count, time, (frequency, step) =>
    weight(frequency) === 1 / time ? 0 : -weight(frequency) * Math.sin(angle(frequency, step, time)),
  );
  return add(matmul(real, cosines), matmul(imaginary, sines));
}
