import { expect, test } from 'vitest';
import { baselineVerdict, groupVerdict, surpriseVerdict } from '../../src/runtime/verdict.js';

test('a surprise is told with what was expected, when, and how large the usual error is', () => {
  const surprise = { lead: 4, expected: 60, halfWidth: 2, score: 5, p: 5e-4 };
  expect(surpriseVerdict(70, surprise, '°C')).toEqual({
    p: 5e-4,
    score: 5,
    expected: 60,
    lo: 58,
    hi: 62,
    sentence: '70 °C is 10 above the 60 expected 4 steps earlier, 5 times the usual error (p 0.00050)',
  });
  expect(surpriseVerdict(50, { ...surprise, lead: 1 }, null).sentence).toMatch(
    /^50 is 10 below the 60 expected 1 step earlier/,
  );
});

test('a baseline says whether a bucket or the level is out', () => {
  const found = { p: 1e-4, against: 'forecast', value: 70, expected: 60, halfWidth: 2 } as const;
  expect(baselineVerdict(found, '°C')).toMatchObject({
    score: 5,
    sentence: '70 °C is 10 above the 60 that simple forecasts expected (p 0.00010)',
  });
  expect(baselineVerdict({ ...found, against: 'level', halfWidth: 0 }, null)).toMatchObject({
    score: null,
    sentence: 'the recent level of 70 is 10 above the 60 of the long-time level (p 0.00010)',
  });
});

test('a group names the stream that stands out most', () => {
  const found = { p: 1e-6, hotelling: 3, residual: 8, sensor: 1, expected: 32, spread: 0.4 };
  expect(groupVerdict(found, [5, 25.1], ['power', 'flow'])).toMatchObject({
    p: 1e-6,
    channel: 'flow',
    score: 8,
    expected: 32,
    sentence: 'the 2 streams together are unusual (p 0.0000010); flow stands out most: 25.1 where 32 ± 0.8 is usual',
  });
});
