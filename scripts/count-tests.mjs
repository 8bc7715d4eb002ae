// Prints "N passed, N failed", summed over the reports that the last `npm test` wrote; exit code 1 on any failure.
import { reportTotals } from './vitest-reports.mjs';

const { passed, failed } = reportTotals(['pure', 'ort', 'system']);
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0 || passed === 0) process.exitCode = 1;
