/** The blocks of N-BEATS: layers give the weights of a basis, which spreads them over window and horizon. */
import { z } from 'zod';
import { constant, matmul, reshape, rows, slice, transpose, type Scope, type Tensor } from '../../graph/index.js';
import { seasonBasis, seasonFrequencies, trendBasis, type TrendBasis } from './basis.js';
import {
  blockHyperparameters,
  blockLayers,
  type Block,
  type BlockOutput,
  type LayerOptions,
} from './residual-block.js';

/** How weights `[batch, width]` become a backcast and a forecast. */
export interface Basis {
  readonly width: number;
  readonly spread: (weights: Tensor) => BlockOutput;
}

interface Lengths {
  readonly inputLength: number;
  readonly horizon: number;
  readonly outputs: number;
}

export const stackHyperparameters = {
  ...blockHyperparameters,
  harmonics: z.int().min(1).default(2).describe('steps between whole cycles of a season: more give finer frequencies'),
  shared: z.boolean().default(false).describe('the blocks of a stack are one block, used again'),
};

/** Ours for the reference's: `seasonality` is `season`. */
export const readStacks = (names: unknown): unknown =>
  (names as string[]).map((name) => (name === 'seasonality' ? 'season' : name));

export const oneCountPerStack = {
  path: ['blocks'],
  message: 'stacks and blocks need one entry per stack',
};
export const curvesNeedSteps = {
  path: ['horizon'],
  message: 'a horizon of 1 has no trend and no season; use identity stacks only',
};

/** Every step has a weight of its own. */
export const identityBasis = ({ inputLength, horizon, outputs }: Lengths): Basis => ({
  width: inputLength + horizon * outputs,
  spread: (weights) => ({
    backcast: slice(weights, { axis: 1, start: 0, end: inputLength }),
    forecast: reshape(slice(weights, { axis: 1, start: inputLength, end: inputLength + horizon * outputs }), {
      shape: [weights.shape[0]!, horizon, outputs],
    }),
  }),
});

export function trendBlockBasis(name: TrendBasis, degree: number, lengths: Lengths): Basis {
  const curves = (length: number): Float64Array => trendBasis(name, degree + 1, length);
  return curveBasis(degree + 1, curves(lengths.inputLength), curves(lengths.horizon), lengths);
}

export function seasonBlockBasis(harmonics: number, lengths: Lengths): Basis {
  const { inputLength, horizon } = lengths;
  return curveBasis(
    2 * seasonFrequencies(harmonics, horizon).length,
    seasonBasis(harmonics, horizon, inputLength, -1),
    seasonBasis(harmonics, horizon, horizon, 1),
    lengths,
  );
}

/** Weights of the curves of the backcast, then of those of the forecast `[curve, output]`. */
function curveBasis(
  curves: number,
  backcast: Float64Array,
  forecast: Float64Array,
  { inputLength, horizon, outputs }: Lengths,
): Basis {
  const width = curves * (1 + outputs);
  return {
    width,
    spread: (weights) => {
      const batch = weights.shape[0]!;
      const past = slice(weights, { axis: 1, start: 0, end: curves }); // [batch, curve]
      const ahead = reshape(slice(weights, { axis: 1, start: curves, end: width }), {
        shape: [batch, curves, outputs],
      });
      const perOutput = rows(transpose(ahead, { order: [0, 2, 1] })); // [batch·outputs, curve]
      const steps = reshape(matmul(perOutput, constant(forecast, [curves, horizon])), {
        shape: [batch, outputs, horizon],
      });
      return {
        backcast: matmul(past, constant(backcast, [curves, inputLength])), // [batch, time]
        forecast: transpose(steps, { order: [0, 2, 1] }), // [batch, horizon, outputs]
      };
    },
  };
}

interface StackOptions<S extends string> extends LayerOptions {
  readonly stacks: readonly S[];
  readonly blocks: readonly number[];
  readonly shared: boolean;
}

/** The blocks of all stacks. `seen` adds the covariates to what is left of the window: `[batch, columns]`. */
export function basisBlocks<S extends string>(
  g: Scope,
  basisOf: (stack: S) => Basis,
  seen: (rest: Tensor) => Tensor,
  { stacks, blocks, shared, ...layers }: StackOptions<S>,
): Block[] {
  const made = new Map<string, Tensor>();
  const all: Block[] = [];
  for (const [i, stack] of stacks.entries()) {
    const basis = basisOf(stack);
    const first = all.length;
    for (let use = 0; use < blocks[i]!; use++) {
      const scope = reused(g.scope(`block${shared ? first : first + use}`), use, made);
      all.push((rest) => basis.spread(blockLayers(scope, seen(rest), basis.width, layers)));
    }
  }
  return all;
}

/** A scope in which a parameter of the same path is the same parameter. */
const reused = (g: Scope, use: number, made: Map<string, Tensor>): Scope => ({
  ...g,
  scope: (name) => reused(g.scope(name), use, made),
  parameter: (name, shape, init) => {
    const path = `${g.path}/${name}`;
    const parameter = made.get(path) ?? g.parameter(name, shape, init);
    made.set(path, parameter);
    return parameter;
  },
  uniform: (name, shape) => g.uniform(`${name}${use}`, shape),
});
