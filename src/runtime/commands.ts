/** Commands in, answers out. What changes something is done once: ids are on disk before it is. */
import { commandSchemas } from '../contracts/command.js';
import type { CommandArguments, CommandName, CommandReason } from '../contracts/command.js';
import { limits } from '../contracts/limit.js';
import { refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { isSegment } from '../contracts/topic.js';
import { parseWire } from '../contracts/wire.js';
import type { WireSchema } from '../contracts/wire.js';
import type { MqttMessage } from '../transport/mqtt.js';
import type { Clock } from './clock.js';
import type { Store } from './store.js';

/** What a command does; the answer's fields, or why it cannot be done. */
export type Actions = {
  readonly [N in CommandName]: (
    given: CommandArguments<N>,
  ) => Outcome<object, CommandReason> | Promise<Outcome<object, CommandReason>>;
};

export interface Reply {
  readonly topic: string;
  readonly payload: string;
  readonly correlationData: Uint8Array | undefined;
}

const REMEMBERED = 'command/ids';
const REMEMBERED_IDS = 1000;

interface Envelope {
  readonly id?: string;
  readonly replyTo?: string;
  readonly expires?: number;
}

export function createCommands(prefix: string, store: Store, clock: Clock, actions: Actions) {
  const inputs = `${prefix}/cmd/`;
  const known = new Map(Object.entries(commandSchemas)); // names come from outside, and `__proto__` is one too

  /** Ids that were used; a repeated one is refused. */
  function remember(id: string): boolean {
    const ids = JSON.parse(store.get(REMEMBERED)?.toString() ?? '[]') as string[];
    if (ids.includes(id)) return false;
    store.write(() => store.put(REMEMBERED, JSON.stringify([...ids, id].slice(-REMEMBERED_IDS))), 'full');
    return true;
  }

  async function carryOut(
    name: string,
    given: Outcome<Envelope, CommandReason>,
  ): Promise<Outcome<object, CommandReason>> {
    if (!given.ok) return given;
    const { id, expires } = given.value;
    if (expires !== undefined && clock.synced() && expires <= clock.now())
      return refuse('expired', `it was meant to be taken before ${new Date(expires).toISOString()}`);
    if (id !== undefined && !remember(id)) return refuse('repeated', `${id} was taken before`);
    return actions[name as CommandName](given.value as never);
  }

  /** Undefined for what is no command of this device, and for a retained one, which is old. */
  return async ({
    topic,
    payload,
    retain,
    responseTopic,
    correlationData,
  }: MqttMessage): Promise<Reply | undefined> => {
    const name = topic.startsWith(inputs) ? topic.slice(inputs.length) : '';
    if (retain || !isSegment(name)) return undefined;
    const schema = known.get(name) as WireSchema<Envelope> | undefined;
    const bytes = payload.byteLength === 0 ? Buffer.from('{}') : payload;
    const given =
      schema === undefined
        ? refuse('unknown_command', `there are ${[...known.keys()].join(', ')}`)
        : parseWire(schema, bytes, limits.desiredBytes);
    const checked = given.ok || given.reason === 'unknown_command' ? given : refuse('malformed', given.detail);
    const { id, replyTo } = checked.ok ? checked.value : {};
    const done = await carryOut(name, checked);
    const answer = done.ok
      ? { ok: true, ...done.value }
      : { ok: false, error: { code: done.reason, where: `cmd/${name}`, what: done.detail } };
    return {
      topic: responseTopic ?? replyTo ?? `${prefix}/reply/${name}`,
      payload: JSON.stringify({ v: 1, ...(id !== undefined && { id }), ...answer }),
      correlationData,
    };
  };
}
