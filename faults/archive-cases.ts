/** The attacks of S1 on update files: what is wrong with the archive itself. What may be wrong in it stands in attack-cases.ts. */
import { execFileSync } from 'node:child_process';
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { limits } from '../src/contracts/limit.js';
import type { UpdateReason } from '../src/contracts/reason.js';
import { tarEnd, tarPadding, writeTarHeader } from '../src/contracts/tar.js';
import { at, served, signedOf } from './attack-cases.js';
import type { World } from './attack-cases.js';

/** An entry, with bytes of its header that are not as they should be: [where, what]. */
type Piece = readonly [path: string, content: Buffer, wrong?: readonly (readonly [at: number, bytes: string])[]];

/** Gives the file; undefined where it has been put there already. */
type ArchiveAttack = (pieces: Piece[], world: World, path: string) => Buffer | undefined;
type ArchiveCase = readonly [name: string, outcome: UpdateReason | 'taken', attack: ArchiveAttack];

/** What an update needs of what is served, as far as the metadata says what that is, and the desired state. */
export function piecesOf(world: World, desired: Uint8Array): Piece[] {
  const { files } = world;
  const roots = [...files.keys()].filter((path) => /^\/metadata\/\d+\.root\.json$/.test(path));
  const wanted = new Set([...roots, '/metadata/timestamp.json', ...namedBy(world)]);
  const pieces = [...wanted].flatMap((path): Piece[] => {
    const content = files.get(path);
    return content instanceof Buffer ? [[path.slice(1), content]] : [];
  });
  return [...pieces, ['desired.json', Buffer.from(desired)]];
}

function namedBy(world: World): string[] {
  try {
    const snapshot = signedOf(world, 'timestamp').meta['snapshot.json']!.version;
    const targets = signedOf(world, `${snapshot}.snapshot`).meta['targets.json']!.version;
    return [
      `/metadata/${snapshot}.snapshot.json`,
      `/metadata/${targets}.targets.json`,
      ...Object.keys(signedOf(world, `${targets}.targets`).targets).map((path) => servedBy(world, targets, path)),
    ];
  } catch {
    return [...world.files.keys()].filter((path) => path.startsWith('/metadata/')); // broken: all that may be asked for
  }
}

function servedBy(world: World, version: number, path: string): string {
  const { hashes } = signedOf(world, `${version}.targets`).targets[path]!;
  const cut = path.lastIndexOf('/') + 1;
  return `/targets/${path.slice(0, cut)}${Object.values(hashes)[0]}.${path.slice(cut)}`;
}

export function tar(pieces: readonly Piece[], end: Buffer = tarEnd): Buffer {
  const blocks = pieces.flatMap(([path, content, wrong = []]) => {
    const header = writeTarHeader({ path, length: content.length });
    if (!header.ok) throw new Error(header.detail);
    for (const [from, bytes] of wrong) header.value.write(bytes, from, 'latin1');
    if (!wrong.some(([from]) => from === checksumAt)) {
      header.value.fill(' ', checksumAt, checksumAt + 8);
      const sum = header.value.reduce((total, byte) => total + byte, 0);
      header.value.write(`${sum.toString(8).padStart(6, '0')}\0 `, checksumAt, 'latin1');
    }
    return [header.value, content, Buffer.alloc(tarPadding(content.length))];
  });
  return Buffer.concat([...blocks, end]);
}

const sizeAt = 124;
const checksumAt = 148;
const typeAt = 156;
const linkAt = 157;
const magicAt = 257;

const something = Buffer.from('#!/bin/sh\n');
const also =
  (path: string, wrong?: Piece[2], content = something): ArchiveAttack =>
  (pieces) =>
    tar([...pieces, [path, content, wrong]]);
const ofType = (type: string, link = ''): ArchiveAttack =>
  also('targets/more', [
    [typeAt, type],
    [linkAt, link],
  ], Buffer.alloc(0)); // prettier-ignore

const modelFile = at('model.fp32.onnx');
const isServed = (world: World, path: string) => {
  const name = served(world, path).slice(1);
  return ([entry]: Piece): boolean => entry === name;
};
/** Something else in the place of a target. */
const instead =
  (path: string, change: (piece: Piece) => Piece[]): ArchiveAttack =>
  (pieces, world) => {
    const found = isServed(world, path);
    return tar(pieces.flatMap((piece) => (found(piece) ? change(piece) : [piece])));
  };
const without =
  (path: string): ArchiveAttack =>
  (pieces) =>
    tar(pieces.filter(([entry]) => entry !== path));

export const archiveCases: readonly ArchiveCase[] = [
  ['nothing is wrong', 'taken', (pieces) => tar(pieces)],
  ['filled up to a record, as GNU tar does', 'taken', (pieces) => tar(pieces, Buffer.alloc(10_240))],
  ['in another order', 'taken', (pieces) => tar([...pieces].reverse())],
  ['without a desired state', 'unsupported', without('desired.json')],

  ['a symbolic link more', 'unsafe_path', ofType('2', '/etc/passwd')],
  ['a hard link more', 'unsafe_path', ofType('1', 'desired.json')],
  ['a folder more', 'unsafe_path', ofType('5')],
  ['a character device more', 'unsafe_path', ofType('3')],
  ['a block device more', 'unsafe_path', ofType('4')],
  ['a pipe more', 'unsafe_path', ofType('6')],
  ['a sparse file more', 'unsafe_path', ofType('S')],
  ['a record of a long name', 'unsafe_path', ofType('L')],
  ['a record of pax that renames the next entry', 'unsafe_path', (pieces) => tar([['targets/pax', Buffer.from('17 path=../../x\n'), [[typeAt, 'x']]], ...pieces])],
  ['a link in the place of the model', 'unsafe_path', instead(modelFile, ([path]) => [[path, Buffer.alloc(0), [[typeAt, '2'], [linkAt, '/dev/zero']]]])],
  ...['/etc/passwd', '../../x', 'targets/../../x', 'targets/./x', 'targets//x', 'targets/x\\y', './desired.json', 'targets/x\ny', 'run.sh', 'keys/root.pem', 'metadata/../desired.json'].map((path): ArchiveCase => [`a file named ${JSON.stringify(path)}`, 'unsafe_path', also(path)]),
  ['a target nobody vouches for', 'unsafe_path', also('targets/boiler/run.sh')],
  ['a target under another hash', 'unsafe_path', also(`targets/keys/${'0'.repeat(64)}.fleet.json`)],
  ['a target under no hash', 'unsafe_path', also('targets/keys/fleet.json')],
  ['metadata of no role', 'unsafe_path', also('metadata/more.json')],
  ['a snapshot of another day', 'unsafe_path', (pieces, { files }) => tar([...pieces, ['metadata/1.snapshot.json', files.get('/metadata/1.snapshot.json') as Buffer]])],
  ['a root too far ahead', 'unsafe_path', also('metadata/9.root.json')],
  ['the model twice', 'unsafe_path', instead(modelFile, (piece) => [piece, piece])],
  ['another model under the name of the model', 'unsafe_path', instead(modelFile, (piece) => [piece, [piece[0], something]])],
  ['two desired states', 'unsafe_path', also('desired.json')],

  ['a header with a wrong checksum', 'malformed', instead(modelFile, ([path, content]) => [[path, content, [[checksumAt, '000000\0 ']]]])],
  ['a header of GNU’s own format', 'malformed', instead(modelFile, ([path, content]) => [[path, content, [[magicAt, 'ustar  \0']]]])],
  ['a size in base 256', 'malformed', instead(modelFile, ([path, content]) => [[path, content, [[sizeAt, '\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff']]]])],
  ['a size that is no number', 'malformed', instead(modelFile, ([path, content]) => [[path, content, [[sizeAt, '99999999999']]]])],
  ['a size beyond the end', 'malformed', instead(modelFile, ([path, content]) => [[path, content, [[sizeAt, '77777777777']]]])],
  ['cut somewhere', 'malformed', (pieces, { random }) => tar(pieces).subarray(0, random.int(1, tar(pieces).length - 1))],
  ['cut at the end of an entry', 'malformed', (pieces) => tar(pieces, Buffer.alloc(0))],
  ['with another archive after it', 'malformed', (pieces) => Buffer.concat([tar(pieces), tar(pieces)])],
  ['a file of nothing', 'malformed', () => Buffer.alloc(0)],
  ['a file of zeros', 'malformed', () => Buffer.alloc(1024 * 1024)],
  ['a file of noise', 'malformed', (_, { random }) => Buffer.from(Array.from({ length: 20_000 }, () => random.int(0, 255)))],
  ['too many entries', 'too_large', (pieces) => tar([...pieces, ...Array.from({ length: limits.archiveEntries }, (_, i): Piece => [`targets/${i}`, Buffer.alloc(0)])])],
  ['a file almost without end', 'too_large', (_, _world, path) => { writeFileSync(path, ''); truncateSync(path, limits.archiveBytes + 1); return undefined; }],
  ['a pipe in the place of the file', 'unsafe_path', (_, _world, path) => void execFileSync('mkfifo', [path])],
  ['a link in the place of the file', 'unsafe_path', (_, _world, path) => void symlinkSync('/dev/zero', path)],
  ['a stick that is gone', 'unreachable', () => undefined],

  ['a model with a byte changed', 'hash_mismatch', instead(modelFile, ([path, content]) => { const bytes = Buffer.from(content); bytes[0]! ^= 1; return [[path, bytes]]; })],
  ['a model that is missing', 'malformed', instead(modelFile, () => [])],
  ['a manifest that is missing', 'malformed', instead(at('manifest.json'), () => [])],
  ['keys of the fleet that are missing', 'malformed', instead('keys/fleet.json', () => [])],
  ['a timestamp that is missing', 'malformed', without('metadata/timestamp.json')],
  ['all metadata missing', 'malformed', (pieces) => tar(pieces.filter(([path]) => !path.startsWith('metadata/')))],
]; // prettier-ignore
