/**
 * Static variants. Some models choose by the data, window by window, what they look at. In the variant the graph itself says
 * so: it sorts nothing, and a forecast does not depend on the windows beside it. It has the same parameters.
 */
import { z } from 'zod';

/** `what` is chosen, and which ones are taken instead. */
export const selectionOf = (what: string) => ({
  selection: z.enum(['data', 'static']).default('data').describe(what),
});

/** For models that look at seasons. */
export const seasonsOf = (otherwise: string) => ({
  seasons: z
    .array(z.int().min(2))
    .default([])
    .describe(`steps per season, which the static selection looks at; then ${otherwise}`),
});

interface Seasonal {
  readonly inputLength: number;
  readonly selection: 'data' | 'static';
  readonly seasons: readonly number[];
}

/** For `refine`. */
export const seasonsFit: [(options: Seasonal) => boolean, { path: string[]; message: string }] = [
  ({ inputLength, selection, seasons }) =>
    selection === 'static' ? seasons.every((steps) => steps <= inputLength) : seasons.length === 0,
  { path: ['seasons'], message: 'seasons are those of selection static, each no longer than inputLength' },
];
