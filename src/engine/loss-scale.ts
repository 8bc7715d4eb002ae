/**
 * The factor on the loss of a graph in mixed precision, without which small gradients would vanish in FP16. It is as
 * large as the gradients allow, which is found out by trying (https://arxiv.org/abs/1710.03740 §3.2).
 */
import { NeuroDivergentError } from '../errors.js';

export interface LossScale {
  /** A power of two, so that it changes no bit of a gradient that FP16 can hold. */
  readonly factor: number;
  /** Steps since it was last changed. */
  readonly goodSteps: number;
}

export const firstScale: LossScale = { factor: 2 ** 15, goodSteps: 0 };
/** No scale: of graphs in FP32. */
export const noScale: LossScale = { factor: 1, goodSteps: 0 };
const growthSteps = 2000;

export const afterGoodStep = ({ factor, goodSteps }: LossScale): LossScale =>
  goodSteps + 1 < growthSteps ? { factor, goodSteps: goodSteps + 1 } : { factor: 2 * factor, goodSteps: 0 };

/** Half the scale. Throws `ND_TRAIN_SCALE_EXHAUSTED` when it was 1: then it is not the scale that is too large. */
export function afterOverflow({ factor }: LossScale): LossScale {
  if (factor >= 2) return { factor: factor / 2, goodSteps: 0 };
  throw new NeuroDivergentError('ND_TRAIN_SCALE_EXHAUSTED', {
    where: 'mixed precision',
    what: 'A gradient is not a number even without a loss scale, although the loss is one.',
    mend: 'Train with `precision: fp32`, lower the learning rate, or scale the windows (`scaler: standard`).',
  });
}
