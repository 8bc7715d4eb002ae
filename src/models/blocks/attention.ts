/** Multi-head self-attention (https://arxiv.org/abs/1706.03762). Tokens of all windows are rows of one matrix, so every projection is one Gemm. */
import { add, matmul, mul, reshape, softmax, transpose, type Scope, type Tensor } from '../../graph/index.js';
import { dropout } from './dropout.js';
import { linear } from './linear.js';

interface AttentionOptions {
  readonly tokens: number;
  readonly heads: number;
  /** On the attention weights. */
  readonly dropout: number;
  /** Scores of the layer before, added to those of this one (https://arxiv.org/abs/2012.11747). */
  readonly earlier?: Tensor | undefined;
  /** The output is normalised next, which takes a constant out again. */
  readonly normalizedNext?: boolean;
}

/** `x [batch·tokens, width]` → what each token gathered from the others `[batch·tokens, width]`, and the scores before softmax. */
export function selfAttention(
  g: Scope,
  x: Tensor,
  { tokens, heads, dropout: probability, earlier, normalizedNext = false }: AttentionOptions,
) {
  const width = x.shape[1] as number;
  const apart = (name: string, order: readonly number[], idleBias = false): Tensor => {
    const all = reshape(linear(g.scope(name), x, width, { idleBias }), {
      shape: [g.batch, tokens, heads, width / heads],
    });
    return transpose(all, { order });
  };
  const query = apart('query', [0, 2, 1, 3]); // [batch, head, token, width/heads]
  // The bias of the keys adds the same to all scores of a token, which softmax takes out. That of the values passes the
  // weights, which add up to 1 unless some are dropped, as a constant.
  const key = apart('key', [0, 2, 3, 1], true); // [batch, head, width/heads, token]
  const value = apart('value', [0, 2, 1, 3], normalizedNext && probability === 0); // [batch, head, token, width/heads]

  const similarity = mul(matmul(query, key), Math.sqrt(heads / width)); // [batch, head, token, token]
  const scores = earlier === undefined ? similarity : add(similarity, earlier);
  const weights = dropout(g.scope('weights'), softmax(scores, { axis: -1 }), probability);
  const gathered = transpose(matmul(weights, value), { order: [0, 2, 1, 3] }); // [batch, token, head, width/heads]
  const output = linear(g.scope('output'), reshape(gathered, { shape: x.shape }), width, { idleBias: normalizedNext }); // [batch·tokens, width]
  return { output, scores };
}
