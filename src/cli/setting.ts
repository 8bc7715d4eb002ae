/** `--set` and `--loss`: what models and training are told, as words of the command line. */
import { NeuroDivergentError } from '../errors.js';
import { choose, type ModelChoice } from '../forecaster/choice.js';
import type { ForecasterOptions } from '../forecaster/forecaster.js';
import { losses } from '../losses/index.js';
import { findModel, nearest, type Model } from '../models/index.js';

type Settings = Record<string, unknown>;

/** Number, boolean, JSON list, or else the word itself. */
function readValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

export interface Assigned {
  readonly models: readonly ModelChoice[];
  /** Of training: `--set train.weightDecay=0.01`. */
  readonly train: NonNullable<ForecasterOptions['train']>;
}

/**
 * Models with their hyperparameters. `name=value` goes to every model that has the name, `model.name=value` to one, and
 * `train.name=value` to the training loop. Ranges are checked by `Forecaster`. Throws `ND_MODEL_UNKNOWN`,
 * `ND_HYPERPARAMETER` with the nearest name, and `ND_CLI_USAGE`.
 */
export function assign(
  ids: readonly string[],
  task: { readonly horizon: number; readonly inputLength?: number | undefined; readonly series?: number },
  words: readonly string[] = [],
): Assigned {
  const chosen = ids.map(findModel);
  const own = new Map<string, Settings>(chosen.map(({ id }) => [id, {}]));
  const train: Settings = {};
  for (const word of words) {
    const [, place, name, text] = /^(?:([^.=]+)\.)?([^.=]+)=(.*)$/s.exec(word) ?? [];
    if (name === undefined || text === undefined) throw usage(word);
    if (place === 'train') train[name] = readValue(text);
    else for (const model of receivers(chosen, place, name)) own.get(model.id)![name] = readValue(text);
  }
  const { horizon, inputLength, series = 1 } = task;
  return {
    models: chosen.map((model) =>
      choose(model, {
        horizon,
        ...(inputLength && { inputLength }),
        ...(model.capabilities.series === 'many' && { series }),
        ...own.get(model.id),
      }),
    ),
    train,
  };
}

function receivers(models: readonly Model[], place: string | undefined, name: string): readonly Model[] {
  if (place !== undefined) {
    const model = findModel(place);
    if (models.includes(model)) return [model];
    throw new NeuroDivergentError('ND_HYPERPARAMETER', {
      where: `${place}.${name}`,
      what: `${place} is not among the models that are trained.`,
      mend: `Add it to --model, or set one of ${models.map(({ id }) => id).join(', ')}.`,
    });
  }
  const named = models.filter(({ hyperparameters }) => name in hyperparameters.shape);
  if (named.length > 0) return named;
  const known = models.flatMap(({ hyperparameters }) => Object.keys(hyperparameters.shape));
  throw new NeuroDivergentError('ND_HYPERPARAMETER', {
    where: `--set ${name}`,
    what: `No hyperparameter of ${models.map(({ id }) => id).join(', ')} has this name; the nearest is ${nearest(name, known)}.`,
    mend: `See \`nd models info ${models[0]!.id}\` for names, ranges and defaults; settings of training begin with train.`,
  });
}

const usage = (word: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_CLI_USAGE', {
    where: `--set ${word}`,
    what: 'It is not of the form name=value.',
    mend: 'Write --set hidden=64, --set nhits.dropout=0.1 or --set train.weightDecay=0.01.',
  });

/** Options that may stand behind the name of a loss without being named, the first that it has. */
const unnamed = ['levels', 'q', 'delta', 'c', 'alpha', 'seasonality', 'level'] as const;
const lists: readonly string[] = ['levels', 'quantiles', 'horizonWeight'];

/** `mae`, `mq:80,90`, `huber:2`, `huber-mq:80,90:delta=2`: a name, and options between colons. */
export function parseLoss(text: string): { readonly name: string } & Settings {
  const [name, ...words] = text.split(':') as [string, ...string[]];
  const shape = losses[name]?.options.shape ?? {};
  const options = words.map((word) => {
    const [, key = unnamed.find((option) => option in shape) ?? 'levels', value] = /^(?:(\w+)=)?(.*)$/s.exec(word)!;
    return [key, lists.includes(key) ? value!.split(',').map(readValue) : readValue(value!)] as const;
  });
  return { name, ...Object.fromEntries(options) };
}
