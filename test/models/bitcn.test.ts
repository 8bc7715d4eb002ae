import { expect, test } from 'vitest';
import { evaluate, leafName } from '../../src/graph/index.js';
import { bitcn } from '../../src/models/bitcn.js';
import { inferenceGraph } from '../../src/models/index.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const layers = (inputLength: number, future: number): string[] => {
  const graph = inferenceGraph(specOf(bitcn, { inputLength, horizon: 3, future, hidden: 2 }));
  return graph.parameters.map(leafName).filter((name) => name.endsWith('look/weight'));
};

test('there are as many layers as it takes to see the whole of time', () => {
  const backward = (count: number) => Array.from({ length: count }, (_, i) => `model/backward/layer${i}/look/weight`);
  const forward = (count: number) => Array.from({ length: count }, (_, i) => `model/forward/layer${i}/look/weight`);
  expect(layers(8, 0)).toEqual(backward(3));
  expect(layers(9, 0)).toEqual(backward(4));
  expect(layers(8, 1)).toEqual([...backward(3), ...forward(4)]);
});

test('what is known of a step counts for it and for the steps before it, not for those after', () => {
  const graph = inferenceGraph({
    ...specOf(bitcn, { inputLength: 4, horizon: 4, future: 1, hidden: 2 }),
    scaler: 'identity',
  });
  const feeds = randomFeeds(graph, 1, 1);
  feeds['model/time0/weight']!.data.fill(0); // leaves only what looks ahead over the horizon
  const forecast = (change: number): Float64Array => {
    const future = feeds['future']!;
    const changed = { ...future, data: future.data.map((value, i) => (i === change ? value + 1 : value)) };
    return evaluate([graph.outputs['forecast']!], { ...feeds, future: changed }, 1)[0]!.data;
  };
  const plain = forecast(-1);
  const differs = (change: number): boolean[] => [...forecast(change)].map((value, step) => value !== plain[step]);
  expect(differs(5)).toEqual([true, true, false, false]);
  expect(differs(7)).toEqual([true, true, true, true]);
});
