/** Everything a device needs around it: a signed repository on a web server, a broker, and its desired state. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initRepository, publish, type Published, type Repository } from '../../bundle/repository.js';
import { signDesired } from '../../bundle/desired.js';
import { createTopics, type DeviceName } from '../../contracts/topic.js';
import { serveFiles } from '../../transport/http.js';
import { startBroker } from '../../transport/broker.js';
import type { MqttLink } from '../../transport/mqtt.js';
import type { Cleanup } from './cleanup.js';
import type { Scenario } from './scenario.js';

export const device: DeviceName = { base: 'neuro-divergent', site: 'demo', device: 'device1' };

const dayMs = 86_400_000;

export interface Fleet {
  readonly brokerUrl: string;
  readonly repository: Repository;
  readonly published: Published;
  /** What the device process is started with. */
  readonly configPath: string;
}

/** Publishes the bundle, starts server and broker on free loopback ports, and writes the device's configuration. */
export async function raiseFleet(
  dir: string,
  bundleDir: string,
  { stream, unit }: Scenario,
  cleanup: Cleanup,
): Promise<Fleet> {
  const repositoryDir = join(dir, 'repository');
  const repository = await initRepository({ dir: repositoryDir });
  const published = await publish({ dir: repositoryDir, bundleDir });

  const server = await serveFiles({ dir: repository.servedDir });
  cleanup.add(() => server.close());
  const broker = await startBroker();
  cleanup.add(() => broker.close());

  const configPath = join(dir, 'device', 'device.json');
  mkdirSync(join(dir, 'device'), { recursive: true });
  const config = {
    site: device.site,
    device: device.device,
    state_dir: 'state',
    mqtt: { url: broker.url },
    http: { port: null },
    repository: { url: server.url, root_file: repository.rootFile },
    streams: { [stream]: { unit } },
    clock: 'trusted',
    retention_days: 400, // the replayed months must not count as too old
    max_message_rate: 1_000_000, // and come in seconds
    health: '1s',
  };
  writeFileSync(configPath, JSON.stringify(config, undefined, 2));
  return { brokerUrl: broker.url, repository, published, configPath };
}

/** Tells the device what it should run: signed, retained, so that a device which is offline learns of it later. */
export async function pushModel(
  link: MqttLink,
  { repository, published }: Fleet,
  stream: string,
  nowMs: number,
): Promise<void> {
  const envelope = signDesired(
    {
      v: 1,
      site: device.site,
      device: device.device,
      seq: 1,
      issued: nowMs,
      expires: nowMs + 7 * dayMs,
      models: [
        {
          line: published.line,
          release: published.release,
          manifestSha256: published.manifestSha256,
          urls: [],
          bind: { target: stream },
          mode: 'active',
          probation: { minutes: 0, forecasts: 100 },
        },
      ],
    },
    repository.fleetKey,
  );
  await link.publish(createTopics(device).desired, envelope, { retain: true });
}
