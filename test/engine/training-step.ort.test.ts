import { describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createTrainingStep, type TrainingLayout, type TrainingStep } from '../../src/engine/training-step.js';
import {
  add,
  constant,
  createGraph,
  gradients,
  matmul,
  mean,
  mul,
  nextName,
  sqrt,
  sub,
  toOnnx,
  type Tensor,
} from '../../src/graph/index.js';

const init = { kind: 'constant', value: 0 } as const;
const square = (x: Tensor): Tensor => mul(x, x);

/** mean((x·w·draw + b - y)²), and a state that counts steps. `scaled`: gradients come out times a loss scale. */
async function regression({ draws = false, seed = 1, scaled = false } = {}): Promise<TrainingStep> {
  const g = createGraph({ batch: 4, training: true });
  const x = g.input('x', [4, 3]);
  const y = g.input('y', [4, 2]);
  const w = g.parameter('w', [3, 2], init);
  const b = g.parameter('b', [2], init);
  const count = g.state('count', [1], init);
  g.update(count, add(count, 1));
  const kept = draws ? mul(x, g.uniform('keep', [4, 3])) : x;
  const loss = mean(square(sub(add(matmul(kept, w), b), y)), { axes: [0, 1] });
  const [dw, db] = gradients(loss, [w, b], scaled ? { seed: g.input('lossScale', []) } : {});
  const model = toOnnx(g.finish({ loss, 'grad/w': dw!, 'grad/b': db! }));
  const layout: TrainingLayout = {
    inputs: [
      { name: 'x', shape: [4, 3] },
      { name: 'y', shape: [4, 2] },
    ],
    parameters: [
      { name: 'w', shape: [3, 2], gradient: 'grad/w' },
      { name: 'b', shape: [2], gradient: 'grad/b' },
    ],
    states: [{ name: 'count', shape: [1], next: nextName('count') }],
    draws: draws ? [{ name: 'keep', shape: [4, 3] }] : [],
    loss: 'loss',
    ...(scaled && { lossScale: 'lossScale' }),
  };
  const step = await createTrainingStep({ engine: createOrtEngine(), model, layout, seed });
  step.load(start);
  return step;
}

const start = { w: [0.1, -0.2, 0.3, 0.4, -0.5, 0.6], b: [0.7, -0.8], count: [0] };
const feeds = {
  x: { data: Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)), dims: [4, 3] },
  y: { data: Float32Array.from({ length: 8 }, (_, i) => Math.cos(3 * i)), dims: [4, 2] },
};

/** The same regression and optimizer in float64, written from the papers. */
function reference(
  steps: number,
  {
    learningRate,
    clipNorm = Infinity,
    weightDecay = 0,
  }: { learningRate: number; clipNorm?: number; weightDecay?: number },
) {
  const p = [...start.w, ...start.b];
  const m = p.map(() => 0);
  const v = p.map(() => 0);
  let loss = 0;
  let norm = 0;
  for (let t = 1; t <= steps; t++) {
    const g = p.map(() => 0);
    loss = 0;
    for (let row = 0; row < 4; row++) {
      for (let column = 0; column < 2; column++) {
        let error = p[6 + column]! - feeds.y.data[row * 2 + column]!;
        for (let k = 0; k < 3; k++) error += feeds.x.data[row * 3 + k]! * p[k * 2 + column]!;
        loss += error ** 2 / 8;
        g[6 + column]! += error / 4;
        for (let k = 0; k < 3; k++) g[k * 2 + column]! += (error / 4) * feeds.x.data[row * 3 + k]!;
      }
    }
    norm = Math.hypot(...g);
    const scale = norm > clipNorm ? clipNorm / (norm + 1e-6) : 1;
    for (const i of p.keys()) {
      m[i] = 0.9 * m[i]! + 0.1 * scale * g[i]!;
      v[i] = 0.999 * v[i]! + 0.001 * (scale * g[i]!) ** 2;
      p[i]! -= learningRate * weightDecay * p[i]!;
      p[i]! -= (learningRate * (m[i] / (1 - 0.9 ** t))) / (Math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8);
    }
  }
  return { p, loss, norm };
}

describe('a training step', () => {
  test.each([
    ['plain Adam', { learningRate: 0.01 }, false],
    ['with clipping and weight decay', { learningRate: 0.05, clipNorm: 0.3, weightDecay: 0.1 }, false],
    ['the same with a loss scale', { learningRate: 0.05, clipNorm: 0.3, weightDecay: 0.1 }, true],
  ])('%s follows the published algorithm', async (_, settings, scaled) => {
    const step = await regression({ scaled });
    let result = step.step(feeds, settings);
    for (let i = 1; i < 20; i++) result = step.step(feeds, settings);
    const expected = reference(20, settings);
    expect(result.loss).toBeCloseTo(expected.loss, 5);
    expect(result.gradientNorm).toBeCloseTo(expected.norm, 5);
    const values = [...step.values['w']!.data, ...step.values['b']!.data];
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected.p[i]!, 5);
    expect(step.values['count']!.data[0]).toBe(20);
    step.close();
  });

  test('a loss that is not a number changes nothing', async () => {
    const step = await regression();
    const before = step.copyValues();
    const broken = { ...feeds, y: { ...feeds.y, data: feeds.y.data.map((value, i) => (i === 3 ? NaN : value)) } };
    expect(step.step(broken, { learningRate: 0.1 }).finite).toBe(false);
    expect(step.copyValues()).toEqual(before);
    step.close();
  });

  test('a loss scale that is too large is halved until the gradients are numbers; the step is then what it is without', async () => {
    const [step, plain] = [await regression({ scaled: true }), await regression()];
    step.restore({ ...step.snapshot(), lossScale: { factor: 2 ** 130, goodSteps: 0 } }); // infinite in FP32
    const result = step.step(feeds, { learningRate: 0.01 });
    expect(result).toEqual(plain.step(feeds, { learningRate: 0.01 }));
    expect(step.snapshot().lossScale!.factor).toBeLessThan(2 ** 128);
    expect(step.copyValues()).toEqual(plain.copyValues());
    expect(plain.snapshot()).not.toHaveProperty('lossScale');
  });

  test('a gradient that is no number at any loss scale ends training and changes nothing', async () => {
    const g = createGraph({ batch: 1, training: true });
    const w = g.parameter('w', [2], init);
    const loss = mean(sqrt(square(w)), { axes: [0] }); // has no slope at 0
    const [dw] = gradients(loss, [w], { seed: g.input('lossScale', []) });
    const step = await createTrainingStep({
      engine: createOrtEngine(),
      model: toOnnx(g.finish({ loss, 'grad/w': dw! })),
      layout: {
        inputs: [],
        parameters: [{ name: 'w', shape: [2], gradient: 'grad/w' }],
        states: [],
        draws: [],
        loss: 'loss',
        lossScale: 'lossScale',
      },
      seed: 1,
    });
    step.load({ w: [0, 1] });
    expect(() => step.step({}, { learningRate: 0.1 })).toThrow(/ND_TRAIN_SCALE_EXHAUSTED/);
    expect([...step.values['w']!.data]).toEqual([0, 1]);
    step.close();
  });

  test('a parameter that has no part in a step stays as it is, and later learns as if that step had not been', async () => {
    const seldom = async (turns: readonly number[]): Promise<Float32Array> => {
      const g = createGraph({ batch: 1, training: true });
      const turn = g.input('turn', [1]);
      const [w, b] = [g.parameter('w', [3], init), g.parameter('b', [2], init)];
      const missed = g.state('w/missed', [1], init);
      g.update(missed, add(missed, sub(1, turn)));
      const loss = add(
        mean(square(sub(mul(w, turn), constant([1, -2, 3]))), { axes: [0] }),
        mean(square(sub(b, 1)), { axes: [0] }),
      );
      const { updates, ...graph } = g.finish({ loss });
      const [dw, db] = gradients(loss, [w, b]);
      const training = await createTrainingStep({
        engine: createOrtEngine(),
        model: toOnnx({ ...graph, updates, outputs: { loss, 'grad/w': dw!, 'grad/b': db! } }),
        layout: {
          inputs: [{ name: 'turn', shape: [1] }],
          parameters: [
            { name: 'w', shape: [3], gradient: 'grad/w', missed: 'w/missed' },
            { name: 'b', shape: [2], gradient: 'grad/b' },
          ],
          states: [{ name: 'w/missed', shape: [1], next: nextName('w/missed') }],
          draws: [],
          loss: 'loss',
        },
        seed: 1,
      });
      training.load({ w: [0.1, 0.2, 0.3], b: [0, 0], 'w/missed': [0] });
      for (const value of turns) {
        training.step({ turn: { data: Float32Array.of(value), dims: [1] } }, { learningRate: 0.1 });
      }
      const { w: after } = training.copyValues();
      training.close();
      return after!;
    };
    expect(await seldom([0, 0])).toEqual(Float32Array.of(0.1, 0.2, 0.3));
    expect(await seldom([0, 1, 0, 1, 0])).toEqual(await seldom([1, 1]));
  });

  test('goes on from a snapshot bit for bit, draws included', async () => {
    const step = await regression({ draws: true });
    const other = await regression({ draws: true, seed: 2 });
    const take = (which: TrainingStep): number[] =>
      Array.from({ length: 5 }, () => which.step(feeds, { learningRate: 0.01 }).loss);
    take(step);
    const snapshot = step.snapshot();
    const losses = take(step);
    expect(new Set(losses).size).toBe(5);
    expect(take(other)).not.toEqual(losses);
    other.restore(snapshot);
    expect(take(other)).toEqual(losses);
    expect(other.snapshot()).toEqual(step.snapshot());
    step.close();
    other.close();
  });

  test('values of another size are refused by name', async () => {
    const step = await regression();
    expect(() => step.load({ ...start, b: [1] })).toThrow(/load b: 1 values were given for \[2\].*ND_SHAPE_MISMATCH/);
    step.close();
  });
});
