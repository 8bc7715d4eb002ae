import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../src/contracts/safetensors.js';
import { readLanguageConfig, readWeights } from '../../src/language/folder.js';
import { tiny, writeLanguageModel } from './example.js';

const root = mkdtempSync(join(tmpdir(), 'nd-language-'));
afterAll(() => rmSync(root, { recursive: true }));
const coded = (code: string) => expect.objectContaining({ code }) as Error;

describe('a folder as Hugging Face lays it out', () => {
  test.each([
    ['plain names', ''],
    ['names of a model with a head', 'transformer.'],
  ])('%s: sizes, and tensors by name, whole or from a place on', (name, prefix) => {
    const folder = writeLanguageModel(join(root, name), { prefix });
    expect(readLanguageConfig(folder)).toEqual({ endToken: 256, sizes: tiny });
    const { tensors } = readSafetensors(readFileSync(join(folder, 'model.safetensors')));
    const all = tensors[`${prefix}wpe.weight`]!.data as Float32Array;
    expect(readWeights(folder, 'wpe.weight', new Float32Array(all.length))).toEqual(all);
    expect(readWeights(folder, 'wpe.weight', new Float32Array(3), 5)).toEqual(all.subarray(5, 8));
  });

  test('without an inner width it is four times the width', () => {
    const folder = writeLanguageModel(join(root, 'inner'), { change: { n_inner: null } });
    expect(readLanguageConfig(folder).sizes.inner).toBe(32);
  });
});

describe('what cannot be used is refused with a code', () => {
  test('no folder, or one without the files', () => {
    expect(() => readLanguageConfig('')).toThrow(coded('ND_LANGUAGE_MODEL_MISSING'));
    expect(() => readLanguageConfig(join(root, 'nowhere'))).toThrow(coded('ND_LANGUAGE_MODEL_MISSING'));
  });

  test.each([
    ['another family', { model_type: 'llama' }],
    ['another activation', { activation_function: 'silu' }],
    ['sizes that are none', { n_layer: -1 }],
  ])('%s', (name, change) => {
    const folder = writeLanguageModel(join(root, name), { change });
    expect(() => readLanguageConfig(folder)).toThrow(coded('ND_LANGUAGE_MODEL_UNSUPPORTED'));
  });

  test('a tensor that is not there, is shorter, or is cut off', () => {
    const folder = writeLanguageModel(join(root, 'tensors'));
    const read = (name: string, length: number) => () => readWeights(folder, name, new Float32Array(length));
    expect(read('h.9.ln_1.bias', 8)).toThrow(coded('ND_LANGUAGE_MODEL_UNSUPPORTED'));
    expect(read('ln_f.bias', 9)).toThrow(coded('ND_LANGUAGE_MODEL_UNSUPPORTED'));
    const file = join(folder, 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -4));
    expect(read('ln_f.bias', 8)).toThrow(coded('ND_FILE_CORRUPT'));
    writeFileSync(join(folder, 'config.json'), 'no JSON');
    expect(() => readLanguageConfig(folder)).toThrow(coded('ND_LANGUAGE_MODEL_UNSUPPORTED'));
  });
});
