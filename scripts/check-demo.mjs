// Checks the JSON object of `nd demo --json`: every promised figure is there, and the ones with a promise keep it.
import { readFileSync, existsSync } from 'node:fs';

const demo = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const finite = (value) => typeof value === 'number' && Number.isFinite(value);
const positive = (value) => finite(value) && value > 0;

const { models = [], int8 = {}, messages, forecasts, alerts = {}, latencyMs = {}, coldStartMs, rssMb, report } = demo;

/** [what is promised, whether it holds]. What a slow machine may miss, such as latency, must only be there. */
const promises = [
  [
    'models are NHITS, DLinear and GRU at least',
    ['nhits', 'dlinear', 'gru'].every((name) => models.some((model) => model.name === name)),
  ],
  [
    'each model has two errors',
    models.every(({ mae, seasonalNaiveMae }) => positive(mae) && positive(seasonalNaiveMae)),
  ],
  ['the best model beats seasonal naive', models.some(({ mae, seasonalNaiveMae }) => mae < seasonalNaiveMae)],
  ['INT8 has a size', positive(int8.sizeRatio)],
  ['INT8 of NHITS is at most 0.30 of FP32 in bytes', int8.model !== 'nhits' || int8.sizeRatio <= 0.3],
  ['INT8 loses at most 1 % of MAE', finite(int8.maeLoss) && int8.maeLoss <= 0.01],
  ['messages arrived', positive(messages)],
  ['more than 0.9 forecasts were made for each message', forecasts > 0.9 * messages],
  ['alerts opened', positive(alerts.opened)],
  ['no more alerts were resolved than opened', finite(alerts.resolved) && alerts.resolved <= alerts.opened],
  ['a labelled window was hit', alerts.windowsHit >= 1 && alerts.windowsHit <= alerts.labelledWindows],
  ['latency p50 <= p99', positive(latencyMs.p50) && latencyMs.p50 <= latencyMs.p99],
  ['cold start was measured', positive(coldStartMs)],
  ['the device takes at most 115 MB', positive(rssMb) && rssMb <= 115],
  ['the report exists', typeof report === 'string' && existsSync(report)],
];

const broken = promises.filter(([, holds]) => !holds);
console.log(JSON.stringify(demo));
for (const [promise] of broken) console.log(`demo: not so: ${promise}`);
console.log(`demo: ${promises.length - broken.length} of ${promises.length} promises kept`);
if (broken.length > 0) process.exitCode = 1;
