/** A fault the device must survive, as a row of the table: so many seeded trials, and what was wrong in each. */
import { createRandom } from '../src/engine/random.js';

/** C runs on every change, in minutes altogether; N is for releases. */
export type Tier = 'C' | 'N';

export interface FaultRow {
  readonly id: string;
  readonly what: string;
  readonly trials: Readonly<Record<Tier, number>>;
  /** What counts as a failure, for the line "mismatches: 0 of 1,000". */
  readonly counts: string;
  /** Makes the trials, one draw of randomness each, and gives every failure as a sentence; at most one per trial. */
  run(trials: number, seed: number): Failures | Promise<Failures>;
}

export type Failures = readonly string[];

export interface Random {
  /** In [0, 1). */
  (): number;
  /** A whole number in [from, to]. */
  int(from: number, to: number): number;
  chance(share: number): boolean;
  pick<T>(choices: readonly T[]): T;
}

export function createDraws(...keys: (number | string)[]): Random {
  const next = createRandom(...keys);
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return Object.assign(() => next(), {
    int,
    chance: (share: number) => next() < share,
    pick: <T>(choices: readonly T[]): T => choices[int(0, choices.length - 1)]!,
  });
}

/** A row whose trials are alike and independent: trial `i` of a seed can be made again alone. */
export function eachTrial(
  id: string,
  trial: (random: Random, index: number) => string | undefined | Promise<string | undefined>,
): FaultRow['run'] {
  return async (trials, seed) => {
    const failures: string[] = [];
    for (let i = 0; i < trials; i++) {
      const failure = await trial(createDraws(id, seed, i), i);
      if (failure !== undefined) failures.push(`trial ${i}: ${failure}`);
    }
    return failures;
  };
}
