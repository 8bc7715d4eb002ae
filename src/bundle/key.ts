/** Ed25519 keys of the repository and the fleet: PEM files that only their owner may read. */
import type { KeyObject } from 'node:crypto';

export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Raw public key, 64 hexadecimal digits. */
  readonly publicHex: string;
  /** SHA-256 of the public key in the canonical form of TUF. */
  readonly keyId: string;
}
export declare function createKey(): SigningKey;
/** Writes the private key as PKCS #8 PEM, mode 0600. Refuses to overwrite. */
export declare function saveKey(path: string, key: SigningKey): Promise<void>;
/** Throws `ND_FILE_NOT_FOUND` or `ND_FILE_CORRUPT`. */
export declare function loadKey(path: string): Promise<SigningKey>;
