/** `nd distill`: a small student learns from large teachers, and is held against the same student alone. */
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { distill, onnxTeacher, type DistillInput, type DistillReport, type Teacher } from '../../distill/index.js';
import type { TimeSeriesFrame } from '../../data/frame.js';
import { createOrtEngine } from '../../engine/ort.js';
import { NeuroDivergentError } from '../../errors.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { dataFlagsText, readData, shellWord } from '../table.js';
import { compress, holdOut } from '../ship.js';
import { createTerminal, formatBytes, formatFigure, formatTable, printResult } from '../terminal.js';
import { cancellable, configured, createBars, usualValidation, type TrainingFlags } from '../training.js';

export interface DistillFlags extends TrainingFlags, DistillInput {
  readonly teacher: readonly string[];
  readonly model: string;
  readonly horizon?: number;
  readonly cache?: string;
  /** Where the student goes in INT8. */
  readonly quantize?: string;
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
  const { forecaster, report, aware } = await cancellable(out, (signal) =>
    distill({
      ...{ alpha, truth, scales, spectrum, tilt, extra, combine, seeds },
      ...rest,
      teacher,
      student: models[0]!,
      frame,
      validationSize,
      aware: flags.quantize !== undefined,
      seed,
      cache: flags.cache ?? runs,
      checkpoints: runs,
      resume,
      signal,
      on: bars.on,
    }).finally(bars.end),
  );
  const small = aware && (await smaller({ taught: forecaster, aware }, frame, validationSize));
  await (small?.forecaster ?? forecaster).save(out, { overwrite });
  if (small !== undefined) writeFileSync(flags.quantize!, small.model);
  writeFileSync(join(out, 'distillation.json'), `${JSON.stringify(report, null, 2)}\n`);
  rmSync(runs, { recursive: true, force: true });
  printResult(
    flags,
    { out, model: flags.model, validationRows: validationSize, ...report, ...(small && { int8: { file: flags.quantize, ...small.int8 } }) }, // prettier-ignore
    [words(report), ...(small ? [smallWords(small.int8)] : [])].join('\n\n'),
  );
  if (small === undefined)
    terminal.say(`\nNext: nd quantize ${shellWord(out)} ${dataFlagsText(flags)} --out student.onnx`);
}

interface Int8 {
  /** The student that lost less: as taught, or after learning on with INT8 in mind. */
  readonly from: string;
  readonly bytes: number;
  /** On the validation windows, of the FP32 student as taught and of both in INT8; null for one beyond the gate. */
  readonly fp32Mae: number;
  readonly mae: Readonly<Record<string, number | null>>;
}

/** Both students in INT8; that with the smaller error goes on. Throws `ND_QUANTIZE_…` when neither passes the gate. */
async function smaller(
  students: Readonly<Record<'taught' | 'aware', Forecaster>>,
  frame: TimeSeriesFrame,
  validationSize: number,
): Promise<{ forecaster: Forecaster; model: Uint8Array; int8: Int8 }> {
  const { rest: calibration, held: validation } = holdOut(frame, validationSize, students.taught.inputLength);
  const engine = createOrtEngine();
  const tried = await Promise.allSettled(
    Object.entries(students).map(async ([from, forecaster]) => {
      const { model, report } = await compress(forecaster.models[0]!, { engine, to: 'int8', calibration, validation });
      return { from, forecaster, model, report };
    }),
  );
  const passed = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const best = passed.toSorted((a, b) => a.report.mae - b.report.mae)[0];
  if (best === undefined) throw tried.find((one) => one.status === 'rejected')!.reason;
  const maeOf = (name: string): number | null => passed.find(({ from }) => from === name)?.report.mae ?? null;
  const { sizeBytes: bytes } = best.report;
  const fp32 = passed.find(({ from }) => from === 'taught') ?? best;
  const int8 = {
    from: best.from,
    bytes,
    fp32Mae: fp32.report.fp32Mae,
    mae: { taught: maeOf('taught'), aware: maeOf('aware') },
  };
  return { forecaster: best.forecaster, model: best.model, int8 };
}

const smallWords = ({ from, bytes, fp32Mae, mae }: Int8): string =>
  `${formatTable(
    ['INT8', 'validation MAE'],
    [
      ['FP32', formatFigure(fp32Mae)],
      ['as taught', formatFigure(mae['taught'] ?? null)],
      ['trained with INT8 in mind', formatFigure(mae['aware'] ?? null)],
    ],
  )}\n\nKept: the student ${from === 'aware' ? 'trained with INT8 in mind' : 'as taught'}, ${formatBytes(bytes)}.`;

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
