/** IEEE 754 half precision, round to nearest even; values beyond its range become the largest finite half. */

const scratch = new Float32Array(1);
const bits = new Uint32Array(scratch.buffer);
const largestHalf = 65_504;

/** The 16 bits of the half nearest to a number. */
export function toHalf(value: number): number {
  scratch[0] = Math.max(-largestHalf, Math.min(largestHalf, value));
  const word = bits[0]!;
  const sign = (word >>> 16) & 0x8000;
  const exponent = ((word >>> 23) & 0xff) - 112; // the half's exponent, biased by 15 instead of 127
  const mantissa = (word & 0x7fffff) | 0x800000;
  if (exponent <= -11) return sign; // rounds to zero
  const shift = exponent <= 0 ? 14 - exponent : 13; // subnormals give up more bits
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const halfway = 1 << (shift - 1);
  const rounded = kept + (rest > halfway || (rest === halfway && (kept & 1) === 1) ? 1 : 0);
  return sign | (exponent <= 0 ? rounded : rounded + ((exponent - 1) << 10));
}

/** The number that 16 bits of half precision stand for. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The number as FP16 arithmetic has it: the nearest half, infinite beyond the range. */
export function roundToHalf(value: number): number {
  const halfway = largestHalf + 16; // to the half that would come next
  return Math.abs(value) < halfway ? fromHalf(toHalf(value)) : value * Number.POSITIVE_INFINITY;
}
