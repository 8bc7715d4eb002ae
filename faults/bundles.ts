/** F2: bundles and ONNX files that are not what they should be. Each must be refused with a reason; none may throw or be taken. */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { sha256 } from '../src/bundle/folder.js';
import { verifyBundle } from '../src/bundle/verify.js';
import { GraphProtoSchema, ModelProtoSchema } from '../src/graph/onnx/onnx_pb.js';
import type { ModelProto } from '../src/graph/onnx/onnx_pb.js';
import { openSlots } from '../src/runtime/slots.js';
import { inFolder, packModel } from './device.js';
import { eachTrial } from './row.js';
import type { FaultRow, Random } from './row.js';

const modelFile = 'model.fp32.onnx';
const goldenFile = 'golden.safetensors';
const files = [modelFile, goldenFile, 'card.md', 'manifest.json'];

export const malformedBundles: FaultRow = {
  id: 'F2',
  what: 'malformed bundles and ONNX files',
  counts: 'accepted, or thrown instead of refused',
  trials: { C: 2000, N: 100_000 },
  run: (trials, seed) =>
    inFolder(async (dir) => {
      const sound = join(dir, 'sound');
      const { manifestSha256 } = await packModel(sound);
      const findings = await verifyBundle(sound);
      if (findings.length > 0) return [`the sound bundle is refused: ${findings[0]!.detail}`];
      return eachTrial('F2', async (random) => {
        const slots = openSlots(join(dir, 'device'));
        const at = slots.dir('boiler', 'a');
        rmSync(at, { recursive: true, force: true });
        cpSync(sound, at, { recursive: true });
        const [name, breakIt] = random.pick(Object.entries(ways));
        breakIt(at, random);
        try {
          // What the desired state names is a hash; then the content itself is looked at.
          const pointer = { slot: 'a' as const, release: 1, manifestSha256, streams: [], arm: null };
          if (blind.has(name) && slots.read('boiler', pointer) !== undefined) return `${name}: read from its slot`;
          if (signed.has(name) && sha256(readFileSync(join(at, 'manifest.json'))) !== manifestSha256) return undefined;
          return (await verifyBundle(at)).length > 0 ? undefined : `${name}: accepted`;
        } catch (error) {
          return `${name}: thrown: ${String(error)}`;
        }
      })(trials, seed);
    }),
};

type Way = (dir: string, random: Random) => void;

const rewrite = (path: string, change: (bytes: Buffer) => Uint8Array): void =>
  writeFileSync(path, change(readFileSync(path)));

/** Changes the manifest, whoever signed it. */
function manifest(dir: string, change: (draft: Draft) => void): void {
  rewrite(join(dir, 'manifest.json'), (bytes) => {
    const value = JSON.parse(bytes.toString()) as Draft;
    change(value);
    return Buffer.from(JSON.stringify(value));
  });
}

/** A manifest as it stands in the file, to be broken. */
interface Draft extends Record<string, unknown> {
  files: Record<string, unknown>[];
  targets: { files: string[] }[];
  calibration: { scores: unknown };
  golden: { cases: number };
  opset: number;
  ops: string[];
  notes: string;
}

/** Puts other bytes in a file, and says so in the manifest: the reader must look into the file. */
function replace(dir: string, path: string, change: (bytes: Buffer) => Uint8Array): void {
  rewrite(join(dir, path), change);
  const bytes = readFileSync(join(dir, path));
  manifest(dir, ({ files: listed }) => {
    const entry = listed.find((file) => file['path'] === path)!;
    Object.assign(entry, { sha256: sha256(bytes), length: bytes.length });
  });
}

/** A model as someone with a signing key but bad intent would make it. */
const onnx =
  (change: (model: ModelProto, random: Random) => void): Way =>
  (dir, random) =>
    replace(dir, modelFile, (bytes) => {
      const model = fromBinary(ModelProtoSchema, bytes);
      change(model, random);
      return toBinary(ModelProtoSchema, model);
    });

const graphOf = (init: MessageInitShape<typeof GraphProtoSchema>) => create(GraphProtoSchema, init);

const ways: Readonly<Record<string, Way>> = {
  'a byte changed': (dir, random) =>
    rewrite(join(dir, random.pick(files)), (bytes) => {
      const at = random.int(0, bytes.length - 1);
      bytes[at]! ^= random.int(1, 255);
      return bytes;
    }),
  'a file cut short': (dir, random) =>
    rewrite(join(dir, random.pick(files)), (bytes) => bytes.subarray(0, random.int(0, bytes.length - 1))),
  'a file grown': (dir, random) =>
    rewrite(join(dir, random.pick(files)), (bytes) => Buffer.concat([bytes, Buffer.alloc(random.int(1, 999), 32)])),
  'a file missing': (dir, random) => rmSync(join(dir, random.pick(files))),
  'a file nobody lists': (dir, random) => writeFileSync(join(dir, random.pick(['x', '.x', 'y.onnx'])), 'x'),
  'a link': (dir, random) => {
    const path = join(dir, random.pick(files));
    rmSync(path);
    symlinkSync(random.pick(['/etc/passwd', '/dev/null', 'card.md', 'nowhere']), path);
  },
  'two files exchanged': (dir) => {
    const [model, golden] = [modelFile, goldenFile].map((path) => readFileSync(join(dir, path)));
    writeFileSync(join(dir, modelFile), golden!);
    writeFileSync(join(dir, goldenFile), model!);
  },
  'a manifest field gone': (dir, random) => manifest(dir, (value) => delete value[random.pick(Object.keys(value))]),
  'a manifest field of another kind': (dir, random) =>
    manifest(dir, (value) => (value[random.pick(Object.keys(value))] = random.pick([true, { a: [[]] }, -1.5]))),
  'a path that leaves the folder': (dir, random) =>
    manifest(dir, (value) => {
      const evil = [
        '../x',
        '/etc/passwd',
        'a/../../x',
        'a\\b',
        './x',
        '',
        'a//b',
        'x\u0000',
        'é',
        'manifest.json',
        modelFile,
      ];
      value.files.push({ path: random.pick(evil), role: 'other', sha256: '0'.repeat(64), length: 0 });
    }),
  'a hash or length that is none': (dir, random) =>
    manifest(dir, (value) =>
      Object.assign(
        random.pick(value.files),
        random.pick<object>([
          { sha256: 'A'.repeat(64) },
          { sha256: '' },
          { length: -1 },
          { length: 1e300 },
          { length: 0.5 },
        ]),
      ),
    ),
  'a target without its files': (dir, random) =>
    manifest(
      dir,
      (value) => (value.targets[0]!.files = random.pick([[], [modelFile], [goldenFile], ['card.md'], ['none']])),
    ),
  'scores that do not fit the horizon': (dir, random) =>
    manifest(dir, (value) => (value.calibration.scores = random.pick([[], [1], [1, 1, 1, 1, 1], ['1', 1, 1, 1]]))),
  'a huge manifest': (dir) => manifest(dir, (value) => (value.notes = 'x'.repeat(70_000))),
  'a manifest that is no JSON': (dir, random) =>
    writeFileSync(join(dir, 'manifest.json'), random.pick(['', '[', 'null', '[]', '7', '\ufeff{}', '{"schema":1'])),
  'another opset declared': (dir, random) => manifest(dir, (value) => (value.opset += random.pick([-1, 1, 100]))),
  'an operator not declared': (dir) => manifest(dir, (value) => value.ops.pop()),
  'weights in another file': onnx((model, random) =>
    model.graph!.initializer.push({
      ...model.graph!.initializer[0]!,
      name: 'evil',
      dataLocation: random.pick([0, 1]),
      externalData: [{ $typeName: 'onnx.StringStringEntryProto', key: 'location', value: '/etc/passwd' }],
    }),
  ),
  'operators of a foreign domain': onnx((model, random) =>
    model.graph!.node.push({ ...model.graph!.node[0]!, domain: random.pick(['evil', 'ai.onnx.ml', 'com.example']) }),
  ),
  'an operator hidden in a subgraph': onnx((model) => {
    const hidden = graphOf({ node: [{ opType: 'Loop', input: [], output: [] }] });
    model.graph!.node[0]!.attribute.push({ ...attribute(), g: hidden });
  }),
  'graphs inside graphs': onnx((model, random) => {
    let inner = graphOf({ node: [] });
    for (let depth = random.int(17, 60); depth > 0; depth--) {
      const outer = graphOf({ node: [{ opType: model.graph!.node[0]!.opType }] });
      outer.node[0]!.attribute.push({ ...attribute(), g: inner });
      inner = outer;
    }
    model.graph!.node[0]!.attribute.push({ ...attribute(), g: inner });
  }),
  'no graph': onnx((model) => (model.graph = undefined)),
  'no opset': onnx((model) => (model.opsetImport = [])),
  'too many nodes': (dir) =>
    // A message of protobuf goes on where it is written again: graph (field 7), node (field 1), empty.
    replace(dir, modelFile, (bytes) => {
      const nodes = Buffer.alloc(2 * 20_001, Buffer.from([0x0a, 0]));
      return Buffer.concat([bytes, Buffer.from([0x3a, 0xc2, 0xb8, 0x02]), nodes]);
    }),
  'a model cut short': (dir, random) =>
    replace(dir, modelFile, (bytes) => bytes.subarray(0, random.int(0, bytes.length - 1))),
  'a model of noise': (dir, random) =>
    replace(dir, modelFile, () => Buffer.from(Array.from({ length: random.int(0, 400) }, () => random.int(0, 255)))),
  'golden vectors cut short': (dir, random) =>
    replace(dir, goldenFile, (bytes) => bytes.subarray(0, random.int(0, bytes.length - 1))),
  'golden vectors that lie about their length': (dir, random) =>
    replace(dir, goldenFile, (bytes) => {
      bytes.writeBigUInt64LE(random.pick([0n, 7n, 2n ** 63n, BigInt(bytes.length), 1n << 40n]));
      return bytes;
    }),
  'golden vectors of other cases': (dir, random) => manifest(dir, (value) => (value.golden.cases = random.int(2, 1e6))),
};

/** Without a signature over the manifest these could pass for a sound bundle: there the hash that was asked for decides. */
const signed = new Set([
  'a byte changed',
  'a manifest field gone',
  'a manifest field of another kind',
  'a file cut short',
  'a file grown',
]);
/** What a slot that is read at each start must see as well. */
const blind = new Set([
  'a manifest that is no JSON',
  'a huge manifest',
  'another opset declared',
  'a model of noise',
  'a model cut short',
]);

const attribute = () =>
  create(ModelProtoSchema, { graph: { node: [{ attribute: [{ name: 'body', type: 5 }] }] } }).graph!.node[0]!
    .attribute[0]!;
