/** The curves of trend and season against those of the reference. */
import { seasonBasis, trendBases, trendBasis } from '../../models/blocks/basis.js';
import { readTrendBasis } from '../../models/nbeats.js';
import type { Fixture } from './fixture.js';
import { createTally, missing, type Outcome } from './tally.js';

/** `legendre.length12.n_basis3` */
const trendName = /^output\/(\w+)\.length(\d+)\.n_basis(\d+)$/;
/** `seasonality.harmonics1.backcast9.forecast5.backcast_basis` */
const seasonName = /^output\/seasonality\.harmonics(\d+)\.backcast(\d+)\.forecast(\d+)\.(backcast|forecast)_basis$/;

export function basisCase({ tensors, file }: Fixture): Outcome {
  const tally = createTally();
  for (const [name, theirs] of Object.entries(tensors)) {
    const ours = valuesOf(name);
    if (ours === undefined) return missing(`what ${name} in ${file} names`);
    tally.compare('forward', name, { data: Float32Array.from(ours), dims: theirs.dims }, theirs);
  }
  return tally.outcome();
}

function valuesOf(name: string): Float64Array | undefined {
  const season = seasonName.exec(name);
  if (season) {
    const [harmonics, past, horizon] = season.slice(1, 4).map(Number) as [number, number, number];
    return season[4] === 'backcast'
      ? seasonBasis(harmonics, horizon, past, -1)
      : seasonBasis(harmonics, horizon, horizon, 1);
  }
  const trend = trendName.exec(name);
  const basis = trendBases.find((own) => own === readTrendBasis(trend?.[1]));
  return basis && trendBasis(basis, Number(trend![3]) + 1, Number(trend![2]));
}
