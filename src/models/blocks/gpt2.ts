/** GPT-2 as it was trained (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): nothing of it is learned here. */
import {
  add,
  constant,
  matmul,
  mul,
  normalizeRows,
  reshape,
  rows,
  slice,
  softmax,
  tanh,
  transpose,
  type Scope,
  type Tensor,
} from '../../graph/index.js';
import type { LanguageSizes } from '../../language/folder.js';

type Weights = (name: string, shape: readonly number[]) => Tensor;

/** Its tensors, by their names in its file: states that start as they are stored there. */
export const storedWeights =
  (g: Scope, folder: string): Weights =>
  (name, shape) =>
    g.state(name, shape, { kind: 'stored', folder, tensor: name });

/** Last hidden states `[batch, token, width]` of tokens that are given as rows of its embedding table. */
export function gpt2(x: Tensor, weights: Weights, { positions, width, layers, heads, inner }: LanguageSizes): Tensor {
  const [batch, tokens] = x.shape as [number, number];
  const norm = (name: string, rowsOf: Tensor): Tensor =>
    normalizeRows(rowsOf, weights(`${name}.weight`, [width]), weights(`${name}.bias`, [width]), { eps: 1e-5 }).y;
  const linear = (name: string, from: Tensor, inputs: number, outputs: number): Tensor =>
    add(matmul(from, weights(`${name}.weight`, [inputs, outputs])), weights(`${name}.bias`, [outputs]));

  const places = slice(weights('wpe.weight', [positions, width]), { axis: 0, start: 0, end: tokens }); // [token, width]
  let states = rows(add(x, places)); // [batch·token, width]
  for (let layer = 0; layer < layers; layer++) {
    const block = `h.${layer}`;
    const seen = linear(`${block}.attn.c_attn`, norm(`${block}.ln_1`, states), width, 3 * width);
    const parts = reshape(seen, { shape: [batch, tokens, 3 * heads, width / heads] });
    const apart = (part: number, order: readonly number[]): Tensor =>
      transpose(slice(parts, { axis: 2, start: part * heads, end: (part + 1) * heads }), { order });
    const similarity = mul(matmul(apart(0, [0, 2, 1, 3]), apart(1, [0, 2, 3, 1])), Math.sqrt(heads / width));
    const attention = softmax(add(similarity, onlyBefore(tokens)), { axis: -1 }); // [batch, head, token, token]
    const gathered = transpose(matmul(attention, apart(2, [0, 2, 1, 3])), { order: [0, 2, 1, 3] });
    const attended = reshape(gathered, { shape: states.shape });
    states = add(states, linear(`${block}.attn.c_proj`, attended, width, width));

    const wide = geluByTanh(linear(`${block}.mlp.c_fc`, norm(`${block}.ln_2`, states), width, inner));
    states = add(states, linear(`${block}.mlp.c_proj`, wide, inner, width));
  }
  return reshape(norm('ln_f', states), { shape: [batch, tokens, width] });
}

/** No token sees those after it. */
const onlyBefore = (tokens: number): Tensor =>
  constant(
    Float32Array.from({ length: tokens * tokens }, (_, i) => (i % tokens > Math.floor(i / tokens) ? -1e9 : 0)),
    [tokens, tokens],
  );

/** The approximation of GELU that it was trained with. */
const geluByTanh = (x: Tensor): Tensor =>
  mul(mul(x, 0.5), add(tanh(mul(add(x, mul(mul(mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI))), 1));
