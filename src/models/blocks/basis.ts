/** Curves that trend and season are made of: a block of N-BEATS forecasts the weight of each (https://arxiv.org/abs/1905.10437). */

/** The value of curve `row` of `count` at `step` of `length`. */
type Curve = (row: number, step: number, length: number, count: number) => number;

/** From 0 at the first step to 1 at the last. */
const along = (step: number, length: number): number => (length > 1 ? step / (length - 1) : 0);

/** By a recurrence over the degree: P₀ = 1, P₁ = x. */
const recurrence =
  (next: (x: number, degree: number, last: number, before: number) => number): Curve =>
  (row, step, length) => {
    const x = 2 * along(step, length) - 1;
    let [before, last] = [1, x];
    for (let degree = 1; degree < row; degree++) [before, last] = [last, next(x, degree, last, before)];
    return row === 0 ? 1 : last;
  };

/** Cubic B-spline with its outer knots threefold (https://doi.org/10.1016/0021-9045(72)90080-9). */
const spline: Curve = (row, step, length, count) => {
  const pieces = count - 3;
  const knot = (i: number): number => Math.max(0, Math.min(pieces, i - 3)) / pieces;
  const x = along(step, length);
  const piece = Math.min(pieces - 1, Math.floor(x * pieces)) + 3; // the last piece includes its end
  const part = (value: number, from: number, to: number): number => (to > from ? value / (to - from) : 0);
  const value = (i: number, degree: number): number => {
    if (degree === 0) return i === piece ? 1 : 0;
    const rising = part(x - knot(i), knot(i), knot(i + degree));
    const falling = part(knot(i + degree + 1) - x, knot(i + 1), knot(i + degree + 1));
    return rising * value(i, degree - 1) + falling * value(i + 1, degree - 1);
  };
  return value(row, 3);
};

const curves = {
  legendre: recurrence((x, n, last, before) => ((2 * n + 1) * x * last - n * before) / (n + 1)),
  polynomial: (row, step, length) => (step / length) ** row,
  changepoint: (row, step, length, count) => Math.max(0, along(step, length) - (row + 1) / count),
  'piecewise-linear': (row, step, length, count) => {
    const x = along(step, length) * count;
    return row === 0 ? 0 : Math.max(0, Math.min(x - row + 1, row + 1 - x));
  },
  'linear-hat': (row, step, length, count) => Math.max(0, 1 - Math.abs(along(step, length) * (count - 1) - row)),
  spline,
  chebyshev: recurrence((x, _, last, before) => 2 * x * last - before),
} satisfies Record<string, Curve>;

export type TrendBasis = keyof typeof curves;
export const trendBases = Object.keys(curves) as [TrendBasis, ...TrendBasis[]];

/** `count` curves of a trend, `[count, length]`. */
export const trendBasis = (name: TrendBasis, count: number, length: number): Float64Array =>
  Float64Array.from({ length: count * length }, (_, i) =>
    curves[name](Math.floor(i / length), i % length, length, count),
  );

/** Frequencies of a season, in cycles per horizon: none, then from 1 on in steps of 1 / harmonics. */
export function seasonFrequencies(harmonics: number, horizon: number): number[] {
  const more = Math.max(0, Math.ceil((harmonics / 2) * horizon - harmonics));
  return [0, ...Array.from({ length: more }, (_, i) => 1 + i / harmonics)];
}

/** A cosine of every frequency, then a sine of every frequency, `[2·frequencies, length]`; `direction` -1 goes back in time. */
export function seasonBasis(harmonics: number, horizon: number, length: number, direction: 1 | -1): Float64Array {
  const frequencies = seasonFrequencies(harmonics, horizon);
  const waves = (wave: (angle: number) => number): number[] =>
    frequencies.flatMap((frequency) =>
      Array.from({ length }, (_, step) => wave((direction * 2 * Math.PI * step * frequency) / horizon)),
    );
  return Float64Array.from([...waves(Math.cos), ...waves(Math.sin)]);
}
