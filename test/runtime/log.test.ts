import { expect, test } from 'vitest';
import { createLog } from '../../src/runtime/log.js';

const lines = (level: Parameters<typeof createLog>[0], journal = false) => {
  const written: string[] = [];
  return { log: createLog(level, journal, (line) => written.push(line)), written };
};

test('a line says what happened and its facts, each of them one word', () => {
  const { log, written } = lines('info');
  log.line('link', { state: 'online', reason: null, detail: 'two words', count: 3, list: [1], odd: 'a\nb="c"' });
  expect(written).toEqual(['link state=online detail="two words" count=3 list=[1] odd="a\\nb=\\"c\\""\n']);
});

test('the level says what is kept', () => {
  const { log, written } = lines('warning');
  log.line('link', {});
  log.line('database-error', {});
  log.line('model-failed', {});
  log.level = 'error';
  log.line('database-error', {});
  log.level = 'debug';
  log.line('first-forecast', {});
  expect(written).toEqual(['database-error\n', 'model-failed\n', 'first-forecast\n']);
});

test('the journal learns the level; a line has an end', () => {
  const { log, written } = lines('info', true);
  log.line('database-error', { detail: 'x'.repeat(10_000) });
  expect(written[0]).toMatch(/^<4>database-error detail=x+\n$/);
  expect(written[0]!.length).toBe(4097);
});
