/** What a detector says of a bucket, with a sentence for people; the alerts' state machine reads only `p`. */
import type { AlertPayload } from '../contracts/payload.js';
import type { BaselineVerdict } from './baseline.js';
import type { Surprise } from './calibration.js';
import type { GroupVerdict } from './group.js';

export interface Verdict extends Pick<AlertPayload, 'expected' | 'lo' | 'hi' | 'score'> {
  /** Chance of something at least as unusual. */
  readonly p: number;
  readonly sentence: string;
  /** The stream in question, when a detector watches several. */
  readonly channel?: string;
}

/** "74.1 °C is 12.6 above the 61.5 expected 12 steps earlier, 5.3 times the usual error (p 0.0004)" */
export function surpriseVerdict(
  value: number,
  { expected, halfWidth, lead, score, p }: Surprise,
  unit: string | null,
): Verdict {
  const steps = lead === 1 ? '1 step' : `${lead} steps`;
  const sentence = `${quantity(value, unit)} is ${side(value, expected)} expected ${steps} earlier, ${brief(score)} times the usual error (p ${p.toPrecision(2)})`;
  return { p, score, sentence, ...band(expected, halfWidth) };
}

/** "74.1 °C is 12.6 above the 61.5 that the best simple forecast expected (p 0.0004)" */
export function baselineVerdict(
  { p, against, value, expected, halfWidth }: BaselineVerdict,
  unit: string | null,
): Verdict {
  const what = against === 'forecast' ? quantity(value, unit) : `the recent level of ${quantity(value, unit)}`;
  const than = against === 'forecast' ? 'that simple forecasts expected' : 'of the long-time level';
  const score = halfWidth > 0 ? Math.abs(value - expected) / halfWidth : null;
  return {
    p,
    score,
    sentence: `${what} is ${side(value, expected)} ${than} (p ${p.toPrecision(2)})`,
    ...band(expected, halfWidth),
  };
}

/** "a, b and c together do not fit (p 1e-6); flow stands out most: 25.1 where 32.2 ± 0.8 is usual" */
export function groupVerdict(
  { p, hotelling, residual, sensor, expected, spread }: GroupVerdict,
  values: readonly number[],
  streams: readonly string[],
): Verdict {
  const channel = streams[sensor]!;
  const halfWidth = 2 * spread;
  const sentence = `the ${streams.length} streams together are unusual (p ${p.toPrecision(2)}); ${channel} stands out most: ${brief(values[sensor]!)} where ${brief(expected)} ± ${brief(halfWidth)} is usual`;
  return { p, channel, score: Math.max(hotelling, residual), sentence, ...band(expected, halfWidth) };
}

const band = (expected: number, halfWidth: number) => ({
  expected,
  lo: expected - halfWidth,
  hi: expected + halfWidth,
});

const side = (value: number, expected: number): string =>
  `${brief(Math.abs(value - expected))} ${value >= expected ? 'above' : 'below'} the ${brief(expected)}`;

const quantity = (value: number, unit: string | null): string => `${brief(value)}${unit === null ? '' : ` ${unit}`}`;

const brief = (value: number): string => String(Number(value.toPrecision(4)));
