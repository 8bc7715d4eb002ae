/**
 * The seam between the wire and the code: snake_case outside, camelCase inside.
 *
 * A schema is written once, with the names used inside; `wireObject` derives the names on the wire from them. Keys of
 * maps (`z.record`) are data, such as stream names, and stay as they are.
 */
import * as z from 'zod/mini';
import en from 'zod/v4/locales/en.js';
import type { Outcome } from './reason.js';
import { accept, refuse } from './reason.js';

type Shape = Record<string, z.core.SomeType>;
type WireRecord = Record<string, unknown>;

export interface WireObjectOptions {
  /** Unknown keys are an error (configuration) instead of ignored (payloads, EDGE.md §1). */
  readonly strict?: boolean;
  /** Names that do not follow the rule: inside -> on the wire. */
  readonly names?: Readonly<Record<string, string>>;
}

/** `cadenceMs` -> `cadence_ms`. */
export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** An object whose keys are snake_case on the wire and camelCase inside. */
export function wireObject<const S extends Shape>(shape: S, { strict = false, names = {} }: WireObjectOptions = {}) {
  const wireNames = Object.keys(shape).map((inside): [string, string] => [inside, names[inside] ?? snakeCase(inside)]);
  const known = new Set(wireNames.map(([, outside]) => outside));
  return z.codec(z.record(z.string(), z.unknown()), z.object(shape), {
    decode: (wire: WireRecord, payload) => {
      const unknown = strict ? Object.keys(wire).filter((key) => !known.has(key)) : [];
      if (unknown.length > 0) {
        const message = unknown.map((key) => `"${key}" is unknown, did you mean "${nearest(key, known)}"?`).join(' ');
        payload.issues.push({ code: 'unrecognized_keys', keys: unknown, input: wire, message } as never);
      }
      const present = wireNames.filter(([, outside]) => Object.hasOwn(wire, outside));
      return Object.fromEntries(present.map(([inside, outside]) => [inside, wire[outside]])) as never;
    },
    encode: (value: WireRecord) => {
      const present = wireNames.filter(([inside]) => value[inside] !== undefined);
      return Object.fromEntries(present.map(([inside, outside]) => [outside, value[inside]]));
    },
  });
}

/** A schema with both directions, as made by `wireObject`. */
export type WireSchema<T> = z.ZodMiniType<T, unknown>;

export interface Finding {
  /** Names on the wire, joined by dots. */
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

/** Converts and checks a decoded value; every finding with its path. */
export function readWire<T>(
  schema: WireSchema<T>,
  value: unknown,
): { ok: true; value: T } | { ok: false; findings: readonly Finding[] } {
  const result = z.safeDecode(schema, value, { error: en().localeError });
  if (result.success) return { ok: true, value: result.data };
  return {
    ok: false,
    findings: result.error.issues.map(({ path, code, message, ...issue }) => {
      const unknown = 'keys' in issue ? issue.keys.slice(0, 1) : [];
      return { path: wirePath(value, [...path, ...unknown]), code, message };
    }),
  };
}

/** `readWire` as an outcome, its findings in one sentence. */
export function fromWire<T>(schema: WireSchema<T>, value: unknown): Outcome<T, 'malformed'> {
  const result = readWire(schema, value);
  return result.ok
    ? accept(result.value)
    : refuse('malformed', result.findings.map(({ path, message }) => `${path}: ${message}`).join('; '));
}

/** Parses JSON text, then converts and checks it; `too_large` before a byte is parsed. Never throws. */
export function parseWire<T>(
  schema: WireSchema<T>,
  bytes: Uint8Array,
  maxBytes: number,
): Outcome<T, 'malformed' | 'too_large'> {
  if (bytes.byteLength > maxBytes)
    return refuse('too_large', `${bytes.byteLength} bytes, at most ${maxBytes} are taken`);
  const json = parseJson(bytes);
  return json.ok ? fromWire(schema, json.value) : json;
}

/** Decodes UTF-8 strictly and parses JSON. Never throws. */
export function parseJson(bytes: Uint8Array): Outcome<unknown, 'malformed'> {
  try {
    return accept(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown);
  } catch (error) {
    return refuse('malformed', `not JSON: ${(error as Error).message}`);
  }
}

/** The object as it goes on the wire, or what of the value breaks its own schema. */
export function tryToWire<T>(schema: WireSchema<T>, value: T): Outcome<unknown, 'malformed'> {
  const result = z.safeEncode(schema, value, { error: en().localeError });
  if (result.success) return accept(result.data);
  return refuse(
    'malformed',
    result.error.issues
      .map(({ path, message }) => [...path.map((part) => snakeCase(String(part))), message].join(': '))
      .join('; '),
  );
}

/** The object as it goes on the wire; throws when the value breaks its own schema (a NaN in a forecast, say). */
export const toWire = <T>(schema: WireSchema<T>, value: T): unknown => z.encode(schema, value);

/** The JSON text as it goes on the wire. */
export const wireText = <T>(schema: WireSchema<T>, value: T): string => JSON.stringify(toWire(schema, value));

/** Findings carry names of the inside; the reader of the message knows those on the wire. */
function wirePath(value: unknown, path: readonly PropertyKey[]): string {
  let here = value;
  const parts = path.map((part) => {
    const name = typeof part === 'string' && !(isRecord(here) && Object.hasOwn(here, part)) ? snakeCase(part) : part;
    here = isRecord(here) || Array.isArray(here) ? (here as WireRecord)[name as string] : undefined;
    return String(name);
  });
  return parts.length === 0 ? 'value' : parts.join('.');
}

const isRecord = (value: unknown): value is WireRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The known name with the smallest edit distance. */
function nearest(name: string, known: Iterable<string>): string {
  const ranked = [...known].map((candidate): [string, number] => [candidate, editDistance(name, candidate)]);
  return ranked.sort(([, a], [, b]) => a - b)[0]?.[0] ?? '';
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
