import { sign } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { signDesired, verifyDesired } from '../../src/bundle/desired.js';
import { createKey } from '../../src/bundle/key.js';
import type { Desired } from '../../src/contracts/desired.js';
import { desiredPayloadType } from '../../src/contracts/desired.js';

const key = createKey();
const nowMs = 1_763_823_600_000;
const desired: Desired = {
  v: 1,
  site: 'plant1',
  device: 'pi7',
  seq: 4,
  issued: nowMs,
  expires: nowMs + 1000,
  models: [
    {
      line: 'boiler',
      release: 12,
      manifestSha256: 'ab'.repeat(32),
      urls: [],
      bind: { target: 'boiler' },
      mode: 'active',
    },
  ],
};
const checks = {
  fleetKeys: { schema: 1 as const, keys: [{ keyid: key.keyId, keytype: 'ed25519' as const, public: key.publicHex }] },
  site: 'plant1',
  device: 'pi7',
  lastSeq: 4,
  nowMs,
  clockSynced: true,
};
type Raw = { payloadType: string; payload: string; signatures: { keyid: string; sig: string }[] };
const open = (bytes: Uint8Array): Raw => JSON.parse(Buffer.from(bytes).toString()) as Raw;

/** Signs any payload under any type, as DSSE defines it. */
function envelope(payloadType: string, payload: string, signer = key): Uint8Array {
  const sig = sign(
    null,
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${Buffer.byteLength(payload)} ${payload}`),
    signer.privateKey,
  );
  return Buffer.from(
    JSON.stringify({
      payloadType,
      payload: Buffer.from(payload).toString('base64'),
      signatures: [{ keyid: signer.keyId, sig: sig.toString('base64') }],
    }),
  );
}

test('what the fleet signed is taken, and once more when it comes again', () => {
  expect(verifyDesired(signDesired(desired, key), checks)).toEqual({ ok: true, value: desired });
  expect(verifyDesired(signDesired({ ...desired, device: '*' }, key), checks)).toMatchObject({ ok: true });
});

test('the signature is over the pre-authentication encoding of DSSE', () => {
  const signed = open(signDesired(desired, key));
  const text = Buffer.from(signed.payload, 'base64').toString();
  expect(open(envelope(desiredPayloadType, text)).signatures).toEqual(signed.signatures);
});

test.each<[string, Uint8Array, object, string]>([
  ['more than 16 kB', Buffer.alloc(16 * 1024 + 1), {}, 'too_large'],
  ['no JSON', Buffer.from('retained'), {}, 'malformed'],
  [
    'an envelope without a signature',
    Buffer.from(JSON.stringify({ ...open(signDesired(desired, key)), signatures: [] })),
    {},
    'malformed',
  ],
  ['another key', signDesired(desired, createKey()), {}, 'bad_signature'],
  [
    'another payload under an old signature',
    Buffer.from(JSON.stringify({ ...open(signDesired(desired, key)), payload: Buffer.from('{}').toString('base64') })),
    {},
    'bad_signature',
  ],
  ['a signature over something else', envelope('text/plain', '{}'), {}, 'wrong_role'],
  ['a signed payload of the wrong shape', envelope(desiredPayloadType, '{"v":1}'), {}, 'malformed'],
  ['another site', signDesired({ ...desired, site: 'plant2' }, key), {}, 'wrong_target'],
  ['another device', signDesired({ ...desired, device: 'pi8' }, key), {}, 'wrong_target'],
  ['an older one', signDesired({ ...desired, seq: 3 }, key), {}, 'replayed'],
  ['an expired one', signDesired(desired, key), { nowMs: nowMs + 1000 }, 'frozen'],
])('%s is refused', (_, bytes, change, reason) => {
  expect(verifyDesired(bytes, { ...checks, ...change })).toMatchObject({ ok: false, reason });
});

test('expiry is not judged before the clock is synced', () => {
  expect(verifyDesired(signDesired(desired, key), { ...checks, nowMs: nowMs + 1e9, clockSynced: false })).toMatchObject(
    { ok: true },
  );
});

test('random damage is refused and never throws', () => {
  const good = signDesired(desired, key);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bad = Uint8Array.from(good);
      bad[at] = value;
      const result = verifyDesired(bad, checks);
      if (result.ok) expect(result.value).toEqual(desired); // a change outside what is signed, such as the key id
    }),
    { numRuns: 300 },
  );
});
