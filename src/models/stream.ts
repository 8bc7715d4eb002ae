/** Which models have a graph of one step, told without their window, and what keeps the others from it. */
import { NeuroDivergentError } from '../errors.js';
import type { ForecastSpec, StreamOptions } from './assemble.js';
import { feedsBack } from './model.js';

/** Why a model has none, and what to do instead; the first that holds. */
const obstacles: readonly (readonly [
  holds: (spec: ForecastSpec, options: StreamOptions) => boolean,
  what: (spec: ForecastSpec) => string,
  mend: string,
])[] = [
  [
    ({ model }) => model.capabilities.streams === undefined,
    () => 'It reads its whole window anew at every step, so nothing could be carried from one step to the next.',
    'Take one that streams: `nd models` says which do.',
  ],
  [
    (spec) => spec.model.capabilities.streams === 'without future' && countOf(spec, 'future') > 0,
    () => 'It looks ahead over columns known in advance, so every new step changes what it made of all steps before.',
    'Train it without future columns, or take a model that streams with them; `nd models` says which do.',
  ],
  [
    (spec) => feedsBack(spec.model, spec.hyperparameters) && countOf(spec, 'historic') > 0,
    () =>
      'It feeds its forecasts back, and a step then reads the historic columns of the next, which have not come yet.',
    'Train it without historic columns, or with `recurrent: false`.',
  ],
  [
    ({ scaler }, { heldScale }) => scaler !== 'identity' && !heldScale,
    ({ scaler }) =>
      `Its window scaler "${scaler}" shifts and scales by statistics of the whole window, which every step changes.`,
    "Train with `scaler: 'identity'`, or hold the statistics of one window along the stream: `heldScale` (`--hold-scale`).",
  ],
  [
    ({ scaler }, { heldScale }) => scaler === 'identity' && heldScale === true,
    () => 'Its window scaler is "identity", which has no statistics to hold.',
    'Leave out `heldScale` (`--hold-scale`).',
  ],
  [
    (spec, { heldScale }) => heldScale === true && countOf(spec, 'historic') + countOf(spec, 'future') > 0,
    ({ scaler }) =>
      `Its window scaler "${scaler}" has statistics of every column, and only those of the target can be held.`,
    "Train with `scaler: 'identity'`, or without historic and future columns.",
  ],
];

/** Throws `ND_EXPORT_NO_STREAM` for a model that has no graph of one step. */
export function mustStream(spec: ForecastSpec, options: StreamOptions = {}): void {
  const found = obstacles.find(([holds]) => holds(spec, options));
  if (found === undefined) return;
  const [, what, mend] = found;
  throw new NeuroDivergentError('ND_EXPORT_NO_STREAM', { where: spec.model.id, what: what(spec), mend });
}

const countOf = ({ hyperparameters }: ForecastSpec, kind: 'historic' | 'future'): number =>
  hyperparameters[kind] as number;
