/** TensorFlow.js as an oracle, on the samples of the ops. The plain kernels are checked here, ONNX Runtime against them in ops.ort.test.ts. */
import { expect, test } from 'vitest';
import '../../../src/graph/index.js';
import { gradients } from '../../../src/graph/autodiff.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { registry } from '../../../src/graph/ir.js';
import type { NdArray } from '../../../src/graph/ndarray.js';
import { differentiableCases, opCases, probeLoss, type OpCase } from './samples.js';
import { evaluateInTensorFlow, gradientsInTensorFlow, oracles, type Tensor } from './tensorflow.js';

/** Ops that stand in no table, and why. */
const without: Record<string, string> = {
  rnnBackward: 'half of the gradient of rnn, which is compared as a whole',
  attentionBackward: 'half of the gradient of attention, which is compared as a whole',
  gruBackward: 'half of the gradient of gru, which is compared as a whole',
  lstmBackward: 'half of the gradient of lstm, which is compared as a whole',
  gruFused: 'its plain kernel is that of gru; the other layout is that of ONNX, so ONNX Runtime is the oracle',
  lstmFused: 'its plain kernel is that of lstm; the other layout is that of ONNX, so ONNX Runtime is the oracle',
  quantizeLinear: 'TensorFlow.js has no 8-bit types and rounds after a division of its own; ONNX Runtime is the oracle',
  dequantizeLinear: 'TensorFlow.js has no 8-bit types; ONNX Runtime is the oracle',
  zeroAfter: 'a zero by definition; it is there for its place in the order',
  dynamicProduct: 'TensorFlow.js has no 8-bit types; ONNX Runtime is the oracle',
  throughIntegers: 'TensorFlow.js rounds after a division of its own; ONNX Runtime is the oracle',
  castTo: 'TensorFlow.js has neither 8-bit types nor half floats; ONNX Runtime is the oracle',
};

const known = <T extends OpCase>(cases: readonly T[]): T[] => cases.filter(({ op }) => Object.hasOwn(oracles, op.name));

function expectClose(actual: Tensor, { data, shape }: NdArray): void {
  expect(actual.shape).toEqual(shape);
  const found = actual.dataSync();
  for (const [i, value] of data.entries())
    expect(Math.abs(found[i]! - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
}

test('every op has an oracle, or a reason why it has none', () => {
  expect(Object.keys(oracles).filter((name) => Object.hasOwn(without, name))).toEqual([]);
  expect([...Object.keys(oracles), ...Object.keys(without)].sort()).toEqual([...registry.keys()].sort());
});

test.each(known(opCases()))('$title gives in TensorFlow.js what our kernel gives', (opCase) => {
  const expected = evaluate(opCase.outputs, opCase.feeds);
  const found = evaluateInTensorFlow(opCase.outputs, opCase.feeds);
  for (const [i, value] of expected.entries()) expectClose(found[i]!, value);
});

test.each(known(differentiableCases()))('TensorFlow.js finds the gradient of $title', ({ outputs, wrt, feeds }) => {
  const loss = probeLoss(outputs);
  const found = gradientsInTensorFlow(loss, wrt, feeds);
  for (const [i, value] of evaluate(gradients(loss, wrt), feeds).entries()) expectClose(found[i]!, value);
});
