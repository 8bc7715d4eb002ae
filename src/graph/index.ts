/** The graph: write a model or an op of your own, differentiate it, rewrite it, write it as ONNX. */
export { createGraph, type Graph, type GraphBuilder, type Scope } from './builder.js';
export { gradients } from './autodiff.js';
export { evaluate } from './evaluate.js';
export { peakBytes, totalBytes, workingBytes } from './memory.js';
export { verify } from './verify.js';
export { printGraph } from './print.js';
export {
  defineOp,
  operands,
  registry,
  topological,
  type Node,
  type Op,
  type Operand,
  type OpSpec,
  type Tensor,
} from './ir.js';
export { ndarray, type NdArray } from './ndarray.js';
export { size, type Dim, type Shape } from './shape.js';
export {
  constant,
  constantValues,
  halfConstant,
  initOf,
  keepProbability,
  leafName,
  nextName,
  type Init,
} from './ops/leaf.js';
export * from './ops/attention.js';
export { dynamicProduct } from './ops/dynamic.js';
export * from './ops/elementwise.js';
export * from './ops/gru.js';
export * from './ops/layout.js';
export * from './ops/linear.js';
export * from './ops/lstm.js';
export { normalizeRows } from './ops/normalize.js';
export * from './ops/quantized.js';
export * from './ops/reduce.js';
export * from './ops/rnn.js';
export { zeroAfter } from './ops/zero-after.js';
export { definePass, runPasses, substitute, type Pass, type Rule } from './passes/pass.js';
export { bindParameters } from './passes/bind.js';
export { cutRecurrent } from './passes/cut-recurrent.js';
export { foldAffine } from './passes/fold-affine.js';
export { foldConstants } from './passes/fold-constants.js';
export { fuseAttention } from './passes/fuse-attention.js';
export { fuseBias } from './passes/fuse-bias.js';
export { fuseCross } from './passes/fuse-cross.js';
export { fuseRecurrent } from './passes/fuse-recurrent.js';
export { packCarried } from './passes/pack-carried.js';
export { mergeEqual } from './passes/merge-equal.js';
export { mixedPrecision } from './passes/mixed-precision.js';
export { reduceLast } from './passes/reduce-last.js';
export { rematerialize } from './passes/rematerialize.js';
export { simplify } from './passes/simplify.js';
export { exposeTensors, nodesOf, probeName, probeTensors, type ExposedNode } from './onnx/expose.js';
export { opset, toOnnx } from './onnx/write.js';
