import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { replaceFile } from '../../src/runtime/files.js';

test('a file is replaced as a whole and leaves no half behind', () => {
  const dir = mkdtempSync(join(tmpdir(), 'nd-files-'));
  const file = join(dir, 'pointer.json');
  replaceFile(file, 'one');
  replaceFile(file, 'two');
  expect(readFileSync(file, 'utf8')).toBe('two');
  expect(readdirSync(dir)).toEqual(['pointer.json']);
  rmSync(dir, { recursive: true });
});
