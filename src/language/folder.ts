/**
 * A language model of the GPT-2 family in a folder as Hugging Face lays it out: `config.json`, `model.safetensors` and
 * `tokenizer.json`. Nothing is downloaded and nothing in it is run; a tensor is read when it is asked for.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { indexSafetensors, safetensorsPrefix, type StoredEntry } from '../contracts/safetensors.js';
import { parseJson } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';

/** What its graph is made of. */
export const languageSizes = z.strictObject({
  vocabulary: z.int().min(1).describe('tokens it knows'),
  positions: z.int().min(1).describe('tokens it can read at once'),
  width: z.int().min(1).describe('numbers of a token'),
  layers: z.int().min(1).describe('blocks'),
  heads: z.int().min(1).describe('attention heads of a block'),
  inner: z.int().min(1).describe('width between the two linear maps of a block'),
});
export type LanguageSizes = z.output<typeof languageSizes>;

const config = z.object({
  model_type: z.literal('gpt2'),
  activation_function: z.literal('gelu_new').default('gelu_new'),
  vocab_size: z.int().min(1),
  n_positions: z.int().min(1),
  n_embd: z.int().min(1),
  n_layer: z.int().min(1),
  n_head: z.int().min(1),
  n_inner: z.int().min(1).nullish(),
  eos_token_id: z.int().min(0),
});

export interface LanguageConfig {
  readonly sizes: LanguageSizes;
  /** Ends a text, and fills what is left of it. */
  readonly endToken: number;
}

/** Throws `ND_LANGUAGE_MODEL_MISSING` without a folder or its files, `ND_LANGUAGE_MODEL_UNSUPPORTED` for another family. */
export function readLanguageConfig(folder: string): LanguageConfig {
  const file = 'config.json';
  const parsed = config.safeParse(readJson(folder, file));
  if (!parsed.success)
    throw unsupported(
      join(folder, file),
      parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
    );
  const { data } = parsed;
  return {
    endToken: data.eos_token_id,
    sizes: {
      vocabulary: data.vocab_size,
      positions: data.n_positions,
      width: data.n_embd,
      layers: data.n_layer,
      heads: data.n_head,
      inner: data.n_inner ?? 4 * data.n_embd,
    },
  };
}

/** A file of the folder as JSON. */
export function readJson(folder: string, file: string): unknown {
  const parsed = parseJson(readFileSync(pathOf(folder, file)));
  if (parsed.ok) return parsed.value;
  throw unsupported(join(folder, file), `it is no JSON (${parsed.detail ?? 'cannot be read'})`);
}

/** Fills `into` with a tensor of the model, or with as many numbers of it from `first` on. Throws as `readLanguageConfig` does. */
export function readWeights(folder: string, name: string, into: Float32Array, first = 0): Float32Array {
  const path = pathOf(folder, 'model.safetensors');
  const file = openSync(path, 'r');
  try {
    const { start, entries } = indexOf(path, file);
    const entry = entries[name] ?? entries[`transformer.${name}`]; // as a model with a head on top names it
    const length = entry?.shape.reduce((product, dim) => product * dim, 1) ?? 0;
    if (entry?.dtype !== 'F32' || first + into.length > length)
      throw unsupported(path, `${name} is ${entry ? `${entry.dtype} [${entry.shape}]` : 'not in it'}`);
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    const from = start + entry.from + first * Float32Array.BYTES_PER_ELEMENT;
    for (let at = 0; at < bytes.length;) {
      const read = readSync(file, bytes, at, Math.min(bytes.length - at, 1 << 30), from + at);
      if (read === 0) throw unsupported(path, `it ends within ${name}`);
      at += read;
    }
    return into;
  } finally {
    closeSync(file);
  }
}

interface Index {
  readonly start: number;
  readonly entries: Readonly<Record<string, StoredEntry>>;
}

/** The index of the file that was asked for last: a model has a hundred tensors. */
let latest: { readonly key: string; readonly index: Index } | undefined;

function indexOf(path: string, file: number): Index {
  const { size, mtimeMs } = fstatSync(file);
  const key = `${path} ${size} ${mtimeMs}`;
  if (latest?.key === key) return latest.index;
  const prefix = new Uint8Array(safetensorsPrefix);
  readSync(file, prefix, 0, prefix.length, 0);
  const headerBytes = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  const head = new Uint8Array(safetensorsPrefix + Math.min(headerBytes, size));
  readSync(file, head, 0, head.length, 0);
  const index = indexSafetensors(head, size, path);
  latest = { key, index };
  return index;
}

function pathOf(folder: string, file: string): string {
  const path = join(folder, file);
  try {
    closeSync(openSync(path, 'r'));
    return path;
  } catch (cause) {
    throw new NeuroDivergentError('ND_LANGUAGE_MODEL_MISSING', {
      where: folder === '' ? 'languageModel' : path,
      what:
        folder === ''
          ? 'The model reads its windows with a language model of the GPT-2 family, and none is named.'
          : `It cannot be read: ${(cause as Error).message}.`,
      mend: 'Set `languageModel` to a folder with model.safetensors, config.json and tokenizer.json, such as a download of openai-community/gpt2.',
      cause,
    });
  }
}

const unsupported = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_LANGUAGE_MODEL_UNSUPPORTED', {
    where,
    what: `The language model cannot be used: ${what}.`,
    mend: 'Take one of the GPT-2 family, saved as one safetensors file of 32 bit numbers.',
  });
