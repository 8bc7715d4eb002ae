import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import { createSystemClock, openStore } from '../../src/runtime/index.js';
import { jsonOf, nd } from './nd.js';

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

test('nd doctor --config names the streams that report in another way than configured, by what is stored', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nd-doctor-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'device.yaml'), 'site: a\ndevice: b\nstate_dir: state\nmqtt: { url: "mqtt://127.0.0.1" }\nstreams: { hall: {}, attic: { report: on_change }, boiler: {} }\n'); // prettier-ignore
  const reporting = async (): Promise<Check> => {
    const { checks } = jsonOf(await nd(['doctor', '--config', 'device.yaml', '--json'], { cwd: dir })) as { checks: Check[] }; // prettier-ignore
    return checks.find(({ name }) => name === 'reporting')!;
  };
  expect(await reporting()).toMatchObject({ ok: true, detail: 'no readings yet' });

  mkdirSync(join(dir, 'state'));
  const store = openStore({ path: join(dir, 'state', 'device.db'), clock: createSystemClock('trusted') });
  const random = createRandom('doctor');
  for (let i = 0, timeMs = Date.UTC(2026, 0, 1); i < 100; i++) {
    timeMs += Math.round(1000 + random() * 600_000);
    store.append(['hall', 'attic'].map((stream) => ({ stream, timeMs, value: i / 10, flags: 0 })));
    store.append([{ stream: 'boiler', timeMs: Date.UTC(2026, 0, 1) + i * 60_000, value: 20, flags: 0 }]);
    if (i === 50) store.seal();
  }
  const { ok, detail } = await reporting(); // while the device runs
  store.close();
  expect(ok).toBe(true);
  expect(detail).toMatch(/^stream hall looks like on_change, not periodic \(99 intervals of \d+ s to \d+ min, half of them below \d+ min\)$/); // prettier-ignore

  writeFileSync(join(dir, 'device.yaml'), 'site: a\n');
  expect(await reporting()).toMatchObject({ ok: false });
});
