/** The device's side of the TUF repository: verified metadata, verified files in a staging folder, or a reason. */
import type { Manifest } from '../contracts/manifest.js';
import type { Outcome } from '../contracts/reason.js';

export interface UpdateClientOptions {
  /** Trust state of this device: the newest verified metadata. Created on first use from `pinnedRoot`. */
  readonly trustDir: string;
  /** Base URL of the repository: `<url>/metadata`, `<url>/targets`. */
  readonly url: string;
  /** The first `root.json`, handed over at enrolment. */
  readonly pinnedRoot: Uint8Array;
  /** Milliseconds UTC. */
  readonly now: () => number;
  /** Expiry is judged only with a synced clock. */
  readonly clockSynced: () => boolean;
  readonly signal?: AbortSignal;
}

export interface DownloadOptions {
  readonly line: string;
  readonly release: number;
  /** Named by the fleet's desired state; must agree with the repository (`mix_and_match`). */
  readonly manifestSha256: string;
  /** Emptied first; holds the whole bundle afterwards. */
  readonly stagingDir: string;
  /** Judges the verified manifest before any file is fetched: `checkRelease` of bundle. */
  readonly accept?: (manifest: Manifest) => Outcome<Manifest>;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface Download {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly dir: string;
}

export interface UpdateClient {
  /** Fetches and verifies the newest metadata (TUF client workflow 5.3 to 5.6). */
  refresh(): Promise<Outcome<undefined>>;
  /** A small verified target, such as `keys/fleet.json`; refreshes when that has not been done yet. */
  readTarget(path: string, maxBytes: number): Promise<Outcome<Uint8Array>>;
  /** The whole bundle, verified, in the staging folder. */
  downloadBundle(options: DownloadOptions): Promise<Outcome<Download>>;
}
export declare function createUpdateClient(options: UpdateClientOptions): UpdateClient;
