/** Several teachers as one: weights chosen on the validation part. */
import type { DistillSettings } from './settings.js';

/** Picks of the greedy choice. */
const rounds = 25;

type Weigh = (error: (weights: readonly number[]) => number, members: number) => number[];

/** `error` tells how wrong the weighted mean of the members is. Weights add up to 1. */
export const weighings: Readonly<Record<DistillSettings['combine'], Weigh>> = {
  mean: (_, members) => new Array<number>(members).fill(1 / members),
  best: (error, members) => greedy(error, members, 1),
  greedy: (error, members) => greedy(error, members, rounds),
};

/**
 * Adds, again and again, the member that helps the mean most, the same one as often as it helps; the best mean on the way
 * is kept (https://doi.org/10.1145/1015330.1015432).
 */
function greedy(error: Parameters<Weigh>[0], members: number, picks: number): number[] {
  const counts = new Array<number>(members).fill(0);
  let best: { weights: number[]; error: number } = { weights: [], error: Infinity };
  for (let pick = 1; pick <= picks; pick++) {
    const tried = counts.map((_, member) => {
      const weights = counts.map((count, i) => (count + (i === member ? 1 : 0)) / pick);
      return { member, weights, error: error(weights) };
    });
    const next = tried.reduce((a, b) => (b.error < a.error ? b : a));
    counts[next.member]! += 1;
    if (next.error < best.error) best = next;
  }
  return best.weights;
}
