import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { followIntake, INTAKE_BYTES, openIntake } from '../../src/runtime/intake.js';
import type { Generation, StoredReading } from '../../src/runtime/intake.js';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-intake-'));
  path = join(dir, 'intake');
});
afterEach(() => rmSync(dir, { recursive: true }));

const reading = (i: number, stream = 'a'): StoredReading => ({ stream, timeMs: 1000 * i, value: i, flags: 0 });
const times = ({ streams }: Generation, stream = 'a'): number[] => streams.get(stream)?.times ?? [];

test('what was appended is there when it is opened again, and goes on', () => {
  const any = fc.record({
    stream: fc.constantFrom('a', 'boiler', 'é', 'x'.repeat(64)),
    timeMs: fc.integer({ min: 0, max: 2 ** 42 }),
    value: fc.option(fc.double({ noNaN: true })),
    flags: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(fc.array(any, { minLength: 1, maxLength: 5 }), { maxLength: 6 }), (batches) => {
      rmSync(path, { force: true });
      for (const batch of batches) {
        const intake = openIntake(path, 1);
        intake.append(batch);
        intake.close();
      }
      const all = batches.flat();
      const { content } = openIntake(path, 1);
      expect(content.rows).toBe(all.length);
      for (const [name, { times, values, flags }] of content.streams) {
        const own = all.filter(({ stream }) => stream === name);
        expect(times).toEqual(own.map(({ timeMs }) => timeMs));
        expect(values).toEqual(own.map(({ value }) => value ?? NaN));
        expect(flags).toEqual(own.map((one) => one.flags));
      }
    }),
    { numRuns: 30 },
  );
});

test('a generation begins empty, whatever the one before it left in the file', () => {
  const intake = openIntake(path, 1);
  for (let i = 0; i < 50; i++) intake.append([reading(i)]);
  intake.begin(2);
  expect(intake.content).toMatchObject({ number: 2, rows: 0 });
  intake.append([reading(7)]);
  intake.close();
  expect(times(openIntake(path, 2).content)).toEqual([7000]);
  expect(times(openIntake(path, 3).content)).toEqual([]); // the database has it
});

test('it has room for a while, and its size never changes', () => {
  const intake = openIntake(path, 1);
  let rows = 0;
  for (; intake.fits(100); rows += 100) intake.append(Array.from({ length: 100 }, (_, i) => reading(rows + i)));
  expect(rows).toBeGreaterThan(50_000);
  expect(readFileSync(path)).toHaveLength(INTAKE_BYTES);
  intake.close();
  expect(openIntake(path, 1).content.rows).toBe(rows);
});

test('damage costs what lies behind it, nothing before, and never an exception', () => {
  const intake = openIntake(path, 1);
  for (let i = 0; i < 20; i++) intake.append([reading(i), reading(i, 'b')]);
  intake.close();
  const whole = readFileSync(path);
  fc.assert(
    fc.property(fc.nat(900), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= change;
      writeFileSync(path, damaged);
      const opened = openIntake(path, 1);
      const left = [...times(opened.content)];
      expect(left).toEqual(times(opened.content, 'b'));
      expect(left).toEqual(left.map((_, i) => 1000 * i));
      opened.append([reading(99)]);
      opened.close();
      expect(times(openIntake(path, 1).content)).toEqual([...left, 99_000]);
    }),
  );
  writeFileSync(path, 'this is no intake');
  expect(openIntake(path, 5).content).toMatchObject({ number: 5, rows: 0 });
});

test('it can be followed from outside, and be only in memory', () => {
  const follow = followIntake(path);
  expect(follow()).toBeUndefined();
  const intake = openIntake(path, 4);
  intake.append([reading(1)]);
  expect(follow()).toMatchObject({ number: 4, rows: 1 });
  intake.append([reading(2), reading(3)]);
  expect(times(follow()!)).toEqual([1000, 2000, 3000]);
  intake.begin(5);
  expect(follow()).toMatchObject({ number: 5, rows: 0 });
  const remembered = openIntake(undefined, 1);
  remembered.append([reading(1)]);
  expect(remembered.content.rows).toBe(1);
});
