/** L4: the broker is away for an hour while a hundred messages a second want to leave. They wait on disk, and leave in order. */
import { join } from 'node:path';
import { createOutbox } from '../src/runtime/outbox.js';
import type { OutboxLink } from '../src/runtime/outbox.js';
import { openStore } from '../src/runtime/store.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { inFolder } from './device.js';
import { createDraws } from './row.js';
import type { FaultRow } from './row.js';

const SECONDS = 3600;
const A_SECOND = 100;
const MESSAGES = SECONDS * A_SECOND;
const MEMORY_MB = 48;
const caps = { rows: { alert: MESSAGES, model: 1, forecast: MESSAGES, health: 1 }, bytes: 1024 ** 3 };

export const longOutage: FaultRow = {
  id: 'L4',
  what: 'an hour without a broker at 100 messages a second (by a clock that is turned), then a link that loses some',
  counts: 'messages lost or out of order, memory that grows by more than 48 MB',
  trials: { C: 1, N: 10 },
  async run(trials, seed) {
    const failures: string[] = [];
    for (let trial = 0; trial < trials; trial++)
      await inFolder(async (dir) => {
        const wrong = await outage(dir, seed, trial);
        if (wrong !== undefined) failures.push(`trial ${trial}: ${wrong}`);
      });
    return failures;
  },
};

async function outage(dir: string, seed: number, trial: number): Promise<string | undefined> {
  const random = createDraws('L4', seed, trial);
  const clock = fakeClock();
  const store = openStore({ path: join(dir, 'device.db'), clock });
  const outbox = createOutbox(store, clock, caps);
  const stop = new AbortController();
  const heard: Record<string, number[]> = { alert: [], forecast: [] };
  const link: { -readonly [K in keyof OutboxLink]: OutboxLink[K] } = {
    online: false,
    publish: (topic, payload) => {
      if (!link.online) return Promise.resolve(false);
      heard[topic]!.push(Number(payload));
      // Taken, or the link is lost before the PUBACK and comes back at once.
      if (!random.chance(0.0005)) return Promise.resolve(true);
      setImmediate(() => outbox.resume());
      return Promise.resolve(false);
    },
  };
  const drained = outbox.drain(link, stop.signal);
  const before = process.memoryUsage().rss;
  for (let second = 0; second < SECONDS; second++) {
    store.write(() => {
      for (let i = 0; i < A_SECOND; i++) {
        const kind = random.chance(0.1) ? 'alert' : 'forecast';
        outbox.put(kind, { topic: kind, payload: String(second * A_SECOND + i) });
      }
    });
    await clock.advance(1000);
  }
  const grownMb = (process.memoryUsage().rss - before) / 1024 / 1024;
  link.online = true;
  outbox.resume();
  while (outbox.depth().messages > 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await drained;
  store.close();

  const first = Object.values(heard).map((numbers) => [...new Set(numbers)]);
  const lost = MESSAGES - first.reduce((sum, numbers) => sum + numbers.length, 0);
  if (lost > 0) return `${lost} of ${MESSAGES} messages are lost`;
  if (first.some((numbers) => numbers.some((number, i) => i > 0 && number < numbers[i - 1]!))) return 'out of order';
  return grownMb > MEMORY_MB ? `memory grew by ${Math.round(grownMb)} MB` : undefined;
}
