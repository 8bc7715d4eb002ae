/** A forecaster on disk: a folder with `config.json` and one safetensors file per model. Loading runs no code from it. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readSafetensors, writeSafetensors, type StoredTensor } from '../contracts/safetensors.js';
import { seriesScalerNames } from '../data/series-scaler.js';
import { NeuroDivergentError } from '../errors.js';
import { initOf, leafName, type Tensor } from '../graph/index.js';
import { createLoss } from '../losses/index.js';
import { findModel, inferenceGraph, scalerNames } from '../models/index.js';
import { historyRecord, writeAtomically } from '../train/checkpoint.js';
import { trainOptions } from '../train/defaults.js';
import { initialValues } from '../train/plan.js';
import type { TrainedModel } from './forecaster.js';

/** 2 added `covariates`, 3 `scaler` in them. */
const formatVersion = 3;
const readVersions = [1, 2, formatVersion];
const configFile = 'config.json';
/** The one tensor that is no weight: absolute errors on the validation part. */
const errorsTensor = 'validation/errors';

/** A model's name is part of a file name, so it can be no path. */
export const modelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'use letters, digits, - and _');

export const lossConfig = z.looseObject({ name: z.string() });
export type LossConfig = z.output<typeof lossConfig>;

const config = z.strictObject({
  format: z.literal('neuro-divergent forecaster'),
  version: z.literal(readVersions),
  seed: z.int(),
  frequency: z.string(),
  models: z.array(
    z.strictObject({
      name: modelName,
      model: z.string(),
      hyperparameters: z.record(z.string(), z.unknown()),
      /** Of a frame, that it reads beside the target. */
      covariates: z
        .strictObject({
          historic: z.array(z.string()).optional(),
          future: z.array(z.string()).optional(),
          static: z.array(z.string()).optional(),
          scaler: z
            .strictObject({
              kind: z.enum(seriesScalerNames),
              columns: z.array(z.string()),
              ids: z.array(z.string()).optional(),
              statistics: z.array(z.number()),
            })
            .optional(),
        })
        .default({}),
      loss: lossConfig,
      scaler: z.enum(scalerNames as [string, ...string[]]),
      settings: trainOptions,
      history: z.array(historyRecord),
      steps: z.int(),
      bestStep: z.int(),
      /** Of the safetensors file. */
      sha256: z.string(),
    }),
  ),
});

export interface StoredForecaster {
  readonly seed: number;
  readonly frequency: string;
  readonly models: readonly TrainedModel[];
}

const weightsFile = (dir: string, name: string): string => join(dir, `${name}.safetensors`);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Throws `ND_FILE_EXISTS` when the folder holds a forecaster already and may not be overwritten. */
export function saveForecaster(
  dir: string,
  { seed, frequency, models }: StoredForecaster,
  { overwrite = false } = {},
): void {
  if (!overwrite && existsSync(join(dir, configFile))) {
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: dir,
      what: 'A forecaster is saved there already.',
      mend: 'Take another folder, or pass `overwrite: true`.',
    });
  }
  const entries = models.map(({ name, spec, lossConfig: loss, settings, history, steps, bestStep, values, errors }) => {
    const tensors: Record<string, StoredTensor> = {};
    for (const tensor of weightsOf(spec).filter(isOurs)) {
      const data = Float32Array.from(values[leafName(tensor)]!);
      tensors[leafName(tensor)] = { dtype: 'F32', shape: tensor.shape as readonly number[], data };
    }
    if (errors !== undefined) {
      const { horizon } = spec.hyperparameters as { horizon: number };
      tensors[errorsTensor] = {
        dtype: 'F32',
        shape: [errors.length / horizon, horizon],
        data: Float32Array.from(errors),
      };
    }
    const bytes = writeSafetensors(tensors);
    writeAtomically(weightsFile(dir, name), bytes);
    const { model, hyperparameters, scaler } = spec;
    return {
      name,
      model: model.id,
      hyperparameters,
      covariates: spec.columns ?? {},
      loss,
      scaler,
      settings,
      history,
      steps,
      bestStep,
      sha256: sha256(bytes),
    };
  });
  const text = JSON.stringify(
    { format: 'neuro-divergent forecaster', version: formatVersion, seed, frequency, models: entries },
    null,
    2,
  );
  writeAtomically(join(dir, configFile), Buffer.from(`${text}\n`)); // last, so that it never names a file that is not there
}

/** Throws `ND_FILE_NOT_FOUND`, `ND_FILE_VERSION` and `ND_FILE_CORRUPT`. */
export function loadForecaster(dir: string): StoredForecaster {
  const where = join(dir, configFile);
  const json = parse(read(where), where);
  if (json['format'] === 'neuro-divergent forecaster' && !readVersions.includes(json['version'] as number)) {
    throw new NeuroDivergentError('ND_FILE_VERSION', {
      where,
      what: `The folder has format version ${String(json['version'])}; this release reads versions ${readVersions.join(' and ')}.`,
      mend: 'Use the release that wrote it, or train again.',
    });
  }
  const parsed = config.safeParse(json);
  if (!parsed.success)
    throw corrupt(where, parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const { seed, frequency, models } = parsed.data;
  return {
    seed,
    frequency,
    models: models.map(
      ({
        name,
        model: id,
        hyperparameters,
        covariates,
        loss,
        scaler,
        settings,
        history,
        steps,
        bestStep,
        sha256: expected,
      }) => {
        const file = weightsFile(dir, name);
        const bytes = read(file);
        if (sha256(bytes) !== expected) throw corrupt(file, 'its bytes are not those that were saved');
        const { tensors } = readSafetensors(bytes, file);
        const model = findModel(id);
        const { name: lossName, ...options } = loss;
        const spec = {
          model,
          hyperparameters: model.parse(hyperparameters),
          loss: createLoss(lossName, options),
          scaler: scaler as (typeof scalerNames)[number],
          columns: covariates,
        };
        const values = weightsOf(spec).map((tensor) => {
          if (!isOurs(tensor)) return [leafName(tensor), initialValues(tensor, seed)] as const;
          const stored = tensors[leafName(tensor)];
          if (stored?.dtype !== 'F32' || stored.shape.join() !== tensor.shape.join())
            throw corrupt(file, `${leafName(tensor)} is not F32 [${tensor.shape}]`);
          return [leafName(tensor), stored.data as Float32Array] as const;
        });
        const errors = tensors[errorsTensor]?.data as Float32Array | undefined;
        return {
          name,
          spec,
          lossConfig: loss,
          settings,
          history,
          steps,
          bestStep,
          values: Object.fromEntries(values),
          errors,
        };
      },
    ),
  };
}

/** What a language model brought stays in its own folder. */
const isOurs = (tensor: Tensor): boolean => initOf(tensor).kind !== 'stored';

const weightsOf = (spec: TrainedModel['spec']) => {
  const { parameters, states } = inferenceGraph(spec);
  return [...parameters, ...states];
};

function read(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `It cannot be read: ${(cause as Error).message}.`,
      mend: 'Name a folder that `nd train` or `Forecaster.save` wrote.',
      cause,
    });
  }
}

function parse(bytes: Uint8Array, where: string): Record<string, unknown> {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
  } catch (cause) {
    throw corrupt(where, (cause as Error).message);
  }
}

const corrupt = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_FILE_CORRUPT', {
    where,
    what: `The file cannot be used: ${what}.`,
    mend: 'Restore it, or train again.',
  });
