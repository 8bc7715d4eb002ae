/** The attacks of S1 by name, each with its outcome, and the forge they are made in. */
import { sign } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { sha256 } from '../src/bundle/folder.js';
import { createKey } from '../src/bundle/key.js';
import type { SigningKey } from '../src/bundle/key.js';
import { canonicalJson } from '../src/contracts/canonical.js';
import { desiredPayloadType } from '../src/contracts/desired.js';
import { limits } from '../src/contracts/limit.js';
import type { UpdateReason } from '../src/contracts/reason.js';
import { ModelProtoSchema } from '../src/graph/onnx/onnx_pb.js';
import type { ModelProto } from '../src/graph/onnx/onnx_pb.js';
import { stream } from './device.js';
import type { Random } from './row.js';

/** The device runs RUNNING, has run the one before, and is offered the next. */
export const RUNNING = 3;
export const OFFERED = RUNNING + 1;

export const roles = ['root', 'targets', 'snapshot', 'timestamp'] as const;
type Role = (typeof roles)[number];
export type Keys = Readonly<Record<Role | 'fleet', SigningKey>>;

/** What stands in files, to be broken. */
export interface Signed {
  [field: string]: unknown;
  version: number;
  expires: string;
  meta: Record<string, { version: number; length?: number; hashes?: { sha256: string } }>;
  targets: Record<string, { length: number; hashes: Record<string, string> }>;
  keys: Record<string, unknown>;
  roles: Record<string, { keyids: string[]; threshold: number }>;
}
interface Manifest extends Record<string, unknown> {
  files: { path: string; role: string; sha256: string; length: number }[];
  targets: { arch: string[]; provider: string; files: string[] }[];
  inputs: { role: string; kind: string }[];
  golden: { tolerance: Record<string, number> };
}
export interface Desired extends Record<string, unknown> {
  seq: number;
  models: Record<string, unknown>[];
}

export type Answer = Buffer | ((response: ServerResponse) => void);
type Broken<Name extends string, Value> = Partial<Record<Name, (value: Value) => unknown>>;

export interface World {
  /** What the server has, by path. */
  readonly files: Map<string, Answer>;
  readonly keys: Keys;
  /** What the fleet asks for. */
  readonly desired: Desired;
  readonly random: Random;
}

/** Gives the envelope, where it is not the desired state signed by the fleet. */
type Attack = (world: World) => Uint8Array | void;
/** By server and by update file, or by a server alone: a file cannot be slow or without end. */
type Case = readonly [name: string, outcome: UpdateReason | 'taken', attack: Attack, by?: 'server'];

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const bytesOf = ({ files }: World, path: string): Buffer => Buffer.from(files.get(path) as Buffer);
export const parse = <T>(bytes: Buffer): T => JSON.parse(bytes.toString()) as T;
export const signedOf = (world: World, name: string): Signed =>
  parse<{ signed: Signed }>(bytesOf(world, `/metadata/${name}.json`)).signed;

export const seal = (signed: unknown, signers: readonly SigningKey[]): Buffer =>
  json({
    signatures: signers.map(({ keyId, privateKey }) => ({
      keyid: keyId,
      sig: sign(null, Buffer.from(canonicalJson(signed)), privateKey).toString('hex'),
    })),
    signed,
  });

/** Publishes the next version of everything: consistent and signed by whom it should be, but for what is named here. */
function forge(
  world: World,
  wrong: Broken<Role, Signed> = {},
  signers: Partial<Record<Role, readonly SigningKey[]>> = {},
): void {
  const version = signedOf(world, 'timestamp').version + 1;
  const put = (role: Role, name: string, signed: Signed) => {
    wrong[role]?.(signed);
    const bytes = seal(signed, signers[role] ?? [world.keys[role]]);
    world.files.set(`/metadata/${name}.json`, bytes);
    return { version: signed.version, length: bytes.length, hashes: { sha256: sha256(bytes) } };
  };
  if (wrong.root !== undefined || signers.root !== undefined)
    put('root', '2.root', { ...signedOf(world, '1.root'), version: 2 });
  const targets = put('targets', `${version}.targets`, { ...signedOf(world, `${version - 1}.targets`), version });
  const meta = { 'targets.json': targets };
  const snapshot = put('snapshot', `${version}.snapshot`, {
    ...signedOf(world, `${version - 1}.snapshot`),
    version,
    meta,
  });
  put('timestamp', 'timestamp', { ...signedOf(world, 'timestamp'), version, meta: { 'snapshot.json': snapshot } });
}

/** Vouches for other content of a target. */
function vouch(world: World, path: string, bytes: Buffer): void {
  const cut = path.lastIndexOf('/') + 1;
  world.files.set(`/targets/${path.slice(0, cut)}${sha256(bytes)}.${path.slice(cut)}`, bytes);
  forge(world, {
    targets: ({ targets }) => (targets[path] = { length: bytes.length, hashes: { sha256: sha256(bytes) } }),
  });
}

/** The server's path of a target that is published. */
export function served(world: World, path: string): string {
  const { targets } = signedOf(world, `${signedOf(world, 'timestamp').version}.targets`);
  const cut = path.lastIndexOf('/') + 1;
  return `/targets/${path.slice(0, cut)}${targets[path]!.hashes['sha256']}.${path.slice(cut)}`;
}

export const at = (file: string, release = OFFERED): string => `${stream}/${release}/${file}`;
const manifestOf = (world: World): Manifest => parse(bytesOf(world, served(world, at('manifest.json'))));

/** The whole way: a manifest that repository and fleet name. */
const manifest =
  (change: (manifest: Manifest) => unknown): Attack =>
  (world) => {
    const draft = manifestOf(world);
    change(draft);
    const bytes = json(draft);
    vouch(world, at('manifest.json'), bytes);
    world.desired.models[0]!['manifest_sha256'] = sha256(bytes);
  };

/** A model file that repository, manifest and fleet name. */
const model =
  (change: (model: ModelProto) => void): Attack =>
  (world) => {
    const path = 'model.fp32.onnx';
    const content = fromBinary(ModelProtoSchema, bytesOf(world, served(world, at(path))));
    change(content);
    const bytes = Buffer.from(toBinary(ModelProtoSchema, content));
    vouch(world, at(path), bytes);
    manifest(({ files }) =>
      Object.assign(
        files.find((file) => file.path === path)!,
        { sha256: sha256(bytes), length: bytes.length },
      ),
    )(world);
  };

const forged =
  (wrong: Broken<Role, Signed>, signers?: (keys: Keys) => Partial<Record<Role, readonly SigningKey[]>>): Attack =>
  (world) =>
    forge(world, wrong, signers?.(world.keys));

const desired =
  (change: (desired: Desired, model: Record<string, unknown>) => unknown): Attack =>
  ({ desired: draft }) =>
    void change(draft, draft.models[0]!);

/** Asks for an older release as it was published. */
const older =
  (release: number, change: object = {}): Attack =>
  (world) => {
    const manifest_sha256 = sha256(bytesOf(world, served(world, at('manifest.json', release))));
    Object.assign(world.desired.models[0]!, { release, manifest_sha256, ...change });
  };

/** Other bytes where the server has this target. */
const swapped =
  (path: string, change: (bytes: Buffer, world: World) => Answer): Attack =>
  (world) =>
    void world.files.set(served(world, path), change(bytesOf(world, served(world, path)), world));

/** Other bytes where the server has this metadata. */
const metadata =
  (name: string, change: (bytes: Buffer, world: World) => Answer): Attack =>
  (world) =>
    void world.files.set(`/metadata/${name}.json`, change(bytesOf(world, `/metadata/${name}.json`), world));

/** Envelope by DSSE. */
export function envelope(
  payload: Buffer,
  { privateKey, keyId }: SigningKey,
  type = desiredPayloadType,
  change: (envelope: { payload: string; signatures: { keyid: string; sig: string }[] }) => void = () => undefined,
): Buffer {
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  const sig = sign(null, message, privateKey).toString('base64');
  const whole = { payloadType: type, payload: payload.toString('base64'), signatures: [{ keyid: keyId, sig }] };
  change(whole);
  return json(whole);
}

const enveloped =
  (change: NonNullable<Parameters<typeof envelope>[3]>): Attack =>
  ({ desired: draft, keys }) =>
    envelope(json(draft), keys.fleet, undefined, change);

const signedText =
  (text: string): Attack =>
  ({ keys }) =>
    envelope(Buffer.from(text), keys.fleet);

/** A byte of it changed. */
function flipped(bytes: Buffer, { random }: World): Buffer {
  bytes[random.int(0, bytes.length - 1)]! ^= random.int(1, 255);
  return bytes;
}

/** Never ends, and never holds the loop. */
const endless: Answer = (response) => {
  const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024)), 1);
  response.on('close', () => clearInterval(timer));
};
const longer = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.from(' ')]);

const stranger = createKey();
const second = createKey();
const tufKey = ({ publicHex }: SigningKey): unknown => ({
  keytype: 'ed25519',
  scheme: 'ed25519',
  keyval: { public: publicHex },
});
const past = (signed: Signed): unknown => (signed.expires = '2025-01-01T00:00:00Z');
const nothing = (): void => undefined;

/** A root that wants two keys for a role, the usual one and `second`. */
const twoFor = (role: Role) => (root: Signed) => {
  root.keys[second.keyId] = tufKey(second);
  root.roles[role]!.keyids.push(second.keyId);
  root.roles[role]!.threshold = 2;
};
/** A root that gives a role to `second` alone. */
const rotated =
  (...rotatedRoles: Role[]) =>
  (root: Signed) => {
    root.keys[second.keyId] = tufKey(second);
    for (const role of rotatedRoles) root.roles[role] = { keyids: [second.keyId], threshold: 1 };
  };
const disguised = ({ keyId }: SigningKey): SigningKey => ({ ...stranger, keyId });
const online = ['targets', 'snapshot', 'timestamp'] as const;

export const cases: readonly Case[] = [
  ['nothing is wrong', 'taken', nothing],
  ['nothing is wrong, published again', 'taken', forged({})],
  ['for every device of the site', 'taken', desired((draft) => (draft['device'] = '*'))],
  ['an older release the fleet allows', 'taken', older(1, { allow_rollback_to: 1 })],
  ['the release before', 'taken', older(2)],
  ['all keys rotated as they should be', 'taken', forged({ root: rotated(...roles) }, ({ root }) => ({ root: [root, second], targets: [second], snapshot: [second], timestamp: [second] }))],
  ['two keys wanted, two there', 'taken', forged({ root: twoFor('targets') }, ({ targets }) => ({ targets: [targets, second] }))],

  // Arbitrary software: signatures.
  ...online.flatMap((role): Case[] => [
    [`${role} signed by a stranger`, 'bad_signature', forged({}, () => ({ [role]: [stranger] }))],
    [`${role} signed by a stranger under the name of the key`, 'bad_signature', forged({}, (keys) => ({ [role]: [disguised(keys[role])] }))],
    [`${role} not signed`, 'bad_signature', forged({}, () => ({ [role]: [] }))],
    [`${role} signed by the key of the fleet`, 'bad_signature', forged({}, ({ fleet }) => ({ [role]: [fleet] }))],
    [`${role} signed once where two are wanted`, 'below_threshold', forged({ root: twoFor(role) })],
    [`${role} signed twice by one key where two are wanted`, 'malformed', forged({ root: twoFor(role) }, (keys) => ({ [role]: [keys[role], keys[role]] }))],
    [`${role} signed by one key in two names`, 'below_threshold', forged({ root: twoFor(role) }, (keys) => ({ [role]: [keys[role], { ...keys[role], keyId: second.keyId }] }))],
    [`${role} signed by a revoked key`, 'bad_signature', forged({ root: rotated(role) }, ({ root }) => ({ root: [root] }))],
    [`${role} expired`, 'frozen', forged({ [role]: past })],
    [`${role} of a spec to come`, 'malformed', forged({ [role]: (signed: Signed) => (signed['spec_version'] = '2.0.0') })],
    [`${role} of another type`, 'wrong_role', forged({ [role]: (signed: Signed) => (signed['_type'] = role === 'targets' ? 'snapshot' : 'targets') })],
    [`${role} without a version`, 'malformed', forged({ [role]: (signed: Signed) => delete (signed as Partial<Signed>).version })],
    [`${role} without an end`, 'malformed', forged({ [role]: (signed: Signed) => (signed.expires = 'never') })],
  ]),
  ['timestamp with a byte changed', 'bad_signature', metadata('timestamp', (bytes) => Buffer.from(bytes.toString().replace('"expires":"20', '"expires":"29')))],
  ['timestamp signed by the key of targets', 'bad_signature', forged({}, ({ targets }) => ({ timestamp: [targets] }))],
  ['targets signed by the key of timestamp', 'bad_signature', forged({}, ({ timestamp }) => ({ targets: [timestamp] }))],

  // Root: rotation.
  ['a new root that the old key did not sign', 'bad_signature', forged({ root: rotated('root') }, () => ({ root: [second] }))],
  ['a new root that its own key did not sign', 'bad_signature', forged({ root: rotated('root') })],
  ['a new root signed by a stranger', 'bad_signature', forged({}, () => ({ root: [stranger] }))],
  ['a new root that wants two keys and has one', 'below_threshold', forged({ root: twoFor('root') })],
  ['a new root of a version too far', 'rollback_refused', forged({ root: (root) => (root.version = 3) })],
  ['the old root in place of a new one', 'rollback_refused', forged({ root: (root) => (root.version = 1) })],
  ['a new root that has expired', 'frozen', forged({ root: past })],
  ['a new root without the role of targets', 'malformed', forged({ root: ({ roles: all }) => delete all['targets'] })],
  ['a new root that wants no signature at all', 'malformed', forged({ root: ({ roles: all }) => (all['timestamp']!.threshold = 0) })],
  ['a new root that is too large', 'too_large', forged({ root: (root) => (root['x'] = 'x'.repeat(limits.rootBytes)) })],
  ['a new root that is no JSON', 'malformed', ({ files }) => void files.set('/metadata/2.root.json', Buffer.from('{'))],
  ['a new root that is a timestamp', 'wrong_role', (world) => void world.files.set('/metadata/2.root.json', bytesOf(world, '/metadata/timestamp.json'))],
  ['a new root without end', 'too_large', ({ files }) => void files.set('/metadata/2.root.json', endless), 'server'],

  // Rollback.
  ['an older timestamp', 'rollback_refused', metadata('timestamp', (_, world) => bytesOf(world, `/old/timestamp.json`))],
  ['a timestamp of an older snapshot', 'rollback_refused', forged({ timestamp: ({ meta }) => (meta['snapshot.json'] = { version: 1 }) })],
  ['a snapshot of older targets', 'rollback_refused', forged({ snapshot: ({ meta }) => (meta['targets.json'] = { version: 1 }) })],
  ['a snapshot without targets', 'rollback_refused', forged({ snapshot: ({ meta }) => delete meta['targets.json'] })],
  ['an older release', 'rollback_refused', older(1)],
  ['an older release, another one allowed', 'rollback_refused', older(1, { allow_rollback_to: 2 })],

  // Mix and match.
  ['a snapshot of another version than the timestamp says', 'mix_and_match', renamed('snapshot', { timestamp: ({ meta }) => meta['snapshot.json']!.version++ })],
  ['targets of another version than the snapshot says', 'mix_and_match', renamed('targets', { snapshot: ({ meta }) => meta['targets.json']!.version++ })],
  ['a snapshot of another hash', 'mix_and_match', forged({ timestamp: ({ meta }) => (meta['snapshot.json']!.hashes!.sha256 = '0'.repeat(64)) })],
  ['targets of another hash', 'mix_and_match', forged({ snapshot: ({ meta }) => (meta['targets.json']!.hashes!.sha256 = '0'.repeat(64)) })],
  ['a snapshot that is shorter', 'mix_and_match', forged({ timestamp: ({ meta }) => meta['snapshot.json']!.length!++ })],
  ['targets that are shorter', 'mix_and_match', forged({ snapshot: ({ meta }) => meta['targets.json']!.length!++ })],
  ['a snapshot of an earlier day', 'mix_and_match', metadata(`${OFFERED + 1}.snapshot`, (_, world) => bytesOf(world, `/metadata/${OFFERED}.snapshot.json`))],
  ['targets of an earlier day', 'mix_and_match', metadata(`${OFFERED + 1}.targets`, (_, world) => bytesOf(world, `/metadata/${OFFERED}.targets.json`))],
  ['another manifest than the fleet named', 'mix_and_match', desired((_, one) => (one['manifest_sha256'] = 'ab'.repeat(32)))],
  ['the manifest of another release', 'mix_and_match', older(2, { release: OFFERED })],
  ['a manifest of another line', 'mix_and_match', manifest((draft) => (draft['line'] = 'pump'))],
  ['a manifest of a lower release', 'mix_and_match', manifest((draft) => (draft['release'] = 1))],
  ['a manifest of a higher release', 'mix_and_match', manifest((draft) => (draft['release'] = OFFERED + 1))],
  ['a manifest that names another hash of a file', 'mix_and_match', manifest(({ files }) => (files[0]!.sha256 = '0'.repeat(64)))],
  ['a manifest that names another length of a file', 'mix_and_match', manifest(({ files }) => files[0]!.length--)],

  // Endless data and cut data.
  ['a timestamp that is too large', 'too_large', metadata('timestamp', (bytes) => Buffer.concat([bytes, Buffer.alloc(20_000, ' ')]))],
  ['a timestamp without end', 'too_large', metadata('timestamp', () => endless), 'server'],
  ['a snapshot that is longer', 'too_large', metadata(`${OFFERED + 1}.snapshot`, longer)],
  ['targets that are longer', 'too_large', metadata(`${OFFERED + 1}.targets`, longer)],
  ['targets without end', 'too_large', metadata(`${OFFERED + 1}.targets`, () => endless), 'server'],
  ['a manifest without end', 'endless_data', swapped(at('manifest.json'), () => endless), 'server'],
  ['a model without end', 'endless_data', swapped(at('model.fp32.onnx'), () => endless), 'server'],
  ['a model with one byte more', 'endless_data', swapped(at('model.fp32.onnx'), longer)],
  ['keys of the fleet without end', 'endless_data', swapped('keys/fleet.json', () => endless), 'server'],
  ['keys of the fleet that are too large', 'too_large', (world) => vouch(world, 'keys/fleet.json', Buffer.alloc(limits.desiredBytes + 1, ' '))],
  ['a manifest that is too large', 'too_large', manifest((draft) => (draft['notes'] = 'x'.repeat(limits.manifestBytes)))],
  ['a bundle that is too large', 'too_large', manifest(({ files }) => (files[0]!.length = limits.bundleBytes + 1))],
  ['a model that trickles', 'slow_retrieval', swapped(at('model.fp32.onnx'), () => (response) => { const timer = setInterval(() => response.write('.'), 20); response.on('close', () => clearInterval(timer)); }), 'server'],
  ['a model that never comes', 'timed_out', swapped(at('model.fp32.onnx'), () => () => undefined), 'server'],
  ['a timestamp that never comes', 'timed_out', metadata('timestamp', () => () => undefined), 'server'],
  ['a timestamp that is withheld', 'unreachable', ({ files }) => void files.delete('/metadata/timestamp.json'), 'server'],
  ['a model that is withheld', 'unreachable', (world) => void world.files.delete(served(world, at('model.fp32.onnx'))), 'server'],

  // Content of targets.
  ['a timestamp that is no JSON', 'malformed', metadata('timestamp', () => Buffer.from('{'))],
  ['a timestamp that is a snapshot', 'wrong_role', metadata('timestamp', (_, world) => bytesOf(world, `/metadata/${OFFERED + 1}.snapshot.json`))],
  ['a manifest with a byte changed', 'hash_mismatch', swapped(at('manifest.json'), flipped)],
  ['a model with a byte changed', 'hash_mismatch', swapped(at('model.fp32.onnx'), flipped)],
  ['golden vectors with a byte changed', 'hash_mismatch', swapped(at('golden.safetensors'), flipped)],
  ['keys of the fleet with a byte changed', 'hash_mismatch', swapped('keys/fleet.json', flipped)],
  ['a model cut short', 'hash_mismatch', swapped(at('model.fp32.onnx'), (bytes) => bytes.subarray(1))],
  ['an older model in place of the new', 'hash_mismatch', swapped(at('manifest.json'), (_, world) => bytesOf(world, served(world, at('manifest.json', 1))))],
  ['a target vouched for with a broken hash', 'hash_mismatch', (world) => {
    world.files.set('/targets/keys/0.fleet.json', bytesOf(world, served(world, 'keys/fleet.json')));
    forge(world, { targets: ({ targets }) => (targets['keys/fleet.json']!.hashes = { md5: '0' }) });
  }],
  ['a model nobody vouches for', 'bad_signature', forged({ targets: ({ targets }) => delete targets[at('model.fp32.onnx')] })],
  ['a manifest nobody vouches for', 'bad_signature', forged({ targets: ({ targets }) => delete targets[at('manifest.json')] })],
  ['keys of the fleet nobody vouches for', 'bad_signature', forged({ targets: ({ targets }) => delete targets['keys/fleet.json'] })],
  ['keys of the fleet of another shape', 'malformed', (world) => vouch(world, 'keys/fleet.json', json({ schema: 1, keys: [] }))],
  ['a file that is not published', 'bad_signature', manifest(({ files }) => files.push({ path: 'more.txt', role: 'other', sha256: '0'.repeat(64), length: 1 }))],

  // Content of the bundle, all of it signed.
  ...['../../../x', '/etc/passwd', 'a/../../x', 'a\\b', './x', '', 'a//b', 'manifest.json', 'card.md'].map((path): Case => [`a file named “${path}”`, 'malformed', manifest(({ files }) => files.push({ path, role: 'other', sha256: '0'.repeat(64), length: 1 }))]),
  ['a manifest of another schema', 'malformed', manifest((draft) => (draft['schema'] = 2))],
  ['a manifest without golden vectors', 'malformed', manifest(({ targets }) => (targets[0]!.files = targets[0]!.files.slice(0, 1)))],
  ['a manifest without a tolerance', 'malformed', manifest(({ golden }) => (golden.tolerance = {}))],
  ['a model for another processor', 'wrong_target', manifest(({ targets }) => (targets[0]!.arch = ['arm64']))],
  ['a model for a card that is not here', 'unsupported', manifest(({ targets }) => (targets[0]!.provider = 'cuda'))],
  ['a model for a runtime to come', 'unsupported', manifest((draft) => (draft['min_runtime'] = '99.0.0'))],
  ['a model that wants inputs nobody has', 'unsupported', manifest(({ inputs }) => inputs.push({ ...inputs[0]!, role: 'weather', kind: 'historic' }))],
  ['a release too far ahead', 'fast_forward_suspected', farAhead(RUNNING + limits.releaseJump + 1)],
  ['a model with weights elsewhere', 'model_refused', model(({ graph }) => graph!.initializer.push({ ...graph!.initializer[0]!, name: 'evil', externalData: [{ $typeName: 'onnx.StringStringEntryProto', key: 'location', value: '/etc/passwd' }] }))],
  ['a model with foreign operators', 'model_refused', model(({ graph }) => graph!.node.push({ ...graph!.node[0]!, domain: 'evil' }))],
  ['a model with operators the manifest does not name', 'model_refused', model(({ graph }) => graph!.node.push({ ...graph!.node[0]!, opType: 'Loop' }))],
  ['a model of another opset', 'model_refused', model(({ opsetImport }) => opsetImport[0]!.version++)],
  ['a model that is none', 'malformed', model((content) => (content.graph = undefined))],

  // The desired state.
  ['a desired state for another site', 'wrong_target', desired((draft) => (draft['site'] = 'plant2'))],
  ['a desired state for another device', 'wrong_target', desired((draft) => (draft['device'] = 'pi8'))],
  ['a desired state for every device of another site', 'wrong_target', desired((draft) => Object.assign(draft, { site: 'plant2', device: '*' }))],
  ['a desired state of yesterday', 'replayed', desired((draft) => (draft.seq = 1))],
  ['another desired state with the number of the last', 'replayed', desired((draft) => (draft.seq = OFFERED))],
  ['a desired state that has expired', 'frozen', desired((draft) => (draft['expires'] = 1))],
  ['a desired state of a version to come', 'malformed', desired((draft) => (draft['v'] = 2))],
  ['a desired state signed by a stranger', 'bad_signature', ({ desired: draft }) => envelope(json(draft), stranger)],
  ['a desired state signed by a stranger in the name of the fleet', 'bad_signature', ({ desired: draft, keys }) => envelope(json(draft), disguised(keys.fleet))],
  ['a desired state signed by the key of targets', 'bad_signature', ({ desired: draft, keys }) => envelope(json(draft), keys.targets)],
  ['a desired state signed by a revoked key', 'bad_signature', (world) => vouch(world, 'keys/fleet.json', json({ schema: 1, keys: [{ keyid: second.keyId, keytype: 'ed25519', public: second.publicHex }] }))],
  ['a desired state with another payload', 'bad_signature', enveloped((whole) => (whole.payload = json({ v: 1 }).toString('base64')))],
  ['a desired state with another signature', 'bad_signature', enveloped((whole) => (whole.signatures[0]!.sig = Buffer.alloc(64, 1).toString('base64')))],
  ['a desired state with a short signature', 'bad_signature', enveloped((whole) => (whole.signatures[0]!.sig = 'AAAA'))],
  ['a desired state without a signature', 'malformed', enveloped((whole) => (whole.signatures = []))],
  ['a desired state with many signatures', 'malformed', enveloped((whole) => (whole.signatures = Array.from({ length: 17 }, () => whole.signatures[0]!)))],
  ['a desired state of another type', 'wrong_role', ({ desired: draft, keys }) => envelope(json(draft), keys.fleet, 'application/vnd.in-toto+json')],
  ['a desired state whose type was changed', 'bad_signature', enveloped((whole) => Object.assign(whole, { payloadType: 'text/plain' }))],
  ['a desired state that is too large', 'too_large', desired((draft) => (draft['x'] = 'x'.repeat(limits.desiredBytes)))],
  ['a desired state that is no JSON', 'malformed', () => Buffer.from('{')],
  ['a desired state that is nothing', 'malformed', () => Buffer.alloc(0)],
  ['a desired state in no base64', 'malformed', enveloped((whole) => (whole.payload = '*'))],
  ['a desired state that is null', 'malformed', signedText('null')],
  ['a desired state of other text', 'malformed', signedText('hello')],
  ...['../x', '__proto__/x', 'a b', ''].map((line): Case => [`a line named “${line}”`, 'malformed', desired((_, one) => (one['line'] = line))]),
  ['a stream whose name leaves the folder', 'malformed', desired((_, one) => (one['bind'] = { target: '../x' }))],
  ['a binding of a role that is not there', 'malformed', desired((_, one) => (one['bind'] = { weather: stream }))],
  ['a binding of nothing', 'malformed', desired((_, one) => (one['bind'] = []))],
  ['a release that is no number', 'malformed', desired((_, one) => (one['release'] = '4'))],
  ['a release nobody published', 'bad_signature', desired((_, one) => (one['release'] = OFFERED + 1))],
  ['a line nobody published', 'bad_signature', desired((_, one) => (one['line'] = 'pump'))],
  ['a line named like what every object has', 'bad_signature', desired((_, one) => (one['line'] = '__proto__'))],
]; // prettier-ignore

/** Publishes what a wrong version number asks for under the name it asks for. */
function renamed(role: 'snapshot' | 'targets', wrong: Broken<Role, Signed>): Attack {
  return (world) => {
    forge(world, wrong);
    const { version } = signedOf(world, 'timestamp');
    world.files.set(`/metadata/${version + 1}.${role}.json`, bytesOf(world, `/metadata/${version}.${role}.json`));
  };
}

function farAhead(release: number): Attack {
  return (world) => {
    for (const { path } of manifestOf(world).files)
      vouch(world, at(path, release), bytesOf(world, served(world, at(path))));
    const bytes = json({ ...manifestOf(world), release });
    vouch(world, at('manifest.json', release), bytes);
    Object.assign(world.desired.models[0]!, { release, manifest_sha256: sha256(bytes) });
  };
}

/** As `forge`, but so far ahead that no attack of the table has reached there. */
export const forgeAhead = (world: World): void => {
  for (let i = 0; i < 4; i++) forge(world);
};
