import { expect, test } from 'vitest';
import { leafName, type Graph } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { gru } from '../../src/models/gru.js';
import { specOf } from './contract.js';

const small = { hidden: 4, layers: 1, decoderHidden: 5 };
const names = (graph: Graph): string[] => graph.parameters.map(leafName);

test('a horizon within the window is read off its last states; a longer one needs a map over time', () => {
  const within = inferenceGraph(specOf(gru, { inputLength: 6, horizon: 6, ...small }));
  const beyond = inferenceGraph(specOf(gru, { inputLength: 6, horizon: 7, ...small }));
  expect(names(within)).not.toContain('model/upsample/weight');
  expect(names(beyond)).toContain('model/upsample/weight');
});
