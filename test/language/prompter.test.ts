import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readWeights } from '../../src/language/folder.js';
import { promptOf } from '../../src/language/prompt.js';
import { createPrompter } from '../../src/language/prompter.js';
import { tiny, writeLanguageModel } from './example.js';

const root = mkdtempSync(join(tmpdir(), 'nd-prompter-'));
afterAll(() => rmSync(root, { recursive: true }));
const folder = writeLanguageModel(join(root, 'tiny'));
const task = { inputLength: 4, horizon: 2, lags: 2, about: '' };

test('a prompt is the rows of its tokens, filled up with the token that ends a text', () => {
  const text = promptOf(Float32Array.from([1, 3, 2, 4]), task);
  const bytes = [...Buffer.from(text)];
  const tokens = bytes.length + 3;
  const past = Float32Array.from([9, 9, 9, 9, 1, 3, 2, 4]);
  const { data, dims } = createPrompter({ ...task, folder, tokens }, 3).read(past, 2);
  expect(dims).toEqual([2, tokens, tiny.width]);
  const row = (token: number) => readWeights(folder, 'wte.weight', new Float32Array(tiny.width), token * tiny.width);
  const at = (place: number) => data.subarray((tokens + place) * tiny.width, (tokens + place + 1) * tiny.width);
  for (const [place, byte] of bytes.entries()) expect(at(place)).toEqual(row(byte));
  for (const place of [bytes.length, tokens - 1]) expect(at(place)).toEqual(row(256));
});

test('a prompt that is too long is cut', () => {
  const { dims } = createPrompter({ ...task, folder, tokens: 5 }, 1).read(new Float32Array(4), 1);
  expect(dims).toEqual([1, 5, tiny.width]);
});
