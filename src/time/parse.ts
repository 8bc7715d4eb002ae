/** Times as text and back. Inside the program a time is an integer: milliseconds since 1970 UTC, or a plain step index. */

const DAY_MS = 86_400_000;
const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334] as const;
const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

const isLeapYear = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;

/** Days in a month of the proleptic Gregorian calendar; `month` counts from 1. */
export function daysInMonth(year: number, month: number): number {
  return month === 2 && isLeapYear(year) ? 29 : DAYS_IN_MONTH[month - 1]!;
}

/** The number written in `text[from, to)`, or NaN when a character is no digit. */
function digits(text: string, from: number, to: number): number {
  if (to > text.length) return NaN;
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return NaN;
    value = value * 10 + digit;
  }
  return value;
}

/** Milliseconds of the date `YYYY-MM-DD` that opens `text`, or NaN. */
function parseDate(text: string): number {
  if (text[4] !== '-' || text[7] !== '-') return NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 7);
  const day = digits(text, 8, 10);
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month))) return NaN;

  const before = year - 1;
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
  const leapDayPassed = month > 2 && isLeapYear(year) ? 1 : 0;
  const daysSinceYearOne = before * 365 + leapDays + DAYS_BEFORE_MONTH[month - 1]! + leapDayPassed + day - 1;
  return (daysSinceYearOne - 719_162) * DAY_MS; // 719162 days from 0001-01-01 to 1970-01-01
}

/** Milliseconds to subtract for the zone that ends `text` at `from` (`Z`, `+01:00`, `-0530`, `+01`, or nothing), or NaN. */
function parseZone(text: string, from: number): number {
  if (from === text.length) return 0;
  if ((text[from] === 'Z' || text[from] === 'z') && from + 1 === text.length) return 0;
  const sign = text[from] === '+' ? 1 : text[from] === '-' ? -1 : NaN;
  const colon = text[from + 3] === ':' ? 1 : 0;
  const hasMinutes = text.length > from + 3;
  if (text.length !== from + (hasMinutes ? 5 + colon : 3)) return NaN;
  const hours = digits(text, from + 1, from + 3);
  const minutes = hasMinutes ? digits(text, from + 3 + colon, from + 5 + colon) : 0;
  return hours <= 23 && minutes <= 59 ? sign * (hours * 60 + minutes) * 60_000 : NaN;
}

/**
 * Reads a time: ISO 8601 (`2013-12-02T21:15:00.250+01:00`, date alone, a blank for the `T`, seconds optional).
 * A time without zone is read as UTC. Returns milliseconds since 1970 UTC, NaN when the text is no such time; digits
 * beyond the millisecond are cut off. Written by hand because `Date.parse` reads a time without zone as local time.
 */
export function parseTime(text: string): number {
  const date = parseDate(text);
  if (text.length === 10 || Number.isNaN(date)) return date;
  if (text[10] !== 'T' && text[10] !== ' ' && text[10] !== 't') return NaN;
  const hour = digits(text, 11, 13);
  const minute = digits(text, 14, 16);
  if (!(text[13] === ':' && hour <= 23 && minute <= 59)) return NaN;

  let end = 16;
  let ms = 0;
  if (text[16] === ':') {
    const second = digits(text, 17, 19);
    if (!(second <= 59)) return NaN;
    ms = second * 1000;
    end = 19;
    if (text[19] === '.' || text[19] === ',') {
      let scale = 100;
      for (end = 20; text.charCodeAt(end) >= 48 && text.charCodeAt(end) <= 57; end++) {
        ms += Math.floor(scale) * (text.charCodeAt(end) - 48);
        scale /= 10;
      }
      if (end === 20) return NaN;
    }
  }
  return date + hour * 3_600_000 + minute * 60_000 + ms - parseZone(text, end);
}

/** Does this time say its zone, by `Z` or an offset? */
export function hasZone(text: string): boolean {
  return text.length > 11 && /(?:[Zz]|[+-]\d\d(?::?\d\d)?)$/.test(text.slice(11));
}

/** Reads a whole number, such as a step index; NaN for anything else or beyond 2^53. */
export function parseInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) return NaN;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : NaN;
}

const LAST_DATE_MS = 8.64e15;

/** `2013-12-02 21:15:00` (UTC), with milliseconds only when there are any; a number that is no date stays a number. */
export function formatTime(timeMs: number): string {
  if (!(Math.abs(timeMs) <= LAST_DATE_MS)) return String(timeMs);
  const text = new Date(timeMs).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, text.endsWith('.000Z') ? 19 : 23)}`;
}
