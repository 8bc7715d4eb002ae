import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../src/contracts/config.js';
import { jsonOf, nd } from './nd.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-config-'));
  writeFileSync(join(dir, 'good.yaml'), 'site: a\ndevice: b\nstate_dir: s\nmqtt: { url: "mqtt://me:secret@127.0.0.1" }\nstreams: { x: { max_silence: 5m } }\nsparkplug: { group: g, node: n, mqtt: { url: "mqtt://me:secret@10.0.0.1" } }\n'); // prettier-ignore
  writeFileSync(join(dir, 'bad.yaml'), 'site: a\ndevice: b\nstate_dir: s\nmqtt:\n  urll: 1\n');
  writeFileSync(join(dir, 'lost.yaml'), 'site: a\ndevice: b\nstate_dir: s\nmqtt: { url: "mqtt://127.0.0.1", ca_file: no.pem }\nhttp: { token_file: no-token }\nrepository: { url: "http://h", root_file: no.json }\nsparkplug: { group: g, node: n, mqtt: { url: "mqtt://127.0.0.1", key_file: no.key } }\n'); // prettier-ignore
});
afterAll(() => rmSync(dir, { recursive: true }));
const config = (...args: string[]) => nd(['config', ...args], { cwd: dir });

test('nd config check says what a device would take, and what is wrong with what it would not', async () => {
  expect(await config('check', 'good.yaml')).toMatchObject({ code: 0, stdout: expect.stringMatching(/a\/b, 1 streams/) as string }); // prettier-ignore
  expect(jsonOf(await config('check', 'good.yaml', '--json'))).toMatchObject({ valid: true, streams: 1 });
  expect(await config('check', 'bad.yaml')).toMatchObject({ code: 4, stderr: expect.stringMatching(/bad\.yaml:5: mqtt.*did you mean "url"/) as string }); // prettier-ignore
  const lost = await config('check', 'lost.yaml');
  expect(lost.stderr).toMatch(/no\.pem, .*no\.key, .*no-token, .*no\.json.*ND_FILE_NOT_FOUND/s);
  expect(lost.code).not.toBe(0);
});

test('nd config show prints a configuration that is taken again, with the defaults and without the password', async () => {
  const { stdout, code } = await config('show', 'good.yaml');
  expect(code).toBe(0);
  expect(stdout).not.toContain('secret');
  const again = parseConfig(parse(stdout), 'shown');
  expect(again.streams['x']).toMatchObject({ maxSilenceMs: 300_000, maxGap: 3 });
  expect(again.http.port).toBe(9464);
});
