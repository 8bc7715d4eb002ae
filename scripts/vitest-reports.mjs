// Where vitest's JSON reports lie, and how to count one.
import { existsSync, readFileSync } from 'node:fs';

export const reportFolder = 'node_modules/.cache/vitest-reports';
export const reportPath = (project) => `${reportFolder}/${project}.json`;

const readReport = (project) => JSON.parse(readFileSync(reportPath(project), 'utf8'));

/** A file that failed before its first test, and a suite that left no report, each count as one failure. */
export function reportTotals(projects) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const project of projects) {
    if (!existsSync(reportPath(project))) {
      total.failed += 1;
      continue;
    }
    const report = readReport(project);
    const brokenFiles = report.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    );
    total.passed += report.numPassedTests;
    total.failed += report.numFailedTests + brokenFiles.length;
    total.skipped += report.numPendingTests + report.numTodoTests;
  }
  return total;
}

/** What was left out, by name. */
export function skippedTests(projects) {
  return projects
    .filter((project) => existsSync(reportPath(project)))
    .flatMap((project) => readReport(project).testResults)
    .flatMap((file) => file.assertionResults)
    .filter(({ status }) => ['pending', 'skipped', 'todo'].includes(status))
    .map(({ fullName }) => fullName.trim());
}
