/** Talks to bench/peer.py: requests and answers are lines of JSON. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Peer {
  readonly version: string;
  /** Times of `steps` training steps in ms. */
  times(model: string, steps: number): Promise<number[]>;
  close(): void;
}

/** `python` needs torch and neuralforecast; see `ND_PEER_PYTHON`. */
export async function startPeer(python: string, threads: number): Promise<Peer> {
  const child = spawn(python, ['bench/peer.py', String(threads)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) },
  });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${python} bench/peer.py ended with code ${code}`)));
  });
  failed.catch(() => undefined); // it also ends when the bench is over
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <T>(): Promise<T> =>
    JSON.parse((await Promise.race([lines.next(), failed])).value as string) as T;
  const { torch: version } = await answer<{ torch: string }>();
  return {
    version,
    times: async (model, steps) => {
      child.stdin.write(`${JSON.stringify({ model, steps })}\n`);
      return answer<number[]>();
    },
    close: () => child.stdin.end(),
  };
}
