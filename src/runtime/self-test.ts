/** Golden vectors on the device: does this machine compute what the workstation computed, and fast enough? */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { readSafetensors } from '../contracts/safetensors.js';
import type { Engine, FloatTensor } from '../engine/port.js';
import type { Clock } from './clock.js';
import type { Choice } from './forecaster.js';

export interface SelfTestResult {
  /** Largest |difference| over the largest |expected| value. */
  readonly deviation: number;
  readonly p95Ms: number;
}

export interface SelfTestJob {
  /** Folder of the bundle. */
  readonly dir: string;
  readonly choice: Choice;
}

export type SelfTest = (job: SelfTestJob) => Promise<Outcome<SelfTestResult>>;

const TIMED_RUNS = 20;

/** Runs every golden case on a session of `engine`. Never throws: a model that fails to load or run has failed the test. */
export async function runSelfTest(
  { dir, choice }: SelfTestJob,
  engine: Engine,
  clock: Clock,
): Promise<Outcome<SelfTestResult>> {
  const { manifest, provider, precision, modelFile } = choice;
  const goldenFile = manifest.files.find(({ role }) => role === 'golden')?.path;
  const tolerance = manifest.golden.tolerance[precision];
  if (goldenFile === undefined || tolerance === undefined)
    return refuse('self_test_failed', `no golden vectors for ${precision}`);
  try {
    const { tensors } = readSafetensors(readFileSync(join(dir, goldenFile)), goldenFile);
    const cases = [...new Set(Object.keys(tensors).map((name) => name.split('/')[0]!))].sort();
    if (cases.length < manifest.golden.cases)
      return refuse('self_test_failed', `${cases.length} golden cases, ${manifest.golden.cases} declared`);
    const session = await engine.load(readFileSync(join(dir, modelFile)), { threads: 1, provider });
    try {
      let difference = 0;
      let largest = 0;
      const times: number[] = [];
      for (const name of cases) {
        const feeds: Record<string, FloatTensor> = {};
        for (const input of session.inputNames) {
          const tensor = tensors[`${name}/in/${input}`];
          if (tensor !== undefined)
            feeds[input] = { data: Float32Array.from(tensor.data as Float32Array), dims: tensor.shape };
        }
        let outputs = session.run(feeds);
        for (const output of session.outputNames) {
          const expected = tensors[`${name}/out/${precision}/${output}`]?.data as Float32Array | undefined;
          const actual = outputs[output]!.data;
          if (expected === undefined || expected.length !== actual.length)
            return refuse('self_test_failed', `${name}: no expected ${output} of ${actual.length} values`);
          for (let i = 0; i < expected.length; i++) {
            const off = Math.abs(actual[i]! - expected[i]!);
            difference = Math.max(difference, Number.isNaN(off) ? Infinity : off);
            largest = Math.max(largest, Math.abs(expected[i]!));
          }
        }
        for (let run = 0; run < TIMED_RUNS; run++) {
          const began = clock.monotonicMs();
          outputs = session.run(feeds);
          times.push(clock.monotonicMs() - began);
        }
      }
      const deviation = difference / Math.max(largest, Number.MIN_VALUE);
      const p95Ms = times.sort((a, b) => a - b)[Math.ceil(0.95 * times.length) - 1] ?? 0;
      if (!(deviation <= tolerance))
        return refuse('self_test_failed', `deviation ${deviation.toPrecision(3)}, tolerance ${tolerance}`);
      if (p95Ms > manifest.budget.p95Ms)
        return refuse('self_test_failed', `p95 ${p95Ms.toFixed(2)} ms, budget ${manifest.budget.p95Ms} ms`);
      return accept({ deviation, p95Ms });
    } finally {
      session.close();
    }
  } catch (error) {
    return refuse('self_test_failed', (error as Error).message);
  }
}
