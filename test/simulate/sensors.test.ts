import fc from 'fast-check';
import { expect, test } from 'vitest';
import { faults, parseFaults } from '../../src/simulate/fault.js';
import { createRecording } from '../../src/simulate/recording.js';
import { addToTally, createTally, simulate, type SensorReading, type Simulation } from '../../src/simulate/sensors.js';

const stepMs = 60_000;
const startMs = Date.UTC(2026, 0, 1);

const recordings = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.float({ noNaN: true, min: -1e6, max: 1e6 })), {
    minLength: 2,
    maxLength: 300,
  })
  .map((rows) => {
    let at = startMs;
    // Mostly regular, with holes.
    const time = rows.map(([gap]) => (at += gap < 3 ? stepMs : 3 * stepMs));
    return createRecording(
      time,
      rows.map(([, value]) => value),
    );
  });

const wave = createRecording(
  Array.from({ length: 20_000 }, (_, i) => startMs + i * stepMs),
  Array.from({ length: 20_000 }, (_, i) => Math.sin(i / 50)),
);
const playWave = (change: Partial<Simulation> = {}): SensorReading[] => [
  ...simulate({ recordings: [wave], devices: 1, sensors: 1, rates: {}, seed: 1, ...change }),
];

function tallyOf(readings: readonly SensorReading[]) {
  const tally = createTally();
  for (const reading of readings) addToTally(tally, reading);
  return tally;
}

test('without faults the first sensor is the recording, and the others are it but for a level and noise', () => {
  fc.assert(
    fc.property(
      recordings,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer(),
      (recording, devices, sensors, seed) => {
        const out = [...simulate({ recordings: [recording], devices, sensors, rates: {}, seed })];
        expect(out).toHaveLength(recording.time.length * devices * sensors);
        for (let device = 0; device < devices; device++)
          for (let sensor = 0; sensor < sensors; sensor++) {
            const own = out.filter((each) => each.device === device && each.sensor === sensor);
            expect(own.map(({ timeMs }) => timeMs)).toEqual(recording.time);
            own.forEach(({ value, seq, fault, lost }, i) => {
              expect({ seq, fault, lost }).toEqual({ seq: i, fault: null, lost: false });
              const off = Math.abs(value - recording.value[i]!);
              if (device + sensor === 0) expect(value).toBe(recording.value[i]);
              else expect(off).toBeLessThanOrEqual(0.53 * recording.spread + 1e-6 * Math.abs(recording.value[i]!));
            });
          }
      },
    ),
    { numRuns: 20 },
  );
});

test('messages leave in order, and within a sensor as its faults say', () => {
  fc.assert(
    fc.property(recordings, fc.integer({ min: 1, max: 5 }), fc.integer(), (recording, sensors, seed) => {
      const out = [...simulate({ recordings: [recording], devices: 2, sensors, rates: parseFaults('all:0.02'), seed })];
      expect(out.every(({ atMs }, i) => i === 0 || atMs >= out[i - 1]!.atMs)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('what is tallied adds up: messages are readings, without the lost and with the doubled ones', () => {
  fc.assert(
    fc.property(recordings, fc.integer({ min: 1, max: 4 }), fc.integer(), (recording, sensors, seed) => {
      const out = [...simulate({ recordings: [recording], devices: 2, sensors, rates: parseFaults('all:0.03'), seed })];
      const { readings, messages, faults: hits } = tallyOf(out);
      expect(readings).toBe(2 * sensors * recording.time.length);
      expect(messages).toBe(readings - (hits['gap'] ?? 0) - (hits['outage'] ?? 0) + (hits['duplicate'] ?? 0));
      // … and nothing is touched that is not marked, apart from when it leaves.
      const truth = [...simulate({ recordings: [recording], devices: 2, sensors, rates: {}, seed })];
      const key = ({ device, sensor, seq }: SensorReading): string => `${device} ${sensor} ${seq}`;
      const known = new Map(truth.map((each) => [key(each), each]));
      for (const each of out) if (each.fault === null) expect(known.get(key(each))).toEqual(each);
    }),
    { numRuns: 20 },
  );
});

test('the same seed gives the same stream, another one another, and the first part does not depend on the length', () => {
  const rates = parseFaults('all');
  const some = { rates, devices: 2, sensors: 2 };
  const day = playWave({ ...some, durationMs: 1440 * stepMs });
  expect(playWave({ ...some, durationMs: 1440 * stepMs })).toEqual(day);
  expect(playWave({ ...some, durationMs: 1440 * stepMs, seed: 2 })).not.toEqual(day);
  expect(playWave({ ...some, durationMs: 2880 * stepMs }).slice(0, 5000)).toEqual(day.slice(0, 5000));
});

test('a stream has a golden beginning', () => {
  const out = playWave({ rates: parseFaults('all:0.03'), sensors: 2, durationMs: 40 * stepMs, seed: 7 });
  expect(
    out.map(({ sensor, seq, atMs, timeMs, value, fault }) =>
      [sensor, seq, (atMs - startMs) / 1000, (timeMs - startMs) / 1000, value.toFixed(4), fault ?? ''].join(' ').trim(),
    ),
  ).toMatchSnapshot();
});

test('a stream may be longer than its recording, or without end, and takes no more memory for it', () => {
  const out = playWave({ recordings: [createRecording([0, 10, 20], [1, 2, 3])], durationMs: 75, startMs: 1000 });
  expect(out.map(({ timeMs }) => timeMs)).toEqual([1000, 1010, 1020, 1030, 1040, 1050, 1060, 1070]);
  expect(out.map(({ value }) => value)).toEqual([1, 2, 3, 1, 2, 3, 1, 2]);
  let taken = 0;
  for (const { seq } of simulate({
    recordings: [wave],
    devices: 1,
    sensors: 1,
    rates: {},
    seed: 1,
    durationMs: Infinity,
  }))
    if ((taken = seq) === 50_000) break;
  expect(taken).toBe(50_000);
});

test('sensors take the recordings of a table in turn', () => {
  const flat = createRecording([0, 10], [5, 5]);
  const out = playWave({ recordings: [wave, flat], sensors: 3, durationMs: 5 });
  expect(out.map(({ sensor, value }) => [sensor, Math.round(value)])).toEqual([[0, 0], [1, 5], [2, expect.any(Number)]]); // prettier-ignore
});

test('in an outage all sensors of a device are silent, and other devices are not', () => {
  const out = playWave({ rates: { outage: 0.1 }, devices: 2, sensors: 3 });
  const silent = (device: number, sensor: number) =>
    new Set(out.filter((each) => each.lost && each.device === device && each.sensor === sensor).map(({ timeMs }) => timeMs)); // prettier-ignore
  expect(silent(0, 0).size).toBeGreaterThan(1000);
  expect(silent(0, 1)).toEqual(silent(0, 0));
  expect(silent(0, 2)).toEqual(silent(0, 0));
  expect(silent(1, 0)).not.toEqual(silent(0, 0));
});

test('each fault hits about the share that was asked for, with all the others beside it', () => {
  const { readings, faults: hits } = tallyOf(playWave({ rates: parseFaults('all:0.03'), sensors: 8, seed: 3 }));
  for (const name of Object.keys(faults)) {
    expect(hits[name]! / readings).toBeGreaterThan(0.025);
    expect(hits[name]! / readings).toBeLessThan(0.035);
  }
});
