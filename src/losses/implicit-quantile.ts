/**
 * Implicit quantile losses: a small network turns the forecast into any quantile asked for, and training asks for a
 * random one at each step (https://arxiv.org/abs/2107.03743).
 */
import {
  add,
  constant,
  cos,
  exp,
  log,
  matmul,
  mul,
  neg,
  relu,
  reshape,
  rows,
  sub,
  type Init,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { NeuroDivergentError } from '../errors.js';
import type { Loss } from './loss.js';
import { huberPinball, pinball } from './quantile.js';
import { averageOf, type HorizonWeight } from './weight.js';

export interface ImplicitQuantileOptions extends HorizonWeight {
  /** Width of the cosine embedding of the level. */
  readonly embedding?: number | undefined;
  /** Levels are drawn from a Beta distribution: uniform with 1 and 1; more weight near 1 with a larger first number. */
  readonly concentration?: readonly [high: number, low: number] | undefined;
  /** The level that is forecast. */
  readonly level?: number | undefined;
}

export const iq = (options: ImplicitQuantileOptions = {}): Loss => implicit('iq', options, pinball);

export const huberIq = ({ delta = 1, ...options }: ImplicitQuantileOptions & { readonly delta?: number } = {}): Loss =>
  implicit('huber-iq', options, (error, q) => huberPinball(error, q, delta));

function implicit(name: string, options: ImplicitQuantileOptions, cost: (error: Tensor, q: Tensor) => Tensor): Loss {
  const { embedding = 64, concentration = [1, 1], level = 0.5 } = options;
  return {
    name,
    outputs: 1,
    quantiles: [level],
    point: 0,
    loss: (g, { forecast, target, mask, levels }) => {
      const asked = levels ?? (g.training ? drawLevels(g, forecast, concentration) : fixedLevel(forecast, level));
      return averageOf(cost(sub(target, quantileAt(g, forecast, asked, embedding)), asked), mask, options);
    },
    decode: (g, forecast, { restore }) => restore(quantileAt(g, forecast, fixedLevel(forecast, level), embedding)),
  };
}

/** The forecast at these levels. All `[batch, horizon, series]`. */
function quantileAt(g: Scope, forecast: Tensor, levels: Tensor, embedding: number): Tensor {
  const frequencies = constant(
    Float64Array.from({ length: embedding }, (_, k) => k * Math.PI),
    [embedding],
  );
  const cosines = rows(cos(mul(reshape(levels, { shape: [...levels.shape, 1] }), frequencies))); // [step, embedding]
  const wide = prelu(g.scope('wide'), dense(g.scope('wide'), cosines, embedding));
  const factor = add(reshape(dense(g.scope('narrow'), wide, 1), { shape: forecast.shape }), 1);
  const scope = g.scope('output');
  const scaled = mul(mul(forecast, factor), scope.parameter('weight', [1], start(1)));
  return prelu(scope, add(scaled, scope.parameter('bias', [1], start(1))));
}

const start = (inputs: number): Init => ({ kind: 'uniform', bound: 1 / Math.sqrt(inputs) });

function dense(g: Scope, x: Tensor, outputs: number): Tensor {
  const inputs = x.shape[1] as number;
  return add(
    matmul(x, g.parameter('weight', [inputs, outputs], start(inputs))),
    g.parameter('bias', [outputs], start(inputs)),
  );
}

/** The slope below zero is learned. */
const prelu = (g: Scope, x: Tensor): Tensor =>
  sub(relu(x), mul(relu(neg(x)), g.parameter('slope', [1], { kind: 'constant', value: 0.25 })));

const fixedLevel = (forecast: Tensor, level: number): Tensor => add(mul(forecast, 0), level);

/** One level per step. With one of the two numbers 1, the Beta distribution is a power of a uniform draw. */
function drawLevels(g: Scope, forecast: Tensor, [high, low]: readonly [number, number]): Tensor {
  const uniform = g.uniform('level', forecast.shape);
  if (high !== 1 && low !== 1) {
    throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
      where: 'loss.concentration',
      what: `Levels cannot be drawn with [${high}, ${low}].`,
      mend: 'Let one of the two numbers be 1.',
    });
  }
  const power = (x: Tensor, exponent: number): Tensor => exp(mul(log(add(x, 1e-7)), exponent));
  if (low === 1) return high === 1 ? uniform : power(uniform, 1 / high);
  return sub(1, power(uniform, 1 / low));
}
