import { expect, test } from 'vitest';
import { evaluate, leafName, topological, verify, workingBytes, type Graph } from '../../src/graph/index.js';
import { mae } from '../../src/losses/index.js';
import { trainingGraph } from '../../src/models/assemble.js';
import { findModel } from '../../src/models/index.js';
import { values } from '../graph/passes/fixture.js';

const graphsOf = (id: string, hyperparameters: object, batch: number): [kept: Graph, again: Graph] => {
  const model = findModel(id);
  const spec = { model, hyperparameters: model.parse(hyperparameters), loss: mae(), scaler: 'identity' as const };
  return [false, true].map((checkpointing) => trainingGraph(spec, { batch, checkpointing })) as [Graph, Graph];
};

/** Windows of 500 steps and the defaults of the library, but for depth where little is kept and for a batch that outweighs the weights. */
test.each([
  ['tft', {}, 32],
  ['nbeats', { blocks: [2, 2, 2] }, 1024],
  ['patchtst', { layers: 8 }, 32],
  ['lstm', {}, 32],
  ['gru', {}, 32],
] as const)('activations of %s computed again take half the memory at most', (id, hyperparameters, batch) => {
  const [kept, again] = graphsOf(id, { inputLength: 500, horizon: 24, ...hyperparameters }, batch);
  verify(again);
  expect(workingBytes(kept) / workingBytes(again)).toBeGreaterThan(2);
});

test.each([
  ['tft', { inputLength: 9, hidden: 4, heads: 2 }],
  ['nbeats', { inputLength: 9, hidden: [5, 5] }],
  ['patchtst', { inputLength: 12, patch: 4, stride: 2, hidden: 4, heads: 2, feedForward: 4 }],
  ['lstm', { inputLength: 70, hidden: 3, decoderHidden: 3 }], // more steps than a piece has
  ['gru', { inputLength: 70, hidden: 3, decoderHidden: 3 }],
  ['rnn', { inputLength: 70, hidden: 3, decoderHidden: 3 }],
] as const)('loss and gradients of %s are the same when activations are computed again', (id, hyperparameters) => {
  const [kept, again] = graphsOf(id, { horizon: 3, ...hyperparameters }, 2);
  const feeds = Object.fromEntries(
    [...kept.inputs, ...kept.parameters, ...kept.states, ...kept.draws].map((tensor, i) => {
      const shape = tensor.shape as readonly number[];
      return [leafName(tensor), { data: values(shape, i + 1), shape }];
    }),
  );
  expect(topological(Object.values(again.outputs)).some(({ op }) => op.name === 'zeroAfter')).toBe(true);
  expect(Object.keys(again.outputs)).toEqual(Object.keys(kept.outputs));
  const expected = evaluate(Object.values(kept.outputs), feeds);
  const found = evaluate(Object.values(again.outputs), feeds);
  for (const [i, { data }] of expected.entries())
    for (const [j, value] of data.entries()) expect(found[i]!.data[j]).toBeCloseTo(value, 12);
});
