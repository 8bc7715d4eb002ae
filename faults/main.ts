/**
 * `npm run faults -- [--tier C|N] [--only K1,T2] [--trials 100] [--seed 1] [--json]`: the fault table. Every row makes seeded trials
 * and counts failures; any failure makes the exit code 1. `--soak 8h` lets all of it happen to one device instead. docs/reliability.md says
 * what each row means.
 */
import { parseArgs } from 'node:util';
import { duration } from '../src/cli/option.js';
import { accessControl } from './access.js';
import { alertTraces } from './alerts.js';
import { updateAttacks } from './attacks.js';
import { brokerForgets } from './broker.js';
import { clockScripts } from './clocks.js';
import { brokenConnections, stalledBroker } from './connection.js';
import { damagedDatabases } from './damage.js';
import { fullDisk } from './disk.js';
import { malformedBundles } from './bundles.js';
import { killedWhileIngesting } from './kill.js';
import { disorderedStreams } from './disorder.js';
import { longOutage } from './outage.js';
import { malformedPayloads } from './payloads.js';
import { plantedBundles } from './planted.js';
import { powerCuts } from './power.js';
import { plantedSecrets } from './secrets.js';
import { soak } from './soak.js';
import { summary } from './soak-verdict.js';
import type { FaultRow, Tier } from './row.js';
import { killedWhileUpdating } from './update-kill.js';
import { wear } from './wear.js';

const rows: readonly FaultRow[] = [
  killedWhileIngesting,
  killedWhileUpdating,
  powerCuts,
  brokerForgets,
  brokenConnections,
  stalledBroker,
  longOutage,
  damagedDatabases,
  fullDisk,
  wear,
  clockScripts,
  disorderedStreams,
  alertTraces,
  malformedPayloads,
  malformedBundles,
  updateAttacks,
  plantedBundles,
  plantedSecrets,
  accessControl,
];

const SHOWN = 5;

function milliseconds(text: string): number {
  try {
    return duration(text);
  } catch (error) {
    console.error(`--soak: ${(error as Error).message}`);
    process.exit(2);
  }
}

const { values } = parseArgs({
  options: {
    tier: { type: 'string', default: 'C' },
    only: { type: 'string' },
    trials: { type: 'string' },
    seed: { type: 'string', default: '1' },
    soak: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const only = values.only?.split(',');
const unknown = only?.filter((id) => !rows.some((row) => row.id === id)) ?? [];
if (!['C', 'N'].includes(values.tier) || unknown.length > 0) {
  console.error(`--tier is C or N; --only takes ${rows.map(({ id }) => id).join(', ')}`);
  process.exit(2);
}

const seed = Number(values.seed);
if (values.soak !== undefined) {
  const report = await soak(milliseconds(values.soak), seed, (line) => console.error(line));
  console.log(values.json ? JSON.stringify(report) : summary(report));
  process.exit(report.pass ? 0 : 1);
}

const results = [];
for (const row of rows.filter(({ id }) => only?.includes(id) ?? true)) {
  const trials = Number(values.trials ?? row.trials[values.tier as Tier]);
  if (trials === 0) {
    console.error(`${row.id}  not in tier ${values.tier}: nothing was tried  (${row.what})`);
    continue;
  }
  const began = performance.now();
  const failures = await row.run(trials, seed);
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  results.push({ id: row.id, trials, failures: failures.length, pass: failures.length === 0, seed, seconds });
  console.error(
    `${row.id}  ${row.counts}: ${failures.length.toLocaleString('en')} of ${trials.toLocaleString('en')}  (${row.what}; ${seconds} s)`,
  );
  for (const failure of failures.slice(0, SHOWN)) console.error(`    ${failure}`);
  if (failures.length > SHOWN) console.error(`    … and ${failures.length - SHOWN} more`);
}

const failed = results.filter(({ pass }) => !pass).length;
const report = { rows: results, passed: results.length - failed, failed };
console.log(values.json ? JSON.stringify(report) : `${report.passed} rows passed, ${report.failed} failed`);
process.exit(failed > 0 ? 1 : 0);
