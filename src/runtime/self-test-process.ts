/** The self-test in a child process (EDGE.md §12): a model that hangs, crashes or eats memory takes only the child along. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { createSystemClock } from './clock.js';
import { runSelfTest } from './self-test.js';
import type { SelfTestJob, SelfTestResult } from './self-test.js';

const TIME_LIMIT_MS = 60_000;
const HEAP_LIMIT_MB = 128;

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
      resolve(outcome);
    };
    child.once('message', (outcome) => end(outcome as Outcome<SelfTestResult>));
    child.once('error', (error) => end(refuse('self_test_failed', error.message)));
    child.once('exit', (code, signal) =>
      end(refuse('self_test_failed', `the test process ended with ${signal ?? code}`)),
    );
    child.send(job);
  });
}

if (process.argv[2] === '--self-test' && process.send !== undefined) {
  process.once('message', (job) => {
    void import('../engine/ort.js')
      .then(({ createOrtEngine }) => runSelfTest(job as SelfTestJob, createOrtEngine(), createSystemClock('trusted')))
      .then((outcome) => process.send!(outcome, () => process.exit(0)));
  });
}
