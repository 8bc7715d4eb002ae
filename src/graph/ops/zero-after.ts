/** Order, where data alone does not give it. */
import { defineOp, type OpCall, type Tensor } from '../ir.js';

/**
 * A zero that is known only when all `tokens` are: added to a tensor it says "not before". ONNX Runtime would otherwise
 * find that what is computed again equals what was computed before, and keep that. See passes/rematerialize.ts.
 */
export const zeroAfter: OpCall<Tensor[]> = defineOp({
  name: 'zeroAfter',
  inputs: ['token...'],
  dtype: () => 'float32',
  shape: () => [],
  grad: 'none',
  onnx: (_, emit, { inputs, outputs }) => {
    const first = emit.constant(BigInt64Array.of(0n), []);
    const zeros = inputs.map((token) => {
      const [one] = emit.node('Gather', [...emit.node('Reshape', [token, emit.ints([-1])]), first]);
      const [never] = emit.node('Less', [one!, one!]); // false for every number, NaN and infinity too
      return emit.node('Cast', [never!], { attributes: { to: 1 } })[0]!;
    });
    emit.node('Sum', zeros, { outputs });
  },
  run: () => [0],
  samples: [[[2, 3], [4]]],
});
