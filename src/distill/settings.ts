/** How a student is taught: one schema for the library and the command line. */
import { z } from 'zod';
import { NeuroDivergentError } from '../errors.js';

const combinations = ['greedy', 'mean', 'best'] as const;

export const distillOptions = z.strictObject({
  alpha: z.number().min(0).default(1).describe('weight of what the teacher says'),
  truth: z.number().min(0).default(1).describe('weight of the loss against the truth'),
  scales: z.int().min(1).max(8).default(4).describe('averages over 1, 2, 4, … steps that are compared'),
  spectrum: z.number().min(0).default(0.1).describe('weight of the divergence of spectra'),
  tilt: z.number().min(0).max(5).default(0).describe('e^tilt is how much more the last step counts than the first'),
  extra: z.number().min(0).max(4).default(0).describe('made-up windows with the teacher’s forecasts, per true window'),
  combine: z.enum(combinations).default('greedy').describe('how several teachers become one'),
  seeds: z.int().min(1).max(10).default(3).describe('students of each kind that are compared'),
});
export type DistillSettings = z.output<typeof distillOptions>;
export type DistillInput = z.input<typeof distillOptions>;

/** Throws `ND_CONFIG_OUT_OF_RANGE`, naming every fault. */
export function distillSettings(options: DistillInput): DistillSettings {
  const result = distillOptions.safeParse(options);
  if (result.success) return result.data;
  throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
    where: 'distill',
    what: `${result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}.`,
    mend: `The options are ${Object.keys(distillOptions.shape).join(', ')}.`,
  });
}
