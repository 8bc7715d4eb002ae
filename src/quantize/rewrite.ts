/** The graph with layers in few bits: what calibration saw decides the scales of activations. */
import type { Engine } from '../engine/port.js';
import {
  add,
  constant,
  conv1d,
  definePass,
  dequantizeLinear,
  dynamicProduct,
  gemm,
  matmul,
  mergeEqual,
  neg,
  quantizeLinear,
  runPasses,
  sub,
  substitute,
  type Graph,
  type Node,
  type Rule,
  type Tensor,
} from '../graph/index.js';
import { createNode } from '../graph/ir.js';
import { storeFp16 } from './fp16.js';
import { quantizeWeight, type Layer, type Precision } from './layers.js';
import {
  activationScale,
  countInto,
  createHistogram,
  type ActivationScale,
  type Histogram,
  type Method,
} from './range.js';
import { storedWeight, storeFactors, type StoredBits } from './stored.js';
import type { Target } from './targets.js';
import { runWindows, withSession, type WindowArrays } from './windows.js';

/** What each tensor that gets quantized looked like over the calibration windows. */
export type Histograms = ReadonlyMap<Tensor, Histogram>;

/** The tensors a node has in uint8 when it is quantized. ONNX Runtime's integer convolution gives integers, its products floats. */
export const quantizedTensors = (node: Node): Tensor[] => [
  node.inputs[0]!,
  ...(node.op === conv1d.op ? [node.outputs[0]!] : []),
];

/** Runs the float graph over the windows, twice: for the ends of each range, then for what lies between. */
export async function observe(
  engine: Engine,
  graph: Graph,
  layers: readonly Layer[],
  windows: WindowArrays,
): Promise<Histograms> {
  const tensors = new Map<Tensor, string>();
  for (const { name, nodes, precisions } of layers) {
    if (precisions.includes('int8')) for (const tensor of nodes.flatMap(quantizedTensors)) tensors.set(tensor, name);
  }
  const watched = [...tensors.keys()];
  if (watched.length === 0) return new Map();
  const watching = { ...graph, outputs: Object.fromEntries(watched.map((tensor, i) => [`watched${i}`, tensor])) };
  return withSession(engine, watching, (session) => {
    const ends = watched.map(() => ({ low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY }));
    runWindows(session, watching, windows, (outputs) => {
      for (const [i, end] of ends.entries()) {
        for (const value of outputs[`watched${i}`]!.data) {
          // Written so that a NaN stays: it must be found, not skipped.
          if (!(value >= end.low)) end.low = value;
          if (!(value <= end.high)) end.high = value;
        }
      }
    });
    const histograms = watched.map((tensor, i) => createHistogram(tensors.get(tensor)!, ends[i]!.low, ends[i]!.high));
    runWindows(session, watching, windows, (outputs) => {
      for (const [i, histogram] of histograms.entries()) countInto(histogram, outputs[`watched${i}`]!.data);
    });
    return new Map(watched.map((tensor, i) => [tensor, histograms[i]!]));
  });
}

export type Precisions = ReadonlyMap<Layer, Precision>;

/** How activations are scaled. */
export interface Scaling {
  readonly histograms: Histograms;
  readonly method: Method;
  readonly target: Target;
}

/** The graph with each layer at its precision, factors in eight bits, and all else that is large in FP16. */
export function rewrite(graph: Graph, precisions: Precisions, { histograms, method, target }: Scaling): Graph {
  const stored = new Map<Tensor, Tensor>();
  const kept = new Set<Tensor>();
  const dynamic = new Map<Tensor, Layer>();
  for (const [layer, precision] of precisions) {
    const bits = storedBits[precision];
    if (bits !== undefined) stored.set(layer.weight, storedWeight(layer.weight, bits));
    if (precision === 'float32') kept.add(layer.weight);
    if (precision === 'int8-dynamic') dynamic.set(layer.weight, layer);
  }
  const scaleOf = (tensor: Tensor): ActivationScale =>
    activationScale(histograms.get(tensor)!, method, target.activations);
  const scales = new Map<Tensor, readonly ActivationScale[]>();
  const layers = new Map<Tensor, Layer>();
  for (const [layer, precision] of precisions) {
    if (precision !== 'int8') continue;
    layers.set(layer.weight, layer);
    // A weight used in several places gets the widest range of them.
    const choices = layer.nodes.map((node) => quantizedTensors(node).map(scaleOf));
    scales.set(
      layer.weight,
      choices.reduce((a, b) => (a[0]!.scale[0] >= b[0]!.scale[0] ? a : b)),
    );
  }
  const integerProduct: Rule = (node) => {
    const weight = node.inputs[1];
    const layer = weight && layers.get(weight);
    if (!layer?.nodes.some(({ op }) => op === node.op)) return undefined;
    return integerNode(node, layer, scales.get(layer.weight)!);
  };
  const dynamicProducts: Rule = (node) => {
    const weight = node.inputs[1];
    const layer = weight && dynamic.get(weight);
    return layer?.nodes.some(({ op }) => op === node.op) ? dynamicNode(node, layer) : undefined;
  };
  const passes = [definePass('quantize-int8', [integerProduct, dynamicProducts]), mergeEqual];
  return storeFp16(storeFactors(runPasses(substitute(graph, stored), passes)), kept);
}

const storedBits: Partial<Record<Precision, StoredBits>> = { 'int8-weights': 8, 'int4-weights': 4 };

function dynamicNode({ op, inputs }: Node, layer: Layer): Tensor {
  const { values, scale } = quantizeWeight(layer);
  const weight = constant(values, layer.weight.shape as readonly number[], 'int8');
  const y = dynamicProduct(inputs[0]!, weight, { scale });
  return op === gemm.op ? add(y, inputs[2]!) : y;
}

const throughInteger = (x: Tensor, scale: ActivationScale): Tensor => dequantizeLinear(quantizeLinear(x, scale), scale);

/**
 * The node between quantize and dequantize nodes, in the pattern that runtimes turn into one integer product. A bias comes
 * after it, in FP32. It is subtracted, since ONNX Runtime makes a Gemm of a product and a sum and fuses that with the
 * activation behind it before it looks for integers: it would then dequantize all weights in every run.
 */
function integerNode(
  { op, inputs, attributes }: Node,
  layer: Layer,
  [input, output]: readonly ActivationScale[],
): Tensor {
  const { values, scale } = quantizeWeight(layer);
  const zero = scale.map(() => 0); // may be left out by ONNX's rules, but then ONNX Runtime does not recognise the pattern
  const weight = dequantizeLinear(constant(values, layer.weight.shape as readonly number[], 'int8'), {
    scale,
    zero,
    axis: layer.axis,
  });
  const x = throughInteger(inputs[0]!, input!);
  if (op === gemm.op) return sub(matmul(x, weight), neg(inputs[2]!));
  const [y] = createNode(op, [x, weight, ...inputs.slice(2)], attributes).outputs;
  return output === undefined ? y! : throughInteger(y!, output);
}
