/** Prompts of windows as the language model reads them: words to tokens, tokens to rows of its embedding table. */
import { Tokenizer } from '@huggingface/tokenizers';
import { promptOf, type PromptTask } from './prompt.js';
import { readJson, readLanguageConfig, readWeights } from './folder.js';

export interface PromptSettings extends PromptTask {
  /** The folder of the language model. */
  readonly folder: string;
  /** Tokens a prompt has: longer ones are cut, shorter ones filled with the token that ends a text. */
  readonly tokens: number;
}

export interface Prompter {
  /** What the windows are fed with, `[count, tokens, width]`; the array is the same at every call. */
  read(past: Float32Array, count: number): { readonly data: Float32Array; readonly dims: readonly number[] };
}

/** Its own types name their files without extensions, and so cannot be followed. */
const TextTokenizer = Tokenizer as unknown as new (
  tokenizer: unknown,
  config: object,
) => { encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] } };

/** For up to `size` windows at once. Throws `ND_LANGUAGE_MODEL_…`. */
export function createPrompter(settings: PromptSettings, size: number): Prompter {
  const { folder, tokens, inputLength } = settings;
  const { endToken, sizes } = readLanguageConfig(folder);
  const { width } = sizes;
  const tokenizer = new TextTokenizer(readJson(folder, 'tokenizer.json'), {});
  const rows = new Map<number, Float32Array>();
  const row = (token: number): Float32Array => {
    const found =
      rows.get(token) ??
      readWeights(folder, 'wte.weight', new Float32Array(width), Math.min(token, sizes.vocabulary - 1) * width);
    rows.set(token, found);
    return found;
  };
  const all = new Float32Array(size * tokens * width);
  return {
    read(past, count) {
      for (let window = 0; window < count; window++) {
        const text = promptOf(past.subarray(window * inputLength, (window + 1) * inputLength), settings);
        const { ids } = tokenizer.encode(text, { add_special_tokens: false });
        for (let place = 0; place < tokens; place++)
          all.set(row(ids[place] ?? endToken), (window * tokens + place) * width);
      }
      return { data: all.subarray(0, count * tokens * width), dims: [count, tokens, width] };
    },
  };
}
