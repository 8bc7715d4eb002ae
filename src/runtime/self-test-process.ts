/** The self-test in a child process (EDGE.md §12): a model that hangs, crashes or eats memory takes only the child along. */
import { fileURLToPath } from 'node:url';
import { refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { answerParent, askChild } from './child.js';
import { createSystemClock } from './clock.js';
import { runSelfTest } from './self-test.js';
import type { SelfTestJob, SelfTestResult } from './self-test.js';

const TIME_LIMIT_MS = 60_000;
const HEAP_LIMIT_MB = 128;
/** What a process takes before it has loaded a model; the bundle's budget comes on top. */
const PROCESS_MB = 100;
const FLAG = '--self-test';

/** Never throws: a child that ends without an answer has failed the test. */
export async function selfTestInChild(
  job: SelfTestJob,
  modulePath = fileURLToPath(import.meta.url),
): Promise<Outcome<SelfTestResult>> {
  const { provider, manifest } = job.choice;
  const memoryLimitMb = provider === 'cpu' ? PROCESS_MB + manifest.budget.rssMb : Infinity; // drivers of cards take what they like
  const ended = await askChild<Outcome<SelfTestResult>>(job, {
    modulePath,
    flag: FLAG,
    timeLimitMs: TIME_LIMIT_MS,
    heapLimitMb: HEAP_LIMIT_MB,
    memoryLimitMb,
  });
  if ('answer' in ended) return ended.answer;
  const why = {
    time: `no answer within ${TIME_LIMIT_MS / 1000} s`,
    memory: 'peakMb' in ended ? `${ended.peakMb} MB in memory, ${memoryLimitMb} are allowed` : '',
    ended: 'how' in ended ? `the test process ended with ${ended.how}` : '',
  };
  return refuse('self_test_failed', why[ended.kind]);
}

answerParent<SelfTestJob>(FLAG, async (job) => {
  const { createOrtEngine } = await import('../engine/ort.js');
  return runSelfTest(job, createOrtEngine(), createSystemClock('trusted'));
});
