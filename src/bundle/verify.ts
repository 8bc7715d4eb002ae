/** Everything that is wrong with a bundle folder, in one list. */
import type { Manifest } from '../contracts/manifest.js';
import type { DesiredModel } from '../contracts/desired.js';
import type { Outcome, UpdateReason } from '../contracts/reason.js';
import type { ErrorCode } from '../errors.js';

export interface Finding {
  readonly code: ErrorCode;
  readonly reason: UpdateReason;
  /** File of the bundle, or `manifest.json`. */
  readonly where: string;
  readonly detail: string;
}
/** All findings: manifest, unsafe paths, links, unlisted files, lengths, hashes, the ONNX files. Empty when sound. */
export declare function verifyBundle(dir: string): Promise<readonly Finding[]>;

export interface ReleaseChecks {
  readonly wanted: DesiredModel;
  /** Lowest release the device still takes of this line; 0 at first. Rises at commit. */
  readonly floor: number;
  /** Release of the previous committed slot: going back to it is allowed. */
  readonly previous: number | undefined;
  readonly runtimeVersion: string;
  readonly arch: string;
}
/** Is this verified manifest a release this device may move to? The checks of EDGE.md §11 after signatures. */
export declare function checkRelease(manifest: Manifest, checks: ReleaseChecks): Outcome<Manifest>;
