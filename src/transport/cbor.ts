/** CBOR (RFC 8949) as a JSON message would be: tags 0 and 1 are times, a float that is no number is null. Never throws. */
import { decode } from 'cborg';
import { accept, refuse } from '../contracts/reason.js';
import type { Decode } from '../contracts/reading.js';

const DEPTH = 8;
const tags = { 0: (inside: () => unknown) => inside(), 1: (inside: () => unknown) => Number(inside()) * 1000 };

export const decodeCbor: Decode = (payload) => {
  try {
    const value: unknown = decode(payload, { tags, rejectDuplicateMapKeys: true, allowBigInt: false });
    return deeperThan(value, DEPTH) ? refuse('too_large', `nested deeper than ${DEPTH}`) : accept(withoutNaN(value));
  } catch (error) {
    return refuse('undecodable', (error as Error).message); // a tower of lists overflows the stack, which ends here too
  }
};

const deeperThan = (value: unknown, depth: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (depth === 0 || Object.values(value).some((each) => deeperThan(each, depth - 1)));

function withoutNaN(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNaN);
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutNaN(each)]));
  return Number.isNaN(value) ? null : value;
}
