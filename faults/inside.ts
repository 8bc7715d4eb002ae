/** A whole device inside this process; its broker is whoever calls `say`. */
import { parseConfig } from '../src/contracts/config.js';
import type { Clock } from '../src/runtime/clock.js';
import { runDevice } from '../src/runtime/device.js';
import { createId } from '../src/runtime/main.js';
import type { LinkOptions, Ports } from '../src/runtime/ports.js';
import type { Store } from '../src/runtime/store.js';
import { fakeMachine, idlePorts, naiveEngine } from '../test/runtime/fakes.js';
import { settings } from './device.js';

export interface InsideDevice {
  /** Resolves when the message would be acknowledged. */
  say(topic: string, payload: Uint8Array, retain?: boolean): Promise<void>;
  /** Stops the device and closes its store. */
  stop(): Promise<void>;
}

export async function runInside(
  dir: string,
  change: object,
  { clock, store, tell = () => undefined }: { clock: Clock; store: Store; tell?: Ports['tell'] },
): Promise<InsideDevice> {
  const stopping = new AbortController();
  let link: LinkOptions | undefined;
  let ended: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    ended = runDevice(
      parseConfig(settings(dir, 'mqtt://127.0.0.1', change), 'inside'),
      {
        ...idlePorts,
        clock,
        store,
        providers: async () => ['cpu'],
        engine: async () => naiveEngine(4),
        connect: async (options) => {
          link = options;
          return { online: true, publish: async () => true, subscribe: async () => true, close: async () => undefined };
        },
        machine: fakeMachine,
        newId: () => createId(clock.now()),
        tell,
      },
      stopping.signal,
      () => resolve(),
    );
    ended.catch(reject);
  });
  return {
    async say(topic, payload, retain = false) {
      await link!.onMessage({ topic, payload, retain, duplicate: false });
      link!.commit!();
    },
    async stop() {
      stopping.abort();
      await ended;
      store.close();
    },
  };
}
