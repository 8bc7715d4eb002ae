/** What a soak does to a device, as a table; each returns when the worst is over. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MqttLink } from '../src/transport/mqtt.js';
import { connectionFaults } from './connection.js';
import { prefix } from './device.js';
import { fill } from './disk.js';
import type { Fleet } from './fleet.js';
import type { Ledger } from './ledger.js';
import { malformedPayload } from './payloads.js';
import { pause, until } from './process.js';
import type { Mosquitto } from './process.js';
import type { Proxy } from './proxy.js';
import type { Random } from './row.js';
import type { Tap } from './tap.js';

/** The stage on which it happens. */
export interface Scene {
  readonly dir: string;
  readonly stateDir: string;
  readonly broker: Mosquitto;
  /** Where the broker keeps its memory when it is told to end. */
  readonly brokerMemory: string;
  readonly proxy: Proxy;
  readonly tap: Tap;
  readonly ledger: Ledger;
  readonly fleet: Fleet;
  /** What the sensors speak through. */
  readonly sensors: MqttLink;
  /** The sensors are silent for the time of the work. */
  readonly silence: (work: () => Promise<void>) => Promise<void>;
  /** Kills the device and starts it again. */
  readonly restartDevice: () => Promise<void>;
  readonly signalDevice: (signal: NodeJS.Signals) => void;
  /** The newest release that was asked for. */
  release: number;
  /** The folder of the device is a small disk of its own. */
  readonly smallDisk: boolean;
}

export interface SoakFault {
  readonly what: string;
  run(scene: Scene, random: Random): Promise<void>;
  /** The process of the device does not survive it. */
  readonly kills?: true;
  readonly needsDisk?: true;
}

const RECONNECT_MS = 150_000;
const MALFORMED = 50;
const MAX_CLOCK_MS = 600_000;

export const clockFile = (dir: string): string => join(dir, 'clock');
/** A stream for nonsense, so that it is none of what is owed. */
export const rubbish = 'rubbish';

export const soakFaults: Readonly<Record<string, SoakFault>> = {
  'device-killed': {
    what: 'kill -9 of the device, sometimes again before it is whole',
    kills: true,
    async run({ restartDevice }, random) {
      while (random.chance(0.3)) {
        await restartDevice();
        await pause(random.int(0, 1500));
      }
      await restartDevice();
    },
  },
  'broker-forgot': {
    what: 'kill -9 of the broker, which comes back empty',
    async run({ broker, brokerMemory, sensors, ledger, tap, silence }, random) {
      await silence(async () => {
        await broker.kill();
        await until('the sensors notice', () => !sensors.online);
        await pause(50);
        ledger.forget();
        rmSync(brokerMemory, { force: true });
        await pause(random.int(0, 3000));
        const before = tap.subscriptions;
        await broker.start();
        // What is said before the device has subscribed is said to nobody: sensors wait for it.
        await until('the device is back', () => tap.subscriptions > before && sensors.online, RECONNECT_MS);
      });
    },
  },
  'broker-restarted': {
    what: 'the broker ends, and comes back with its memory',
    async run({ broker }, random) {
      await broker.kill('SIGTERM');
      await pause(random.int(0, 3000));
      await broker.start();
    },
  },
  'connection-broken': {
    what: 'connections reset, cut within a packet, frozen, stalled or refused',
    async run({ proxy }, random) {
      for (let i = 0; i < random.int(1, 4); i++) {
        await random.pick(connectionFaults)(proxy, random);
        proxy.release();
        await pause(random.int(0, 2000));
      }
    },
  },
  'broker-stalled': {
    what: 'nothing that the device says passes, for 2 to 8 s',
    async run({ proxy }, random) {
      proxy.stall();
      await pause(random.int(2000, 8000));
      proxy.release();
    },
  },
  malformed: {
    what: `${MALFORMED} malformed readings, commands and desired states`,
    async run({ sensors }, random) {
      const topics = [`in/${rubbish}`, `in/${rubbish}`, 'model/desired', 'cmd/ping', 'cmd/silence'];
      for (let i = 0; i < MALFORMED; i++)
        await sensors.publish(`${prefix}/${random.pick(topics)}`, malformedPayload(random, Date.UTC(2021, 0, 1)));
    },
  },
  'disk-full': {
    what: 'the disk is filled, down to a random rest, for 2 to 8 s',
    needsDisk: true,
    async run({ stateDir }, random) {
      const filler = join(stateDir, 'filler');
      fill(filler, 'w', random.int(0, 300_000));
      await pause(random.int(2000, 8000));
      rmSync(filler);
    },
  },
  'clock-step': {
    what: 'the wall clock of the device is set, to within 10 minutes of the true time',
    async run({ dir, signalDevice }, random) {
      writeFileSync(clockFile(dir), String(random.int(-MAX_CLOCK_MS, MAX_CLOCK_MS)));
      signalDevice('SIGUSR2');
    },
  },
  'model-updated': {
    what: 'a new release of the model is pushed',
    async run(scene) {
      const envelope = await scene.fleet.publish(++scene.release);
      await scene.sensors.publish(`${prefix}/model/desired`, envelope, { retain: true });
    },
  },
};
