import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { built, readPickle } from '../../src/import/pickle.js';
import { NeuroDivergentError } from '../../src/errors.js';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const globals = { 'a Thing': built('Thing') };
const read = (text: string): unknown => readPickle(bytes(text), 'file', { globals });

test('plain values come out as they went in', () => {
  expect(read('\x80\x02]q\x00(K\x01M\x02\x01J\xff\xff\xff\xff\x88\x89NX\x02\x00\x00\x00hie.')).toEqual([
    1,
    258,
    -1,
    true,
    false,
    null,
    'hi',
  ]);
  expect(read('}(X\x01\x00\x00\x00aK\x01u.')).toEqual(new Map([['a', 1]]));
  expect(read('\x8a\x02\x00\xff.')).toBe(-256);
});

test('an object of a listed class is its name, its arguments and its state', () => {
  expect(read('ca\nThing\n)\x81}b.')).toEqual({ global: 'Thing', args: [], state: new Map() });
});

describe('what would run code is refused by name', () => {
  test.each([
    ['a call of os.system', 'cos\nsystem\n(X\x04\x00\x00\x00truetR.', 'os.system'],
    ['a name from the stack', 'X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.', 'os.system'],
    ['a name of every object', 'cconstructor\n__proto__\n.', 'constructor.__proto__'],
    ['an instruction that makes instances', '(ios\nsystem\n.', '0x69'],
    ['an instruction of extensions', '\x82\x01.', '0x82'],
    ['a pointer outside', 'X\x01\x00\x00\x00aQ.', 'it points outside'],
  ])('%s', (_, text, named) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code: 'ND_IMPORT_REFUSED', message: expect.stringContaining(named) as string }),
    );
  });
});

test('whatever the bytes are, they are read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (random) => {
      try {
        readPickle(random, 'file', { globals });
      } catch (error) {
        expect(error).toBeInstanceOf(NeuroDivergentError);
      }
    }),
    { numRuns: 2000 },
  );
});
