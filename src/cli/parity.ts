/** `nd parity`: our numbers beside those of the reference library, for every golden file of a folder. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../engine/port.js';
import { createOrtEngine } from '../engine/ort.js';
import { exitCode } from '../errors.js';
import { models } from '../models/index.js';
import { basisCase } from './parity/basis-case.js';
import { checkpointCase } from './parity/checkpoint-case.js';
import { listCases, readFixture, type CaseFile } from './parity/fixture.js';
import { lossCase } from './parity/loss-case.js';
import { metricCase } from './parity/metric-case.js';
import { modelCase } from './parity/model-case.js';
import { scalerCase } from './parity/scaler-case.js';
import { missing, parts, type Outcome, type Part } from './parity/tally.js';
import { formatTable } from './terminal.js';

export interface ParityCase extends Outcome {
  readonly file: string;
  readonly model: string;
}

export interface ParityOptions {
  readonly fixtures: string;
  /** Only model cases of these models; everything when absent. */
  readonly only?: readonly string[];
}

/** Kind (the subfolder) -> what to do with a case of it. Kinds that are not here are listed as missing. */
const runners: Readonly<Record<string, (folder: string, file: string, engine: Engine) => Outcome | Promise<Outcome>>> =
  {
    models: (folder, file, engine) => modelCase(readFixture(folder, file), engine),
    losses: (folder, file, engine) => lossCase(readFixture(folder, file), engine),
    scalers: (folder, file, engine) => scalerCase(readFixture(folder, file), engine),
    metrics: (folder, file) => metricCase(readFileSync(join(folder, file), 'utf8')),
    misc: (folder, file) => basisCase(readFixture(folder, file)),
    checkpoint: (folder, file, engine) => checkpointCase(join(folder, file), engine),
    'checkpoint-legacy': (folder, file, engine) => checkpointCase(join(folder, file), engine),
  };

/** The reference's class of a model named as there or as here. */
const findReference = (name: string): string =>
  models.find(({ id, reference }) => [id, reference.model.toLowerCase()].includes(name.toLowerCase()))?.reference
    .model ?? name;

/** Golden scores of anomaly detectors: no part of a forecast, and checked where they are scored. */
const elsewhere = 'nab';

/** Runs every case. A case that throws has failed; what we do not have is missing. */
export async function runParity({ fixtures, only }: ParityOptions): Promise<ParityCase[]> {
  const engine = createOrtEngine();
  const all = listCases(fixtures).filter(({ kind }) => kind !== elsewhere);
  const chosen =
    only === undefined
      ? all
      : all.filter(({ kind, subject }) => kind === 'models' && only.some((name) => findReference(name) === subject));
  const results: ParityCase[] = [];
  for (const one of chosen)
    results.push({ file: one.file, model: one.subject, ...(await runCase(fixtures, one, engine)) });

  const absent = (only ?? []).filter((name) => !chosen.some(({ subject }) => subject === findReference(name)));
  return [
    ...results,
    ...absent.map((name) => ({ file: `models/${name}`, model: name, ...missing(`a case of ${name}`) })),
  ];
}

async function runCase(folder: string, { kind, file }: CaseFile, engine: Engine): Promise<Outcome> {
  const run = runners[kind];
  if (run === undefined) return missing(`a check of ${kind}`);
  try {
    return await run(folder, file, engine);
  } catch (error) {
    return { status: 'fail', figures: {}, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** The whole command; returns the exit code: 0 when every case passes. */
export async function runParityCommand({
  json = false,
  ...options
}: ParityOptions & { readonly json?: boolean }): Promise<number> {
  const cases = await runParity(options);
  process.stdout.write(`${json ? JSON.stringify(asJson(cases)) : asText(cases)}\n`);
  return cases.length > 0 && cases.every(({ status }) => status === 'pass') ? exitCode.ok : exitCode.internal;
}

const count = (cases: readonly ParityCase[], status: Outcome['status']): number =>
  cases.filter((one) => one.status === status).length;

function asJson(cases: readonly ParityCase[]): object {
  const figures = (one: ParityCase, kind: 'absolute' | 'relative'): object =>
    Object.fromEntries(parts.map((part) => [part, one.figures[part]?.[kind] ?? null]));
  return {
    cases: cases.map((one) => ({
      file: one.file,
      model: one.model,
      status: one.status,
      ...figures(one, 'absolute'),
      relative: figures(one, 'relative'),
      ...(one.reason !== undefined && { reason: one.reason }),
    })),
    passed: count(cases, 'pass'),
    failed: count(cases, 'fail'),
    missing: count(cases, 'missing'),
  };
}

function asText(cases: readonly ParityCase[]): string {
  const figure = (one: ParityCase, part: Part): string => {
    const found = one.figures[part];
    return found === undefined ? '–' : `${found.absolute.toExponential(1)} ${found.relative.toExponential(1)}`;
  };
  const rows = cases.map((one) => [one.file, one.status, ...parts.map((part) => figure(one, part)), one.reason ?? '']);
  const forward = cases
    .flatMap(({ figures }) => (figures.forward === undefined ? [] : [figures.forward.absolute]))
    .sort((a, b) => a - b);
  const median = forward[Math.floor((forward.length - 1) / 2)];
  return [
    formatTable(['case', 'verdict', ...parts, ''], rows),
    '',
    'Largest error of each part: absolute, then relative to the largest element.',
    ...(median === undefined ? [] : [`Median forward error ${median.toExponential(1)}.`]),
    `${count(cases, 'pass')} passed, ${count(cases, 'fail')} failed, ${count(cases, 'missing')} missing`,
  ].join('\n');
}
