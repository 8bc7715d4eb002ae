/** What the README shows is run as it stands there. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const readme = readFileSync('README.md', 'utf8');
const block = (language: string): string => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(readme)![1]!;
const run = promisify(execFile);

test('the example of the library runs and prints 24 forecasts with their interval', async () => {
  mkdirSync('.nd', { recursive: true });
  const file = `.nd/readme-${process.pid}.mjs`; // inside the package, so that it may import the package by its name
  writeFileSync(file, block('js'));
  try {
    const { stdout } = await run(process.execPath, [file]);
    expect(stdout).toMatch(/nhits: Float32Array\(24\)[^]*'nhits-lo-90': Float32Array\(24\)[^]*Float32Array\(24\)/);
  } finally {
    rmSync(file);
  }
});

test('the pictures and pages it names are there', () => {
  for (const [, path] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
    expect(() => readFileSync(path!)).not.toThrow(/ENOENT/);
});
