/** Small models that train side by side, each in a worker of its own: what they get done together. */
import { frameFromColumns } from '../src/data/from-columns.js';
import { trainSettings } from '../src/train/defaults.js';
import { fitModel } from '../src/train/fit.js';
import { findCase, specOf } from './case.js';
import { rounded } from './statistics.js';

const rows = 20_000;
const counts = [1, 2, 4];
const rounds = 3;
/** Steps that take about two seconds alone. */
const cases = [
  { name: 'mlp-64', maxSteps: 10_000 },
  { name: 'gru-128', maxSteps: 20 },
];

export async function benchParallel() {
  const time = Float64Array.from({ length: rows }, (_, row) => row * 3_600_000);
  const target = Float32Array.from(time, (_, row) => Math.sin(row / 4));
  const { frame } = frameFromColumns({ time, columns: { target } }, { frequency: 'h' });
  const results: object[] = [];
  for (const { name, maxSteps } of cases) {
    for (const threads of [1, 2]) {
      let alone = 0;
      for (const count of counts) {
        let stepsPerSecond = 0;
        for (let round = 0; round < rounds; round++) {
          const trained = await Promise.all(
            Array.from({ length: count }, (_, seed) =>
              fitModel({
                spec: specOf(findCase(name)),
                frame,
                settings: trainSettings(name, {
                  maxSteps,
                  seed,
                  threads,
                  windowsBatchSize: 32,
                  valCheckSteps: maxSteps,
                }),
              }),
            ),
          );
          const slowestMs = Math.max(...trained.map(({ history }) => history.at(-1)!.ms));
          stepsPerSecond = Math.max(stepsPerSecond, (1000 * count * maxSteps) / slowestMs);
        }
        if (count === 1) alone = stepsPerSecond;
        const together = rounded(stepsPerSecond / alone);
        results.push({ model: name, threads, trainings: count, stepsPerSecond: rounded(stepsPerSecond), together });
      }
    }
  }
  return { rows: results };
}
