/**
 * Folds a chain of linear maps into one matrix and one bias: DLinear's moving average and two layers become a single
 * Gemm, three times faster for one window. The map is read off the plain kernels: its value at zero is the bias, its
 * value at each unit vector a row of the matrix.
 */
import type { Graph } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { topological, type Node, type Tensor } from '../ir.js';
import { elements, type NdArray } from '../ndarray.js';
import { div, mul } from '../ops/elementwise.js';
import { reshape } from '../ops/layout.js';
import { constant, constantValues, inputOp, leaf, leafName } from '../ops/leaf.js';
import { gemm, matmul } from '../ops/linear.js';
import { isStatic, type Shape } from '../shape.js';
import { substitute, type Pass } from './pass.js';

const batchFirst = (shape: Shape): boolean => shape.length >= 2 && !isStatic([shape[0]!]) && isStatic(shape.slice(1));
const isKnown = (tensor: Tensor): boolean => constantValues(tensor) !== undefined;

/** Whether a node is an affine map of one varying input, row by row of the batch. */
function isAffine({ op, inputs, outputs, attributes }: Node): boolean {
  if (!batchFirst(outputs[0]!.shape) || outputs[0]!.shape[0] !== 'batch') return false;
  const varying = inputs.filter((input) => !isKnown(input));
  if (!varying.every((input) => batchFirst(input.shape) && input.shape[0] === 'batch')) return false;
  if (op === mul.op || op === matmul.op || op === gemm.op) {
    return varying.length === 1 && (op === mul.op || varying[0] === inputs[0]);
  }
  if (op === div.op) return isKnown(inputs[1]!);
  if (op.affine !== true) return false;
  const { axis, order } = attributes as { axis?: number; order?: readonly number[] };
  return axis !== 0 && axis !== -outputs[0]!.shape.length && (order === undefined || order[0] === 0);
}

/** An affine region: the one tensor it starts from, how many nodes lie in it, how many numbers its constants hold. */
interface Region {
  readonly source: Tensor;
  readonly size: number;
  readonly weights: number;
}

/** Undefined when the region starts from several tensors, or from one that cannot be read as rows. */
function regionOf(output: Tensor): Region | undefined {
  const inside = new Set<Node>();
  const known = new Set<Tensor>();
  const sources = new Set<Tensor>();
  const visit = (tensor: Tensor): void => {
    if (isKnown(tensor)) known.add(tensor);
    if (isKnown(tensor) || inside.has(tensor.node)) return;
    if (!isAffine(tensor.node)) {
      sources.add(tensor);
      return;
    }
    inside.add(tensor.node);
    tensor.node.inputs.forEach(visit);
  };
  visit(output);
  const [source] = sources;
  if (sources.size !== 1 || source === undefined || !batchFirst(source.shape)) return undefined;
  const weights = [...known].reduce((sum, tensor) => sum + constantValues(tensor)!.length, 0);
  return { source, size: inside.size, weights };
}

/** Worth it when there are fewer nodes and no more weights: a narrow layer before a wide one is cheaper as it stands. */
const worthwhile = (output: Tensor, { source, size, weights }: Region): boolean =>
  size > 2 && (rowLength(source) + 1) * rowLength(output) <= weights;
const rowLength = ({ shape }: Tensor): number => elements(shape.slice(1) as number[]);

export const foldAffine: Pass = {
  name: 'fold-affine',
  run: (graph: Graph): Graph => {
    const nodes = topological(Object.values(graph.outputs)).reverse(); // the largest regions end nearest to the outputs
    for (const node of nodes) {
      if (node.outputs.length > 1) continue;
      const output = node.outputs[0]!;
      const region = regionOf(output);
      if (region === undefined || !worthwhile(output, region) || alreadyOne(output, region.source)) continue;
      return foldAffine.run(substitute(graph, new Map([[output, oneGemm(output, region.source)]])));
    }
    return graph;
  },
};

/** `reshape(gemm(reshape(source)))` is what this pass itself writes. */
const alreadyOne = (output: Tensor, source: Tensor): boolean => {
  const path: string[] = [];
  for (let tensor: Tensor | undefined = output; tensor !== source; tensor = tensor.node.inputs[0]) {
    if (tensor === undefined) return false; // ended in a constant: `source` is another operand
    path.push(tensor.node.op.name);
  }
  return path.filter((name) => name !== 'reshape').join() === 'gemm';
};

function oneGemm(output: Tensor, source: Tensor): Tensor {
  const width = rowLength(source);
  const columns = rowLength(output);
  const probe = leaf(inputOp, { name: 'probe', shape: source.shape });
  const [map] = Object.values(
    substitute(
      { inputs: [], parameters: [], states: [], draws: [], updates: {}, outputs: { output } },
      new Map([[source, probe]]),
    ).outputs,
  );
  const units: NdArray = {
    data: new Float64Array((width + 1) * width),
    shape: [width + 1, ...(source.shape.slice(1) as number[])],
  };
  for (let i = 0; i < width; i++) units.data[(i + 1) * width + i] = 1;
  const { data } = evaluate([map!], { [leafName(probe)]: units }, width + 1)[0]!;
  const bias = data.slice(0, columns);
  const matrix = data.slice(columns).map((value, i) => value - bias[i % columns]!);
  const rows = source.shape.length === 2 ? source : reshape(source, { shape: ['batch', width] });
  const product = gemm(rows, constant(matrix, [width, columns]), constant(bias, [columns]));
  return output.shape.length === 2 ? product : reshape(product, { shape: output.shape });
}
