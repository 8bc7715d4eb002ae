import { describe, expect, test } from 'vitest';
import { leafName } from '../../src/graph/index.js';
import { inferenceGraph, stepGraph, type ForecastSpec } from '../../src/models/assemble.js';
import { findModel, models, scalerNames } from '../../src/models/index.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';
import { carriedZeros, expectStreams, plainStep, streamWindow } from './stream.js';

const plain = (spec: ForecastSpec): ForecastSpec => ({ ...spec, scaler: 'identity' });

const task = { inputLength: 8, horizon: 4, historic: 1, future: 2, static: 3, hidden: 4 };
/** What the contract does not try. */
const forms: readonly (readonly [id: string, own: Record<string, unknown>])[] = [
  ['rnn', { recurrent: true, historic: 0 }],
  ['gru', { recurrent: true, historic: 0 }],
  ['lstm', { recurrent: true, historic: 0 }],
  ['gru', { horizon: 11 }],
  ['dilatedrnn', { cell: 'gru' }],
  ['dilatedrnn', { cell: 'lstm', dilations: [[1], [2, 4]] }],
  ['dilatedrnn', { cell: 'rnn' }],
  ['tcn', { kernel: 1 }],
  ['tcn', { kernel: 3, dilations: [1, 5] }],
  ['xlstm', { cell: 'slstm' }],
  ['xlstm', { blocks: 2 }],
];

test.each(forms)('%s %o streams as it reads windows', (id, own) =>
  expectStreams(plain(specOf(findModel(id), { ...task, ...own }, 'mq'))),
);

const held = (scaler: ForecastSpec['scaler']): ForecastSpec => ({
  ...specOf(findModel('gru'), { inputLength: 6, horizon: 3, hidden: 3 }, 'mq'),
  scaler,
});

test.each(scalerNames.filter((name) => name !== 'identity'))(
  'with the statistics of a window held, %s streams as it reads that window',
  (scaler) => expectStreams(held(scaler)),
);

test('all that is carried is one row per stream', () => {
  const { inputs, outputs } = stepGraph(held('identity'));
  expect(inputs.map((input) => [leafName(input), input.shape])).toEqual([
    ['past', ['batch', 1, 1]],
    ['state', ['batch', 12]], // two layers of 3, and the states of two steps before
  ]);
  expect(outputs['state/next']!.shape).toEqual(['batch', 12]);
});

test('past its window a stream goes on: what it read before counts still', () => {
  const spec = plain(held('identity'));
  const [window, step] = [inferenceGraph(spec), stepGraph(spec)];
  const feeds = randomFeeds(window, 1, 7);
  const past = feeds['past']!;
  const longer = { data: Float64Array.from([5, -5, ...past.data]), shape: [1, past.data.length + 2, 1] };
  const run = (read: typeof past): number[] =>
    Array.from(streamWindow(plainStep(step, 1), carriedZeros(step, 1), { ...feeds, past: read }, 3).data);
  expect(run(longer)).not.toEqual(run(past));
});

describe('a model that has no graph of one step says why', () => {
  const small = { inputLength: 6, horizon: 3 };
  const spec = (id: string, own: object = {}, scaler: ForecastSpec['scaler'] = 'identity'): ForecastSpec => ({
    ...specOf(findModel(id), { ...small, ...own }),
    scaler,
  });
  test.each([
    ['it reads the window anew', spec('nhits'), {}, /whole window anew/],
    ['it looks ahead', spec('bitcn', { future: 1 }), {}, /looks ahead/],
    ['it waits for columns', spec('deepar', { historic: 1 }), {}, /have not come yet/],
    ['the scaler sees the window', spec('gru', {}, 'robust'), {}, /"robust" shifts and scales by statistics/],
    ['nothing can be held', spec('gru'), { heldScale: true }, /no statistics to hold/],
    ['columns have statistics', spec('gru', { historic: 1 }, 'robust'), { heldScale: true }, /of every column/],
  ])('%s', (_, refused, options, reason) => {
    expect(() => stepGraph(refused, options)).toThrow(reason);
    expect(() => stepGraph(refused, options)).toThrow(/ND_EXPORT_NO_STREAM/);
  });

  test('none that claims to stream is refused as it comes', () => {
    for (const model of models.filter(({ capabilities }) => capabilities.streams !== undefined))
      expect(() => stepGraph(spec(model.id)), model.id).not.toThrow();
  });
});
