/**
 * Conformal intervals and p-values: how unusual is a score among scores of the past? The only assumption is that the
 * scores are exchangeable (https://arxiv.org/abs/2107.07511); `adaptAlpha` repairs the interval when they drift.
 */

/**
 * Split-conformal quantile: the smallest score that covers at least `coverage` of new scores. Infinity when there are
 * too few scores to promise that (fewer than coverage / (1 - coverage)).
 */
export function conformalQuantile(scores: ArrayLike<number>, coverage: number): number {
  // The epsilon undoes rounding such as (9 + 1) * 0.9 = 9.000000000000002 would cause.
  const rank = Math.ceil((scores.length + 1) * coverage - 1e-9);
  if (rank > scores.length) return Infinity;
  return Float64Array.from(scores).sort()[Math.max(rank, 1) - 1]!;
}

/** Share of scores, the new one included, that are at least as large as the new one: in (0, 1], small is unusual. */
export function conformalPValue(scores: ArrayLike<number>, score: number): number {
  let atLeast = 1;
  for (let i = 0; i < scores.length; i++) if (scores[i]! >= score) atLeast++;
  return atLeast / (scores.length + 1);
}

/** The latest scores, oldest overwritten first. */
export interface ScoreRing {
  readonly capacity: number;
  readonly size: number;
  push(score: number): void;
  /** The scores held, oldest first: what to store, and what to rebuild the ring from. */
  scores(): Float64Array;
  /** Conformal p-value of a score that is not in the ring. */
  pValue(score: number): number;
  /** Conformal quantile of the scores held. */
  quantile(coverage: number): number;
}

/** A ring of at most `capacity` scores; of more than that in `initial`, the last ones stay. */
export function createScoreRing(capacity: number, initial: ArrayLike<number> = []): ScoreRing {
  const held = new Float64Array(capacity);
  let pushed = 0;
  const filled = (): Float64Array => held.subarray(0, Math.min(pushed, capacity));
  const ring: ScoreRing = {
    capacity,
    get size() {
      return Math.min(pushed, capacity);
    },
    push(score) {
      held[pushed++ % capacity] = score;
    },
    scores() {
      const oldest = pushed > capacity ? pushed % capacity : 0;
      return Float64Array.from({ length: ring.size }, (_, i) => held[(oldest + i) % capacity]!);
    },
    pValue: (score) => conformalPValue(filled(), score),
    quantile: (coverage) => conformalQuantile(filled(), coverage),
  };
  for (let i = 0; i < initial.length; i++) ring.push(initial[i]!);
  return ring;
}

export interface AdaptiveRule {
  /** The share of misses wanted, such as 0.1 for a 90 % interval. */
  readonly target: number;
  /** Step of one update. */
  readonly gamma?: number;
  readonly min?: number;
  readonly max?: number;
}

/**
 * Adaptive conformal step (https://arxiv.org/abs/2106.00170): after a miss alpha falls and the interval widens, after
 * a hit it rises a little, so that the share of misses tends to the target even when the world drifts.
 */
export function adaptAlpha(
  alpha: number,
  missed: boolean,
  { target, gamma = 0.01, min = 0.001, max = 0.5 }: AdaptiveRule,
): number {
  return Math.min(max, Math.max(min, alpha + gamma * (target - (missed ? 1 : 0))));
}
