/** What a device is handed: everything outside of it. A test hands in small fakes, `main.ts` the real ones. */
import type { CommandReason } from '../contracts/command.js';
import type { LogLevel } from '../contracts/config.js';
import type { Provider } from '../contracts/provider.js';
import type { Outcome } from '../contracts/reason.js';
import type { Engine } from '../engine/port.js';
import type { MqttLink, MqttOptions } from '../transport/mqtt.js';
import type { UpdateClient } from '../transport/update-client.js';
import type { UpdateFile } from '../transport/update-file.js';
import type { Clock } from './clock.js';
import type { SelfTest } from './self-test.js';
import type { Store } from './store.js';
import type { Supervisor } from './supervisor.js';
import type { Tune } from './tune-process.js';

/** What a device needs to know of the link; names, credentials and certificates are the port's affair. */
export type LinkOptions = Pick<MqttOptions, 'will' | 'clean' | 'subscriptions' | 'onMessage' | 'commit' | 'onLink'>;

export interface Ports {
  readonly clock: Clock;
  readonly store: Store;
  /** What computes on this machine, of what its configuration names. Throws `ND_ENGINE_PROVIDER_MISSING` for a card it requires. */
  readonly providers: () => Promise<readonly Provider[]>;
  /** Loaded when the first model needs it. */
  readonly engine: () => Promise<Engine>;
  /** As the device, or as the edge node of Sparkplug that it also is. */
  readonly connect: (options: LinkOptions, as?: 'device' | 'edge-node') => Promise<MqttLink>;
  readonly openRepository: (url: string) => Promise<UpdateClient>;
  readonly openUpdateFile: (path: string) => Promise<Outcome<UpdateFile>>;
  readonly selfTest: SelfTest;
  readonly tune: Tune;
  readonly machine: Machine;
  /** A name no other boot, forecast or alert has. */
  readonly newId: () => string;
  /** Lifecycle events, for whoever follows the process. */
  readonly tell: (event: string, facts: Readonly<Record<string, unknown>>) => void;
  readonly supervisor: Supervisor;
  readonly setLogLevel: (level: LogLevel) => void;
  /** Reads the configuration again; when it is good, the device is begun anew with it. */
  readonly reload: () => Promise<Outcome<{ readonly changed: readonly string[] }, CommandReason>>;
}

export interface Machine {
  readonly arch: string;
  readonly cpu: string;
  readonly node: string;
  readonly runtime: string;
  rssBytes(): number;
  /** The most memory that the process ever had; 0 where the system does not tell. */
  peakBytes(): number;
  diskFreeBytes(): number | null;
  temperatureC(): number | null;
  /** Milliseconds since the process began. */
  uptimeMs(): number;
}
