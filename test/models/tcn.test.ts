import { expect, test } from 'vitest';
import { evaluate, gradients, leafName, sum } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { tcn } from '../../src/models/tcn.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

test('no convolution looks ahead: what only the first step may reach does not depend on later ones', () => {
  const options = { inputLength: 6, horizon: 1, hidden: 3, dilations: [1, 2], decoderHidden: 4 };
  const graph = inferenceGraph({ ...specOf(tcn, options), scaler: 'identity' });
  const feeds = randomFeeds(graph, 1, 2);
  const adapter = feeds['model/adapter/weight']!;
  // The forecast may read the first step alone: all later rows of the map over time are zero.
  const firstOnly = {
    ...feeds,
    'model/adapter/weight': { ...adapter, data: adapter.data.map((v, i) => (i === 0 ? v : 0)) },
  };
  const past = graph.inputs.find((input) => leafName(input) === 'past')!;
  const [slope] = evaluate(gradients(sum(graph.outputs['forecast']!, { axes: [0, 1, 2] }), [past]), firstOnly, 1);
  expect(slope!.data[0]).not.toBe(0);
  expect(slope!.data.slice(1).every((value) => value === 0)).toBe(true);
});
