/** Every model by its id. */
import { NeuroDivergentError } from '../errors.js';
import { dlinear } from './dlinear.js';
import { gru } from './gru.js';
import { lstm } from './lstm.js';
import { mlp } from './mlp.js';
import type { Model } from './model.js';
import { nhits } from './nhits.js';
import { nlinear } from './nlinear.js';
import { patchtst } from './patchtst.js';
import { tcn } from './tcn.js';

export { gradientName, inferenceGraph, trainingGraph, validationGraph, type ForecastSpec } from './assemble.js';
export { scalerNames, type ScalerName } from './blocks/window-scaler.js';
export { defineModel, task, type Model, type ModelInputs, type Reference } from './model.js';

export const models: readonly Model[] = [dlinear, gru, lstm, mlp, nhits, nlinear, patchtst, tcn];

/** The model of this id. Throws `ND_MODEL_UNKNOWN`, which names the nearest. */
export function findModel(id: string): Model {
  const found = models.find((model) => model.id === id.toLowerCase());
  if (found !== undefined) return found;
  const nearest = models.reduce((best, model) => (distance(id, model.id) < distance(id, best.id) ? model : best));
  throw new NeuroDivergentError('ND_MODEL_UNKNOWN', {
    where: id,
    what: `There is no model of this name; the nearest is ${nearest.id}.`,
    mend: `Use one of ${models.map((model) => model.id).join(', ')}.`,
  });
}

/** Insertions, deletions and replacements that turn one word into the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
  }
  return row[b.length]!;
}
