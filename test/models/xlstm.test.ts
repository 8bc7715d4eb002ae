import { describe, expect, test } from 'vitest';
import { evaluate, slice } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { xlstm } from '../../src/models/xlstm.js';
import { randomFeeds } from './cases.js';
import { modelContract, specOf } from './contract.js';

const small = { inputLength: 5, horizon: 2, series: 1, hidden: 8, blocks: 1, decoderHidden: 3 };

describe('xlstm with a number per unit', () => modelContract(xlstm, { ...small, cell: 'slstm' }));

test.each(['mlstm', 'slstm'])('%s: no step sees one after it', (cell) => {
  const graph = inferenceGraph({ ...specOf(xlstm, { ...small, cell }), scaler: 'identity' });
  const feeds = randomFeeds(graph, 1, 1);
  const adapter = feeds['model/adapter/weight']!; // [time, horizon]
  adapter.data.fill(0);
  adapter.data.fill(1, 4, 5); // the first forecast is made of the third state
  const past = feeds['past']!;
  const forecast = (step: number): number => {
    const changed = { ...past, data: past.data.map((value, i) => (i === step ? value + 1 : value)) };
    const first = slice(graph.outputs['forecast']!, { axis: 1, start: 0, end: 1 });
    return evaluate([first], { ...feeds, past: changed }, 1)[0]!.data[0]!;
  };
  const plain = forecast(-1);
  expect([0, 1, 2, 3, 4].filter((step) => forecast(step) !== plain)).toEqual([0, 1, 2]);
});

test('heads of slstm need columns of their own', () => {
  expect(() => xlstm.parse({ ...small, cell: 'slstm', hidden: 6 })).toThrow(
    /xlstm\.hidden: hidden must be a multiple of 4/,
  );
});
