/** Writes as a device does, and says on the file given second what it believes to be stored. K3 looks over its shoulder. */
import { openSync, writeSync } from 'node:fs';
import { openStore } from '../src/runtime/store.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { stream } from './device.js';

const [, , path, toldPath, steps, stepMs] = process.argv;
const told = openSync(toldPath!, 'a');
const clock = fakeClock();
const store = openStore({ path: path!, clock });
const row = store.write(() => store.stream(stream, null), 'full');
const alert = store.sql.prepare('INSERT INTO alert(id, key, state, seq, body, updated) VALUES (?, ?, ?, 1, ?, 0)');
store.write(() => store.put('model/boiler', '-1'), 'full');
writeSync(told, 'begun -1\n');
for (let i = 0; i < Number(steps); i++) {
  store.write(() => store.append({ stream: row, timeMs: i, value: i / 3, flags: 0 }));
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
  await clock.advance(Number(stepMs));
}
