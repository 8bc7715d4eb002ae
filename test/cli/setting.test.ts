import { describe, expect, test } from 'vitest';
import { assign, parseLoss } from '../../src/cli/setting.js';

const task = { horizon: 4 };
const settings = (words: string[], ids = ['nhits', 'gru']) => {
  const { models, train } = assign(ids, task, words);
  return { train, ...Object.fromEntries(models.map(({ name, hyperparameters }) => [name, hyperparameters])) };
};

describe('--set', () => {
  test('without a model goes to every model that has the name', () => {
    expect(settings(['hidden=64', 'pool=[1,1,1]'])).toMatchObject({ nhits: { pool: [1, 1, 1] }, gru: { hidden: 64 } });
    expect(settings(['pool=[1,1,1]'])).not.toHaveProperty('gru.pool');
  });

  test('with a model goes to that one, and with train to the training loop', () => {
    expect(settings(['gru.layers=1', 'train.weightDecay=0.01', 'train.schedule=cosine'])).toMatchObject({
      gru: { layers: 1 },
      train: { weightDecay: 0.01, schedule: 'cosine' },
    });
    expect(settings(['gru.layers=1'])).not.toHaveProperty('nhits.layers');
  });

  test('reads numbers, booleans, lists and words', () => {
    expect(settings(['dropout=1e-1', 'pooling=average', 'blocks=[1,2]'], ['nhits'])).toMatchObject({
      nhits: { dropout: 0.1, pooling: 'average', blocks: [1, 2] },
    });
  });

  test.each([
    ['hiden=64', 'ND_HYPERPARAMETER', /the nearest is hidden/],
    ['lstm.layers=1', 'ND_HYPERPARAMETER', /lstm is not among the models/],
    ['nhist.layers=1', 'ND_MODEL_UNKNOWN', /the nearest is nhits/],
    ['hidden', 'ND_CLI_USAGE', /not of the form name=value/],
  ])('refuses %s', (word, code, message) => {
    expect(() => settings([word])).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error); // prettier-ignore
  });

  test('sees three horizons unless told otherwise', () => {
    expect(settings([])).toMatchObject({ gru: { inputLength: 12 } });
    expect(assign(['gru'], { horizon: 4, inputLength: 7 }).models[0]?.hyperparameters).toMatchObject({
      inputLength: 7,
    });
  });
});

test.each([
  ['mae', { name: 'mae' }],
  ['mq:80,90', { name: 'mq', levels: [80, 90] }],
  ['mq:80', { name: 'mq', levels: [80] }],
  ['mq:quantiles=0.1,0.9', { name: 'mq', quantiles: [0.1, 0.9] }],
  ['huber:2', { name: 'huber', delta: 2 }],
  ['huber-mq:80,90:delta=2', { name: 'huber-mq', levels: [80, 90], delta: 2 }],
  ['quantile:0.9', { name: 'quantile', q: 0.9 }],
])('--loss %s', (text, loss) => {
  expect(parseLoss(text)).toEqual(loss);
});
