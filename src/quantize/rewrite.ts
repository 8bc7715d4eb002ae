/** Static INT8: what calibration saw decides the scales, the error on validation windows decides everything else. */
import type { Engine } from '../engine/port.js';
import {
  castTo,
  constant,
  constantValues,
  conv1d,
  definePass,
  dequantizeLinear,
  gemm,
  mergeEqual,
  mul,
  quantizeLinear,
  runPasses,
  substitute,
  type Graph,
  type Node,
  type Rule,
  type Tensor,
} from '../graph/index.js';
import { createNode } from '../graph/ir.js';
import { quantizeWeight, type Layer, type Precision } from './layers.js';
import {
  activationScale,
  countInto,
  createHistogram,
  type ActivationScale,
  type Histogram,
  type Method,
} from './range.js';
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

/** The graph with each layer at its precision. */
export function rewrite(graph: Graph, precisions: Precisions, histograms: Histograms, method: Method): Graph {
  const stored = [...precisions].flatMap(([layer, precision]) =>
    precision === 'int8-weights' ? [[layer.weight, storedInt8(layer)] as const] : [],
  );
  const scaleOf = (tensor: Tensor): ActivationScale => activationScale(histograms.get(tensor)!, method);
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
  return runPasses(substitute(graph, new Map(stored)), [definePass('quantize-int8', [integerProduct]), mergeEqual]);
}

/** Weights in int8, computed with in FP32: the runtime multiplies them out once, at load. */
function storedInt8(layer: Layer): Tensor {
  const { values, scale } = quantizeWeight(layer);
  const shape = layer.weight.shape as readonly number[];
  return mul(
    castTo(constant(values, shape, 'int8'), { dtype: 'float32' }),
    constant(
      Float32Array.from(scale),
      shape.map((dim, axis) => (axis === layer.axis ? dim : 1)),
    ),
  );
}

const throughInteger = (x: Tensor, scale: ActivationScale): Tensor => dequantizeLinear(quantizeLinear(x, scale), scale);

/** The node between quantize and dequantize nodes, in the pattern that runtimes turn into one integer product. */
function integerNode(
  { op, inputs, attributes }: Node,
  layer: Layer,
  [input, output]: readonly ActivationScale[],
): Tensor {
  const bias = op === gemm.op ? constantValues(inputs[2]!) : undefined;
  const { values, scale } = integerWeight(layer, input!, bias);
  const zero = scale.map(() => 0); // may be left out by ONNX's rules, but then ONNX Runtime does not recognise the pattern
  const weight = dequantizeLinear(constant(values, layer.weight.shape as readonly number[], 'int8'), {
    scale,
    zero,
    axis: layer.axis,
  });
  const rest = bias === undefined ? inputs.slice(2) : [integerBias(bias, input!, scale)];
  const [y] = createNode(op, [throughInteger(inputs[0]!, input!), weight, ...rest], attributes).outputs;
  return output === undefined ? y! : throughInteger(y!, output);
}

/** A bias is counted in int32 steps of input scale times weight scale, so that scale must not be too fine for it. */
const largestBias = 2 ** 30;

export const integerWeight = (layer: Layer, input: ActivationScale, bias?: ArrayLike<number>) =>
  quantizeWeight(layer, (channel) => Math.abs(bias?.[channel] ?? 0) / (input.scale[0] * largestBias));

function integerBias(bias: ArrayLike<number>, input: ActivationScale, weightScale: readonly number[]): Tensor {
  const scale = weightScale.map((value) => Math.fround(value * input.scale[0]));
  const steps = Int32Array.from(bias, (value, channel) => Math.round(value / scale[channel]!));
  return dequantizeLinear(constant(steps, [steps.length], 'int32'), { scale, axis: 0 });
}
