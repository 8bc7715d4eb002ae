/**
 * Loaded before a program (`--import`): dies by SIGKILL before the n-th thing that it would make last, where `ND_KILL_AT` is n, and leaves the
 * number of them in the file that `ND_KILL_COUNT` names when it ends by itself. It counts from the first that is about trust on.
 */
import fs, { writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import Database from 'better-sqlite3';

type Method = (...given: unknown[]) => unknown;

const killAt = Number(process.env['ND_KILL_AT'] ?? Infinity);
const countPath = process.env['ND_KILL_COUNT'];
let steps = 0;

function watch(owner: object, name: string, matters: (self: unknown) => boolean = () => true): void {
  const methods = owner as Record<string, Method>;
  const method = methods[name]!;
  methods[name] = function (this: unknown, ...given) {
    if (matters(this) && (steps > 0 || /trust/.test(String(given[0]))) && ++steps === killAt)
      process.kill(process.pid, 'SIGKILL');
    return method.apply(this, given);
  };
}

if (countPath !== undefined) process.on('exit', () => writeFileSync(countPath, String(steps)));
const file = await fs.promises.open(process.execPath);
for (const name of ['write', 'writeFile', 'sync']) watch(Object.getPrototypeOf(file) as object, name);
await file.close();
for (const name of ['rename', 'rm', 'mkdir', 'cp', 'writeFile']) watch(fs.promises, name);
for (const name of ['renameSync', 'rmSync', 'mkdirSync', 'writeFileSync', 'fsyncSync']) watch(fs, name);
const statement = new Database(':memory:').prepare('SELECT 1');
watch(Object.getPrototypeOf(statement) as object, 'run', (self) => (self as typeof statement).source === 'COMMIT');
syncBuiltinESMExports();
