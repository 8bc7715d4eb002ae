/** A whole database is read for damage once a week (EDGE.md §10), by a child process of low priority: it takes seconds. */
import { fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';

const TIME_LIMIT_MS = 600_000;

/** What is wrong with it in SQLite's words; undefined when it is sound, or when nobody could say. */
export function findDamage(path: string, modulePath = fileURLToPath(import.meta.url)): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = fork(modulePath, ['--integrity', path], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), TIME_LIMIT_MS);
    let found: string | undefined;
    child.once('message', (damage) => (found = damage as string));
    child.once('error', () => resolve(undefined));
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(found === 'ok' ? undefined : found);
    });
  });
}

if (process.argv[2] === '--integrity' && process.send !== undefined) {
  setPriority(constants.priority.PRIORITY_LOW);
  process.send(check(process.argv[3]!), () => process.exit());
}

function check(path: string): string {
  try {
    return String(new Database(path, { readonly: true }).pragma('integrity_check(1)', { simple: true }));
  } catch (error) {
    return (error as Error).message;
  }
}
