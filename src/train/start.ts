/** Where a run starts: its weights, and what tells it from other runs. Apart from the plan, so that a worker loads no graph. */
import { createHash } from 'node:crypto';
import { createRandom } from '../engine/random.js';
import type { Init } from '../graph/index.js';
import { readWeights } from '../language/folder.js';

/** Fills a parameter or state: the values depend on seed, path, shape and kind of start, and on nothing else. */
export function drawStart(values: Float32Array, path: string, init: Init, seed: number): Float32Array {
  const random = createRandom(seed, path);
  switch (init.kind) {
    case 'constant':
      return values.fill(init.value);
    case 'uniform':
      for (let i = 0; i < values.length; i++) values[i] = (2 * random() - 1) * init.bound;
      return values;
    case 'normal': {
      const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()); // Box and Muller
      for (let i = 0; i < values.length; i++) values[i] = init.deviation * normal();
      return values;
    }
    case 'stored':
      return readWeights(init.folder, init.tensor, values);
  }
}

/** SHA-256 of parts that must be equal for one run to go on where another stopped. */
export function fingerprint(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}
