/** A device that ends uncleanly again and again starts with less (EDGE.md §17): no model on probation, no entities. */
import type { Clock } from './clock.js';
import type { Store } from './store.js';

const KEY = 'unclean-starts';
const STARTS = 5;
const WITHIN_MS = 600_000;

/** Call it once in each run; it keeps count in the database. */
export function startsSafe(store: Store, clock: Clock): boolean {
  if (store.start !== 'unclean') return false;
  const before = JSON.parse(store.get(KEY)?.toString() ?? '[]') as number[];
  const starts = [...before, clock.now()].slice(-STARTS);
  store.write(() => store.put(KEY, JSON.stringify(starts)));
  return starts.length === STARTS && clock.now() - starts[0]! < WITHIN_MS;
}
