import { expect, test } from 'vitest';
import { evaluate, leafName } from '../../src/graph/index.js';
import { inferenceGraph, trainingGraph } from '../../src/models/index.js';
import { patchtst } from '../../src/models/patchtst.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const small = { inputLength: 8, horizon: 4, hidden: 8, heads: 2, feedForward: 6, layers: 2, patch: 4, stride: 2 };

test('heads that do not divide the width are refused', () => {
  expect(() => patchtst.parse({ ...small, heads: 3 })).toThrow(/patchtst\.heads: hidden must be a multiple of heads/);
});

test.each([
  [{ inputLength: 8, patch: 4, stride: 2 }, [4, 4]], // 3 patches, and one more from the repeated last value
  [{ inputLength: 8, patch: 16, stride: 2 }, [1, 10]], // a patch is no longer than the window and one stride
  [{ inputLength: 9, patch: 4, stride: 3 }, [3, 4]],
])('%o makes %o patches and steps per patch', (options, [tokens, length]) => {
  const { parameters } = inferenceGraph(specOf(patchtst, { ...small, ...options }));
  const shapes = Object.fromEntries(parameters.map((parameter) => [leafName(parameter), parameter.shape]));
  expect(shapes['model/positions']![0]).toBe(tokens);
  expect(shapes['model/embedding/weight']![0]).toBe(length);
});

test.each([
  { normFirst: true, activation: 'relu' },
  { residualAttention: false, learnPositions: false },
  { revIn: false },
])('with %o it still learns and forecasts', (options) => {
  const spec = specOf(patchtst, { ...small, ...options });
  const graph = trainingGraph(spec, { batch: 3 });
  const values = evaluate(Object.values(graph.outputs), randomFeeds(graph, 3, 1));
  expect(values.every(({ data }) => data.every(Number.isFinite))).toBe(true);
  expect(leafName(graph.states[0]!)).toMatch(options.learnPositions === false ? 'positions' : 'mean');
});

test('dropout draws only in training', () => {
  const spec = specOf(patchtst, { ...small, dropout: 0.1, attentionDropout: 0.2, headDropout: 0.3 });
  expect(trainingGraph(spec, { batch: 2 }).draws).toHaveLength(1 + 2 * 5 + 1);
  expect(trainingGraph(spec, { batch: 2, training: false }).draws).toEqual([]);
});
