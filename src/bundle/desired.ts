/** The signed desired state of one device: DSSE envelope, and the checks of EDGE.md §11 in their order. */
import { sign, verify } from 'node:crypto';
import type { Desired, Envelope, FleetKeys } from '../contracts/desired.js';
import { desiredPayloadType, desiredSchema, envelopeSchema } from '../contracts/desired.js';
import { limits } from '../contracts/limit.js';
import type { Outcome } from '../contracts/reason.js';
import { accept, refuse } from '../contracts/reason.js';
import { parseWire, wireText } from '../contracts/wire.js';
import type { SigningKey } from './key.js';
import { publicKeyOf } from './key.js';

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
export function signDesired(desired: Desired, { privateKey, keyId }: SigningKey): Uint8Array {
  const payload = Buffer.from(wireText(desiredSchema, desired));
  const sig = sign(null, signedBytes(desiredPayloadType, payload), privateKey).toString('base64');
  const envelope: Envelope = {
    payloadType: desiredPayloadType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId, sig }],
  };
  return Buffer.from(JSON.stringify(envelope));
}

/** Never throws. */
export function verifyDesired(
  bytes: Uint8Array,
  { fleetKeys, site, device, lastSeq, nowMs, clockSynced }: DesiredChecks,
): Outcome<Desired> {
  const envelope = parseWire(envelopeSchema, bytes, limits.desiredBytes);
  if (!envelope.ok) return envelope;
  const { payloadType, signatures } = envelope.value;
  const payload = Buffer.from(envelope.value.payload, 'base64'); // decoded once: what is verified is what is parsed

  const message = signedBytes(payloadType, payload);
  const signed = fleetKeys.keys.some((key) =>
    signatures.some(({ sig }) => verify(null, message, publicKeyOf(key.public), Buffer.from(sig, 'base64'))),
  );
  if (!signed) return refuse('bad_signature', 'no fleet key of the repository signed this desired state');
  if (payloadType !== desiredPayloadType) return refuse('wrong_role', `the payload type is ${payloadType}`);

  const parsed = parseWire(desiredSchema, payload, limits.desiredBytes);
  if (!parsed.ok) return parsed;
  const desired = parsed.value;
  if (desired.site !== site || (desired.device !== '*' && desired.device !== device))
    return refuse('wrong_target', `it is for ${desired.site}/${desired.device}`);
  if (desired.seq < lastSeq) return refuse('replayed', `its sequence number is ${desired.seq}, ${lastSeq} was seen`);
  if (clockSynced && desired.expires <= nowMs)
    return refuse('frozen', `it expired at ${new Date(desired.expires).toISOString()}`);
  return accept(desired);
}

/** Pre-authentication encoding of DSSE v1: lengths in front, so that type and body cannot be shifted into each other. */
const signedBytes = (type: string, body: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.byteLength} `), body]);
