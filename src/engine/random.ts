/** Seeded random numbers: the same keys give the same stream on every machine. Not for secrets. */

/** 32-bit words from any number of keys (FNV-1a of their text, then splitmix32). */
export function seedWords(keys: readonly (number | string)[], count: number): Uint32Array {
  let state = 0x811c9dc5;
  for (const character of JSON.stringify(keys)) state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193);
  return Uint32Array.from({ length: count }, () => {
    state = (state + 0x9e3779b9) | 0;
    let word = state ^ (state >>> 16);
    word = Math.imul(word, 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return word ^ (word >>> 15);
  });
}

/** Uniform draws in [0, 1) with 32 bits each (sfc32, https://pracrand.sourceforge.net). */
export function createRandom(...keys: (number | string)[]): () => number {
  let [a, b, c, counter] = seedWords(keys, 4) as unknown as [number, number, number, number];
  return () => {
    const word = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + word;
    return (word >>> 0) / 2 ** 32;
  };
}

/** Fills an array with the draws of `createRandom`, spread over [-bound, bound): as fast as weights in their millions want it. */
export function fillUniform(values: Float32Array, bound: number, ...keys: (number | string)[]): Float32Array {
  let [a, b, c, counter] = seedWords(keys, 4) as unknown as [number, number, number, number];
  for (let i = 0; i < values.length; i++) {
    const word = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + word;
    values[i] = ((word >>> 0) / 2 ** 31 - 1) * bound;
  }
  return values;
}
