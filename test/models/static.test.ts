import { describe, expect, test } from 'vitest';
import { evaluate, leafName, topological, type Graph, type NdArray } from '../../src/graph/index.js';
import { inferenceGraph, trainingGraph } from '../../src/models/assemble.js';
import { autoformer } from '../../src/models/autoformer.js';
import { findModel } from '../../src/models/index.js';
import { timesnet } from '../../src/models/timesnet.js';
import { modelCases, randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const ops = (graph: Graph): Set<string> => new Set(topological(Object.values(graph.outputs)).map(({ op }) => op.name));

describe.each(['autoformer', 'informer', 'timesnet'])('static %s', (id) => {
  const specFor = (selection: string) => {
    const { hyperparameters } = modelCases.find((candidate) => candidate.id === id)!;
    return specOf(findModel(id), { ...hyperparameters, selection });
  };

  test('sorts nothing and draws nothing to choose by, with the parameters of the model itself', () => {
    const [chosen, fixed] = [inferenceGraph(specFor('data')), inferenceGraph(specFor('static'))];
    expect(ops(chosen)).toContain('sort');
    expect(ops(fixed)).not.toContain('sort');
    expect(ops(trainingGraph(specFor('static'), { batch: 2 }))).not.toContain('sort');
    expect(fixed.states.map(leafName).filter((name) => name.endsWith('/kept'))).toEqual([]);
    const shapes = ({ parameters }: Graph) => parameters.map((tensor) => [leafName(tensor), tensor.shape]);
    expect(shapes(fixed)).toEqual(shapes(chosen));
  });

  test('forecasts a window the same, whatever is forecast beside it', () => {
    const graph = inferenceGraph(specFor('static'));
    const feeds = randomFeeds(graph, 3, 1);
    const inputs = new Set(graph.inputs.map(leafName));
    const first = Object.fromEntries(
      Object.entries(feeds).map(([name, { data, shape }]): [string, NdArray] =>
        inputs.has(name)
          ? [name, { data: data.slice(0, data.length / 3), shape: [1, ...shape.slice(1)] }]
          : [name, { data, shape }],
      ),
    );
    const [among] = evaluate([graph.outputs['forecast']!], feeds, 3);
    const [alone] = evaluate([graph.outputs['forecast']!], first, 1);
    for (const [i, value] of alone!.data.entries()) expect(among!.data[i]).toBeCloseTo(value, 9);
  });
});

test('seasons belong to the static selection, are no longer than the window and not more than the periods', () => {
  const task = { inputLength: 24, horizon: 12 };
  expect(() => timesnet.parse({ ...task, seasons: [12] })).toThrow(/seasons.*\[ND_HYPERPARAMETER\]/);
  expect(() => timesnet.parse({ ...task, selection: 'static', seasons: [25] })).toThrow(/seasons/);
  expect(() => timesnet.parse({ ...task, selection: 'static', seasons: [2, 3], periods: 1 })).toThrow(/seasons/);
  expect(() => autoformer.parse({ ...task, selection: 'static', seasons: [12, 7] })).not.toThrow();
});
