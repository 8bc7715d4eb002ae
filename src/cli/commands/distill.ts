/** `nd distill`: a small student learns from large teachers, and is held against the same student alone. */
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { distill, onnxTeacher, type DistillInput, type DistillReport, type Teacher } from '../../distill/index.js';
import { createOrtEngine } from '../../engine/ort.js';
import { NeuroDivergentError } from '../../errors.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { dataFlagsText, readData, shellWord } from '../table.js';
import { createTerminal, formatFigure, formatTable, printResult } from '../terminal.js';
import { cancellable, configured, createBars, usualValidation, type TrainingFlags } from '../training.js';

export interface DistillFlags extends TrainingFlags, DistillInput {
  readonly teacher: readonly string[];
  readonly model: string;
  readonly horizon?: number;
  readonly cache?: string;
}

export async function distillCommand(flags: DistillFlags): Promise<void> {
  const { out, seed, resume = false, overwrite = false } = flags;
  const terminal = createTerminal(flags);
  if (!overwrite && existsSync(join(out, 'config.json'))) {
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: out,
      what: 'A forecaster is saved there already.',
      mend: 'Name another folder, or pass --overwrite.',
    });
  }
  const folders = await Promise.all(flags.teacher.filter(isFolder).map((path) => Forecaster.load(path)));
  const horizon = flags.horizon ?? folders[0]?.horizon;
  if (horizon === undefined) {
    throw new NeuroDivergentError('ND_CLI_USAGE', {
      where: 'nd distill',
      what: 'An ONNX file does not say how far the student is to forecast.',
      mend: 'Pass --horizon.',
    });
  }
  const { models, ...rest } = configured([flags.model], horizon, flags);
  const setup = new Forecaster({ models, ...rest });
  const engine = createOrtEngine();
  const files = await Promise.all(
    flags.teacher
      .filter((path) => !isFolder(path))
      .map((path) => onnxTeacher(path, { engine, inputLength: setup.inputLength, horizon })),
  );
  const teacher: (Forecaster | Teacher)[] = [...folders, ...files];
  const longest = Math.max(setup.inputLength, ...teacher.map(({ inputLength }) => inputLength));
  const covariates = [...new Set([setup, ...folders].flatMap(({ columns }) => columns))];
  const frame = await readData(flags, { terminal, minLength: longest + horizon + (flags.validation ?? 0), covariates });
  const validationSize = flags.validation ?? usualValidation(frame, longest, horizon);
  terminal.say(
    `${teacher
      .map((one) => (one instanceof Forecaster ? one.models.map(({ name }) => name) : one.name))
      .flat()
      .join(', ')} ` + `teach ${flags.model}; the last ${validationSize} rows of each series judge.`,
  );

  const bars = createBars(terminal);
  const runs = join(out, 'students');
  const { alpha, truth, scales, spectrum, tilt, extra, combine, seeds } = flags;
  const { forecaster, report } = await cancellable(out, (signal) =>
    distill({
      ...{ alpha, truth, scales, spectrum, tilt, extra, combine, seeds },
      ...rest,
      teacher,
      student: models[0]!,
      frame,
      validationSize,
      seed,
      cache: flags.cache ?? runs,
      checkpoints: runs,
      resume,
      signal,
      on: bars.on,
    }).finally(bars.end),
  );
  await forecaster.save(out, { overwrite });
  writeFileSync(join(out, 'distillation.json'), `${JSON.stringify(report, null, 2)}\n`);
  rmSync(runs, { recursive: true, force: true });
  printResult(flags, { out, model: flags.model, validationRows: validationSize, ...report }, words(report));
  terminal.say(`\nNext: nd quantize ${shellWord(out)} ${dataFlagsText(flags)} --out student.onnx`);
}

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

function words({ metric, teacher, alone, taught, verdict, seed }: DistillReport): string {
  const name = `validation ${metric.toUpperCase()}`;
  const members = formatTable(
    ['teacher', 'weight', name],
    [
      ...teacher.members.map((member) => [member.name, member.weight.toFixed(2), formatFigure(member.error)]),
      ...(teacher.members.length > 1 ? [['together', '1.00', formatFigure(teacher.error)]] : []),
    ],
  );
  const students = formatTable(
    ['student', `${name}, mean`, 'spread', 'by seed'],
    (
      [
        ['alone', alone],
        ['taught', taught],
      ] as const
    ).map(([kind, { mean, spread, errors }]) => [
      kind,
      formatFigure(mean),
      formatFigure(spread),
      errors.map(formatFigure).join('  '),
    ]),
  );
  return `${members}\n\n${students}\n\n${verdict}\nKept: the taught student of seed ${seed}.`;
}
