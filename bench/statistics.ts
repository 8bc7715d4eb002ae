/** What a list of times comes down to on a machine that others use too. */

export const minimum = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));
export const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;
export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
export const rounded = (value: number): number => Number(value.toPrecision(4));
