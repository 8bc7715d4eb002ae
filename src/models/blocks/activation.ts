/** What stands between two layers, by name. */
import {
  elu,
  gelu,
  maximum,
  mul,
  neg,
  relu,
  sigmoid,
  softplus,
  sub,
  tanh,
  type Scope,
  type Tensor,
} from '../../graph/index.js';

/** Scale and alpha for which activations keep mean 0 and variance 1 (https://arxiv.org/abs/1706.02515). */
const seluScale = 1.0507009873554805;
const seluAlpha = 1.6732632423543772;

/** Each is made once per block, so that a learned slope is shared by its layers. */
export const activations = {
  relu: () => relu,
  softplus: () => softplus,
  tanh: () => tanh,
  selu: () => (x: Tensor) => mul(elu(x, { alpha: seluAlpha }), seluScale),
  'leaky-relu': () => (x: Tensor) => maximum(x, mul(x, 0.01)),
  /** The slope below zero is learned (https://arxiv.org/abs/1502.01852). */
  prelu: (g: Scope) => {
    const slope = g.parameter('slope', [1], { kind: 'constant', value: 0.25 });
    return (x: Tensor) => sub(relu(x), mul(relu(neg(x)), slope));
  },
  sigmoid: () => sigmoid,
  gelu: () => gelu,
} satisfies Record<string, (g: Scope) => (x: Tensor) => Tensor>;

export type Activation = keyof typeof activations;
export const activationNames = Object.keys(activations) as [Activation, ...Activation[]];

/** Ours for the reference's, a class name of PyTorch: `LeakyReLU` is `leaky-relu`. */
export const readActivation = (name: unknown): unknown => referenceActivation[String(name)] ?? name;
export const referenceActivation: Readonly<Record<string, Activation>> = {
  ReLU: 'relu',
  Softplus: 'softplus',
  Tanh: 'tanh',
  SELU: 'selu',
  LeakyReLU: 'leaky-relu',
  PReLU: 'prelu',
  Sigmoid: 'sigmoid',
  GELU: 'gelu',
};
