/**
 * `npm run bench -- train|predict|fit --peers [--json] [--only gru,nhits] [--save]`, `npm run bench -- device|many|parallel|step|stream`,
 * `npm run bench -- cards --save`, which docs/models is made of,
 * `npm run bench -- compress [--models mlp,gru] [--save] [--again] [--peers]`, which goes on where it was stopped,
 * `npm run bench -- accuracy [--models nhits,mlp] [--data etth1,m4] [--horizons 96,192] [--save] [--again] [--seconds 240]`, in parts,
 * `npm run bench -- coverage [--data NAB]`, of a device's intervals,
 * `npm run bench -- anomaly [--data DIR] [--mode forecast|reconstruction]`, DIR laid out as ../shared/data,
 * `npm run bench -- distill [--save] [--again]`, which goes on too,
 * `npm run bench -- memory [--only attention,training,checkpointing,rows] [--peers]`, and
 * `npm run bench -- [train|predict|fit] --check`, which compares with bench/baseline.json; `--save` writes it.
 */
import { parseArgs } from 'node:util';
import { benchAccuracy } from './accuracy.js';
import { benchAnomaly } from './anomaly.js';
import { benchCards } from './cards.js';
import { findRegressions, keepRatios } from './check.js';
import { benchCompress } from './compress.js';
import { benchCoverage } from './coverage.js';
import { dataFolder } from './data.js';
import { benchDevice } from './device.js';
import { benchDistill } from './distill.js';
import { benchFit } from './fit.js';
import { benchMany } from './many.js';
import { benchMemory } from './memory.js';
import { benchParallel } from './parallel.js';
import { serveSteps } from './own-step.js';
import { benchPredict } from './predict.js';
import { benchStep } from './step.js';
import { benchStream } from './stream.js';
import { benchTrain } from './train.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    only: { type: 'string' },
    models: { type: 'string' },
    again: { type: 'boolean', default: false },
    threads: { type: 'string' },
    seconds: { type: 'string' },
    data: { type: 'string' },
    mode: { type: 'string' },
    horizons: { type: 'string' },
    seed: { type: 'string' },
  },
});
const { peers } = values;
/** Ratios that are kept are those of one thread: on a shared machine two wait for each other, PyTorch's above all. */
const threads = Number(values.threads ?? (values.save || values.check ? 1 : 2));
const named = (values.only ?? values.models)?.split(',');
const stepCommand = 'serve-steps';

/** Those with ratios to a peer. */
const compared = {
  train: (only: readonly string[] | undefined = named, beside = peers) =>
    benchTrain({
      peers: beside,
      only,
      threads,
      stepCommand,
      ...(values.seconds && { budgetSeconds: Number(values.seconds) }),
    }),
  predict: (only: readonly string[] | undefined = named, beside = peers) => benchPredict({ peers: beside, only }),
  fit: (only: readonly string[] | undefined = named, beside = peers) => benchFit({ peers: beside, only, threads }),
};
type Compared = keyof typeof compared;
const isCompared = (name: string | undefined): name is Compared => name !== undefined && Object.hasOwn(compared, name);
const others = {
  accuracy: () =>
    benchAccuracy({
      only: named,
      save: values.save,
      again: values.again,
      ...(values.data && { data: values.data.split(',') }),
      ...(values.horizons && { horizons: values.horizons.split(',').map(Number) }),
      ...(values.seed && { seed: Number(values.seed) }),
      ...(values.seconds && { budgetSeconds: Number(values.seconds) }),
      ...(values.threads && { threads: Number(values.threads) }),
    }),
  anomaly: () =>
    benchAnomaly({
      data: values.data ?? dataFolder(),
      mode: values.mode === 'reconstruction' ? 'reconstruction' : 'forecast',
    }),
  cards: () => benchCards({ save: values.save, only: named }),
  coverage: () => benchCoverage({ only: values.data?.split(',') }),
  compress: () => benchCompress({ only: named, save: values.save, again: values.again, peers }),
  device: benchDevice,
  distill: () => benchDistill({ save: values.save, again: values.again }),
  many: () => benchMany(),
  memory: () => benchMemory({ peers, only: named }),
  parallel: benchParallel,
  step: benchStep,
  stream: benchStream,
};
const isOther = (name: string | undefined): name is keyof typeof others =>
  name !== undefined && Object.hasOwn(others, name);
/** A whole fit takes minutes; it is checked when it is named. */
const checkedByDefault: readonly Compared[] = ['train', 'predict'];

const [bench] = positionals;
if (bench === stepCommand) {
  await serveSteps(named![0]!, threads);
} else if (values.check && (bench === undefined || isCompared(bench))) {
  const fallen: string[] = [];
  for (const name of bench === undefined ? checkedByDefault : [bench])
    fallen.push(...(await findRegressions(name, (only) => compared[name](only, true), named)));
  for (const line of fallen) console.error(line);
  console.log(fallen.length === 0 ? 'no regression' : `${fallen.length} regressions`);
  if (fallen.length > 0) process.exitCode = 1;
} else if (isCompared(bench) || isOther(bench)) {
  const report = await { ...compared, ...others }[bench]();
  if (values.save && 'rows' in report && isCompared(bench))
    keepRatios(bench, report.rows as Parameters<typeof keepRatios>[1]);
  if (values.json) console.log(JSON.stringify(report));
  else {
    const {
      rows,
      tables = { [bench]: rows },
      ...rest
    } = report as { rows?: object[]; tables?: Record<string, object[]> };
    for (const [name, table] of Object.entries(tables)) {
      console.log(name);
      console.table(table);
    }
    console.log(JSON.stringify(rest));
  }
} else {
  console.error(
    `usage: npm run bench -- ${[...Object.keys({ ...compared, ...others })].join('|')} [--peers] [--json] [--only …]`,
  );
  process.exitCode = 2;
}
