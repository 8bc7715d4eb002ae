/** Three that differentiate, on random graphs: our gradients through the plain kernels and through ONNX Runtime, and TensorFlow.js. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { evaluate, foldConstants, fuseBias, mergeEqual, runPasses, simplify, toOnnx } from '../../src/graph/index.js';
import { evaluateInTensorFlow, gradientsInTensorFlow } from './ops/tensorflow.js';
import { randomGraph, randomProgram } from './random-graph.js';

const engine = createOrtEngine();

test('loss and gradients of random graphs are the same from plain kernels, ONNX Runtime and TensorFlow.js', async () => {
  await fc.assert(
    fc.asyncProperty(randomProgram, async (program) => {
      const { graph, loss, feeds } = randomGraph(program);
      const expected = evaluate(Object.values(graph.outputs), feeds);
      const largest = Math.max(1, ...expected.flatMap(({ data }) => [...data]).map(Math.abs));
      const expectClose = (found: ArrayLike<number>[]): void => {
        for (const [i, { data }] of expected.entries()) {
          for (const [element, value] of data.entries())
            expect(Math.abs(found[i]![element]! - value)).toBeLessThan(1e-5 * largest);
        }
      };

      const given = Object.fromEntries(
        Object.entries(feeds).map(([name, { data, shape }]) => [name, { data: Float32Array.from(data), dims: shape }]),
      );
      for (const form of [graph, runPasses(graph, [simplify, foldConstants, mergeEqual, fuseBias])]) {
        const session = await engine.load(toOnnx(form));
        const found = session.run(given);
        session.close();
        expectClose(Object.keys(graph.outputs).map((name) => found[name]!.data));
      }

      const theirs = [...gradientsInTensorFlow(loss, graph.parameters, feeds), ...evaluateInTensorFlow([loss], feeds)];
      expectClose(theirs.map((tensor) => tensor.dataSync()));
    }),
    { numRuns: 100, seed: 4 },
  );
});
