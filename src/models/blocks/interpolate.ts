/** Interpolation between evenly spaced knots, as a product with a constant matrix: no gradient or kernel of its own. */
import { constant, matmul, type Tensor } from '../../graph/index.js';

/** Weights of the knots for one step of the result, at `place` knots from the first one. */
type Weights = (place: number) => readonly (readonly [knot: number, weight: number])[];

const linearWeights: Weights = (place) => {
  const from = Math.floor(Math.max(place, 0));
  const share = Math.max(place, 0) - from;
  return [
    [from, 1 - share],
    [from + 1, share],
  ];
};

/** Cubic convolution with a = -0.75 (https://doi.org/10.1109/TASSP.1981.1163711). */
const cubicWeights: Weights = (place) => {
  const a = -0.75;
  const from = Math.floor(place);
  return [-1, 0, 1, 2].map((tap) => {
    const distance = Math.abs(place - from - tap);
    const near = ((a + 2) * distance - (a + 3)) * distance * distance + 1;
    const far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
    return [from + tap, distance <= 1 ? near : far];
  });
};

const modes = {
  linear: (step: number, ratio: number) => linearWeights((step + 0.5) * ratio - 0.5),
  // In float32, as the reference divides: a step that falls on the edge between two knots takes the same one.
  nearest: (step: number, ratio: number) => [[Math.floor(Math.fround(step * Math.fround(ratio))), 1] as const],
  cubic: (step: number, ratio: number) => cubicWeights((step + 0.5) * ratio - 0.5),
};
export type Interpolation = keyof typeof modes;
export const interpolations = Object.keys(modes) as Interpolation[];

/** `[knots, steps]`; beyond the first and last knot their values go on. */
export function interpolationMatrix(knots: number, steps: number, mode: Interpolation): Float64Array {
  const matrix = new Float64Array(knots * steps);
  for (let step = 0; step < steps; step++) {
    for (const [knot, weight] of modes[mode](step, knots / steps)) {
      matrix[Math.max(0, Math.min(knots - 1, knot)) * steps + step]! += weight;
    }
  }
  return matrix;
}

/** `[rows, knots]` → `[rows, steps]` */
export function interpolate(x: Tensor, steps: number, mode: Interpolation): Tensor {
  const knots = x.shape[1] as number;
  return knots === steps ? x : matmul(x, constant(interpolationMatrix(knots, steps, mode), [knots, steps]));
}
