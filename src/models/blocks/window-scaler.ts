/**
 * Window scalers: each window is shifted and scaled by statistics of its own past, inside the graph, so that a device
 * feeds sensor units. Statistics are taken over observed points; a scale of zero counts as 1, and 1e-6 is added to all.
 */
import {
  abs,
  add,
  constant,
  div,
  exp,
  gather,
  greater,
  log,
  max,
  maximum,
  mul,
  neg,
  relu,
  reshape,
  sign,
  slice,
  sort,
  sqrt,
  square,
  sub,
  sum,
  swapLast,
  where,
  type Dim,
  type Scope,
  type Tensor,
} from '../../graph/index.js';

/** One shift and one scale per window and column, `[…, 1, columns]`. */
export interface Statistics {
  readonly shift: Tensor;
  readonly scale: Tensor;
}

/** A scaled column of the window, and the way back: by its statistics, or by others that were learned. */
export interface Scaled extends Statistics {
  readonly own: Statistics;
  /** `[batch, time, columns]` */
  readonly scaled: Tensor;
  /** Scales other values of the same window, such as the target. */
  readonly apply: (x: Tensor) => Tensor;
  /** Brings a forecast `[batch, horizon, columns·outputs]` back to sensor units. */
  readonly restore: (forecast: Tensor) => Tensor;
}

export interface WindowScaler {
  /** `past` and `mask` are `[batch, time, columns]`; the mask is 1 where `past` was observed. */
  readonly target: (past: Tensor, mask: Tensor) => Scaled;
  /**
   * Covariates are scaled by their own statistics over the past; columns known in advance go on after it. Of one series
   * they are `[batch, time, columns]`, of many `[batch, columns, time, series]`.
   */
  readonly covariate: (x: Tensor, inputLength: number, mask: Tensor) => Tensor;
}

interface Method {
  readonly statistics: (x: Tensor, mask: Tensor) => Statistics;
  readonly apply: (x: Tensor, statistics: Statistics) => Tensor;
  readonly restore: (z: Tensor, statistics: Statistics) => Tensor;
}

const tiny = 1e-6;
const huge = 3e38; // stands for infinity, which a product with a mask would turn into NaN
/** Median deviation of a normal distribution of deviation 1. */
const normalMad = 0.6744897501960817;

/** Time is the last axis but one, whatever comes before it. */
const timeAxis = (x: Tensor): number => x.shape.length - 2;

const standardize = (x: Tensor, { shift, scale }: Statistics): Tensor => div(sub(x, shift), scale);
const unstandardize = (z: Tensor, { shift, scale }: Statistics): Tensor => add(mul(z, scale), shift);

const countOf = (mask: Tensor): Tensor => sum(mask, { axes: [timeAxis(mask)], keep: true }); // […, 1, columns]
const meanOf = (x: Tensor, mask: Tensor): Tensor =>
  div(sum(mul(x, mask), { axes: [timeAxis(x)], keep: true }), maximum(countOf(mask), 1));
const positive = (scale: Tensor): Tensor => add(where(greater(scale, 0), scale, 1), tiny);

/** Mean and population deviation. The mean is refined once, so that a constant window deviates by exactly nothing. */
function moments(x: Tensor, mask: Tensor): { centre: Tensor; deviation: Tensor } {
  const rough = meanOf(x, mask);
  const centre = add(rough, meanOf(sub(x, rough), mask));
  return { centre, deviation: sqrt(meanOf(square(sub(x, centre)), mask)) };
}

/** The lower of the two middle values; 0 when nothing was observed. */
function medianOf(x: Tensor, mask: Tensor): Tensor {
  const time = x.shape.at(-2) as number;
  const sorted = sort(swapLast(where(mask, x, huge))); // […, columns, time], what was not observed comes last
  const count = swapLast(countOf(mask)); // […, columns, 1]
  // Of n values the lower middle one stands at k with n - 2 <= 2k <= n - 1.
  const twice = constant(
    Float64Array.from({ length: time }, (_, k) => 2 * k),
    [time],
  );
  const middle = greater(1, abs(sub(twice, sub(count, 1.5))));
  return swapLast(sum(where(middle, sorted, 0), { axes: [timeAxis(x) + 1], keep: true }));
}

function robust(x: Tensor, mask: Tensor): Statistics {
  const shift = medianOf(x, mask);
  const mad = medianOf(abs(sub(x, shift)), mask);
  return { shift, scale: positive(where(greater(mad, 0), mad, mul(moments(x, mask).deviation, normalMad))) };
}

function standard(x: Tensor, mask: Tensor): Statistics {
  const { centre, deviation } = moments(x, mask);
  return { shift: centre, scale: positive(deviation) };
}

/** Smallest value and range; 0 and 1 when nothing was observed. */
function extremes(x: Tensor, mask: Tensor): Statistics {
  const largest = (values: Tensor): Tensor => {
    const top = max(where(mask, values, -huge), { axis: timeAxis(values) }); // […, columns]
    return reshape(top, { shape: [...top.shape.slice(0, -1), 1, top.shape.at(-1)!] });
  };
  const smallest = neg(largest(neg(x)));
  return { shift: where(greater(huge, smallest), smallest, 0), scale: positive(sub(largest(x), smallest)) };
}

const asinh = (x: Tensor): Tensor => mul(sign(x), log(add(abs(x), sqrt(add(square(x), 1)))));
const sinh = (x: Tensor): Tensor => mul(sub(exp(x), exp(neg(x))), 0.5);

const methods = {
  /** Leaves everything as it is. */
  identity: {
    statistics: () => ({ shift: constant([0], [1, 1, 1]), scale: constant([1], [1, 1, 1]) }),
    apply: (x) => x,
    restore: (z) => z,
  },
  /** Mean and population deviation. */
  standard: { statistics: standard, apply: standardize, restore: unstandardize },
  /** Median and median deviation: outliers do not count. */
  robust: { statistics: robust, apply: standardize, restore: unstandardize },
  /** To [0, 1]. */
  minmax: { statistics: extremes, apply: standardize, restore: unstandardize },
  /** To [-1, 1]. */
  minmax1: {
    statistics: extremes,
    apply: (x, statistics) => sub(mul(standardize(x, statistics), 2), 1),
    restore: (z, statistics) => unstandardize(mul(add(z, 1), 0.5), statistics),
  },
  /** The inverse hyperbolic sine of `robust`: large values are compressed. */
  invariant: {
    statistics: robust,
    apply: (x, statistics) => asinh(standardize(x, statistics)),
    restore: (z, statistics) => unstandardize(sinh(z), statistics),
  },
  /** `standard` whose way back is learned (https://openreview.net/forum?id=cGDAkQo1C0p). */
  revin: { statistics: standard, apply: standardize, restore: unstandardize },
} satisfies Record<string, Method>;

export type ScalerName = keyof typeof methods;
export const scalerNames = Object.keys(methods) as ScalerName[];

/** With `held`, those statistics are taken instead of each window's own, for the target. */
export function windowScaler(g: Scope, name: ScalerName, held?: Statistics): WindowScaler {
  const { statistics, apply, restore }: Method = methods[name];
  return {
    target: (past, mask) => {
      const own = held ?? statistics(past, mask);
      const back = name === 'revin' ? learned(g, own) : own;
      return {
        ...back,
        own,
        scaled: apply(past, own),
        apply: (x) => apply(x, own),
        restore: (forecast) => restore(forecast, perOutput(back, forecast)),
      };
    },
    covariate: (x, inputLength, mask) => {
      const past = slice(x, { axis: timeAxis(x), start: 0, end: inputLength });
      const [batch, time, series] = mask.shape as [Dim, number, number];
      const observed = x.shape.length === 3 ? mask : reshape(mask, { shape: [batch, 1, time, series] });
      return apply(x, statistics(past, observed));
    },
  };
}

/** The inputs `shift` and `scale`. */
export const fedStatistics = (g: Scope, series: number): Statistics => ({
  shift: g.input('shift', [g.batch, 1, series]),
  scale: g.input('scale', [g.batch, 1, series]),
});

/** Windows that come scaled: their statistics are the inputs `shift` and `scale`, and the target stays as it is. */
export function givenStatistics(g: Scope, series: number): WindowScaler {
  const statistics = fedStatistics(g, series);
  return {
    target: (past) => ({
      ...statistics,
      own: statistics,
      scaled: past,
      apply: (x) => x,
      restore: (z) => unstandardize(z, perOutput(statistics, z)),
    }),
    covariate: (x) => x,
  };
}

/** Statistics of every column as often as the forecast has outputs of it; one column is the same for all outputs anyway. */
function perOutput({ shift, scale }: Statistics, forecast: Tensor): Statistics {
  const columns = shift.shape[2] as number;
  const outputs = (forecast.shape[2] as number) / columns;
  if (columns === 1 || outputs === 1) return { shift, scale };
  const indices = Array.from({ length: columns * outputs }, (_, i) => Math.floor(i / outputs));
  return { shift: gather(shift, { axis: 2, indices }), scale: gather(scale, { axis: 2, indices }) };
}

/** revin's statistics on the way back. */
function learned(g: Scope, { shift, scale }: Statistics): Statistics {
  const columns = shift.shape[2] as number;
  const bias = g.parameter('bias', [columns], { kind: 'constant', value: 0 });
  const weight = g.parameter('weight', [columns], { kind: 'constant', value: 1 });
  return { shift: add(shift, bias), scale: mul(scale, add(relu(weight), tiny)) };
}
