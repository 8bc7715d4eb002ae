/** `npm run bench -- train --peers [--json] [--only gru,nhits]`, `npm run bench -- predict`, `npm run bench -- device`. */
import { parseArgs } from 'node:util';
import { benchDevice } from './device.js';
import { benchPredict } from './predict.js';
import { benchTrain } from './train.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    threads: { type: 'string' },
  },
});
const only = values.only?.split(',');
const numbers = {
  ...(values.rounds && { rounds: Number(values.rounds) }),
  ...(values.threads && { threads: Number(values.threads) }),
};

const benches: Record<string, () => Promise<{ rows: readonly object[] }>> = {
  train: async () => benchTrain({ peers: values.peers, only, ...numbers }),
  predict: async () => benchPredict({ only }),
  device: async () => benchDevice(),
};

const bench = benches[positionals[0] ?? ''];
if (bench === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join('|')} [--peers] [--json] [--only models]`);
  process.exitCode = 2;
} else {
  const report = await bench();
  if (values.json) console.log(JSON.stringify(report));
  else console.table(report.rows);
}
