/** Writes as a device does, and says on the file given second what it believes to be stored. K3 looks over its shoulder. */
import { openSync, writeSync } from 'node:fs';
import { openStore } from '../src/runtime/store.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { stream } from './device.js';

const [, , path, toldPath, steps, stepMs] = process.argv;
/** Four seconds, as a device does. */
const SYNC_STEPS = 40;
const told = openSync(toldPath!, 'a');
const clock = fakeClock();
const store = openStore({ path: path!, clock });
const alert = store.sql.prepare('INSERT INTO alert(id, key, state, seq, body, updated) VALUES (?, ?, ?, 1, ?, 0)');
store.write(() => store.put('model/boiler', '-1'), 'full');
writeSync(told, 'begun -1\n');
for (let i = 0; i < Number(steps); i++) {
  store.append([{ stream, timeMs: i, value: i / 3, flags: 0 }]);
  writeSync(told, `reading ${i}\n`);
  if (i % 37 === 36) {
    store.write(() => alert.run(`alert ${i}`, 'key', 'firing', 'x'.repeat(300)), 'full');
    writeSync(told, `alert ${i}\n`);
  }
  if (i % 101 === 100) {
    store.write(() => store.put('model/boiler', String(i)), 'full');
    writeSync(told, `model ${i}\n`);
  }
  if (i % 400 === 399) store.prune(i - 1500);
  if (i % SYNC_STEPS === SYNC_STEPS - 1) store.sync();
  if (i % 250 === 249) store.seal(); // oftener than in life, since the recording is short
  await clock.advance(Number(stepMs));
}
