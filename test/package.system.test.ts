/** The package as npm would publish it, from the built dist/. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { version } from '../src/version.js';

interface Entry {
  readonly types: string;
  readonly default: string;
}
const { name, bin, files, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  name: string;
  bin: Record<string, string>;
  files: string[];
  exports: Record<string, Entry>;
};

let packed: string[];
beforeAll(() => {
  const printed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [first] = JSON.parse(printed) as { files: { path: string }[] }[];
  packed = first!.files.map(({ path }) => path);
});

test.each(Object.entries(exports))('%s resolves to a module with types, both in the package', async (path, entry) => {
  const target = import.meta.resolve(`${name}${path.slice(1)}`); // a package may import itself by name
  expect(target.endsWith(entry.default.slice(1))).toBe(true);
  expect(Object.keys((await import(/* @vite-ignore */ target)) as object).length).toBeGreaterThan(0);
  for (const file of [entry.default, entry.types]) expect(packed).toContain(file.slice(2));
});

test('nd is executable by its first line and tells the version', () => {
  expect(readFileSync(bin['nd']!, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(execFileSync(process.execPath, [bin['nd']!, '--version'], { encoding: 'utf8' }).trim()).toContain(version);
});

test('what package.json lists exists', () => {
  for (const path of files.filter((path) => !path.startsWith('!'))) expect(existsSync(path), path).toBe(true);
});

test('a user gets the program, the demo data, what emulates a board and the papers, and nothing else', () => {
  for (const path of [
    'package.json',
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'dist/cli/main.js',
    'dist/device/nd-device.js',
    'dist/train/worker.js',
    'examples/data/windows.json',
    'examples/data/ambient_temperature_system_failure.csv',
    'examples/data/machine_temperature_system_failure.csv',
  ])
    expect(packed).toContain(path);
  const wanted =
    /^(package\.json|LICENSE|README\.md|CHANGELOG\.md|dist\/[^.][^]*\.(js|d\.ts)|targets\/arm64\/(emulate\.sh|README\.md)|examples\/data\/[^/]+\.(csv|json|md))$/;
  expect(packed.filter((path) => !wanted.test(path))).toEqual([]);
  expect(packed.filter((path) => /(^|\/)(test|bench)\/|\.test\./.test(path))).toEqual([]);
});
