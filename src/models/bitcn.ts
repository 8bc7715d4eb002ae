import { z } from 'zod';
import { add, concat, gelu, mul, pad, slice, swapLast, type Scope, type Tensor } from '../graph/index.js';
import { pastColumns } from './blocks/columns.js';
import { convolution, convolutionParameter } from './blocks/convolution.js';
import { dropout } from './blocks/dropout.js';
import { linear } from './blocks/linear.js';
import { newest, withBefore } from './blocks/memory.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

/**
 * BiTCN: one stack of convolutions looks back over the window, another looks ahead over what is known of the future.
 * Few weights and quick; the choice when covariates known in advance carry much.
 */
export const bitcn = defineModel({
  id: 'bitcn',
  title: 'BiTCN',
  paper: 'https://doi.org/10.1016/j.ijforecast.2023.07.001',
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'direct',
    quantization: 'A',
    streams: 'without future',
  },

  search: { hidden: [16, 32], dropout: [0, 0.1, 0.3, 0.5, 0.7] },
  hyperparameters: task.extend({
    hidden: z.int().min(1).default(16).describe('channels of each convolution'),
    dropout: z.number().min(0).max(0.99).default(0.5).describe('share of each layer zeroed in training'),
  }),

  build(g, inputs, { inputLength, horizon, outputs, hidden, dropout: probability }) {
    const embedded = (part: string, x: Tensor): Tensor => {
      const scope = g.scope(part);
      return dropout(scope, linear(scope, x, hidden), probability); // [batch, time, hidden]
    };
    const past = embedded('past', pastColumns(inputs));
    const back = convolutions(g.scope('backward'), past, { length: inputLength, probability }); // [batch, time, hidden]
    const ahead =
      inputs.future &&
      convolutions(g.scope('forward'), embedded('future', inputs.future), {
        length: inputLength + horizon,
        probability,
        ahead: true,
      }); // [batch, time + horizon, hidden]
    const part = (x: Tensor, start: number, end: number): Tensor => slice(x, { axis: 1, start, end });

    const seen = ahead ? concat([back, part(ahead, 0, inputLength)], { axis: 2 }) : back; // [batch, time, channel]
    const window = newest(g.scope('time0'), seen, inputLength);
    const overTime = gelu(linear(g.scope('time0'), swapLast(window), hidden)); // [batch, channel, hidden]
    const steps = linear(g.scope('time1'), dropout(g.scope('time'), overTime, probability), horizon); // [batch, channel, horizon]
    const made = swapLast(steps); // [batch, horizon, channel]
    const known = ahead ? concat([made, part(ahead, inputLength, inputLength + horizon)], { axis: 2 }) : made;
    return linear(g.scope('out'), known, outputs); // [batch, horizon, outputs]
  },

  reference: {
    model: 'BiTCN',
    hyperparameters: { hidden: 'hidden_size', dropout: 'dropout' },
    parameter: (path) => {
      const [part, ...rest] = path.split('/') as [string, ...string[]];
      if (part in layers) return linearParameter(layers[part]!, rest[0]!);
      const [layer, convolution, kind] = rest as [string, string, string];
      const place = `net_${part === 'backward' ? 'bwd' : 'fwd'}.${layer.replace('layer', '')}`;
      return convolutionParameter(`${place}.${convolution === 'look' ? 'conv1' : 'conv2'}`, kind);
    },
  },
});

const layers: Readonly<Record<string, string>> = {
  past: 'lin_hist',
  future: 'lin_futr',
  time0: 'temporal_lin1',
  time1: 'temporal_lin2',
  out: 'output_lin',
};

interface Stack {
  /** Of all of time, in steps. */
  readonly length: number;
  readonly probability: number;
  /** It looks into the future, not into the past. */
  readonly ahead?: boolean;
}

/**
 * Convolutions of two taps whose gaps double until the first sees the whole of time. Each adds to the state that the next
 * one reads, and to the result. `[batch, time, hidden]` → the same
 */
function convolutions(g: Scope, x: Tensor, { length, probability, ahead = false }: Stack): Tensor {
  const hidden = x.shape[2] as number;
  let state = x;
  let result: Tensor | undefined;
  for (let layer = 0; 2 ** layer < length; layer++) {
    const scope = g.scope(`layer${layer}`);
    const dilation = 2 ** layer;
    const around = ahead ? pad(state, { axis: 1, before: 0, after: dilation }) : withBefore(scope, state, dilation);
    const looked = gelu(convolution(scope.scope('look'), around, hidden, { kernel: 2, dilation }));
    const both = convolution(scope.scope('mix'), dropout(scope, looked, probability), 2 * hidden, { kernel: 1 });
    const half = (n: number): Tensor => slice(both, { axis: 2, start: n * hidden, end: (n + 1) * hidden });
    state = add(state, half(0));
    result = result ? add(result, half(1)) : half(1);
  }
  return result ?? mul(x, 0);
}
