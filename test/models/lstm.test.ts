import { expect, test } from 'vitest';
import { leafName } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { lstm } from '../../src/models/lstm.js';
import { specOf } from './contract.js';

test('in recurrent mode the state itself is the forecast, so there is a projection and no decoder', () => {
  const options = { inputLength: 5, horizon: 2, hidden: 4, layers: 1, recurrent: true };
  const spec = specOf(lstm, options, 'mq');
  const { parameters } = inferenceGraph(spec);
  const reference = parameters.map((parameter) => {
    const path = leafName(parameter).replace('model/', '');
    return [lstm.reference.parameter(path, spec.hyperparameters)!.name, parameter.shape];
  });
  expect(Object.fromEntries(reference)).toEqual({
    'hist_encoder.weight_ih_l0': [1, 16],
    'hist_encoder.bias_ih_l0': [16],
    'hist_encoder.bias_hh_l0': [16],
    'hist_encoder.weight_hh_l0': [5, 16],
    'hist_encoder.weight_hr_l0': [4, 5],
  });
});
