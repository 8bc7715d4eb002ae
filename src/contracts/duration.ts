/** Durations in configuration: `5m` on the wire (or a number of milliseconds), milliseconds inside. */
import * as z from 'zod/mini';

export const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const duration = z.codec(
  z.union([
    z.int().check(z.nonnegative()),
    z.string().check(z.regex(/^\d+(?:ms|s|m|h|d)$/, 'expected a duration such as 30s or 5m')),
  ]),
  z.int(),
  {
    decode: (text) =>
      typeof text === 'number' ? text : Number.parseInt(text, 10) * unitsMs[text.replace(/^\d+/, '')]!,
    encode: (value) => value,
  },
);
