import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rejectionReasons, tuneReasons, updateReasons } from '../src/contracts/reason.js';
import { findingKinds } from '../src/data/validate.js';
import { errorKinds, exitCode, NeuroDivergentError, type ErrorCode } from '../src/errors.js';

const codes = Object.keys(errorKinds);
const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'errors.ts' && name !== join('contracts', 'reason.ts'))
  .map((name) => readFileSync(join('src', name), 'utf8'))
  .join('\n');
const manual = readFileSync('docs/errors.md', 'utf8');
const sections = [...manual.matchAll(/^### (ND_[A-Z_0-9]+)$/gm)].map((match) => match[1]!);
const tableRows = [...manual.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!);

/** How a code may stand in the source: as itself, as the subclass that fixes it, or as the reason it is made from. */
const spellings = (code: string): string[] => [
  `'${code}'`,
  ...(code === 'ND_SHAPE_MISMATCH' ? ['new ShapeError('] : []),
  ...['ND_BUNDLE_', 'ND_TUNE_']
    .filter((family) => code.startsWith(family))
    .map((family) => `'${code.slice(family.length).toLowerCase()}'`),
];

test('every error code has its section in docs/errors.md', () => {
  const missing = codes.filter((code) => !sections.includes(code));
  expect(missing, 'add a section `### CODE` that says when it is thrown and how to mend it').toEqual([]);
});

test('every section names the exit code', () => {
  const wrong = sections.filter(
    (code) => !manual.includes(`### ${code}\n\n*Exit code ${exitCode[errorKinds[code as ErrorCode]]}.*`),
  );
  expect(wrong, 'begin these sections with *Exit code N.*').toEqual([]);
});

test('docs/errors.md describes no code that does not exist', () => {
  const unknown = sections.filter((code) => !codes.includes(code));
  expect(unknown, 'remove these sections, or add the codes to errorKinds in src/errors.ts').toEqual([]);
});

test('every error code is thrown somewhere', () => {
  const unused = codes.filter((code) => !spellings(code).some((spelling) => source.includes(spelling)));
  expect(unused, 'remove these codes from errorKinds in src/errors.ts and from docs/errors.md, or throw them').toEqual(
    [],
  );
});

test('every finding and every rejection reason has its row in docs/errors.md, and no row is left over', () => {
  const closed = [...Object.keys(findingKinds), ...rejectionReasons];
  expect(tableRows.toSorted(), 'tables of docs/errors.md').toEqual(closed.toSorted());
});

test('every reason of an update and of tuning has an error code', () => {
  const wanted = [
    ...updateReasons.map((reason) => `ND_BUNDLE_${reason.toUpperCase()}`),
    ...tuneReasons.map((reason) => `ND_TUNE_${reason.toUpperCase()}`),
  ];
  expect(wanted.filter((code) => !codes.includes(code))).toEqual([]);
});

test('an error says where, what and how to mend it, and ends with its code', () => {
  const parts = { where: 'nd train', what: 'there is no file.', mend: 'Name a CSV file.' };
  const error = new NeuroDivergentError('ND_CLI_USAGE', parts);
  expect(error.message).toBe('nd train: there is no file. Name a CSV file. [ND_CLI_USAGE]');
  expect(error.exitCode).toBe(exitCode.usage);
  expect(JSON.parse(JSON.stringify(error))).toEqual({ code: 'ND_CLI_USAGE', ...parts });
});
