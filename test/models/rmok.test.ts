import { describe, expect, test } from 'vitest';
import { evaluate, leafName } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { rmok } from '../../src/models/rmok.js';
import { randomFeeds } from './cases.js';
import { modelContract, specOf } from './contract.js';

const small = { inputLength: 3, horizon: 2, series: 2, taylor: 1, jacobi: 0, dropout: 0 };

describe.each(['morlet', 'dog', 'meyer', 'shannon'])('%s', (wavelet) => modelContract(rmok, { ...small, wavelet }));

const at = (v: number, i: number): Record<string, number> => ({
  'mexican-hat': (2 / (Math.sqrt(3) * Math.PI ** 0.25)) * (v * v - 1) * Math.exp((-v * v) / 2),
  morlet: Math.cos(5 * v) * Math.exp((-v * v) / 2),
  dog: -v * Math.exp((-v * v) / 2),
  meyer:
    Math.sin(Math.PI * Math.abs(v)) *
    (Math.abs(v) <= 0.5
      ? 1
      : Math.abs(v) >= 1
        ? 0
        : Math.cos((Math.PI / 2) * ((t) => t ** 4 * (35 - 84 * t + 70 * t ** 2 - 20 * t ** 3))(2 * Math.abs(v) - 1))),
  shannon: (v === 0 ? 1 : Math.sin(v) / v) * [0.08, 1, 0.08][i]!,
});

test.each(['mexican-hat', 'morlet', 'dog', 'meyer', 'shannon'])('the wavelet expert with %s', (wavelet) => {
  const graph = inferenceGraph({ ...specOf(rmok, { ...small, wavelet, affine: false }), scaler: 'identity' });
  const feeds = randomFeeds(graph, 1, 4);
  const set = (name: string, value: number): void => void feeds[`model/${name}`]!.data.fill(value);
  // Only the wavelet expert speaks, and its normalisation does nothing.
  for (const name of ['taylor/weight', 'taylor/bias', 'jacobi/weight', 'linear/weight', 'linear/bias', 'gate/weight'])
    set(name, 0);
  feeds['model/gate/bias']!.data.set([-1e3, -1e3, 0, -1e3]);
  for (const [name, value] of [
    ['mean', 0],
    ['variance', 1 - 1e-5],
    ['weight', 1],
    ['bias', 0],
  ] as const)
    set(`wavelet/norm/${name}`, value);
  set('wavelet/weight', 1);
  set('wavelet/shift', 0);
  set('wavelet/scale', 2);
  feeds['past'] = { data: Float64Array.of(0, 1, 1, 2, 2, 3), shape: [1, 3, 2] };
  const [forecast] = evaluate([graph.outputs['forecast']!], feeds, 1);

  const deviation = Math.sqrt(2 / 3 + 1e-5);
  const seen = [-1, 0, 1].map((step, i) => at(step / deviation / 2, i)[wavelet]!);
  const expected = deviation * seen.reduce((sum, value) => sum + value, 0);
  for (const [i, value] of forecast!.data.entries()) expect(value).toBeCloseTo(expected + 1 + (i % 2), 6);
  expect(graph.parameters.map(leafName)).not.toContain('model/revin/weight');
});
