/** The error for a step that gave no numbers: where that began, the windows it was taken on, what was kept. */
import { farthestValue, windowPlace } from '../data/trace.js';
import type { Windows } from '../data/windows.js';
import type { StepResult } from '../engine/training-step.js';
import { NeuroDivergentError } from '../errors.js';
import type { Origin } from './diagnose.js';

export interface FailedStep {
  readonly step: number;
  readonly result: StepResult;
  readonly windows: Windows;
  /** The windows of the batch. */
  readonly chosen: readonly number[];
  readonly origin: Origin | undefined;
  /** What this run has on disk. */
  readonly kept: { readonly path: string; readonly step: number } | undefined;
}

/** Squares of larger values, summed over a batch, come near the end of float32 at 3.4e38. */
const extreme = 1e15;
/** How many windows of the batch are told. */
const told = 3;

export function notFinite({ step, result, windows, chosen, origin, kept }: FailedStep): NeuroDivergentError {
  const rest = chosen.length > told ? ', …' : '';
  const places = chosen.slice(0, told).map((index) => windowPlace(windows, index));
  const value = farthestValue(windows, chosen);
  const facts = [
    `The loss is ${result.loss} and the norm of its gradient ${result.gradientNorm}.`,
    origin && `First not finite: ${origin.node}${rangesOf(origin)}.`,
    origin?.parameter && `The first parameter whose gradient went bad: ${origin.parameter}.`,
    `The windows are ${places.join('; ')}${rest && `; and ${chosen.length - told} more`}.`,
    value && Math.abs(value.value) > extreme && `Window ${value.window} holds ${short(value.value)}: ${value.place}.`,
    kept && `The checkpoint of step ${kept.step} is untouched: ${kept.path}.`,
  ];
  return new NeuroDivergentError('ND_TRAIN_LOSS_NOT_FINITE', {
    where: `step ${step}, batch of windows ${chosen.slice(0, told).join(', ')}${rest}`,
    what: facts.filter((fact) => typeof fact === 'string').join(' '),
    mend: 'Correct extreme values in the data, scale the windows (`scaler: standard`), or lower the learning rate.',
  });
}

const rangesOf = ({ reads }: Origin): string =>
  reads.length === 0
    ? ''
    : `, of values ${reads.map(([low, high]) => `from ${short(low)} to ${short(high)}`).join(' and ')}`;
const short = (value: number): string => String(Number(value.toPrecision(4)));
