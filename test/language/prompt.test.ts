import { expect, test } from 'vitest';
import { promptOf } from '../../src/language/prompt.js';
import { fixtures } from '../fixtures.js';

const task = { inputLength: 8, horizon: 3, lags: 3, about: 'Room 4. ' };

test('a window is told in its own units of spread, with its trend and where it repeats', () => {
  const text = promptOf(Float32Array.from([1, 2, 1, 2, 1, 2, 1, 2]), task);
  expect(text).toBe(
    '<|start_prompt|>Room 4. Task description: forecast the next 3 steps given the previous 8 steps information; ' +
      'Input statistics: min value -0.9999799728393555, max value 0.9999799728393555, median value -0.9999799728393555, ' +
      'the trend of input is upward, top 5 lags are : [0, 2, 4]<|<end_prompt>|>',
  );
});

test('a constant window has no spread, and numbers are written as Python writes them', () => {
  expect(promptOf(new Float32Array(8).fill(7), task)).toContain(
    'min value 0.0, max value 0.0, median value 0.0, the trend',
  );
  expect(promptOf(Float32Array.from([0, 0, 0, 0, 0, 0, 0, 1e-7]), task)).toMatch(/min value -\d\.\d+e-06, max value 2/);
});

const cases = fixtures('models').filter(({ info }) => info['model'] === 'TimeLLM');
test.skipIf(cases.length === 0)('the prompts are those of the reference library', () => {
  for (const { info, tensors } of cases) {
    const {
      h: horizon,
      input_size: inputLength,
      top_k: lags,
      prompt_prefix: prefix,
    } = info['hyperparameters'] as {
      h: number;
      input_size: number;
      top_k: number;
      prompt_prefix: string | null;
    };
    const past = Float32Array.from(tensors['input/insample_y']!.data);
    const number = /-?\d+\.\d+(e-\d+)?/g;
    for (const [row, theirs] of (info['prompts'] as string[]).entries()) {
      const window = past.subarray(row * inputLength, (row + 1) * inputLength);
      const ours = promptOf(window, { inputLength, horizon, lags, about: prefix ?? 'None' });
      // A lag and its mirror are equally like the window: which comes first, the rounding of the library's FFT says.
      const folded = (text: string): string =>
        text
          .replace(number, '·')
          .replace(/\[.*\]/, (list) =>
            (JSON.parse(list) as number[]).map((lag) => Math.min(lag, inputLength - lag)).join(),
          );
      expect(folded(ours)).toBe(folded(theirs));
      const [own, expected] = [ours, theirs].map((text) => (text.match(number) ?? []).map(Number));
      for (const [i, value] of own!.entries()) expect(value).toBeCloseTo(expected![i]!, 5);
    }
  }
});
