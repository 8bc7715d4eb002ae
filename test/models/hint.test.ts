import { describe, expect, test } from 'vitest';
import { evaluate, leafName, ndarray, type NdArray } from '../../src/graph/index.js';
import { findModel, inferenceGraph, type ForecastSpec } from '../../src/models/index.js';
import { trainingGraph } from '../../src/models/assemble.js';
import { projection, reconciliations, shuffles } from '../../src/models/blocks/reconcile.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const summing = [
  [1, 1, 1],
  [1, 1, 0],
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];
const series = summing.length;
const shape = { inputLength: 6, horizon: 3, series, base: 'mlp', baseOptions: { hidden: 4 }, samples: 40, summing };
const hint = findModel('hint');
const spec = (options: object = {}, loss = 'mae'): ForecastSpec => specOf(hint, { ...shape, ...options }, loss);
const forecastOf = (one: ForecastSpec, feeds?: Record<string, NdArray>): NdArray => {
  const graph = inferenceGraph(one);
  return evaluate([graph.outputs['forecast']!], feeds ?? randomFeeds(graph, 2, 1), 2)[0]!;
};

describe('a projection', () => {
  test.each(reconciliations.filter((name) => name !== 'none'))('%s leaves what adds up as it is', (method) => {
    const matrix = projection(summing, method);
    const bottom = [3, -1, 5];
    const all = summing.map((row) => row.reduce((sum, value, i) => sum + value * bottom[i]!, 0));
    for (let i = 0; i < series; i++)
      expect(all.reduce((sum, value, j) => sum + matrix[i * series + j]! * value, 0)).toBeCloseTo(all[i]!, 12);
  });

  test('from the bottom up reads the bottom series alone; least squares reads all', () => {
    const up = projection(summing, 'bottom-up');
    expect([...up.subarray(0, series)]).toEqual([0, 0, 1, 1, 1]);
    expect(projection(summing, 'min-trace-ols').every((value) => value !== 0)).toBe(true);
  });
});

describe.each([...reconciliations])('%s', (reconciliation) => {
  test.each(['mae', 'normal', 'mq'])('point forecasts of %s add up, unless they are left alone', (loss) => {
    const one = spec({ reconciliation }, loss);
    const { data } = forecastOf(one);
    const columns = Math.max(1, one.loss.quantiles.length);
    for (let step = 0; step < 2 * shape.horizon; step++) {
      const of = (s: number): number => data[(step * series + s) * columns + one.loss.point]!;
      const off = Math.abs(of(0) - of(2) - of(3) - of(4)) + Math.abs(of(1) - of(2) - of(3));
      if (reconciliation === 'none') expect(off).toBeGreaterThan(1e-3);
      else expect(off).toBeLessThan(1e-9);
    }
  });
});

test('left alone, each series is forecast as its model forecasts it', () => {
  const one = spec({ reconciliation: 'none', historic: 2, static: 1 }, 'normal');
  const graph = inferenceGraph(one);
  const feeds = randomFeeds(graph, 2, 1);
  const { inputLength, horizon } = shape;
  const own = specOf(findModel('mlp'), { inputLength, horizon, historic: 2, static: 1, hidden: 4 }, 'normal');
  const columns = one.loss.quantiles.length;
  const all = forecastOf(one, feeds).data;
  for (let s = 0; s < series; s++) {
    const pick = (name: string, inner: number): NdArray => {
      const { data, shape: dims } = feeds[name]!;
      return ndarray(
        data.filter((_, i) => i % series === s),
        [2, dims.length === 4 ? dims[2]! : dims[1]!, inner],
      );
    };
    const byTime = ({ data }: NdArray, [batch, time, width]: number[]): NdArray =>
      ndarray(
        Float64Array.from({ length: data.length }, (_, i) => {
          const [c, t, b] = [i % width!, Math.floor(i / width!) % time!, Math.floor(i / width! / time!)];
          return data[(b * width! + c) * time! + t]!;
        }),
        [batch!, time!, width!],
      );
    const fixed = Float64Array.from({ length: 2 }, () => feeds['static']!.data[s]!);
    const alone = forecastOf(own, {
      ...feeds,
      past: pick('past', 1),
      mask: pick('mask', 1),
      historic: byTime(pick('historic', 2), [2, inputLength, 2]),
      static: ndarray(fixed, [2, 1]),
    }).data;
    for (let row = 0; row < 2 * horizon; row++)
      for (let c = 0; c < columns; c++)
        expect(all[(row * series + s) * columns + c]).toBeCloseTo(alone[row * columns + c]!, 10);
  }
});

test('quantiles rise, and those of a sum of independent series are nearer to it than the sum of theirs', () => {
  const one = spec({ samples: 400 }, 'normal');
  const { data } = forecastOf(one);
  const { quantiles } = one.loss;
  const at = (s: number, q: number): number => data[s * quantiles.length + quantiles.indexOf(q)]!;
  for (let s = 0; s < series; s++) {
    const rising = [...quantiles].sort((a, b) => a - b).map((q) => at(s, q));
    expect([...rising].sort((a, b) => a - b)).toEqual(rising);
  }
  const width = (s: number): number => at(s, 0.95) - at(s, 0.05);
  expect(width(0)).toBeLessThan(width(2) + width(3) + width(4));
  expect(width(0)).toBeGreaterThan(Math.max(width(2), width(3), width(4)));
});

test('the loss is that of every series by itself', () => {
  const graph = trainingGraph(spec(), { batch: 2, training: false });
  expect(graph.parameters.map(leafName)).toEqual(
    trainingGraph(specOf(findModel('mlp'), { inputLength: 6, horizon: 3, hidden: 4 }), { batch: 2 }).parameters.map(
      leafName,
    ),
  );
});

test('samples are put in a new order, each row within itself, the same every time', () => {
  const order = shuffles(3, 50);
  for (let row = 0; row < 3; row++) {
    const own = [...order.subarray(row * 50, (row + 1) * 50)];
    expect([...own].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => row * 50 + i));
    expect(own).not.toEqual([...own].sort((a, b) => a - b));
  }
  expect(shuffles(3, 50)).toEqual(order);
});

test.each([
  [{ base: 'nhit' }, /hint\.base: one of/],
  [{ base: 'deepar' }, /hint\.base: it has to forecast the horizon at once/],
  [{ base: 'dlinear', historic: 1 }, /hint\.base: dlinear reads no historic columns/],
  [{ baseOptions: { hiden: 3 } }, /hint\.baseOptions: mlp\.hiden: .*hidden/],
  [{ summing: [[1], [1]] }, /hint\.summing: it has 2 rows, and there are 5 series/],
  [{ summing: [[1, 1], [1, 0], [0, 1], [1], [1, 0]] }, /different lengths/],
  [
    {
      summing: [
        [1, 1],
        [1, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ],
    },
    /last 2 rows have to be the bottom series/,
  ],
  [
    {
      summing: [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 0],
        [0, 1],
      ],
    },
    /a row adds nothing up/,
  ],
] as const)('%j is refused before any work', (options, message) => {
  expect(() => spec(options)).toThrow(message);
});
