import { expect, test } from 'vitest';
import { findModel, models } from '../../src/models/index.js';
import { nhits } from '../../src/models/nhits.js';

test('a model is found by its id, in any case', () => {
  expect(models.length).toBeGreaterThan(0);
  for (const model of models) expect(findModel(model.id.toUpperCase())).toBe(model);
});

test('an unknown model is refused with the nearest name', () => {
  expect(() => findModel('nhit')).toThrow(/the nearest is nhits\..*\[ND_MODEL_UNKNOWN\]/);
});

test('NHITS wants one entry per stack in every list', () => {
  expect(() => nhits.parse({ inputLength: 8, horizon: 4, pool: [2, 1] })).toThrow(
    /nhits\.blocks: .*one entry per stack/,
  );
});
