/** The graphs that ship, for any number of windows: ONNX Runtime computes what the plain kernels compute. */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import {
  bindParameters,
  evaluate,
  foldConstants,
  fuseBias,
  fuseRecurrent,
  leafName,
  mergeEqual,
  ndarray,
  runPasses,
  simplify,
  toOnnx,
  topological,
  verify,
  type Graph,
  type NdArray,
} from '../../src/graph/index.js';
import { createLoss } from '../../src/losses/index.js';
import { feedsBack, findModel, inferenceGraph } from '../../src/models/index.js';
import { seeded } from '../graph/ops/samples.js';

const task = { inputLength: 9, horizon: 4 };
const covariates = { historic: 2, future: 1, static: 2 };
const small = { hidden: 6, decoderHidden: 5 };
const patches = { hidden: 8, heads: 2, feedForward: 6, patch: 4, stride: 2, layers: 2 };

const cases = [
  ['gru', { ...task, ...covariates, ...small }],
  ['gru', { ...task, ...small, horizon: 12, layers: 1 }],
  ['gru', { ...task, ...covariates, ...small, recurrent: true }],
  ['lstm', { ...task, ...covariates, ...small }],
  ['lstm', { ...task, ...small, bias: false }],
  ['lstm', { ...task, ...small, recurrent: true }],
  ['rnn', { ...task, ...covariates, ...small }],
  ['rnn', { ...task, ...small, bias: false, recurrent: true }],
  ['deepar', { ...task, ...covariates, hidden: 6 }],
  ['dilatedrnn', { ...task, ...covariates, ...small, dilations: [[1, 2], [4]] }],
  ['dilatedrnn', { ...task, ...small, cell: 'gru', dilations: [[3]] }],
  ['xlstm', { ...task, ...covariates, ...small, blocks: 1 }],
  ['xlstm', { ...task, ...small, hidden: 8, blocks: 1, cell: 'slstm' }],
  ['bitcn', { ...task, ...covariates, hidden: 6 }],
  ['tcn', { ...task, ...covariates, ...small, dilations: [1, 2] }],
  ['patchtst', { ...task, ...patches }],
  ['patchtst', { ...task, ...patches, affine: true, subtractLast: false, normFirst: true, learnPositions: false }],
] as const;

const random = (shape: readonly number[], seed: number): NdArray => {
  const next = seeded(seed);
  const values = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.fround(next() + 0.1));
  return ndarray(values, shape);
};

function graphs(id: string, options: object): { plain: Graph; shipped: Graph } {
  const model = findModel(id);
  const hyperparameters = model.parse(options);
  const graph = inferenceGraph({ model, hyperparameters, loss: createLoss('mae'), scaler: 'standard' });
  const leaves = [...graph.parameters, ...graph.states];
  const values = Object.fromEntries(leaves.map((leaf, i) => [leafName(leaf), random(leaf.shape as number[], i).data]));
  const plain = bindParameters(graph, values);
  const passes = [simplify, foldConstants, mergeEqual, fuseBias, fuseRecurrent, foldConstants, simplify];
  return { plain, shipped: runPasses(plain, passes) };
}

describe.each(cases)('%s with %o', (id, options) => {
  const { plain, shipped } = graphs(id, options);
  const ops = topological(Object.values(shipped.outputs)).map(({ op }) => op.name);

  // A model that feeds back goes on from a state at each step after the window, which the fused layers do not take.
  if (!feedsBack(findModel(id), options))
    test('its recurrent layers are the fused ones', () => {
      verify(shipped);
      expect(ops).not.toContain('gru');
      expect(ops).not.toContain('lstm');
    });

  test.each([1, 3])('one graph serves %i windows at once', async (batch) => {
    const bound = (shape: readonly (number | string)[]): number[] => [batch, ...(shape.slice(1) as number[])];
    const feeds = Object.fromEntries(
      plain.inputs.map((input, i) => [leafName(input), random(bound(input.shape), 50 + i)]),
    );
    const [expected] = evaluate([plain.outputs['forecast']!], feeds, batch);
    for (const graph of [plain, shipped]) {
      const session = await InferenceSession.create(toOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 });
      const given = session.inputNames.map((name) => [
        name,
        new OrtTensor('float32', Float32Array.from(feeds[name]!.data), [...feeds[name]!.shape]),
      ]);
      const { forecast } = await session.run(Object.fromEntries(given) as Record<string, OrtTensor>);
      expect(forecast!.dims).toEqual([batch, options.horizon, 1]);
      for (const [i, value] of expected!.data.entries()) {
        expect(Math.abs((forecast!.data[i] as number) - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
      }
    }
  });
});
