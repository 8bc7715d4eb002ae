/** Whether distillation paid: the student beside the same student trained alone, and beside its teacher. */

export type Metric = 'mae' | 'mse';

/** Students of one kind, one per seed. */
export interface Students {
  readonly errors: readonly number[];
  readonly mean: number;
  /** Standard deviation over the seeds. */
  readonly spread: number;
}

export interface DistillReport {
  /** Of all errors here: over the validation windows, in the unit of the data, or its square. */
  readonly metric: Metric;
  readonly windows: number;
  readonly teacher: {
    readonly error: number;
    readonly members: readonly { readonly name: string; readonly weight: number; readonly error: number }[];
  };
  readonly alone: Students;
  readonly taught: Students;
  /** How much lower the mean error is with the teacher, as a share: below 0 it is higher. */
  readonly gain: number;
  /** How much higher than the teacher's it is, as a share. */
  readonly gap: number;
  readonly betterThanAlone: boolean;
  readonly withinTeacher: boolean;
  /** Both. */
  readonly passed: boolean;
  readonly verdict: string;
  /** Of the student that is kept: the taught one with the smallest error. */
  readonly seed: number;
}

/** How far behind its teacher a student may be. */
const allowedGap = 0.05;

export function judgeStudents(
  found: Pick<DistillReport, 'metric' | 'windows' | 'teacher'>,
  alone: readonly number[],
  taught: readonly number[],
  firstSeed: number,
): DistillReport {
  const [a, t] = [studentsOf(alone), studentsOf(taught)];
  const gain = 1 - t.mean / a.mean;
  const gap = t.mean / found.teacher.error - 1;
  const betterThanAlone = gain > 0;
  const withinTeacher = gap <= allowedGap;
  return {
    ...found,
    alone: a,
    taught: t,
    gain,
    gap,
    betterThanAlone,
    withinTeacher,
    passed: betterThanAlone && withinTeacher,
    verdict: verdictOf({ gain, gap, seeds: alone.length, teacherWorse: found.teacher.error > a.mean }),
    seed: firstSeed + taught.indexOf(Math.min(...taught)),
  };
}

export function studentsOf(errors: readonly number[]): Students {
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const spread = Math.sqrt(errors.reduce((sum, error) => sum + (error - mean) ** 2, 0) / errors.length);
  return { errors, mean, spread };
}

function verdictOf(found: { gain: number; gap: number; seeds: number; teacherWorse: boolean }): string {
  const { gain, gap, seeds, teacherWorse } = found;
  const share = (value: number): string => `${(100 * Math.abs(value)).toFixed(1)} %`;
  const alone = `over ${seeds} seed${seeds === 1 ? '' : 's'} its error is ${share(gain)} ${gain > 0 ? 'lower' : 'higher'} than that of the same student trained alone`;
  const teacher = `${share(gap)} ${gap > 0 ? 'higher' : 'lower'} than the teacher's`;
  const advice = teacherWorse
    ? ' The teacher is worse than the student alone: ship the student that `nd train` makes, or find a better teacher.'
    : gain <= 0
      ? ' The teacher did not help: ship the student that `nd train` makes, or change alpha.'
      : gap > allowedGap
        ? ` More than ${share(allowedGap)} is left to the teacher: give the student more width or a longer past.`
        : '';
  return `${gain > 0 && gap <= allowedGap ? 'Passed' : 'Not passed'}: ${alone}, and ${teacher}.${advice}`;
}
