import { describe, expect, test } from 'vitest';
import { evaluate } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { timemixer } from '../../src/models/timemixer.js';
import { randomFeeds } from './cases.js';
import { modelContract, specOf } from './contract.js';

const small = { inputLength: 8, horizon: 2, series: 2, hidden: 3, feedForward: 3, layers: 1, kernel: 3, dropout: 0 };

describe('independent series, the largest of a stretch', () =>
  modelContract(timemixer, { ...small, independent: true, pooling: 'max', dropout: 0.2 }));

test.each([true, false])('independent: %s says whether one series reads the other', (independent) => {
  const graph = inferenceGraph(specOf(timemixer, { ...small, independent }));
  const feeds = randomFeeds(graph, 1, 1);
  const past = feeds['past']!;
  const other = { ...past, data: past.data.map((value, i) => (i % 2 === 1 ? value * value : value)) }; // the second series
  const first = [past, other].map((given) => {
    const [forecast] = evaluate([graph.outputs['forecast']!], { ...feeds, past: given }, 1);
    return [forecast!.data[0], forecast!.data[2]];
  });
  if (independent) expect(first[0]).toEqual(first[1]);
  else expect(first[0]).not.toEqual(first[1]);
});

test('a window that the scales do not divide is refused', () => {
  expect(() => timemixer.parse({ ...small, inputLength: 10, scales: 2 })).toThrow(/inputLength must be a multiple/);
});
