/** The checks of what a fleet wants, and of what it sends: signature, download, model, self-test (EDGE.md §11 and §12). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Desired, DesiredModel } from '../contracts/desired.js';
import type { Manifest } from '../contracts/manifest.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import type { UpdateClient } from '../transport/update-client.js';
import type { Clock } from './clock.js';
import { chooseTarget } from './forecaster.js';
import type { Able } from './forecaster.js';
import type { SelfTest } from './self-test.js';

export interface Addressee {
  readonly site: string;
  readonly device: string;
  /** The newest sequence number that was seen. */
  readonly lastSeq: number;
  readonly clock: Clock;
}

/** A desired state whose signature is that of the fleet, and that is for this device and now. */
export async function verifyOffer(
  bytes: Uint8Array,
  client: UpdateClient,
  { clock, ...addressee }: Addressee,
): Promise<Outcome<Desired>> {
  const { limits } = await import('../contracts/limit.js');
  const { fleetKeysSchema } = await import('../contracts/desired.js');
  const { parseWire } = await import('../contracts/wire.js');
  const { verifyDesired } = await import('../bundle/desired.js');
  const target = await client.readTarget('keys/fleet.json', limits.desiredBytes);
  if (!target.ok) return target;
  const keys = parseWire(fleetKeysSchema, target.value, limits.desiredBytes);
  if (!keys.ok) return keys;
  return verifyDesired(bytes, { ...addressee, fleetKeys: keys.value, nowMs: clock.now(), clockSynced: clock.synced() });
}

export interface Delivery {
  readonly stagingDir: string;
  /** Lowest release that is taken, and the one that may be gone back to. */
  readonly floor: number;
  readonly previous: number | undefined;
  readonly runtimeVersion: string;
  readonly able: Able;
  readonly selfTest: SelfTest;
  /** Each step is written down before it acts. */
  readonly step: (event: 'accept' | 'fetched' | 'verified' | 'test') => void;
}

/** Brings a bundle into the staging folder, and has it prove itself there. `metrics` are those of the self-test. */
export async function fetchAndTest(
  wanted: DesiredModel,
  client: UpdateClient,
  { stagingDir, floor, previous, runtimeVersion, able, selfTest, step }: Delivery,
): Promise<Outcome<{ manifest: Manifest; metrics: Record<string, number> }>> {
  const { line, release, manifestSha256 } = wanted;
  const { checkRelease } = await import('../bundle/verify.js');
  const checks = { wanted, floor, previous, runtimeVersion, arch: able.arch };
  step('accept');
  const download = await client.downloadBundle({
    line,
    release,
    manifestSha256,
    stagingDir,
    accept: (manifest) => {
      const checked = checkRelease(manifest, checks);
      return checked.ok ? checkServable(manifest, wanted, able) : checked;
    },
  });
  if (!download.ok) return download;
  const { manifest, dir } = download.value;
  step('fetched');

  const choice = chooseTarget(manifest, able)!; // `checkServable` has seen it
  const { checkModel } = await import('../bundle/onnx.js');
  const model = checkModel(readFileSync(join(dir, choice.modelFile)), manifest);
  if (!model.ok) return model;
  step('verified');
  step('test');
  const tested = await selfTest({ dir, choice });
  return tested.ok ? accept({ manifest, metrics: { ...tested.value } }) : tested;
}

/** The streams a model serves, from `bind`; undefined when a binding names other roles than the manifest's target. */
export function boundStreams(wanted: DesiredModel, manifest: Manifest | undefined): string[] | undefined {
  const role = manifest?.inputs.find(({ kind }) => kind === 'target')?.role;
  const bindings = Array.isArray(wanted.bind) ? wanted.bind : [wanted.bind];
  const streams = bindings.map((binding) => (role === undefined ? undefined : binding[role]));
  return streams.every((stream) => stream !== undefined) && streams.length > 0 ? [...new Set(streams)] : undefined;
}

/** Is this a model for this machine, its streams and this runtime? */
function checkServable(manifest: Manifest, wanted: DesiredModel, able: Able): Outcome<Manifest> {
  if (manifest.inputs.length !== 1 || manifest.inputs[0]!.kind !== 'target')
    return refuse('unsupported', 'this runtime serves models of one target input');
  if (chooseTarget(manifest, able) === undefined)
    return refuse('unsupported', `no target for ${able.providers.join(', ')} of ${able.arch}`);
  if (boundStreams(wanted, manifest) === undefined)
    return refuse('malformed', `bind must name a stream for “${manifest.inputs[0]!.role}”`);
  return accept(manifest);
}
