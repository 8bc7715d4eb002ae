/** The largest differences of a case, and whether they are small enough. */
import type { FloatTensor } from '../../engine/port.js';

export const parts = ['forward', 'loss', 'gradient', 'adam'] as const;
export type Part = (typeof parts)[number];

export interface Figure {
  readonly absolute: number;
  /** To the largest element of the tensor. */
  readonly relative: number;
}

export interface Outcome {
  readonly status: 'pass' | 'fail' | 'missing';
  readonly figures: Readonly<Partial<Record<Part, Figure>>>;
  /** Why it did not pass. */
  readonly reason?: string;
}

/** Errors up to `floor + 1e-4 · largest element` are noise of float32. */
const relativeTolerance = 1e-4;
const floors: Readonly<Record<Part, number>> = { forward: 1e-5, loss: 1e-5, gradient: 2e-5, adam: 2e-5 };

export interface Tally {
  /** Compares ours with theirs; elements whose mask is 0 do not count. */
  compare(
    part: Part,
    name: string,
    ours: FloatTensor | undefined,
    theirs: FloatTensor,
    options?: { floor?: number; mask?: FloatTensor },
  ): void;
  fault(reason: string): void;
  outcome(): Outcome;
}

export const missing = (what: string): Outcome => ({ status: 'missing', figures: {}, reason: what });

export function createTally(): Tally {
  const figures: Partial<Record<Part, Figure>> = {};
  const faults: string[] = [];
  return {
    compare: (part, name, ours, theirs, { floor = floors[part], mask } = {}) => {
      if (ours === undefined) return void faults.push(`${name} is not there`);
      if (ours.data.length !== theirs.data.length)
        return void faults.push(`${name} is [${ours.dims}], there [${theirs.dims}]`);
      let absolute = 0;
      let largest = 0;
      for (const [i, value] of theirs.data.entries()) {
        if (mask?.data[i] === 0) continue;
        const difference = Object.is(ours.data[i], value) ? 0 : Math.abs(ours.data[i]! - value);
        absolute = difference <= absolute ? absolute : difference; // so that NaN is kept
        largest = Math.max(largest, Math.abs(value));
      }
      const relative = largest > floor ? absolute / largest : 0;
      const before = figures[part] ?? { absolute: 0, relative: 0 };
      figures[part] = { absolute: larger(before.absolute, absolute), relative: larger(before.relative, relative) };
      if (!(absolute <= floor + relativeTolerance * largest))
        faults.push(`${name} differs by ${absolute.toExponential(1)}`);
    },
    fault: (reason) => void faults.push(reason),
    outcome: () =>
      faults.length === 0
        ? { status: 'pass', figures }
        : {
            status: 'fail',
            figures,
            reason:
              faults.length > 3 ? `${faults.slice(0, 3).join('; ')}; and ${faults.length - 3} more` : faults.join('; '),
          },
  };
}

/** NaN is larger than everything. */
const larger = (a: number, b: number): number => (Number.isNaN(a) || a > b ? a : b);
