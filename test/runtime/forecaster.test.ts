import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Engine, FloatTensor } from '../../src/engine/port.js';
import { createForecaster } from '../../src/runtime/forecaster.js';
import type { Forecaster, Meter } from '../../src/runtime/forecaster.js';
import type { Provider } from '../../src/contracts/provider.js';
import type { Window } from '../../src/runtime/series.js';
import { manifestOf, naiveEngine } from './fakes.js';

const windowOf = (value: number): Window => ({
  past: new Float32Array(4).fill(value),
  mask: new Float32Array(4).fill(1),
  imputed: 0,
  nextMs: value,
});

/** Counts runs and their windows; fails where it is told. */
function watched(fails: (past: FloatTensor) => boolean = () => false): { engine: Engine; batches: number[] } {
  const naive = naiveEngine(4);
  const batches: number[] = [];
  const load: Engine['load'] = async (model) => {
    const session = await naive.load(model);
    return {
      ...session,
      run: (feeds) => {
        batches.push(feeds['past']!.dims[0]!);
        if (fails(feeds['past']!)) throw new Error('the model failed');
        return session.run(feeds);
      },
    };
  };
  return { engine: { ...naive, load }, batches };
}

interface Case {
  readonly first?: 'batch' | 1;
  readonly provider?: Provider;
  readonly meter?: Meter;
}

const onEngine = (engine: Engine, { first = 'batch', provider = 'cpu', meter }: Case = {}): Promise<Forecaster> => {
  const manifest = manifestOf({ inputLength: 4, horizon: 4, outputs: [{ name: 'forecast', shape: [first, 4, 1] }] });
  const choice = { manifest, provider, precision: 'fp32', modelFile: 'model.fp32.onnx' } as const;
  return createForecaster(engine, choice, new Uint8Array(), meter);
};

describe('streams that are due at the same moment', () => {
  test('share runs of at most eight, when the first of them asks', async () => {
    const { engine, batches } = watched();
    const { forecast } = await onEngine(engine);
    const answers = Array.from({ length: 19 }, (_, i) => forecast(windowOf(i)));
    expect(batches).toEqual([]);
    for (const [i, answer] of answers.entries())
      expect(answer().forecast).toMatchObject({ startMs: i, p50: new Float32Array(4).fill(i) });
    expect(batches).toEqual([8, 8, 3]);
  });

  test('one that comes later has a run of its own, and nobody is asked twice', async () => {
    const { engine, batches } = watched();
    const { forecast } = await onEngine(engine);
    const first = forecast(windowOf(1));
    expect(first()).toBe(first());
    expect(forecast(windowOf(2))().forecast!.p50[0]).toBe(2);
    expect(batches).toEqual([1, 1]);
  });

  test('each has its part of the time, and the first the memory', async () => {
    let [elapsedMs, peakBytes] = [0, 0];
    const meter = { monotonicMs: () => elapsedMs, peakBytes: () => peakBytes };
    const { engine } = watched(() => {
      elapsedMs += 12;
      peakBytes += 100;
      return false;
    });
    const { forecast } = await onEngine(engine, { meter });
    const runs = [1, 2, 3].map((value) => forecast(windowOf(value))).map((run) => run());
    expect(runs.map(({ inferenceMs, grownBytes }) => [inferenceMs, grownBytes])).toEqual([
      [4, 100],
      [4, 0],
      [4, 0],
    ]);
  });

  test.each([
    ['where the bundle says that they would not be forecast alike', { first: 1 }],
    ['on TensorRT', { provider: 'tensorrt' }],
  ] as const)('one at a time %s', async (_, change) => {
    const { engine, batches } = watched();
    const { forecast } = await onEngine(engine, change);
    const answers = [1, 2, 3].map((value) => forecast(windowOf(value)));
    expect(answers.map((answer) => answer().forecast!.p50[0])).toEqual([1, 2, 3]);
    expect(batches).toEqual([1, 1, 1]);
  });

  test('one that makes the model fail, or answer with no number, takes nobody down', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('good', 'fails', 'no number'), { minLength: 1, maxLength: 20 }),
        async (kinds) => {
          const { engine } = watched(({ data }) => data.includes(-1));
          const { forecast } = await onEngine(engine);
          const values = { good: 5, fails: -1, 'no number': NaN };
          const answers = kinds.map((kind) => forecast(windowOf(values[kind])));
          const wanted = { good: 5, fails: 'the model failed', 'no number': 'the model answered with something that is no number' }; // prettier-ignore
          for (const [i, kind] of kinds.entries()) {
            const answer = answers[i]!();
            expect(answer.failed ?? answer.forecast!.p50[0]).toBe(wanted[kind]);
          }
        },
      ),
    ));
});
