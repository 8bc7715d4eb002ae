/** A broker, for commands that publish. */
import { readFileSync } from 'node:fs';
import { NeuroDivergentError } from '../errors.js';
import type { MqttLink } from '../transport/mqtt.js';

export interface BrokerFlags {
  readonly username?: string;
  readonly passwordFile?: string;
  readonly caFile?: string;
}

const PATIENCE_MS = 15_000;
const LOOK_MS = 50;

/** A link that is up. Throws `ND_BUNDLE_UNREACHABLE` when it is not within 15 s, and `ND_CONFIG_CONFLICT` where a password would be read by others. */
export async function openBroker(
  url: string,
  { username, passwordFile, caFile }: BrokerFlags,
  clientId: string,
): Promise<MqttLink> {
  const { connectMqtt } = await import('../transport/mqtt.js');
  let reason = 'it did not answer';
  const link = connectMqtt({
    url,
    clientId: `${clientId}-${process.pid}`,
    ...(username !== undefined && { username }),
    ...(passwordFile !== undefined && { password: readFileSync(passwordFile, 'utf8').trimEnd() }),
    ...(caFile !== undefined && { ca: readFileSync(caFile, 'utf8') }),
    allowInsecure: 'private',
    subscriptions: [],
    onMessage: () => undefined,
    onLink: (event) => {
      if (event.state !== 'online') reason = event.reason;
    },
  });
  for (const began = performance.now(); performance.now() - began < PATIENCE_MS;) {
    if (link.online) return link;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  await link.close();
  throw notTaken(url, reason);
}

export const notTaken = (url: string, reason: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_BUNDLE_UNREACHABLE', {
    where: url,
    what: `The broker did not take it: ${reason}.`,
    mend: 'Start the broker, or correct its address, user, password and access list.',
  });
