/** The closed lists of reasons: why a payload, a message or an update was not taken. Reasons are counted and reported, never thrown. */

/** Why a sensor reading was not stored (EDGE.md §3, §4 and §17). */
export const rejectionReasons = [
  'undecodable', // not UTF-8, not JSON, or not one of the three shapes
  'too_large', // message, batch or nesting over the limits of EDGE.md §18
  'not_a_number', // a value that is neither a finite number nor one of the words for "missing"
  'out_of_range', // outside the limits the stream declares
  'unit_mismatch', // a unit the stream cannot be converted from
  'future', // later than now + 5 minutes, with a synced clock
  'too_old', // before 2020, or older than the retention
  'bad_time', // a time that is no time, or has no unit
  'unsupported_version', // `v` is a version this code does not know
  'retained', // an old value the broker kept
  'unknown_metric', // Sparkplug B: an alias or a name that no BIRTH has told
  'unknown_stream',
  'stream_limit',
  'overload', // more messages of a stream than `max_message_rate`, and a newer one came
] as const;
export type RejectionReason = (typeof rejectionReasons)[number];

/** Why an update was refused or given up (EDGE.md §11), in the order of the checks, then the reasons of weather. */
export const updateReasons = [
  'too_large',
  'malformed',
  'bad_signature',
  'below_threshold',
  'wrong_role',
  'wrong_target',
  'replayed',
  'frozen',
  'rollback_refused',
  'fast_forward_suspected',
  'unsupported',
  'mix_and_match',
  'no_space',
  'hash_mismatch',
  'endless_data',
  'slow_retrieval',
  'model_refused',
  'unsafe_path', // an absolute path, `..`, a link, a duplicate or an unlisted file
  'self_test_failed', // golden vectors missed their tolerance, or the budget was missed
  'unreachable', // no server answered, or it answered with an error
  'timed_out',
] as const;
export type UpdateReason = (typeof updateReasons)[number];

/** Why a model was not tuned on the device; a result that is no better is no such reason. */
export const tuneReasons = [
  'no_model', // the line has no model, or its slot is damaged
  'not_tunable', // the bundle was packed without what training takes
  'too_few_windows', // too little was stored without long gaps
  'not_finite', // a loss or a gradient is not a number
  'out_of_time',
  'out_of_memory',
  'stopped', // the process ended before it had a result
] as const;
export type TuneReason = (typeof tuneReasons)[number];

/** A typed refusal: the reason is counted, the detail is for people (at most 500 characters are reported). */
export interface Refusal<R extends string = UpdateReason> {
  readonly ok: false;
  readonly reason: R;
  readonly detail: string;
}

/** What a check or a transfer gives back: the value, or why not. */
export type Outcome<T, R extends string = UpdateReason> = { readonly ok: true; readonly value: T } | Refusal<R>;

export const accept = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

export const refuse = <R extends string>(reason: R, detail: string): Refusal<R> => ({ ok: false, reason, detail });
