import { describe, expect, test } from 'vitest';
import { evaluate, leafName, verify } from '../../src/graph/index.js';
import { inferenceGraph, statisticsGraph, stepGraph, type ForecastSpec } from '../../src/models/assemble.js';
import { findModel, models, scalerNames } from '../../src/models/index.js';
import { modelCases, randomFeeds, type ModelCase } from './cases.js';
import { specOf } from './contract.js';
import { carriedZeros, plainStep, streamWindow } from './stream.js';

const forms: Record<string, readonly Record<string, unknown>[]> = {
  rnn: [{ recurrent: true, historic: 0 }],
  gru: [{ recurrent: true, historic: 0 }, { horizon: 11 }],
  lstm: [{ recurrent: true, historic: 0 }],
  deepar: [{ historic: 0 }],
  bitcn: [{ future: 0 }],
  dilatedrnn: [{ cell: 'gru' }, { cell: 'lstm', dilations: [[1], [2, 4]] }, { cell: 'rnn' }],
  tcn: [{ kernel: 1 }, { kernel: 3, dilations: [1, 5] }, { historic: 0, future: 0, static: 0 }],
  xlstm: [{ cell: 'slstm' }, { blocks: 2 }],
};

const streaming: readonly ModelCase[] = modelCases
  .filter(({ model }) => model.capabilities.streams !== undefined)
  .flatMap(({ id, model, hyperparameters }) => [
    ...(['deepar', 'bitcn'].includes(id) ? [] : [{ id, model, hyperparameters }]),
    ...forms[id]!.map((form) => ({
      id: `${id} ${JSON.stringify(form)}`,
      model,
      hyperparameters: { ...hyperparameters, ...form },
    })),
  ]);

const plain = (spec: ForecastSpec): ForecastSpec => ({ ...spec, scaler: 'identity' });
const taskOf = ({ hyperparameters }: ForecastSpec) => hyperparameters as { inputLength: number; horizon: number };

describe.each(streaming)('$id', ({ model, hyperparameters }) => {
  const spec = plain(specOf(model, hyperparameters, 'mq'));
  const window = inferenceGraph(spec);
  const step = stepGraph(spec);

  test('step by step from zeros, it forecasts what it forecasts of the window', () => {
    verify(step);
    const feeds = randomFeeds(window, 3, 1);
    const [expected] = evaluate([window.outputs['forecast']!], feeds, 3);
    const found = streamWindow(plainStep(step, 3), carriedZeros(step, 3), feeds, taskOf(spec).horizon);
    expect(found.shape).toEqual(expected!.shape);
    for (const [i, value] of expected!.data.entries()) expect(found.data[i]).toBeCloseTo(value, 11);
  });

  test('it has the weights of the window, and carries one row per stream', () => {
    expect(step.parameters.map(leafName).sort()).toEqual(window.parameters.map(leafName).sort());
    const carried = step.inputs.filter((input) => `${leafName(input)}/next` in step.outputs);
    expect(carried.length).toBeGreaterThan(0);
    for (const { shape } of carried) expect(shape[0]).toBe('batch');
  });
});

const held = (scaler: ForecastSpec['scaler']): ForecastSpec => ({
  ...specOf(findModel('gru'), { inputLength: 6, horizon: 3, hidden: 3 }, 'mq'),
  scaler,
});

test.each(scalerNames.filter((name) => name !== 'identity'))(
  'with the statistics of a window held, %s streams as it reads that window',
  (scaler) => {
    const [window, step] = [inferenceGraph(held(scaler)), stepGraph(held(scaler), { heldScale: true })];
    const feeds = randomFeeds(window, 2, 5);
    const { outputs } = statisticsGraph(held(scaler));
    const [shift, scale] = evaluate([outputs['shift']!, outputs['scale']!], feeds, 2);
    const [expected] = evaluate([window.outputs['forecast']!], feeds, 2);
    const carried = carriedZeros(step, 2);
    const found = streamWindow(plainStep(step, 2), carried, { ...feeds, shift: shift!, scale: scale! }, 3);
    for (const [i, value] of expected!.data.entries()) expect(found.data[i]).toBeCloseTo(value, 11);
  },
);

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
  const task = { inputLength: 6, horizon: 3 };
  const spec = (id: string, own: object = {}, scaler: ForecastSpec['scaler'] = 'identity'): ForecastSpec => ({
    ...specOf(findModel(id), { ...task, ...own }),
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
