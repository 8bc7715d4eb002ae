import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { version } from '../src/version.js';

const read = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
const described = read('package.json');

test('the program, the package and its lock name one version', () => {
  expect(described['version']).toBe(version);
  expect(read('package-lock.json')).toMatchObject({ name: described['name'], version });
});

test('the newest entry of the changelog is of this version, or not released yet', () => {
  const [heading] = readFileSync('CHANGELOG.md', 'utf8').match(/^## .*/m) ?? [];
  expect(heading).toMatch(new RegExp(`^## (\\[?${version.replaceAll('.', '\\.')}\\b|\\[?[Uu]nreleased)`));
});

test('it runs on the Node of Raspberry Pi OS, is ESM, and the engine runs no code at install', () => {
  expect(described).toMatchObject({ engines: { node: '>=20.19' }, type: 'module', bin: { nd: 'dist/cli/main.js' } });
  expect(described['allowScripts']).toMatchObject({ 'onnxruntime-node': false }); // it would download CUDA libraries
});
