/** The self-test in a child process (EDGE.md §12): a model that hangs, crashes or eats memory takes only the child along. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { createSystemClock } from './clock.js';
import { peakBytesOf } from './machine.js';
import { runSelfTest } from './self-test.js';
import type { SelfTestJob, SelfTestResult } from './self-test.js';

const TIME_LIMIT_MS = 60_000;
const HEAP_LIMIT_MB = 128;
/** What a process takes before it has loaded a model; the bundle's budget comes on top. */
const PROCESS_MB = 100;
const WATCH_MS = 20;
const MEGABYTE = 1024 * 1024;

/** Never throws: a child that ends without an answer has failed the test. */
export function selfTestInChild(
  job: SelfTestJob,
  modulePath = fileURLToPath(import.meta.url),
): Promise<Outcome<SelfTestResult>> {
  return new Promise((resolve) => {
    const child = fork(modulePath, ['--self-test'], {
      execArgv: [`--max-old-space-size=${HEAP_LIMIT_MB}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), TIME_LIMIT_MS);
    const end = (outcome: Outcome<SelfTestResult>): void => {
      clearTimeout(timer);
      clearInterval(watch);
      child.kill('SIGKILL');
      resolve(outcome);
    };
    const { provider, manifest } = job.choice;
    const limitMb = provider === 'cpu' ? PROCESS_MB + manifest.budget.rssMb : Infinity; // drivers of cards take what they like
    const judgeMemory = (outcome?: Outcome<SelfTestResult>): void => {
      const peakMb = peakBytesOf(child.pid!) / MEGABYTE;
      if (peakMb > limitMb)
        end(refuse('self_test_failed', `${Math.ceil(peakMb)} MB in memory, ${limitMb} are allowed`));
      else if (outcome !== undefined) end(outcome);
    };
    const watch = setInterval(() => judgeMemory(), WATCH_MS);
    child.once('message', (outcome) => judgeMemory(outcome as Outcome<SelfTestResult>));
    child.once('error', (error) => end(refuse('self_test_failed', error.message)));
    child.once('exit', (code, signal) =>
      end(refuse('self_test_failed', `the test process ended with ${signal ?? code}`)),
    );
    child.send(job);
  });
}

if (process.argv[2] === '--self-test' && process.send !== undefined) {
  // It stays until it is ended, so that its memory can be read.
  process.on('message', (job) => {
    void import('../engine/ort.js')
      .then(({ createOrtEngine }) => runSelfTest(job as SelfTestJob, createOrtEngine(), createSystemClock('trusted')))
      .then((outcome) => process.send!(outcome));
  });
}
