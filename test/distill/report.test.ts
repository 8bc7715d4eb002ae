import { expect, test } from 'vitest';
import { judgeStudents } from '../../src/distill/report.js';

const found = (error: number) => ({ metric: 'mae' as const, windows: 9, teacher: { error, members: [] } });

test('a student that is better than alone and close to its teacher passes, and the best seed is kept', () => {
  const report = judgeStudents(found(1), [1.2, 1.1, 1.3], [1.04, 1.02, 1.06], 5);
  expect(report).toMatchObject({ passed: true, seed: 6, betterThanAlone: true, withinTeacher: true });
  expect(report.gain).toBeCloseTo(1 - 1.04 / 1.2, 9);
  expect(report.gap).toBeCloseTo(0.04, 9);
  expect(report.verdict).toMatch(
    /^Passed: over 3 seeds its error is 13\.3 % lower .* 4\.0 % higher than the teacher's\.$/,
  );
});

test.each([
  ['gains nothing', 1, [1], [1.01], /^Not passed: over 1 seed .* higher .* did not help/],
  ['is far from its teacher', 0.5, [1], [0.9], /^Not passed: .* More than 5\.0 % is left/],
  ['has a teacher that knows less than it does', 2, [1], [0.9], /The teacher is worse than the student alone/],
] as const)('a report says so when a student %s', (_, teacher, alone, taught, said) => {
  expect(judgeStudents(found(teacher), alone, taught, 1).verdict).toMatch(said);
});
