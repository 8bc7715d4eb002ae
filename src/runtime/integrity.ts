/** A whole database is read for damage once a week (EDGE.md §10), by a child process of low priority: it takes seconds. */
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { answerParent, askChild } from './child.js';

const FLAG = '--integrity';
const TIME_LIMIT_MS = 600_000;
const HEAP_LIMIT_MB = 64;

/** What is wrong with it in SQLite's words; undefined when it is sound, or when nobody could say. */
export async function findDamage(
  path: string,
  modulePath = fileURLToPath(import.meta.url),
): Promise<string | undefined> {
  const ended = await askChild<string>(
    { path },
    {
      modulePath,
      flag: FLAG,
      timeLimitMs: TIME_LIMIT_MS,
      heapLimitMb: HEAP_LIMIT_MB,
      memoryLimitMb: Infinity,
      niceness: constants.priority.PRIORITY_LOW,
    },
  );
  return 'answer' in ended && ended.answer !== 'ok' ? ended.answer : undefined;
}

answerParent<{ readonly path: string }>(FLAG, ({ path }) => Promise.resolve(check(path)));

function check(path: string): string {
  try {
    return String(new Database(path, { readonly: true }).pragma('integrity_check(1)', { simple: true }));
  } catch (error) {
    return (error as Error).message;
  }
}
