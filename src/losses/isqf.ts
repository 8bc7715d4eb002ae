/**
 * Incremental spline quantile function (https://proceedings.mlr.press/v151/park22a.html): the model gives the quantile
 * function itself, as splines between a few quantiles and exponential tails beyond them, so that quantiles never cross.
 * The loss is the softplus of the CRPS, which has a closed form.
 */
import {
  add,
  concat,
  constant,
  div,
  exp,
  gather,
  greater,
  log,
  matmul,
  maximum,
  mul,
  neg,
  reshape,
  slice,
  softmax,
  softplus,
  square,
  sub,
  sum,
  where,
  type Dim,
  type Operand,
  type Tensor,
} from '../graph/index.js';
import { minimum } from './distribution.js';
import type { Loss } from './loss.js';
import { quantilesOf, type QuantileSet } from './quantile.js';
import { averageOf, type HorizonWeight } from './weight.js';

/** Keeps knots apart and tails finite. */
const tolerance = 1e-4;

export type IsqfOptions = HorizonWeight & QuantileSet & { readonly pieces?: number | undefined };

export function isqfLoss({ pieces = 5, ...options }: IsqfOptions = {}): Loss {
  const quantiles = quantilesOf(options);
  const levels = [...quantiles].sort((a, b) => a - b).map(Math.fround);
  const outputs = 2 * (levels.length - 1) * pieces + 2 + levels.length;
  return {
    name: 'isqf',
    outputs,
    quantiles,
    point: quantiles.indexOf(nearestToMedian(quantiles)),
    loss: (_, { forecast, rawTarget, mask, units }) => {
      const z = div(sub(rawTarget, units.shift), units.scale); // [batch, horizon, series]
      const cost = softplus(crps(z, quantileFunction(forecast, levels, pieces)));
      return averageOf(add(cost, log(units.scale)), mask, options);
    },
    // The quantiles asked for are those between which the splines lie.
    decode: (_, forecast, { shift, scale }) => {
      const { y } = quantileFunction(forecast, levels, pieces); // [batch, horizon, series, quantile]
      const indices = quantiles.map((q) => levels.indexOf(Math.fround(q)));
      const wide = (x: Tensor): Tensor => reshape(x, { shape: [...x.shape, 1] });
      const inUnits = add(mul(gather(y, { axis: 3, indices }), wide(scale)), wide(shift));
      const [batch, horizon, series] = y.shape as [Dim, number, number];
      return reshape(inUnits, { shape: [batch, horizon, series * quantiles.length] });
    },
  };
}

const nearestToMedian = (quantiles: readonly number[]): number =>
  quantiles.reduce((best, q) => (Math.abs(q - 0.5) < Math.abs(best - 0.5) ? q : best));

/** Between two quantiles: where each piece of the spline starts, and how far it goes, on one axis. `[…, gap, piece]` */
interface Pieces {
  readonly start: Tensor;
  readonly length: Tensor;
}
/** `a·log α + b` */
interface Tail {
  readonly a: Tensor;
  readonly b: Tensor;
}
interface QuantileFunction {
  readonly levels: readonly number[];
  /** The quantiles at the levels, `[batch, horizon, series, quantile]`. */
  readonly y: Tensor;
  readonly along: { readonly x: Pieces; readonly y: Pieces };
  readonly left: Tail;
  /** In 1 - α. */
  readonly right: Tail;
}

const part = (x: Tensor, start: number, count: number): Tensor =>
  slice(x, { axis: x.shape.length - 1, start, end: start + count });

/** Sums of all before, and of the element itself when it is included. */
const running = (x: Tensor, included: boolean): Tensor => {
  const size = x.shape.at(-1) as number;
  const counts = Float64Array.from({ length: size ** 2 }, (_, i) => {
    const [from, to] = [Math.floor(i / size), i % size];
    return from < to || (included && from === to) ? 1 : 0;
  });
  return matmul(x, constant(counts, [size, size]));
};

function quantileFunction(forecast: Tensor, levels: readonly number[], pieces: number): QuantileFunction {
  const gaps = levels.length - 1;
  const outputs = 2 * gaps * pieces + 2 + levels.length;
  const [batch, horizon, width] = forecast.shape as [Dim, number, number];
  const lead = [batch, horizon, width / outputs];
  const raw = reshape(forecast, { shape: [...lead, outputs] });
  const perGap = (x: Tensor): Tensor => reshape(x, { shape: [...lead, gaps, pieces] });
  const single = (x: Tensor): Tensor => reshape(x, { shape: lead });
  const [knots, heights] = [0, 1].map((i) => perGap(part(raw, i * gaps * pieces, gaps * pieces))) as [Tensor, Tensor];
  const from = 2 * gaps * pieces;
  const [betaLeft, betaRight] = [0, 1].map((i) => add(softplus(single(part(raw, from + i, 1))), tolerance)) as [Tensor, Tensor]; // prettier-ignore
  const rises = add(softplus(part(raw, from + 3, gaps)), tolerance);
  const y = running(concat([part(raw, from + 2, 1), rises], { axis: 3 }), true);

  const between = (shares: Tensor, low: Tensor, high: Tensor): Pieces => {
    const share = div(add(softmax(shares, { axis: -1 }), tolerance), 1 + pieces * tolerance);
    const gap = sub(high, low);
    return { start: add(mul(running(share, false), gap), low), length: mul(share, gap) };
  };
  const column = (x: Tensor): Tensor => reshape(x, { shape: [...x.shape, 1] });
  const x = constant(levels);
  const tail = (a: Tensor, level: number, end: Tensor): Tail => ({ a, b: sub(end, mul(a, Math.log(level))) });
  return {
    levels,
    y,
    along: {
      x: between(knots, column(part(x, 0, gaps)), column(part(x, 1, gaps))),
      y: between(heights, column(part(y, 0, gaps)), column(part(y, 1, gaps))),
    },
    left: tail(div(1, betaLeft), levels[0]!, single(part(y, 0, 1))),
    right: tail(neg(div(1, betaRight)), 1 - levels[gaps]!, single(part(y, gaps, 1))),
  };
}

/** Continuous ranked probability score: the pinball loss over all levels, twice its mean. `[batch, horizon, series]` */
function crps(z: Tensor, of: QuantileFunction): Tensor {
  return add(add(leftCrps(z, of), rightCrps(z, of)), splineCrps(z, of));
}

function leftCrps(z: Tensor, { levels, y, left: { a, b } }: QuantileFunction): Tensor {
  const x = levels[0]!;
  const end = reshape(part(y, 0, 1), { shape: z.shape });
  const level = exp(minimum(div(sub(z, b), a), Math.log(x)));
  const inside = add(mul(a, x * (Math.log(x) - 1)), mul(level, add(sub(b, z), a)));
  const whole = mul(a, x * x * (0.5 - Math.log(x)));
  return addUp(mul(sub(z, b), add(mul(level, 2), x * x - 2 * x)), whole, mul(where(greater(end, z), inside, 0), 2));
}

function rightCrps(z: Tensor, { levels, y, right: { a, b } }: QuantileFunction): Tensor {
  const last = levels.length - 1;
  const x = levels[last]!;
  const end = reshape(part(y, last, 1), { shape: z.shape });
  const above = exp(minimum(div(sub(z, b), a), Math.log(1 - x))); // 1 - level
  const inside = mul(above, sub(z, b));
  const outside = mul(a, (1 - x) * Math.log(1 - x));
  const fixed = -0.5 * (x + 1) ** 2 + (x * x - 1) * Math.log(1 - x) + 2;
  const whole = mul(a, sub(fixed, mul(above, 2)));
  return addUp(mul(sub(z, b), sub(1 - x * x, mul(above, 2))), whole, mul(where(greater(z, end), inside, outside), 2));
}

function splineCrps(z: Tensor, { levels, y, along }: QuantileFunction): Tensor {
  const gaps = levels.length - 1;
  const pieces = along.x.length.shape.at(-1) as number;
  const [low, high] = [0, 1].map((i) => constant(levels.slice(i, i + gaps))) as [Tensor, Tensor]; // [gap]
  const column = (x: Tensor): Tensor => reshape(x, { shape: [...x.shape, 1] });
  const overPieces = (x: Tensor): Tensor => sum(x, { axes: [4] });
  const target = column(z); // [batch, horizon, series, 1]
  const bottom = part(y, 0, gaps); // [batch, horizon, series, gap]
  const { start, length } = along.x;

  // The level at which the quantile is z, in each gap: past the pieces that end below z, into the one that holds it.
  const begun = greater(column(target), along.y.start); // [batch, horizon, series, gap, piece]
  const next = mul(part(begun, 0, 1), 0);
  const passed = pieces === 1 ? next : concat([part(begun, 1, pieces - 1), next], { axis: 4 });
  const here = sub(begun, passed);
  const rest = sub(sub(target, bottom), overPieces(mul(passed, along.y.length)));
  const found = add(overPieces(mul(here, start)), mul(rest, overPieces(mul(here, div(length, along.y.length)))));
  const level = minimum(maximum(found, low), high); // [batch, horizon, series, gap]

  const last = add(mul(next, 0), column(high)); // [batch, horizon, series, gap, 1]
  const end = pieces === 1 ? last : concat([part(start, 1, pieces - 1), last], { axis: 4 });
  const within = minimum(maximum(column(level), start), end);
  const slopes = addUp(
    mul(cube(end), -2 / 3),
    mul(start, square(end)),
    square(end),
    mul(cube(start), -1 / 3),
    mul(mul(start, end), -2),
    neg(square(within)),
    mul(mul(start, within), 2),
  );
  const top = column(sub(mul(high, 2), square(high)));
  const heights = addUp(mul(maximum(column(level), end), -2), square(end), top);
  const gap = mul(sub(square(high), square(low)), sub(target, bottom));
  const beyond = mul(mul(sub(high, level), 2), sub(bottom, target));
  const inPieces = add(mul(div(along.y.length, length), slopes), mul(along.y.length, heights));
  return sum(addUp(gap, beyond, overPieces(inPieces)), { axes: [3] });
}

const cube = (x: Tensor): Tensor => mul(x, square(x));
const addUp = (first: Tensor, ...others: readonly Operand[]): Tensor =>
  others.reduce((total: Tensor, term) => add(total, term), first);
