import { expect, test } from 'vitest';
import { evaluate } from '../../src/graph/index.js';
import { trainingGraph } from '../../src/models/index.js';
import { stemgnn } from '../../src/models/stemgnn.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

test('a step in which dropout cuts every link still has a gradient', () => {
  const spec = specOf(stemgnn, { inputLength: 4, horizon: 2, series: 3, width: 1 });
  const graph = trainingGraph(spec, { batch: 2 });
  const feeds = randomFeeds(graph, 2, 1);
  feeds['model/links/keep']!.data.fill(0);
  const values = evaluate(Object.values(graph.outputs), feeds);
  expect(values.every(({ data }) => data.every(Number.isFinite))).toBe(true);
});
