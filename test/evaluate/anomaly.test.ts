/** NAB's scorer against what NAB itself says (`fixtures/nab`), and against cases counted by hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scoreNab, scoreRows } from '../../src/evaluate/anomaly.js';
import type { NabProfile, NabSeries } from '../../src/evaluate/anomaly.js';
import { fixtureFolder } from '../fixtures.js';

const folder = join(fixtureFolder, 'nab');
const data = join(fixtureFolder, '../data/nab');
const present = existsSync(folder) && existsSync(data);
if (!present) console.warn(`Skipped: NAB is not at ${folder} and ${data}; set ND_SHARED to their parent folder.`);

const names: Readonly<Record<string, NabProfile>> = {
  standard: 'standard',
  reward_low_FP_rate: 'lowFp',
  reward_low_FN_rate: 'lowFn',
};

/**
 * The files hold nine digits, NAB scored twelve. Three scores of the windowed Gaussian, one minus 5e-11 to 1.6e-10 (as
 * its formula gives on these data), became 1 in the file and would join the rows above NAB's threshold of 1.
 */
const belowOne: Readonly<Record<string, readonly [file: string, row: number][]>> = {
  windowedGaussian: [
    ['rogue_agent_key_hold', 1569],
    ['rogue_agent_key_updown', 3274],
    ['rogue_agent_key_updown', 4401],
  ],
};

function recordings(detector: string): NabSeries[] {
  const windows = JSON.parse(readFileSync(join(data, 'windows.json'), 'utf8')) as Record<string, [string, string][]>;
  const linesOf = (path: string): string[] => readFileSync(path, 'utf8').trim().split('\n').slice(1);
  return Object.entries(windows).map(([path, labelled]) => {
    const file = path.split('/')[1]!;
    const times = linesOf(join(data, path)).map((line) => line.slice(0, 19));
    const scores = linesOf(join(folder, detector, file)).map(Number);
    for (const [name, row] of belowOne[detector] ?? []) if (`${name}.csv` === file) scores[row]! -= 4e-11;
    const rowOf = (time: string): number => times.indexOf(time.slice(0, 19));
    return { scores, windows: labelled.map(([first, last]) => [rowOf(first), rowOf(last)] as const) };
  });
}

describe.runIf(present)('what NAB gives', () => {
  const { expected } = present
    ? (JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
        expected: Record<string, Record<string, { score: number; threshold: number }>>;
      })
    : { expected: {} };
  const cases = Object.entries(expected).flatMap(([detector, profiles]) =>
    Object.entries(profiles).map(([profile, result]) => ({ detector, profile, ...result })),
  );
  test.each(cases)('to $detector under $profile is given', ({ detector, profile, score, threshold }) => {
    const found = scoreNab(recordings(detector), names[profile]!);
    expect(Math.abs(found.score - score)).toBeLessThan(1e-6);
    expect(Math.abs(found.threshold - threshold)).toBeLessThan(1e-8);
  });
});

describe("NAB's rules", () => {
  const quiet = new Float64Array(100);
  const alarmAt = (...rows: number[]): Float64Array => quiet.map((_, row) => (rows.includes(row) ? 1 : 0));
  const scoreOf = (scores: Float64Array, profile: NabProfile = 'standard'): number =>
    scoreNab([{ scores, windows: [[50, 59]] }], profile, 0.5).score;

  test('silence is 0, the first row of the window 100, and only the best alarm of a window counts', () => {
    expect(scoreOf(quiet)).toBe(0);
    expect(scoreOf(alarmAt(50))).toBe(100);
    expect(scoreOf(alarmAt(50, 55, 59))).toBe(100);
    expect(scoreOf(alarmAt(55))).toBeLessThan(scoreOf(alarmAt(52)));
  });

  test('an alarm outside costs its weight, just behind a window less, in probation nothing', () => {
    expect(scoreOf(alarmAt(20, 50))).toBeCloseTo(100 - (100 * 0.11) / 2, 9);
    expect(scoreOf(alarmAt(20, 50), 'lowFp')).toBeCloseTo(100 - (100 * 0.22) / 2, 9);
    expect(scoreOf(alarmAt(50, 61))).toBeGreaterThan(scoreOf(alarmAt(50, 95)));
    expect(scoreOf(alarmAt(3, 50))).toBe(100);
  });

  test('the best threshold is found, silence included, and without windows there is no score', () => {
    const scores = alarmAt(50).map((score, row) => (row === 20 ? 0.3 : score));
    expect(scoreNab([{ scores, windows: [[50, 59]] }], 'standard')).toEqual({ score: 100, threshold: 1 });
    const wrong = alarmAt(20).map((score) => score + 0.1);
    expect(scoreNab([{ scores: wrong, windows: [[90, 91]] }], 'standard').threshold).toBe(Infinity);
    expect(scoreNab([{ scores: quiet, windows: [] }], 'standard').score).toBeNaN();
  });
});

test('rows are pooled over recordings before rates are taken', () => {
  const recording = (flags: string, labels: string) => ({
    flags: [...flags].map((c) => c === '1'),
    labels: [...labels].map((c) => c === '1'),
  });
  const pooled = scoreRows([recording('1100', '1010'), recording('1111', '1111')]);
  expect(pooled.f1).toBeCloseTo(10 / 12, 12); // 5 hits, 1 false alarm, 1 miss
  expect(pooled.far).toBe(50);
  expect(pooled.mar).toBeCloseTo(100 / 6, 12);
});
