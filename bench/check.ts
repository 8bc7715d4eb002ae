/** `npm run bench -- --check`: the ratios to the peer against those of bench/baseline.json. */
import { readFileSync, writeFileSync } from 'node:fs';

interface Row {
  readonly model: string;
  readonly ratio: number | null;
}
interface KeyedRow extends Row {
  readonly engine?: string;
  readonly windows?: number;
}
/** Bench -> row -> ratio of the run that was kept. */
type Baseline = Record<string, Record<string, number>>;

const path = 'bench/baseline.json';
/** Below this share of the baseline it is a regression: on a shared machine ratios of the same code differ by a fifth. */
const share = 0.7;
const attempts = 3;

export const readBaseline = (): Baseline => JSON.parse(readFileSync(path, 'utf8')) as Baseline;

/** Keeps the ratios of a run; those of models that were not run stay. */
export function keepRatios(bench: string, rows: readonly KeyedRow[]): void {
  const baseline = readBaseline();
  const kept = { ...baseline[bench], ...ratiosOf(rows) };
  const sorted = Object.fromEntries(Object.entries(kept).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(path, `${JSON.stringify({ ...baseline, [bench]: sorted }, null, 2)}\n`);
}

/** Runs the bench, then again what fell, and takes the best of three. Gives one line per regression. */
export async function findRegressions(
  bench: string,
  run: (only: readonly string[]) => Promise<{ readonly rows: readonly KeyedRow[] }>,
  only?: readonly string[],
): Promise<string[]> {
  const expected = Object.entries(readBaseline()[bench] ?? {}).filter(
    ([key]) => only === undefined || only.includes(modelOf(key)),
  );
  const best: Record<string, number> = {};
  const fallen = (): [string, number][] => expected.filter(([key, ratio]) => !((best[key] ?? 0) >= share * ratio));
  for (let attempt = 0; attempt < attempts && fallen().length > 0; attempt++) {
    const { rows } = await run([...new Set(fallen().map(([key]) => modelOf(key)))]);
    for (const [key, ratio] of Object.entries(ratiosOf(rows))) best[key] = Math.max(best[key] ?? 0, ratio);
  }
  return fallen().map(([key, ratio]) => `${bench} ${key}: ${best[key] ?? 'no figure'}, was ${ratio}`);
}

const keyOf = ({ model, engine, windows }: KeyedRow): string =>
  [model, engine, windows].filter((part) => part !== undefined).join(' ');
const modelOf = (key: string): string => key.split(' ')[0]!;

const ratiosOf = (rows: readonly KeyedRow[]): Record<string, number> =>
  Object.fromEntries(rows.flatMap((row) => (row.ratio === null ? [] : [[keyOf(row), row.ratio]])));
