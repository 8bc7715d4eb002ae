import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readLegacyFormat } from '../../src/import/legacy-format.js';
import { fixtureFolder } from '../fixtures.js';

const source = join(fixtureFolder, 'checkpoint-legacy', 'NHITS', 'model');
const absent = !existsSync(source);
if (absent) console.warn(`Skipped: there is no checkpoint at ${source}.`);
const folder = mkdtempSync(join(tmpdir(), 'legacy-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A copy of the checkpoint in which the file of weights is what `change` makes of it. */
function changed(name: string, change: (bytes: Buffer) => Buffer): string {
  const copy = join(folder, name);
  cpSync(source, copy, { recursive: true });
  const file = join(copy, 'NHITS_0.ckpt');
  const bytes = change(readFileSync(file));
  rmSync(file);
  writeFileSync(file, bytes);
  return copy;
}
/** Bytes replaced wherever they stand, as many as before. */
const replaced = (bytes: Buffer, from: string, to: string): Buffer =>
  Buffer.from(bytes.toString('latin1').replaceAll(from, to), 'latin1');

describe.skipIf(absent)('a pickled checkpoint', () => {
  test('gives hyperparameters, loss and weights', () => {
    const { frequency, models } = readLegacyFormat(source);
    expect(frequency).toBe('ME');
    expect(models).toHaveLength(1);
    const { className, hyperparameters, loss, tensors } = models[0]!;
    expect(className).toBe('nhits');
    expect(hyperparameters).toMatchObject({ h: 12, input_size: 24, stack_types: ['identity', 'identity', 'identity'] });
    expect(loss).toMatchObject({ name: 'MQLoss', args: { quantiles: [0.5, 0.1, 0.9], output_names: ['-median', '-lo-80', '-hi-80'] } }); // prettier-ignore
    expect(tensors['blocks.0.layers.0.weight']).toMatchObject({ dims: [16, 12] });
  });

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['cut short', (bytes) => bytes.subarray(0, bytes.length - 40)],
    ['cut to half', (bytes) => bytes.subarray(0, bytes.length / 2)],
    ['empty', () => Buffer.alloc(0)],
    ['damaged', (bytes) => replaced(bytes, 'input_size', 'input_sizf')],
    [
      'compressed',
      (bytes) =>
        replaced(bytes, 'PK\x01\x02\x00\x00\x00\x00\x08\x08\x00\x00', 'PK\x01\x02\x00\x00\x00\x00\x08\x08\x08\x00'),
    ],
    ['no zip', () => Buffer.from('cos\nsystem\n(X\x04\x00\x00\x00truetR.', 'latin1')],
  ])('a file that is %s is refused', (name, change) => {
    expect(() => readLegacyFormat(changed(name.replaceAll(' ', '-'), change))).toThrow(
      expect.objectContaining({ code: 'ND_IMPORT_REFUSED' }),
    );
  });

  test('a configuration that calls a function is refused by name, and the function is not called', () => {
    const copy = join(folder, 'hostile');
    const trace = join(folder, 'trace');
    cpSync(source, copy, { recursive: true });
    rmSync(join(copy, 'configuration.pkl'));
    const text = `touch ${trace}`;
    writeFileSync(
      join(copy, 'configuration.pkl'),
      Buffer.from(`cos\nsystem\n(X${String.fromCharCode(text.length)}\0\0\0${text}tR.`, 'latin1'),
    );
    expect(() => readLegacyFormat(copy)).toThrow(
      expect.objectContaining({ code: 'ND_IMPORT_REFUSED', message: expect.stringContaining('os.system') as string }),
    );
    expect(existsSync(trace)).toBe(false);
  });
});
