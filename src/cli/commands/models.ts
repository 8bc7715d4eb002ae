/** `nd models`: every model with what it can do; `nd models info NAME`: its card, from the schema. */
import { z } from 'zod';
import { findModel, models } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import { formatTable, printResult, type OutputFlags } from '../terminal.js';

interface Hyperparameter {
  readonly name: string;
  readonly type: string;
  readonly default: unknown;
  readonly range: string;
  /** What a tuner tries; empty for what it leaves alone. */
  readonly search: readonly unknown[];
  readonly description: string;
}

/** All models, or one of them. Throws `ND_MODEL_UNKNOWN`, which names the nearest. */
export function modelsCommand(name: string | undefined, flags: OutputFlags): void {
  if (name === undefined) return printResult(flags, { models: models.map(whole) }, list());
  const model = findModel(name);
  printResult(flags, whole(model), card(model));
}

const whole = (model: Model) => ({ ...summary(model), hyperparameters: hyperparametersOf(model) });

const summary = ({ id, title, paper, capabilities }: Model) => ({
  id,
  title,
  paper,
  ...capabilities,
  streams: capabilities.streams ?? 'no',
});

const list = (): string =>
  formatTable(
    ['model', 'name', 'series', 'covariates', 'mode', 'INT8', 'streams', 'paper'],
    models.map(({ id, title, paper, capabilities: { series, covariates, mode, quantization, streams = '–' } }) => [
      id,
      title,
      series,
      covariates.join(' ') || '–',
      mode,
      quantization,
      streams,
      paper,
    ]),
    '',
  );

const card = (model: Model): string => `${model.title} (${model.id})
${model.paper}
series: ${model.capabilities.series}   covariates: ${model.capabilities.covariates.join(', ') || 'none'}   mode: ${model.capabilities.mode}   INT8 class: ${model.capabilities.quantization}   streams: ${model.capabilities.streams ?? 'no'}

${formatTable(
  ['hyperparameter', 'type', 'default', 'range', 'search', 'what it is'],
  hyperparametersOf(model).map(({ name, type, default: value, range, search, description }) => [
    name,
    type,
    value === undefined ? 'required' : JSON.stringify(value),
    range,
    search.map((choice) => JSON.stringify(choice)).join(' ') || '–',
    description,
  ]),
  '',
)}`;

interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
}

function hyperparametersOf(model: Model): Hyperparameter[] {
  const { properties = {} } = z.toJSONSchema(model.hyperparameters, { io: 'input', unrepresentable: 'any' }) as {
    properties?: Record<string, JsonSchema>;
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    type: schema.enum === undefined ? (schema.type ?? 'any') : schema.enum.join(' | '),
    default: schema.default,
    range: rangeOf(schema),
    search: (model.search as Readonly<Record<string, readonly unknown[]>>)[name] ?? [],
    description: schema.description ?? '',
  }));
}

function rangeOf({ minimum, exclusiveMinimum, maximum }: JsonSchema): string {
  const low = minimum ?? exclusiveMinimum;
  const high = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low === undefined && high === undefined) return '–';
  return `${low ?? ''}…${high ?? ''}`;
}
