/** Patches: stretches of the window that a transformer reads as words (https://arxiv.org/abs/2211.14730). */

/** Where the values of each patch lie, one patch after the other; the last value is repeated for one stride more. */
export function patchIndices(inputLength: number, length: number, stride: number): number[] {
  const patches = Math.floor((inputLength + stride - length) / stride) + 1;
  return Array.from({ length: patches * length }, (_, i) =>
    Math.min(Math.floor(i / length) * stride + (i % length), inputLength - 1),
  );
}
