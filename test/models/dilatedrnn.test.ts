import { expect, test } from 'vitest';
import { evaluate } from '../../src/graph/index.js';
import { dilatedrnn } from '../../src/models/dilatedrnn.js';
import { inferenceGraph } from '../../src/models/index.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

test.each(['rnn', 'gru', 'lstm', 'res-lstm'])(
  '%s with stride 3: the last state comes from every third step',
  (cell) => {
    const options = { inputLength: 8, horizon: 1, cell, dilations: [[3]], hidden: 2, decoderHidden: 3 };
    const graph = inferenceGraph({ ...specOf(dilatedrnn, options), scaler: 'identity' });
    const feeds = randomFeeds(graph, 1, 1);
    feeds['model/adapter/weight']!.data.fill(0, 0, 7); // leaves the last state
    feeds['model/decoder/layer0/bias']!.data.fill(9); // keeps every unit of the decoder at work
    const forecast = (step: number): number => {
      const past = feeds['past']!;
      const changed = { ...past, data: past.data.map((value, i) => (i === step ? value + 1 : value)) };
      return evaluate([graph.outputs['forecast']!], { ...feeds, past: changed }, 1)[0]!.data[0]!;
    };
    const plain = forecast(-1);
    const counts = [0, 1, 2, 3, 4, 5, 6, 7].filter((step) => forecast(step) !== plain);
    expect(counts).toEqual([1, 4, 7]);
  },
);
