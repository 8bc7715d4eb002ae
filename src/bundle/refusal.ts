/** Reasons as thrown errors: where a command must fail, `hash_mismatch` becomes `ND_BUNDLE_HASH_MISMATCH`. */
import type { Outcome, UpdateReason } from '../contracts/reason.js';
import type { ErrorCode } from '../errors.js';
import { NeuroDivergentError } from '../errors.js';

export const bundleCode = (reason: UpdateReason): ErrorCode =>
  `ND_BUNDLE_${reason.toUpperCase() as Uppercase<UpdateReason>}`;

/** The value of an outcome. Throws `ND_BUNDLE_<REASON>` when there is none. */
export function orThrow<T>(outcome: Outcome<T>, where: string): T {
  if (outcome.ok) return outcome.value;
  throw new NeuroDivergentError(bundleCode(outcome.reason), {
    where,
    what: `${outcome.detail}.`,
    mend: 'Pack and publish the bundle again, or fetch it again from a repository you trust.',
  });
}
