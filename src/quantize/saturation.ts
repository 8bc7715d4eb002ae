/**
 * Could an integer product saturate on some processor? x86 without VNNI adds two neighbouring products of uint8 and int8
 * in 16 bits and clips the sum, silently (`vpmaddubsw`). This looks at the weights alone, so it holds for every input and
 * says the same on every processor.
 */
const largestSum = 32_767;
const largestInput = 255;

/** How many output channels have two weights whose products with inputs of 255 do not fit 16 bits together. */
export function saturatingChannels(weights: Int8Array, channels: number, channelOf: (i: number) => number): number {
  // The two largest and the two smallest of each channel.
  const ends = Array.from({ length: channels }, () => ({ high: [0, 0], low: [0, 0] }));
  for (const [i, weight] of weights.entries()) {
    const { high, low } = ends[channelOf(i)]!;
    if (weight > high[1]!) high.splice(0, 2, ...[...high, weight].sort((a, b) => b - a).slice(0, 2));
    if (weight < low[1]!) low.splice(0, 2, ...[...low, weight].sort((a, b) => a - b).slice(0, 2));
  }
  const sum = ([a, b]: number[]): number => largestInput * (a! + b!);
  return ends.filter(({ high, low }) => sum(high) > largestSum || sum(low) < -largestSum - 1).length;
}
