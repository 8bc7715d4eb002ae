/** What a device is given models by: a repository over HTTP, and desired states signed by its fleet key. */
import { join } from 'node:path';
import { signDesired } from '../src/bundle/desired.js';
import { initRepository, publish } from '../src/bundle/repository.js';
import { serveFiles } from '../src/transport/http.js';
import { packModel, stream } from './device.js';
import type { ModelTraits } from './device.js';

export interface Fleet {
  /** For the configuration of a device. */
  readonly settings: { readonly url: string; readonly root_file: string };
  /** Publishes a release and gives the desired state that asks for it. */
  publish(release: number, traits?: ModelTraits): Promise<Uint8Array>;
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** Candidates are on probation for so many forecasts. */
export async function createFleet(dir: string, probation: number): Promise<Fleet> {
  const repository = await initRepository({ dir: join(dir, 'repository') });
  const server = await serveFiles({ dir: repository.servedDir });
  return {
    settings: { url: server.url, root_file: repository.rootFile },
    async publish(release, traits) {
      const bundleDir = join(dir, 'bundle');
      await packModel(bundleDir, release, traits);
      const { manifestSha256 } = await publish({ dir: join(dir, 'repository'), bundleDir });
      return signDesired(
        {
          v: 1,
          site: 'plant1',
          device: 'pi7',
          seq: release,
          issued: Date.now(),
          expires: Date.now() + DAY_MS,
          models: [
            {
              line: stream,
              release,
              manifestSha256,
              urls: [],
              bind: { target: stream },
              mode: 'active',
              probation: { minutes: 0, forecasts: probation },
            },
          ],
        },
        repository.fleetKey,
      );
    },
    close: () => server.close(),
  };
}
