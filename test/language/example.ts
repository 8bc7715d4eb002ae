/** A tiny language model of the GPT-2 family in a folder: seeded weights, and a tokenizer whose tokens are bytes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors, type StoredTensor } from '../../src/contracts/safetensors.js';
import type { LanguageSizes } from '../../src/language/folder.js';
import { seeded } from '../graph/ops/samples.js';

export const tiny: LanguageSizes = { vocabulary: 257, positions: 320, width: 8, layers: 2, heads: 2, inner: 12 };

export function writeLanguageModel(
  folder: string,
  { change = {}, prefix = '' }: { change?: Record<string, unknown>; prefix?: string } = {},
): string {
  mkdirSync(folder, { recursive: true });
  const { vocabulary, positions, width, layers, heads, inner } = tiny;
  const config = {
    model_type: 'gpt2',
    activation_function: 'gelu_new',
    vocab_size: vocabulary,
    n_positions: positions,
    n_embd: width,
    n_layer: layers,
    n_head: heads,
    n_inner: inner,
    eos_token_id: 256,
    ...change,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));

  const random = seeded(5);
  const tensor = (...shape: number[]): StoredTensor => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0.4 * (random() - 0.5)),
  });
  const layer = (i: number): [string, StoredTensor][] =>
    Object.entries({
      'ln_1.weight': tensor(width),
      'ln_1.bias': tensor(width),
      'attn.c_attn.weight': tensor(width, 3 * width),
      'attn.c_attn.bias': tensor(3 * width),
      'attn.c_proj.weight': tensor(width, width),
      'attn.c_proj.bias': tensor(width),
      'ln_2.weight': tensor(width),
      'ln_2.bias': tensor(width),
      'mlp.c_fc.weight': tensor(width, inner),
      'mlp.c_fc.bias': tensor(inner),
      'mlp.c_proj.weight': tensor(inner, width),
      'mlp.c_proj.bias': tensor(width),
    }).map(([name, value]) => [`h.${i}.${name}`, value]);
  const tensors: [string, StoredTensor][] = [
    ['wte.weight', tensor(vocabulary, width)],
    ['wpe.weight', tensor(positions, width)],
    ['ln_f.weight', tensor(width)],
    ['ln_f.bias', tensor(width)],
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
  ];
  const named = tensors.map(([name, value]) => [prefix + name, value] as const);
  writeFileSync(join(folder, 'model.safetensors'), writeSafetensors(Object.fromEntries(named)));

  // GPT-2 writes each byte as a letter: printable ones as themselves, the others from U+0100 on.
  const printable = (byte: number): boolean =>
    (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || (byte > 173 && byte < 256);
  let next = 256;
  const letters = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
  const tokenizer = {
    version: '1.0',
    added_tokens: [
      {
        id: 256,
        content: '<|endoftext|>',
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(letters.map((letter, byte) => [letter, byte])),
      merges: [],
    },
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  return folder;
}
