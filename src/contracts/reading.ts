/** Sensor payloads (EDGE.md §3): bytes in, readings or a counted reason out. Nothing here throws. */
import type { RejectionReason } from './reason.js';

/** One sample. `value` undefined is a missing value, said so by the sensor. */
export interface Reading {
  /** Column of a multi-valued message (`{"values":{"temp":…}}`); undefined for the stream itself. */
  readonly channel?: string;
  /** Milliseconds UTC. */
  readonly timeMs: number;
  readonly timeSource: 'payload' | 'arrival';
  readonly value: number | undefined;
  /** As sent; the stream's unit applies when undefined. */
  readonly unit?: string;
  readonly seq?: number;
}

export interface Rejected {
  readonly reason: RejectionReason;
  readonly detail: string;
}

/** The good readings of a message, and what was refused of it: bad rows do not hide their neighbours. */
export interface ReadResult {
  readonly readings: readonly Reading[];
  readonly rejected: readonly Rejected[];
}

export interface ReadingOptions {
  /** Arrival, for messages without a time. Milliseconds UTC. */
  readonly nowMs: number;
  /** The broker kept this message (retain flag): an old value. */
  readonly retained?: boolean;
  readonly acceptRetained?: boolean;
  /** `future` is judged only with a synced clock. */
  readonly clockSynced?: boolean;
}
export declare function parseReading(payload: Uint8Array, options: ReadingOptions): ReadResult;

/** Converts to the stream's unit from a closed table; undefined when there is no such conversion. */
export declare function convertUnit(value: number, from: string, to: string): number | undefined;
