/**
 * How well anomalies are found: SKAB by a group of sensors, NAB by a stream's baseline, with the device's own detectors
 * and its alerts' state machine, one setting for all files and no row judged by what came after it.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { scoreNab, scoreRows, type NabProfile } from '../src/evaluate/anomaly.js';
import { judge, newWatch, type AlertRules } from '../src/runtime/anomaly.js';
import { createBaseline } from '../src/runtime/baseline.js';
import { detectorThreshold } from '../src/runtime/detector.js';
import { fitGroup, judgeGroup, type GroupMode } from '../src/runtime/group.js';
import { baselineVerdict, type Verdict } from '../src/runtime/verdict.js';

const trainingRows = 400;
/** Thresholds that NAB's optimum is looked for among, twenty a decade. */
const thresholds = Array.from({ length: 81 }, (_, i) => 10 ** (-2 - i / 20));

const rulesAt = (threshold: number): AlertRules => ({
  threshold,
  openCount: 1,
  openWindow: 1,
  clearThreshold: threshold,
  clearCount: 200,
  cooldownMs: 0,
  repeatMs: 0,
  severity: { info: 1e-2, warning: 1e-3, critical: 1e-4 },
  flapping: null,
});

export function benchAnomaly({ data, mode = 'forecast' }: { data: string; mode?: GroupMode }) {
  return { skab: benchSkab(join(data, 'skab'), mode), nab: benchNab(join(data, 'nab')) };
}

/** Times carry no zone; they are read as UTC. */
const timeOf = (text: string): number => Date.parse(`${text.slice(0, 19).replace(' ', 'T')}Z`);

const rowsOf = (path: string, separator: string): string[][] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(separator));

function benchSkab(folder: string, mode: GroupMode) {
  const files = readdirSync(folder)
    .filter((name) => name !== 'anomaly-free')
    .flatMap((name) => readdirSync(join(folder, name)).map((file) => `${name}/${file}`));
  const recordings = files.map((file) => {
    const rows = rowsOf(join(folder, file), ';');
    const values = rows.map((cells) => cells.slice(1, -2).map(Number)); // the last two are labels
    const fitted = fitGroup(values.slice(0, trainingRows), mode);
    let { state } = fitted;
    const flags = values.slice(trainingRows).map((row) => {
      const judged = judgeGroup(fitted.model, state, row);
      state = judged.state;
      return judged.verdict.p < detectorThreshold;
    });
    return { file, flags, labels: rows.slice(trainingRows).map((cells) => Number(cells.at(-2)) === 1) };
  });
  const perFile = Object.fromEntries(recordings.map((recording) => [recording.file, scoreRows([recording])]));
  return { ...scoreRows(recordings), perFile };
}

function benchNab(folder: string) {
  const labels = JSON.parse(readFileSync(join(folder, 'windows.json'), 'utf8')) as Record<string, [string, string][]>;
  const recordings = Object.entries(labels).map(([file, windows]) => {
    const rows = rowsOf(join(folder, file), ',');
    const times = rows.map(([time]) => timeOf(time!));
    return {
      file,
      times,
      verdicts: baselineVerdicts(
        times,
        rows.map((cells) => Number(cells[1])),
      ),
      windows: windows.map(([first, last]) => [times.indexOf(timeOf(first)), times.indexOf(timeOf(last))] as const),
    };
  });
  const scored = (threshold: number, chosen = recordings) => {
    const series = chosen.map(({ times, verdicts, windows }) => ({
      windows,
      scores: alarms(times, verdicts, threshold),
    }));
    const score = (profile: NabProfile): number => scoreNab(series, profile, 1).score;
    return { threshold, standard: score('standard'), lowFp: score('lowFp'), lowFn: score('lowFn') };
  };
  const swept = thresholds.map((threshold) => scored(threshold));
  const best = (profile: NabProfile) => swept.reduce((a, b) => (b[profile] > a[profile] ? b : a));
  const { threshold } = best('standard');
  return {
    standard: best('standard').standard,
    lowFp: best('lowFp').lowFp,
    lowFn: best('lowFn').lowFn,
    threshold,
    shipped: scored(detectorThreshold),
    perFile: Object.fromEntries(recordings.map((recording) => [recording.file, scored(threshold, [recording])])),
  };
}

function baselineVerdicts(times: readonly number[], values: readonly number[]): (Verdict | undefined)[] {
  const baseline = createBaseline(times[1]! - times[0]!);
  return values.map((value, row) => {
    const found = baseline.judge(times[row]!, value);
    return found && baselineVerdict(found, null);
  });
}

/** 1 where an alert opens, by the device's own rules. */
function alarms(times: readonly number[], verdicts: readonly (Verdict | undefined)[], threshold: number): number[] {
  const rules = rulesAt(threshold);
  const subject = { key: 'bench', stream: 'bench', detector: 'baseline', model: '', newId: () => '' };
  let watch = newWatch;
  return verdicts.map((verdict, row) => {
    const judged = judge(watch, { timeMs: times[row]!, value: 0, verdict, ready: true }, rules, subject);
    watch = judged.watch;
    return judged.alert?.event === 'opened' ? 1 : 0;
  });
}
