// Checks the JSON object of `nd demo --json`: every promised figure is there, and the ones with a promise keep it.
import { readFileSync, existsSync } from 'node:fs';

const demo = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const finite = (value) => typeof value === 'number' && Number.isFinite(value);
const positive = (value) => finite(value) && value > 0;

/** [what is promised, whether it holds] */
const promises = [
  ['models are NHITS, DLinear and GRU at least', demo.models?.length >= 3],
  [
    'each model has a name and two finite errors',
    demo.models?.every((m) => m.name && positive(m.mae) && positive(m.seasonalNaiveMae)),
  ],
  ['the best model beats seasonal naive', demo.models?.some((m) => m.mae < m.seasonalNaiveMae)],
  ['INT8 is at most 0.30 of FP32 in bytes', positive(demo.int8?.sizeRatio) && demo.int8.sizeRatio <= 0.3],
  ['INT8 loses at most 1 % of MAE', finite(demo.int8?.maeLoss) && demo.int8.maeLoss <= 0.01],
  ['messages arrived', positive(demo.messages)],
  ['forecasts were made', positive(demo.forecasts)],
  ['alerts opened', positive(demo.alerts?.opened)],
  ['alerts resolved', positive(demo.alerts?.resolved)],
  [
    'labelled windows were hit',
    positive(demo.alerts?.windowsHit) && demo.alerts.windowsHit <= demo.alerts.labelledWindows,
  ],
  ['latency p50 <= p99', positive(demo.latencyMs?.p50) && demo.latencyMs.p50 <= demo.latencyMs.p99],
  ['cold start was measured', positive(demo.coldStartMs)],
  ['device memory was measured', positive(demo.rssMb)],
  ['the report exists', typeof demo.report === 'string' && existsSync(demo.report)],
];

const broken = promises.filter(([, holds]) => !holds);
console.log(JSON.stringify(demo));
for (const [promise] of broken) console.log(`demo: not so: ${promise}`);
console.log(`demo: ${promises.length - broken.length} of ${promises.length} promises kept`);
if (broken.length > 0) process.exitCode = 1;
