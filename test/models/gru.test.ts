import { expect, test } from 'vitest';
import { evaluate, leafName, slice, type Graph } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { gru } from '../../src/models/gru.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const small = { hidden: 4, layers: 1, decoderHidden: 5 };
const names = (graph: Graph): string[] => graph.parameters.map(leafName);

test('a horizon within the window is read off its last states; a longer one needs a map over time', () => {
  const within = inferenceGraph(specOf(gru, { inputLength: 6, horizon: 6, ...small }));
  const beyond = inferenceGraph(specOf(gru, { inputLength: 6, horizon: 7, ...small }));
  expect(names(within)).not.toContain('model/upsample/weight');
  expect(names(beyond)).toContain('model/upsample/weight');
});

test('in recurrent mode each forecast knows only what came before it', () => {
  const graph = inferenceGraph({
    ...specOf(gru, { inputLength: 6, horizon: 3, ...small, recurrent: true }),
    scaler: 'identity',
  });
  const feeds = randomFeeds(graph, 2, 1);
  const changed = {
    ...feeds,
    past: { ...feeds['past']!, data: feeds['past']!.data.map((v, i) => (i % 6 === 5 ? v + 1 : v)) },
  };
  const forecast = graph.outputs['forecast']!;
  const early = slice(forecast, { axis: 1, start: 0, end: 2 });
  const [last, before] = [evaluate([forecast], changed, 2)[0]!, evaluate([early], changed, 2)[0]!];
  expect(before).toEqual(evaluate([early], feeds, 2)[0]);
  expect(last).not.toEqual(evaluate([forecast], feeds, 2)[0]);
});
