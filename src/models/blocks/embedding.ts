/** How the steps of a window become the tokens of a transformer: a convolution over neighbours, positions, covariates. */
import { add, concat, constant, gather, matmul, type Init, type Scope, type Tensor } from '../../graph/index.js';
import { dropout } from './dropout.js';
import { linear } from './linear.js';

const taps = 3;

interface CircularOptions {
  /** Steps taken from the other end of the window, at both ends: 1 keeps its length. */
  readonly padding?: number;
  readonly init?: Init;
}

/** A convolution of three taps over a window closed to a ring, as one product. `[batch, time, columns]` → `[batch, time + 2·padding - 2, outputs]` */
export function circularConvolution(
  g: Scope,
  x: Tensor,
  outputs: number,
  { padding = 1, init }: CircularOptions = {},
): Tensor {
  const seen = circularNeighbours(x, padding);
  const inputs = seen.shape[2] as number;
  const start = init ?? { kind: 'uniform', bound: 1 / Math.sqrt(inputs) };
  return matmul(seen, g.parameter('weight', [inputs, outputs], start));
}

/** What the three taps of such a convolution see, side by side: `[batch, time + 2·padding - 2, 3·columns]` */
export function circularNeighbours(x: Tensor, padding = 1): Tensor {
  const time = x.shape[1] as number;
  const steps = time + 2 * padding - (taps - 1);
  const shifted = Array.from({ length: taps }, (_, tap) => {
    const indices = Array.from({ length: steps }, (__, step) => (step + tap - padding + 2 * time) % time);
    return gather(x, { axis: 1, indices });
  });
  return concat(shifted, { axis: 2 });
}

interface EmbeddingOptions {
  readonly hidden: number;
  readonly dropout: number;
  /** Add codes of the positions. */
  readonly positions: boolean;
}

/** `x [batch, time, columns]` and what is known of each step `[batch, time, future]` → tokens `[batch, time, hidden]` */
export function dataEmbedding(
  g: Scope,
  x: Tensor,
  known: Tensor | undefined,
  { hidden, dropout: probability, positions }: EmbeddingOptions,
): Tensor {
  const [, time, columns] = x.shape as [number, number, number];
  // Normal with the gain of a leaky ReLU of slope 0.01, as the reference starts it.
  const deviation = Math.sqrt(2 / (1 + 0.01 ** 2) / (taps * columns));
  let tokens = circularConvolution(g.scope('value'), x, hidden, { init: { kind: 'normal', deviation } });
  if (positions) tokens = add(tokens, constant(positionCodes(time, hidden), [time, hidden]));
  if (known) tokens = add(tokens, linear(g.scope('known'), known, hidden, { bias: false }));
  return dropout(g, tokens, probability); // [batch, time, hidden]
}

/** Sines and cosines of the position at falling frequencies (https://arxiv.org/abs/1706.03762), rounded as the reference rounds. */
export function positionCodes(time: number, hidden: number): Float64Array {
  const { exp, fround, log, sin, cos } = Math;
  const slope = fround(-log(10_000) / hidden);
  return Float64Array.from({ length: time * hidden }, (_, i) => {
    const column = i % hidden;
    const frequency = fround(exp(fround((column - (column % 2)) * slope)));
    const angle = fround(Math.floor(i / hidden) * frequency);
    return column % 2 === 0 ? sin(angle) : cos(angle);
  });
}
