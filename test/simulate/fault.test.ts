import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import { faults, parseFaults, type FaultName, type Reading } from '../../src/simulate/fault.js';

const names = Object.keys(faults) as FaultName[];
const stepMs = 60_000;
const startMs = Date.UTC(2026, 0, 1);

/** A stretch that the fault may have, and what it makes of it. */
const occurrence = (name: FaultName) =>
  fc
    .tuple(
      fc.integer({ min: faults[name].length[0], max: faults[name].length[1] }),
      fc.integer(),
      fc.float({ min: 0.5, max: 100, noNaN: true }),
    )
    .chain(([length, seed, spread]) =>
      fc
        .array(fc.float({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: length, maxLength: length })
        .map((values) => {
          const stretch = values.map((value, i): Reading => ({ seq: i, atMs: startMs + i * stepMs, timeMs: startMs + i * stepMs, value, fault: null, lost: false })); // prettier-ignore
          return {
            stretch,
            spread,
            after: faults[name].apply(stretch, { random: createRandom(seed), spread, stepMs }),
          };
        }),
    );

describe.each(names)('%s', (name) => {
  test('hits as many readings as it says, marks them, and leaves the others as they are', () => {
    fc.assert(
      fc.property(occurrence(name), ({ stretch, after }) => {
        const hit = after.filter(({ fault }) => fault === name);
        expect(hit).toHaveLength(faults[name].hits(stretch.length));
        for (const reading of after.filter(({ fault }) => fault === null))
          expect(stretch[reading.seq]).toEqual(reading);
        expect(hit.length + after.filter(({ fault }) => fault === null).length).toBe(after.length);
      }),
    );
  });

  test('lets nothing leave before it was measured, or before what left already', () => {
    fc.assert(
      fc.property(occurrence(name), ({ stretch, after }) => {
        after.forEach((reading, i) => {
          expect(reading.atMs).toBeGreaterThanOrEqual(stretch[reading.seq]!.atMs);
          if (i > 0) expect(reading.atMs).toBeGreaterThanOrEqual(after[i - 1]!.atMs);
        });
      }),
    );
  });

  const changes: Readonly<Record<FaultName, readonly Exclude<keyof Reading, 'fault'>[]>> = {
    late: ['atMs'],
    duplicate: ['atMs'],
    'out-of-order': ['atMs'],
    gap: ['lost'],
    outage: ['lost'],
    'clock-step': ['timeMs'],
    drift: ['value'],
    stuck: ['value'],
    spike: ['value'],
  };
  test(`changes nothing but ${changes[name].join()} of what it hits`, () => {
    fc.assert(
      fc.property(occurrence(name), ({ stretch, after }) => {
        for (const { fault, ...reading } of after.filter((each) => each.fault !== null)) {
          const { fault: _, ...before } = stretch[reading.seq]!;
          for (const key of changes[name]) expect({ ...reading, [key]: before[key] }).toEqual(before);
        }
      }),
    );
  });

  test('keeps every reading, and has one twice only where it doubles', () => {
    fc.assert(
      fc.property(occurrence(name), ({ stretch, after }) => {
        expect(new Set(after.map(({ seq }) => seq)).size).toBe(stretch.length);
        expect(after.length).toBe(stretch.length + (name === 'duplicate' ? 1 : 0));
      }),
    );
  });
});

test('a clock that is behind says no time that was said before, and none of the six readings before it', () => {
  fc.assert(
    fc.property(occurrence('clock-step'), ({ after }) => {
      const times = after.filter(({ fault }) => fault !== null).map(({ timeMs }) => timeMs);
      for (const time of times) {
        expect(time).toBeLessThan(startMs);
        expect((time - startMs) % stepMs).not.toBe(0);
      }
    }),
  );
});

test('values go wrong as far as the table says', () => {
  fc.assert(
    fc.property(occurrence('spike'), ({ stretch, after, spread }) => {
      const off = Math.abs(after[0]!.value - stretch[0]!.value) / spread;
      expect(off).toBeGreaterThan(6 - 0.01);
      expect(off).toBeLessThan(12 + 0.01);
    }),
  );
  fc.assert(
    fc.property(occurrence('stuck'), ({ stretch, after }) => after.every(({ value }) => value === stretch[0]!.value)),
  );
  fc.assert(
    fc.property(occurrence('drift'), ({ stretch, after, spread }) =>
      after.every(({ value }, i) => Math.abs(value - stretch[i]!.value) <= 3 * spread + 1e-3),
    ),
  );
});

test('faults are asked for by name, with a share or the usual one, or all at once', () => {
  expect(parseFaults('')).toEqual({});
  expect(parseFaults('late:0.05, gap')).toEqual({ late: 0.05, gap: faults.gap.usual });
  expect(parseFaults('all')).toEqual(Object.fromEntries(names.map((name) => [name, faults[name].usual])));
  expect(parseFaults('all,late:0,spike:0.1')).toMatchObject({ late: 0, spike: 0.1, gap: faults.gap.usual });
  expect(parseFaults('all:0.001')).toMatchObject({ drift: 0.001, outage: 0.001 });
});

test.each([
  'lat',
  'late:',
  'late:1',
  'late:-1',
  'late:x',
  'late:0.1:2',
  'late:0.2',
  'spike:0.6,duplicate:0.6',
  'outage:0.5',
  'constructor',
])('faults “%s” are refused, with the names that there are', (text) => {
  expect(() => parseFaults(text)).toThrow(/late, duplicate, gap.*ND_CONFIG_OUT_OF_RANGE/);
});
