import { expect, test } from 'vitest';
import { evaluate, leafName } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { nbeats } from '../../src/models/nbeats.js';
import { nbeatsx } from '../../src/models/nbeatsx.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const small = { inputLength: 6, horizon: 3, hidden: [4, 5] };

test('shared blocks of a stack have the parameters of one', () => {
  const names = (shared: boolean): string[] =>
    inferenceGraph(specOf(nbeats, { ...small, stacks: ['identity', 'trend'], blocks: [2, 2], shared }))
      .parameters.map(leafName)
      .filter((name) => name.endsWith('layer0/weight'));
  const weights = (blocks: number[]) => blocks.map((block) => `model/block${block}/layer0/weight`);
  expect(names(true)).toEqual(weights([0, 2]));
  expect(names(false)).toEqual(weights([0, 1, 2, 3]));
});

test('without weights the last value goes on', () => {
  const graph = inferenceGraph({ ...specOf(nbeats, small), scaler: 'identity' });
  const feeds = randomFeeds(graph, 2, 1);
  for (const parameter of graph.parameters) feeds[leafName(parameter)]!.data.fill(0);
  const past = feeds['past']!.data;
  const [forecast] = evaluate([graph.outputs['forecast']!], feeds, 2);
  expect([...forecast!.data]).toEqual([past[5], past[5], past[5], past[11], past[11], past[11]]);
});

test('a stack without what it is made of is refused', () => {
  expect(() => nbeats.parse({ ...small, horizon: 1 })).toThrow(/nbeats\.horizon: a horizon of 1 has no trend/);
  expect(() => nbeats.parse({ ...small, basis: 'spline' })).toThrow(/nbeats\.degree: a spline needs/);
  expect(() => nbeats.parse({ ...small, blocks: [1] })).toThrow(/nbeats\.blocks: .* one entry per stack/);
  expect(() => nbeatsx.parse({ ...small, stacks: ['exogenous'], blocks: [1] })).toThrow(
    /nbeatsx\.stacks: an exogenous stack needs future or static columns/,
  );
});
