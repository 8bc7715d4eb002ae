import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createWindows } from '../../src/data/windows.js';
import { withExtraWindows } from '../../src/distill/extra.js';
import { createLesson, validationWindows, weighted } from '../../src/distill/lesson.js';
import type { Teacher } from '../../src/distill/teacher.js';
import { sines } from '../train/example.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-lesson-'));
afterAll(() => rmSync(folder, { recursive: true }));

const frame = sines({ rows: 40 });
const last = (past: Float32Array, row: number, length: number): number => past[(row + 1) * length - 1]!;

/** Says the last value it saw plus the step, once for each of its quantiles, a tenth further each. */
function fake(changed: Partial<Teacher> = {}): Teacher & { calls: number } {
  const teacher = {
    name: 'fake',
    fingerprint: 'fake',
    inputLength: 8,
    horizon: 4,
    quantiles: [] as readonly number[],
    point: 0,
    calls: 0,
    close: () => undefined,
    predict: (batch: { past: Float32Array }, count: number): Float32Array => {
      teacher.calls += 1;
      const width = Math.max(1, teacher.quantiles.length);
      const series = teacher.together ?? 1;
      const { horizon, inputLength } = teacher;
      return Float32Array.from({ length: count * series * horizon * width }, (_, i) => {
        const row = Math.floor(i / (horizon * width));
        const seen =
          series === 1
            ? last(batch.past, row, inputLength)
            : batch.past[(Math.floor(row / series) * inputLength + inputLength - 1) * series + (row % series)]!;
        return seen + (Math.floor(i / width) % horizon) + (i % width) / 10;
      });
    },
    together: undefined as number | undefined,
    columns: undefined,
    ...changed,
  };
  return teacher;
}

const task = { inputLength: 5, horizon: 3 };
const lengthened = { rows: (s: number) => ({ from: s * 40 + 3, to: (s + 1) * 40 }) };

test('a teacher of a longer past and horizon, or of all series at once, says the same for the windows of its student', async () => {
  const windows = createWindows(frame, { ...task, ...lengthened });
  const [one, many] = [fake(), fake({ together: 2, fingerprint: 'many' })];
  const both = createLesson({ teachers: [one, many], horizon: 3 });
  expect(both).toMatchObject({ inputLength: 8, columns: 1, quantiles: [] });
  const [a, b] = (await both.all(windows)) as [Float32Array, Float32Array];
  expect(a).toEqual(b);
  expect(a).toHaveLength(windows.count * 3);
  const cut = windows.starts[7]! + 5;
  expect([...a.subarray(21, 24)]).toEqual([0, 1, 2].map((step) => Math.fround(frame.columns.target[cut - 1]! + step)));
});

test('a student of many series gets columns and steps first, series last', async () => {
  const windows = createWindows(frame, { ...task, ...lengthened, together: 2 });
  const lesson = createLesson({ teachers: [fake({ quantiles: [0.1, 0.9] })], horizon: 3 });
  const taught = await lesson.taught(windows, [1]);
  expect(taught).toHaveLength(windows.count * 2 * 3 * 2);
  const seen = [0, 1].map((s) => frame.columns.target[windows.starts[2]! + s * 40 + 4]!);
  const expected = [0, 0.1].flatMap((more) => [0, 1, 2].flatMap((step) => seen.map((value) => value + step + more)));
  for (const [i, value] of expected.entries()) expect(taught[2 * 12 + i]).toBeCloseTo(value, 4);
});

test('teachers of different quantiles agree on points', async () => {
  const teachers = [fake({ quantiles: [0.1, 0.5], point: 1 }), fake({ fingerprint: 'b' })];
  const lesson = createLesson({ teachers, horizon: 3 });
  expect(lesson).toMatchObject({ columns: 1, quantiles: [], point: 0 });
  const [a, b] = (await lesson.all(createWindows(frame, { ...task, ...lengthened }))) as [Float32Array, Float32Array];
  expect(a[0]! - b[0]!).toBeCloseTo(0.1, 4);
  expect(weighted([a, b], [0.5, 0.5])[0]! - b[0]!).toBeCloseTo(0.05, 4);
});

test('forecasts are worked out once for the same teacher and windows, and again when the file is damaged', async () => {
  const windows = createWindows(frame, { ...task, ...lengthened });
  const teacher = fake();
  const lesson = createLesson({ teachers: [teacher], horizon: 3, cache: folder });
  const [first] = await lesson.all(windows);
  const { calls } = teacher;
  expect((await lesson.all(windows))[0]).toEqual(first);
  expect(teacher.calls).toBe(calls);
  const [file] = readdirSync(folder);
  writeFileSync(join(folder, file!), 'half of');
  expect((await lesson.all(windows))[0]).toEqual(first);
  expect(teacher.calls).toBe(2 * calls);
  await createLesson({ teachers: [fake({ fingerprint: 'other' })], horizon: 3, cache: folder }).all(windows);
  expect(readdirSync(folder)).toHaveLength(2);
});

test('a teacher that sees less far than its student is refused', () => {
  expect(() => createLesson({ teachers: [fake({ horizon: 2 })], horizon: 3 })).toThrow(
    expect.objectContaining({ code: 'ND_DISTILL_HORIZON', where: 'fake' }),
  );
});

test('validation windows forecast the last rows alone', () => {
  const { windows, actual } = validationWindows(frame, { ...task, size: 10 });
  expect(windows.count).toBe(2 * (10 - 3 + 1));
  expect(windows.starts[0]! + task.inputLength).toBe(30);
  expect([...actual.subarray(0, 3)]).toEqual([...frame.columns.target.subarray(30, 33)]);
});

test('made-up windows are series of their own, whose truth is what the teacher says', async () => {
  const label = (windows: { count: number }): Promise<Float32Array> =>
    Promise.resolve(Float32Array.from({ length: windows.count * 3 }, (_, i) => i));
  const options = { share: 0.5, seed: 1, ...task, label };
  const longer = await withExtraWindows(frame, options);
  const made = longer.ids.length - 2;
  expect(made).toBe(33); // half of 2 · (40 - 8 + 1)
  expect(createWindows(longer, { ...task }).count).toBe(66 + made);
  expect([...longer.columns.target.slice(-3)]).toEqual([96, 97, 98]);
  expect(longer.columns.target.every(Number.isFinite)).toBe(true);
  expect(await withExtraWindows(frame, options)).toEqual(longer);
  expect(await withExtraWindows(frame, { ...options, share: 0 })).toBe(frame);
});
