/** What TimeLLM tells its language model about a window, in words (https://arxiv.org/abs/2310.01728, figure 4). */

export interface PromptTask {
  readonly inputLength: number;
  readonly horizon: number;
  /** Lags that are named. */
  readonly lags: number;
  /** What the text begins with: about the data, in the user's words. */
  readonly about: string;
}

const epsilon = 1e-5;

/** The text for one window `[inputLength]`. It is written about the window normalised, so its units do not matter. */
export function promptOf(past: Float32Array, { inputLength, horizon, lags, about }: PromptTask): string {
  const x = normalized(past);
  const sorted = [...x].sort((a, b) => a - b);
  const [least, most] = [sorted[0]!, sorted.at(-1)!];
  const median = sorted[(sorted.length - 1) >> 1]!; // the lower of two, as PyTorch takes it
  return (
    `<|start_prompt|>${about}Task description: forecast the next ${horizon} steps given the previous ${inputLength} steps information; ` +
    `Input statistics: min value ${asPython(least)}, max value ${asPython(most)}, median value ${asPython(median)}, ` +
    `the trend of input is ${x.at(-1)! > x[0]! ? 'upward' : 'downward'}, ` +
    `top 5 lags are : [${strongestLags(x, lags).join(', ')}]<|<end_prompt>|>`
  );
}

/** Mean 0 and variance 1, each rounded to 32 bits as the model sees it. */
function normalized(past: Float32Array): Float32Array {
  const mean = past.reduce((sum, value) => sum + value, 0) / past.length;
  const variance = past.reduce((sum, value) => sum + (value - mean) ** 2, 0) / past.length;
  const deviation = Math.sqrt(variance + epsilon);
  return past.map((value) => (value - mean) / deviation);
}

/** Where the window, closed to a ring and shifted, is most like itself; of equal ones the shorter first. */
function strongestLags(x: Float32Array, count: number): number[] {
  const likeness = Array.from(x, (_, lag) =>
    Math.fround(x.reduce((sum, value, i) => sum + value * x[(i + lag) % x.length]!, 0)),
  );
  return [...likeness.keys()].sort((a, b) => likeness[b]! - likeness[a]! || a - b).slice(0, count);
}

/** A number as Python prints it: `1.0`, `1e-05`. */
function asPython(value: number): string {
  const text = String(value);
  if (/^-?\d+$/.test(text)) return `${text}.0`;
  const [mantissa, exponent] = (Math.abs(value) < 1e-4 ? value.toExponential() : text).split('e') as [string, string?];
  return exponent === undefined ? mantissa : `${mantissa}e-${exponent.slice(1).padStart(2, '0')}`;
}
