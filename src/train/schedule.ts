/** How the learning rate falls over the steps of a training run. */
import type { TrainSettings } from './defaults.js';

/** How often `step` halves the rate over a whole run, as the reference library does. */
const halvings = 3;

const shares: Readonly<Record<TrainSettings['schedule'], (step: number, maxSteps: number) => number>> = {
  none: () => 1,
  step: (step, maxSteps) => 0.5 ** Math.floor(step / Math.max(1, Math.floor(maxSteps / halvings))),
  cosine: (step, maxSteps) => (1 + Math.cos((Math.PI * step) / maxSteps)) / 2,
};

/** The rate of step `step`, counted from 0. */
export const rateAt = (
  { schedule, learningRate, maxSteps }: Pick<TrainSettings, 'schedule' | 'learningRate' | 'maxSteps'>,
  step: number,
): number => learningRate * shares[schedule](step, maxSteps);
