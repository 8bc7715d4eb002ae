/** How good the one-step forecasts of a stream were lately: what the metrics page says of it. */

export interface Quality {
  /** Mean of |value − p50|, in the stream's unit. */
  readonly absError: number;
  /** Share of values that lay inside the interval; undefined for a model that gives none. */
  readonly coverage: number | undefined;
  /**
   * Trigg's tracking signal (Operational Research Quarterly, 1964): |sum of errors| / sum of |errors|. About 0.1 while errors
   * fall on both sides by chance, 1 when all fall on one: the sensor or the process has moved away from the model.
   */
  readonly drift: number;
}

export interface QualityWindow {
  /** `error` = value − p50; `covered`: did the value lie inside the interval? */
  add(error: number, covered: boolean | undefined): void;
  /** Undefined before the first. */
  read(): Quality | undefined;
}

/** Measured buckets that are looked back on. */
const KEPT = 100;

export function createQuality(kept = KEPT): QualityWindow {
  const errors = new Float64Array(kept);
  const hits = new Uint8Array(kept);
  let count = 0;
  let promised = false;
  return {
    add(error, covered) {
      errors[count % kept] = error;
      hits[count++ % kept] = covered === true ? 1 : 0;
      promised = covered !== undefined;
    },
    read() {
      const size = Math.min(count, kept);
      if (size === 0) return undefined;
      let sum = 0;
      let absSum = 0;
      let inside = 0;
      for (let i = 0; i < size; i++) {
        sum += errors[i]!;
        absSum += Math.abs(errors[i]!);
        inside += hits[i]!;
      }
      return {
        absError: absSum / size,
        coverage: promised ? inside / size : undefined,
        drift: absSum === 0 ? 0 : Math.abs(sum) / absSum,
      };
    },
  };
}
