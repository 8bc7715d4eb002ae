/** What the columns of a forecast are called, and where intervals come from. */
import { NeuroDivergentError } from '../errors.js';
import { conformalQuantile } from '../stats/conformal.js';
import type { TrainedModel } from './forecaster.js';
import { taskOf } from './runner.js';

/**
 * `rows` is [count, horizon, columns] as the model gives it. The point forecast has the model's name; quantiles are
 * `-ql0.1`; intervals are `-lo-90` and `-hi-90`, from the model's own quantiles where it has them, else split
 * conformal from its errors on the validation part.
 */
export function namedColumns(
  model: TrainedModel,
  rows: Float32Array,
  levels: readonly number[],
): Record<string, Float32Array> {
  const { quantiles, point } = model.spec.loss;
  const width = Math.max(1, quantiles.length);
  const column = (index: number): Float32Array =>
    Float32Array.from({ length: rows.length / width }, (_, row) => rows[row * width + index]!);
  const middle = column(point);
  const columns: Record<string, Float32Array> = { [model.name]: middle };
  for (const [index, q] of quantiles.entries()) columns[`${model.name}-ql${q}`] = column(index);

  for (const level of levels) {
    const tail = (1 - level / 100) / 2;
    const find = (q: number): number => quantiles.findIndex((known) => Math.abs(known - q) < 1e-9);
    const [low, high] = [find(tail), find(1 - tail)];
    const width = low < 0 || high < 0 ? halfWidths(model, level) : undefined;
    columns[`${model.name}-lo-${level}`] = width
      ? middle.map((value, i) => value - width[i % width.length]!)
      : column(low);
    columns[`${model.name}-hi-${level}`] = width
      ? middle.map((value, i) => value + width[i % width.length]!)
      : column(high);
  }
  return columns;
}

/** Half of the interval per step of the horizon. Where there are too few errors to promise the level, the largest stands in. */
function halfWidths({ name, spec, errors }: TrainedModel, level: number): number[] {
  if (errors === undefined) {
    throw new NeuroDivergentError('ND_PREDICT_NOT_FITTED', {
      where: name,
      what: `There are no errors to work out a ${level} % interval from.`,
      mend: 'Fit with a `validationSize`, or with a loss that gives these quantiles (`mq`).',
    });
  }
  const { horizon } = taskOf(spec);
  return Array.from({ length: horizon }, (_, step) => {
    const seen = errors.filter((error, i) => i % horizon === step && !Number.isNaN(error));
    const width = conformalQuantile(seen, level / 100);
    return Number.isFinite(width) ? width : seen.reduce((a, b) => Math.max(a, b), 0);
  });
}
