/** What `nd pack --tunable` adds to a bundle: the workstation's own training graph, and where it goes on from. */
import type { PackOptions } from '../bundle/pack.js';
import { limits } from '../contracts/limit.js';
import { tuningMetadata, type TuningPlan } from '../contracts/tuning.js';
import { NeuroDivergentError } from '../errors.js';
import { templateOnnx } from '../forecaster/compile.js';
import type { TrainedModel } from '../forecaster/forecaster.js';
import { planTraining } from '../train/plan.js';
import { formatBytes } from './terminal.js';

/** Windows of a step on a device, whose memory goes with them. */
const deviceBatch = 32;
/** A model that has learned takes smaller steps than one that begins, as in quantization-aware training. */
const rateShare = 0.1;

/** `train.onnx` and `template.onnx`. Throws `ND_CONFIG_CONFLICT` for a model whose training does not fit a device. */
export function tuningFiles({ spec, values, settings, name }: TrainedModel): PackOptions['files'] {
  const batch = Math.min(deviceBatch, settings.windowsBatchSize);
  const { seed, clipNorm, weightDecay } = settings;
  const learningRate = settings.learningRate * rateShare;
  const training = planTraining(spec, {
    batch,
    seed,
    metadata: (layout) =>
      tuningMetadata({
        v: 1,
        layout: layout as TuningPlan['layout'], // checked when it is written
        batch,
        learningRate,
        clipNorm,
        weightDecay,
        seed,
      }),
  });
  const template = templateOnnx({ spec, values });
  const sizeBytes = training.model.byteLength + template.byteLength;
  if (sizeBytes > limits.tuningBytes || training.neededBytes > limits.tuningStepBytes) {
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
      where: `${name}: --tunable`,
      what: `Its training takes ${formatBytes(sizeBytes)} in the bundle and ${formatBytes(training.neededBytes)} a step; a device has room for ${formatBytes(limits.tuningBytes)} and ${formatBytes(limits.tuningStepBytes)}.`,
      mend: 'Train a smaller model, distill this one, or pack it without `--tunable`.',
    });
  }
  return {
    'train.onnx': { role: 'train', content: training.model },
    'template.onnx': { role: 'template', content: template },
  };
}
