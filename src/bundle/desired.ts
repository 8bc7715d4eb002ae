/** The signed desired state of one device: DSSE envelope, and the checks of EDGE.md §11 in their order. */
import type { Desired, FleetKeys } from '../contracts/desired.js';
import type { Outcome } from '../contracts/reason.js';
import type { SigningKey } from './key.js';

export interface DesiredChecks {
  /** The verified target `keys/fleet.json`. */
  readonly fleetKeys: FleetKeys;
  readonly site: string;
  readonly device: string;
  /** Sequence number of the last accepted desired state; the same one again is taken (idempotent), a lower one not. */
  readonly lastSeq: number;
  readonly nowMs: number;
  readonly clockSynced: boolean;
}
/** The envelope as it is published (retained) on `model/desired`. */
export declare function signDesired(desired: Desired, key: SigningKey): Uint8Array;
/** Never throws. */
export declare function verifyDesired(bytes: Uint8Array, checks: DesiredChecks): Outcome<Desired>;
