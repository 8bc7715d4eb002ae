import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createProgram } from '../../src/cli/program.js';

const manual = readFileSync('docs/cli.md', 'utf8');
const sections = new Map(manual.split(/^## /m).slice(1).map((text) => [text.split('\n')[0]!, text])); // prettier-ignore

/** Full names of all commands, those of `nd repo` included. */
function commands(command: Command, above = ''): [string, Command][] {
  const name = `${above}${command.name()}`;
  const inner = command.commands.flatMap((each) => commands(each, `${name} `));
  return ['repo', 'config'].includes(command.name()) ? inner : [[name, command], ...inner];
}
const all = createProgram().commands.flatMap((command) => commands(command));

test.each(all)('docs/cli.md has a section on %s that names its options', (name, command) => {
  const section = sections.get(`\`${name}\``) ?? '';
  expect(section, `add a section ## \`${name}\``).not.toBe('');
  const shared = section.includes('[data options](#data-options)') ? (sections.get('Data options') ?? '') : '';
  const names = (long: string): boolean => new RegExp(`[\`\\s]${long}(?![\\w-])`).test(`${section}${shared}`);
  const missing = command.options.map(({ long }) => long!).filter((long) => !names(long));
  expect(missing, 'name these options in the section').toEqual([]);
});

test('docs/cli.md names no option that does not exist', () => {
  const known = [createProgram(), ...all.map(([, command]) => command)].flatMap(({ options }) =>
    options.map(({ long }) => long!),
  );
  const named = [...manual.matchAll(/(?<=[`\s])--[a-z][a-z-]*/g)].map(([word]) => word);
  expect(named.filter((word) => ![...known, '--help', '--version'].includes(word))).toEqual([]);
});

const pages = [...readdirSync('docs/guides').map((name) => `docs/guides/${name}`), 'docs/anomalies.md'];
const settings = pages.flatMap((page) =>
  [...readFileSync(page, 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)]
    .map(([, text]) => text!)
    .filter((text) => !/^(?:triggers|scrape_configs):/m.test(text)) // of Home Assistant, of Prometheus
    .map((text, i) => [`${page}, ${i + 1}`, text] as const),
);

test.each(settings)('the configuration of %s is one that a device takes', (where, text) => {
  const whole = { site: 'a', device: 'b', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' } };
  expect(() => parseConfig({ ...whole, ...(parse(text) as object) }, where)).not.toThrow();
});
