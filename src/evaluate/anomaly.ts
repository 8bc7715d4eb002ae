/**
 * Scores of anomaly detectors. NAB (Lavin & Ahmad 2015, https://arxiv.org/abs/1510.03336) rewards an early alarm within
 * a labelled window and takes points for alarms outside; labels of single rows are counted.
 */

/** Points for a window found at once, taken for a false alarm, and for a window missed. */
export const nabProfiles = {
  standard: { found: 1, falseAlarm: 0.11, missed: 1 },
  lowFp: { found: 1, falseAlarm: 0.22, missed: 1 },
  lowFn: { found: 1, falseAlarm: 0.11, missed: 2 },
} as const;
export type NabProfile = keyof typeof nabProfiles;

/** One recording: a score for each row, and the labelled windows as first and last row. */
export interface NabSeries {
  readonly scores: ArrayLike<number>;
  readonly windows: readonly (readonly [first: number, last: number])[];
}

export interface NabResult {
  /** 0 = a detector that says nothing, 100 = every window found at once and no false alarm. */
  readonly score: number;
  /** A row is an alarm when its score is at least this. */
  readonly threshold: number;
}

/** Rows at the beginning that are not scored: 15 %, at most 750. */
const probation = (rows: number): number => Math.min(Math.floor(0.15 * rows), 750);

/** Near 1 far before 0, 0 at 0, −1 from 3 on. */
const sigmoid = (x: number): number => (x > 3 ? -1 : 2 / (1 + Math.exp(5 * x)) - 1);

interface Point {
  readonly score: number;
  /** Points if this row is an alarm. */
  readonly worth: number;
  /** Series and window the row lies in; undefined outside. */
  readonly window: string | undefined;
}

/** What every scored row is worth as an alarm: most at a window's first row, nothing at its last, less than nothing outside. */
function pointsOf({ scores, windows }: NabSeries, series: number, profile: NabProfile): Point[] {
  const { found, falseAlarm } = nabProfiles[profile];
  const points: Point[] = [];
  let next = 0;
  for (let row = 0; row < scores.length; row++) {
    while (next < windows.length && row > windows[next]![1]) next++;
    const [first, last] = windows[next] ?? [Infinity, Infinity];
    const before = windows[next - 1];
    const inside = row >= first;
    const width = last - first + 1;
    const worth = inside
      ? (found * sigmoid((row - last - 1) / width)) / sigmoid(-1)
      : falseAlarm * (before === undefined ? -1 : sigmoid((row - before[1]) / (before[1] - before[0])));
    if (row >= probation(scores.length))
      points.push({ score: scores[row]!, worth, window: inside ? `${series}/${next}` : undefined });
  }
  return points;
}

/**
 * NAB's score of all recordings together under one threshold: the best there is, or the given one.
 * NaN when no window is labelled.
 */
export function scoreNab(recordings: readonly NabSeries[], profile: NabProfile, threshold?: number): NabResult {
  const { found, missed } = nabProfiles[profile];
  const windows = recordings.reduce((sum, { windows: labelled }) => sum + labelled.length, 0);
  const points = recordings
    .flatMap((recording, series) => pointsOf(recording, series, profile))
    .sort((a, b) => b.score - a.score);
  const normal = (raw: number): number => (100 * (raw + missed * windows)) / ((found + missed) * windows);

  const best = new Map<string, number>();
  let raw = -missed * windows;
  let result: NabResult = { score: normal(raw), threshold: Infinity };
  points.forEach(({ score, worth, window }, i) => {
    const known = window === undefined ? undefined : (best.get(window) ?? -missed);
    if (known === undefined) raw += worth;
    else if (worth > known) {
      raw += worth - known;
      best.set(window!, worth);
    }
    if (score === points[i + 1]?.score) return; // a threshold takes all rows of one score
    const better = threshold === undefined ? normal(raw) > result.score : score >= threshold;
    if (better) result = { score: normal(raw), threshold: score };
  });
  return threshold === undefined ? result : { ...result, threshold };
}

export interface RowScore {
  /** Harmonic mean of precision and recall. */
  readonly f1: number;
  /** Share of normal rows that were flagged, in percent. */
  readonly far: number;
  /** Share of anomalous rows that were not, in percent. */
  readonly mar: number;
}

/** Flags against labels, row by row, over all recordings pooled. */
export function scoreRows(
  recordings: readonly { readonly flags: readonly boolean[]; readonly labels: readonly boolean[] }[],
): RowScore {
  const count = (flag: boolean, label: boolean): number =>
    recordings.reduce(
      (sum, { flags, labels }) => sum + flags.filter((value, i) => value === flag && labels[i] === label).length,
      0,
    );
  const [hits, falseAlarms, misses, quiet] = [
    count(true, true),
    count(true, false),
    count(false, true),
    count(false, false),
  ];
  return {
    f1: hits / (hits + (falseAlarms + misses) / 2),
    far: (100 * falseAlarms) / (falseAlarms + quiet),
    mar: (100 * misses) / (misses + hits),
  };
}
