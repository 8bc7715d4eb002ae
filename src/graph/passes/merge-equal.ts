/** Computes equal things once: nodes with the same op, inputs and attributes become one, and so do constants of the same values. */
import { createHash } from 'node:crypto';
import type { Node } from '../ir.js';
import { constantOp } from '../ops/leaf.js';
import { rebuild, type Pass } from './pass.js';

/** Longer constants are told apart by a hash of their values. */
const largestWritten = 64;

function valuesKey(data: ArrayLike<number>): string {
  if (data.length <= largestWritten) return Array.from(data).join();
  const view = ArrayBuffer.isView(data) ? data : Float64Array.from(data);
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return `${view.constructor.name} ${createHash('sha256').update(bytes).digest('base64')}`;
}

export const mergeEqual: Pass = {
  name: 'merge-equal',
  run: (graph) => {
    const ids = new Map<Node, number>();
    const seen = new Map<string, Node>();
    return rebuild(graph, (node) => {
      const key = keyOf(node, ids);
      const kept = (key === undefined ? undefined : seen.get(key)) ?? node;
      if (key !== undefined) seen.set(key, kept);
      if (!ids.has(kept)) ids.set(kept, ids.size);
      return kept.outputs;
    });
  },
};

/** Equal keys mean equal values; undefined when it is not worth asking. */
function keyOf(node: Node, ids: ReadonlyMap<Node, number>): string | undefined {
  const { inputs } = node;
  if (node.op === constantOp) {
    const { data, shape, dtype } = node.attributes as {
      data: ArrayLike<number>;
      shape: readonly number[];
      dtype: string;
    };
    return `${dtype}[${shape}]${valuesKey(data)}`;
  }
  if (inputs.length === 0) return undefined;
  return `${node.op.name}(${inputs.map((input) => `${ids.get(input.node)}.${input.index}`).join()})${JSON.stringify(node.attributes)}`;
}
