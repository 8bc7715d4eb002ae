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
  const state = seedWords(keys, 4); // a typed array, since variables of a closure would be boxed at every draw
  return () => {
    const a = state[0]!;
    const b = state[1]!;
    const c = state[2]!;
    const counter = state[3]!;
    const word = (a + b + counter) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + word;
    state[3] = counter + 1;
    return (word >>> 0) / 2 ** 32;
  };
}
