/** Ed25519 keys of the repository and the fleet: PEM files that only their owner may read. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { canonicalJson } from '../contracts/canonical.js';
import { NeuroDivergentError } from '../errors.js';

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** Raw public key, 64 hexadecimal digits. */
  readonly publicHex: string;
  /** SHA-256 of the public key in the canonical form of TUF. */
  readonly keyId: string;
}

export const createKey = (): SigningKey => fromPrivateKey(generateKeyPairSync('ed25519').privateKey);

/** Writes the private key as PKCS #8 PEM, mode 0600. Throws `ND_FILE_EXISTS` rather than overwrite one. */
export async function saveKey(path: string, { privateKey }: SigningKey): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: path,
      what: `The key could not be written: ${(cause as Error).message}.`,
      mend: 'Keep the old key, or move it away first: devices trust only what it signed.',
      cause,
    });
  }
}

/** Throws `ND_FILE_NOT_FOUND` or `ND_FILE_CORRUPT`. */
export async function loadKey(path: string): Promise<SigningKey> {
  const pem = await readFile(path).catch((cause: unknown) => {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: 'The key cannot be read.',
      mend: 'Restore it from its backup, or name the folder that holds it.',
      cause,
    });
  });
  try {
    return fromPrivateKey(createPrivateKey(pem));
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_CORRUPT', {
      where: path,
      what: 'The file holds no Ed25519 private key in PEM.',
      mend: 'Restore it from its backup.',
      cause,
    });
  }
}

/** The public key object of 64 hexadecimal digits. */
export const publicKeyOf = (publicHex: string): KeyObject =>
  createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicHex, 'hex').toString('base64url') },
    format: 'jwk',
  });

function fromPrivateKey(privateKey: KeyObject): SigningKey {
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new TypeError(`${privateKey.asymmetricKeyType} is not ed25519`);
  const publicHex = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x!, 'base64url').toString('hex');
  const tufKey = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: publicHex } };
  return { privateKey, publicHex, keyId: createHash('sha256').update(canonicalJson(tufKey)).digest('hex') };
}
