import { expect, test } from 'vitest';
import { evaluate, ndarray, type NdArray } from '../../src/graph/index.js';
import { trainingGraph } from '../../src/models/assemble.js';
import { findModel, inferenceGraph, type ForecastSpec } from '../../src/models/index.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const shifts = [3, -2, 0.5, 7, 1, 4];
const scales = [2, 0.5, 4, 3, 10, 0.1];
const names = { historic: ['a'], future: ['b'], static: ['c'] };

test('windows of one series are scaled by the numbers that stand after their static columns', () => {
  const shape = { inputLength: 5, horizon: 3, historic: 1, future: 1, static: 1, hidden: 4 };
  const plain = specOf(findModel('mlp'), shape);
  const scaler = { kind: 'standard', columns: ['target', 'a', 'b'], statistics: [] } as const;
  const scaled: ForecastSpec = { ...plain, columns: { ...names, scaler } };
  const graphs = [inferenceGraph(scaled), inferenceGraph(plain)] as const;
  const training = [scaled, plain].map((spec) => trainingGraph(spec, { batch: 2, training: false }));
  const base = randomFeeds(training[1]!, 2, 3);
  const column = (of: number[], window: number, c: number): number => of[(window + c) % of.length]!;
  const to = (name: string, c: number): NdArray => {
    const { data, shape } = base[name]!;
    const per = data.length / 2;
    const missing = (i: number): boolean => name === 'past' && base['mask']!.data[i] === 0 && data[i] === 0;
    return ndarray(
      data.map((value, i) => {
        const w = Math.floor(i / per);
        return missing(i) ? 0 : value * column(scales, w, c) + column(shifts, w, c);
      }),
      shape,
    );
  };
  const fixed = base['static']!;
  const statistics = ndarray(
    Float64Array.from(
      [0, 1].flatMap((w) => [
        fixed.data[w]!,
        ...[0, 1, 2].map((c) => column(shifts, w, c)),
        ...[0, 1, 2].map((c) => column(scales, w, c)),
      ]),
    ),
    [2, 7],
  );
  const raw = {
    ...base,
    past: to('past', 0),
    target: to('target', 0),
    historic: to('historic', 1),
    future: to('future', 2),
    static: statistics,
  };
  const [ours, own] = graphs.map(
    (graph, i) => evaluate([graph.outputs['forecast']!], i === 0 ? raw : base, 2)[0]!.data,
  );
  for (const [i, value] of ours!.entries()) {
    const w = Math.floor(i / 3);
    expect(value).toBeCloseTo(own![i]! * column(scales, w, 0) + column(shifts, w, 0), 8);
  }
  const [loss, ownLoss] = training.map(
    (graph, i) => evaluate([graph.outputs['loss']!], i === 0 ? raw : base, 2)[0]!.data[0]!,
  );
  expect(loss).toBeCloseTo(ownLoss!, 8);
});

test('series that share windows are scaled each by its own numbers', () => {
  const series = 3;
  const plain = specOf(findModel('tsmixer'), { inputLength: 5, horizon: 2, series, hidden: 4, blocks: 1 }, 'mq');
  const scaler = { kind: 'standard', columns: ['target'], statistics: [] } as const;
  const [graph, without] = [inferenceGraph({ ...plain, columns: { scaler } }), inferenceGraph(plain)];
  const base = randomFeeds(without, 2, 3);
  const past = base['past']!;
  const raw = {
    ...base,
    past: ndarray(
      past.data.map((value, i) => value * scales[i % series]! + shifts[i % series]!),
      past.shape,
    ),
    static: ndarray(Float64Array.from([0, 1, 2].flatMap((s) => [shifts[s]!, scales[s]!])), [series, 2]),
  };
  const ours = evaluate([graph.outputs['forecast']!], raw, 2)[0]!.data;
  const own = evaluate([without.outputs['forecast']!], base, 2)[0]!.data;
  const columns = plain.loss.quantiles.length;
  for (const [i, value] of ours.entries()) {
    const s = Math.floor(i / columns) % series;
    expect(value).toBeCloseTo(own[i]! * scales[s]! + shifts[s]!, 8);
  }
});
