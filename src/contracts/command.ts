/** Commands to a device (EDGE.md §9): JSON on `cmd/<name>`, answered on the response topic, `reply_to` or `reply/<name>`. */
import * as z from 'zod/mini';
import { logLevels } from './config.js';
import { segmentPattern } from './topic.js';
import { wireObject } from './wire.js';

const segment = z.string().check(z.regex(segmentPattern));
/** What MQTT 5 has as properties, for those that speak 3.1.1. */
const envelope = {
  replyTo: z.optional(z.string().check(z.maxLength(512), z.regex(/^[^+#\0]+$/))),
  /** Milliseconds UTC. */
  expires: z.optional(z.int()),
};
const by = z.string().check(z.minLength(1), z.maxLength(100));
const id = z.string().check(z.minLength(1), z.maxLength(64));

/** What only asks needs no `id`; what changes something is done once for each. */
export const commandSchemas = {
  ping: wireObject({ ...envelope, id: z.optional(id) }),
  /** The health message, now. */
  status: wireObject({ ...envelope, id: z.optional(id) }),
  /** A forecast of one stream, or of all that have a model, from what is known. */
  'forecast-now': wireObject({ ...envelope, id, stream: z.optional(segment) }),
  /** No event messages of an alert for a while; its state is still kept and shown. */
  silence: wireObject({
    ...envelope,
    id,
    /** As in its messages: `device/stream/kind`. */
    key: z.string().check(z.regex(/^[A-Za-z0-9_-]{1,64}(?:\/[A-Za-z0-9_-]{1,64}){2}$/)),
    /** 0 ends it. */
    minutes: z.number().check(z.gte(0), z.lte(1440)),
    by,
  }),
  /** What is known of a stream, with its newest readings, or of the device. */
  snapshot: wireObject({
    ...envelope,
    id: z.optional(id),
    stream: z.optional(segment),
    readings: z._default(z.int().check(z.gte(0), z.lte(1000)), 100),
  }),
  /** Neither forecasts nor verdicts of a stream, or of all; readings are stored all the same. */
  pause: wireObject({
    ...envelope,
    id,
    stream: z.optional(segment),
    /** Until it is resumed when not given. */
    minutes: z.optional(z.number().check(z.positive(), z.lte(10_080))),
    by,
  }),
  resume: wireObject({ ...envelope, id, stream: z.optional(segment), by }),
  /** The model before, for one that misbehaves. */
  rollback: wireObject({ ...envelope, id, line: segment, by }),
  /** The model that waits, where the configuration says that it is asked for. */
  'model-install': wireObject({ ...envelope, id: z.optional(id) }),
  /** The configuration, anew: all of it or nothing. */
  reload: wireObject({ ...envelope, id }),
  /** Until the next start. */
  'log-level': wireObject({ ...envelope, id, level: z.enum(logLevels) }),
} as const;
export type CommandName = keyof typeof commandSchemas;
export type CommandArguments<N extends CommandName> = z.output<(typeof commandSchemas)[N]>;

/** Why a command was not carried out; a retained one is old news and is not even answered. */
export const commandReasons = ['unknown_command', 'malformed', 'expired', 'repeated', 'not_possible'] as const;
export type CommandReason = (typeof commandReasons)[number];
