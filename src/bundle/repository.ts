/** The TUF 1.0 repository models are published in: static files any web server can serve (EDGE.md §11). */
import type { SigningKey } from './key.js';

export interface RepositoryOptions {
  readonly dir: string;
  /** Private keys, outside the served folder; `<dir>/keys` when not given. */
  readonly keysDir?: string;
  /** Milliseconds UTC; for tests of expiry. */
  readonly nowMs?: number;
}

export interface Repository {
  /** Serve this folder: it holds `metadata/` and `targets/`. */
  readonly servedDir: string;
  /** The root a device pins at enrolment. */
  readonly rootFile: string;
  readonly keysDir: string;
  /** Signs desired states; its public part is the target `keys/fleet.json`. */
  readonly fleetKey: SigningKey;
}

export interface Published {
  readonly line: string;
  readonly release: number;
  readonly manifestSha256: string;
}
/** Makes keys and first metadata. Throws `ND_REPOSITORY_EXISTS`. */
export declare function initRepository(options: RepositoryOptions): Promise<Repository>;
export declare function openRepository(options: RepositoryOptions): Promise<Repository>;
/** Verifies the bundle, adds `<line>/<release>/…` and signs. Throws `ND_BUNDLE_…`; a release must be above the newest of its line. */
export declare function publish(options: RepositoryOptions & { readonly bundleDir: string }): Promise<Published>;
/** Signs snapshot and timestamp anew, so that they do not expire. */
export declare function refreshRepository(options: RepositoryOptions): Promise<void>;
/** The release number the next bundle of a line should carry. */
export declare function nextRelease(options: RepositoryOptions & { readonly line: string }): Promise<number>;
