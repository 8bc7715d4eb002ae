/** What one device should run, as a payload inside a signed DSSE envelope (EDGE.md §11). */
import * as z from 'zod/mini';
import { sha256 } from './manifest.js';
import { segmentPattern } from './topic.js';
import { wireObject } from './wire.js';

export const desiredPayloadType = 'application/vnd.neuro-divergent.desired.v1+json';

const segment = z.string().check(z.regex(segmentPattern));
const release = z.int().check(z.positive());
/** Input role of the manifest -> stream of the device. */
const binding = z.record(segment, segment);

export const desiredModel = wireObject({
  line: segment,
  release,
  manifestSha256: sha256,
  /** Repository base URLs, tried in turn; the configured repository when empty. */
  urls: z.array(z.string().check(z.maxLength(2000))).check(z.maxLength(8)),
  /** A list serves many streams with one model. */
  bind: z.union([binding, z.array(binding)]),
  mode: z.enum(['active', 'shadow', 'stop']),
  arm: z.optional(z.nullable(z.string())),
  probation: z.optional(wireObject({ minutes: z.optional(z.number()), forecasts: z.optional(z.int()) })),
  allowRollbackTo: z.optional(z.nullable(release)),
});
export type DesiredModel = z.output<typeof desiredModel>;

export const desiredSchema = wireObject({
  v: z.literal(1),
  site: segment,
  /** A device of the site, or `*` for each of them. */
  device: z.union([segment, z.literal('*')]),
  /** Rises with each desired state of a device. */
  seq: z.int().check(z.nonnegative()),
  issued: z.int(),
  expires: z.int(),
  models: z.array(desiredModel).check(z.maxLength(100)),
});
export type Desired = z.output<typeof desiredSchema>;

/** DSSE envelope, https://github.com/secure-systems-lab/dsse; the names are those of that standard. */
export const envelopeSchema = z.object({
  payloadType: z.string(),
  /** Base64. */
  payload: z.base64(),
  signatures: z
    .array(z.object({ keyid: z.optional(z.string()), sig: z.base64() }))
    .check(z.minLength(1), z.maxLength(16)),
});
export type Envelope = z.output<typeof envelopeSchema>;

/** The target `keys/fleet.json` of the repository: the keys that may sign desired states. */
export const fleetKeysSchema = z.object({
  schema: z.literal(1),
  keys: z
    .array(
      z.object({
        keyid: z.string(),
        keytype: z.literal('ed25519'),
        public: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
      }),
    )
    .check(z.minLength(1)),
});
export type FleetKeys = z.output<typeof fleetKeysSchema>;
