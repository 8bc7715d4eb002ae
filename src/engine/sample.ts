/** Which windows a step sees: every window once in a random order, then in another one, and so on. */
import { createRandom } from './random.js';

/**
 * The windows of step `step` (from 0), written into `chosen`. A pure function of seed and step, so that a resumed run
 * needs no state; the order of the current round is only kept so as not to be drawn again.
 */
export function createSampler(count: number, seed: number): (step: number, chosen: Uint32Array) => void {
  const order = new Uint32Array(count);
  let drawn = -1;
  const draw = (round: number): void => {
    const random = createRandom(seed, 'windows', round);
    for (let i = 0; i < count; i++) order[i] = i;
    for (let i = count - 1; i > 0; i--) {
      const other = Math.floor(random() * (i + 1));
      [order[i], order[other]] = [order[other]!, order[i]!];
    }
    drawn = round;
  };
  return (step, chosen) => {
    for (let place = 0; place < chosen.length; place++) {
      const position = step * chosen.length + place;
      const round = Math.floor(position / count);
      if (round !== drawn) draw(round);
      chosen[place] = order[position % count]!;
    }
  };
}
