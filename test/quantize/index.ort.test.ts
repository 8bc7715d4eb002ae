import { beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createGraph, foldConstants, runPasses, simplify, topological, verify } from '../../src/graph/index.js';
import { fuseRecurrent } from '../../src/graph/passes/fuse-recurrent.js';
import { gru } from '../../src/models/gru.js';
import { nhits } from '../../src/models/nhits.js';
import { measureLatency, quantize, targets, type QuantizeOptions } from '../../src/quantize/index.js';
import { network, windowsFor } from './network.js';
import { trainBriefly, type Trained } from './trained.js';

const engine = createOrtEngine();
/** Integers however small the product is. */
const everywhere = { ...targets.any, int8From: 0 };

describe('NHITS with the library defaults, trained on sensor data', () => {
  let trained: Trained;
  beforeAll(async () => {
    trained = await trainBriefly(nhits, engine, { steps: 100, batch: 32 });
  });

  test('INT8 keeps the error within 1 % and takes at most 0.30 of the bytes, every layer in integers', async () => {
    const { report, model, fp32Model } = await quantize({ ...trained, engine, to: 'int8', target: everywhere });
    expect(report.maeLoss).toBeLessThanOrEqual(0.01);
    expect(report.sizeRatio).toBeLessThanOrEqual(0.3);
    expect(report.sizeRatio).toBe(model.length / fp32Model.length);
    expect(report.saturations).toBe(0);
    expect(report.keptFp32).toEqual([]);
    expect(report.layers).toHaveLength(15);
    for (const { name, precision, signalToNoiseDb } of report.layers) {
      expect(name).toMatch(/^model\/block\d\/layer\d$/);
      expect(precision).toBe('int8');
      expect(signalToNoiseDb).toBeGreaterThan(15);
    }
  });

  test.each(['fp16', 'fp16-compute'] as const)('%s keeps it within 0.1 % and takes half the bytes', async (to) => {
    const { report } = await quantize({ ...trained, engine, to, calibration: undefined });
    expect(Math.abs(report.maeLoss)).toBeLessThanOrEqual(0.001);
    expect(report.sizeRatio).toBeLessThan(0.51);
  });
});

test.each([
  ['as a scan', []],
  ['as one fused layer', [simplify, foldConstants, fuseRecurrent]],
])('a GRU gets its weights stored in int8 and no integer activation, %s', async (_, passes) => {
  const trained = await trainBriefly(gru, engine, { steps: 2, batch: 8, hyperparameters: { hidden: 64, layers: 1 } });
  const { report } = await quantize({
    ...trained,
    graph: runPasses(trained.graph, passes),
    engine,
    to: 'int8',
    family: 'C',
    maxSizeRatio: 0.5,
  });
  expect(report.method).toBe('none');
  expect(report.maeLoss).toBeLessThanOrEqual(0.01);
  expect(new Set(report.layers.map(({ precision }) => precision))).toEqual(new Set(['int8-weights']));
  expect(report.layers[0]!.name).toMatch(/^model\/encoder/);
});

describe('on a small network', () => {
  const float = network();
  const options = (graph = float, edit: Parameters<typeof windowsFor>[1] = {}): QuantizeOptions => ({
    graph,
    to: 'int8',
    target: everywhere,
    engine,
    calibration: windowsFor(graph, { count: 256, ...edit, seed: 2 }),
    validation: windowsFor(graph, { count: 256, ...edit, seed: 3 }),
  });
  const precisions = async (given: QuantizeOptions): Promise<Record<string, string>> => {
    const { report } = await quantize(given);
    return Object.fromEntries(report.layers.map(({ name, precision }) => [name, precision]));
  };

  test('all layers of a well-behaved network become integers', async () => {
    expect(await precisions(options())).toEqual({ first: 'int8', second: 'int8', last: 'int8' });
  });

  test('where weights fit seven bits but activations do not, only the weights are stored in int8', async () => {
    const ternary = network((_, weights) => {
      for (const [i, value] of weights.entries()) weights[i] = Math.sign(Math.round(3 * value)) / 4;
    });
    const found = Object.values(await precisions(options(ternary, { noise: 1e-3 })));
    expect(found).toContain('int8-weights');
    expect(found).not.toContain('float32');
  });

  test('a layer whose weights differ by orders of magnitude is computed with in FP32, and no other is', async () => {
    const steep = network((name, weights) => {
      if (name === 'first') for (let column = 0; column < 64; column++) weights[column] = weights[column]! * 1000;
    });
    const scale = (column: number): number => (column === 0 ? 1e-3 : 1);
    const { report } = await quantize(options(steep, { scale, noise: 0.1 }));
    expect(report.layers.map(({ precision }) => precision)).toEqual(['int8-weights', 'int8', 'int8']);
    expect(report.layers[0]!.lossAlone).toBeGreaterThan(0.01);
    expect(report.maeLoss).toBeLessThanOrEqual(0.01);
  });

  test.each([
    ['w8', 0.31, ['int8-weights']],
    ['w4', 0.2, ['int4-weights']],
    ['int8-dynamic', 0.33, ['int8-dynamic']],
  ] as const)(
    '%s stores %d of the bytes, in layers of one kind as long as the error allows it',
    async (to, size, kinds) => {
      const { report, graph } = await quantize({ ...options(), to, maxLoss: 0.1 });
      expect(report.sizeRatio).toBeLessThan(size);
      expect(new Set(report.layers.map(({ precision }) => precision))).toEqual(new Set(kinds));
      expect(report.method).toBe('none');
      verify(graph);
    },
  );

  test('auto computes in integers where the target gains by it, and stores the rest in the fewest bits', async () => {
    const found = async (int8From: number) =>
      Object.values(await precisions({ ...options(), to: 'auto', maxLoss: 0.1, target: { ...targets.any, int8From } }));
    expect(await found(4096)).toEqual(['int4-weights', 'int8', 'int4-weights']); // 32 x 64, 64 x 64 and 64 x 16 weights
    expect(await found(Infinity)).toEqual(['int4-weights', 'int4-weights', 'int4-weights']);
  });

  test('what loses too much in four bits is kept in more', async () => {
    const found = (maxLoss: number) => precisions({ ...options(float, { noise: 0.1 }), to: 'w4', maxLoss });
    const kinds = new Set(Object.values(await found(0.08)));
    expect(kinds).toEqual(new Set(['int4-weights', 'int8-weights']));
  });

  test('where integers do not pay, weights are stored in int8 and computed with in FP32', async () => {
    const { report } = await quantize({ ...options(), target: targets['raspberry-pi-4'] });
    expect(new Set(report.layers.map(({ precision }) => precision))).toEqual(new Set(['int8-weights']));
    expect(report.maeLoss).toBeLessThanOrEqual(0.01);
  });

  test('for a GPU activations are int8, both sides alike', async () => {
    const { graph } = await quantize({ ...options(), target: { ...targets['jetson-orin'], int8From: 0 } });
    const codes = topological([graph.outputs.forecast!]).filter(({ op }) => op.name === 'quantizeLinear');
    expect(codes.map(({ outputs: [y], attributes }) => [y!.dtype, (attributes as { zero: number[] }).zero])).toEqual(
      codes.map(() => ['int8', [0]]),
    );
    expect(codes).toHaveLength(3);
  });

  test('the same windows give the same bytes', async () => {
    const [first, second] = [await quantize(options()), await quantize(options())];
    expect(Buffer.from(first.model).equals(second.model)).toBe(true);
  });

  test('latency is measured for both files', async () => {
    const { graph, model, fp32Model } = await quantize(options());
    const { validation: windows } = options();
    const latencies = await measureLatency([fp32Model, model], { engine, graph, windows, runs: 20, warmUps: 2 });
    expect(latencies).toHaveLength(2);
    for (const { p50Us, p99Us } of latencies) {
      expect(p50Us).toBeGreaterThan(0);
      expect(p99Us).toBeGreaterThanOrEqual(p50Us);
    }
  });

  test('a limit that cannot be met fails the gate, with the loss against the limit', async () => {
    await expect(quantize({ ...options(), maxLoss: -1 })).rejects.toThrow(
      /^quantize: On the validation windows the error rises by .* with first, second, last kept in FP32, where -100.00 % and -300.00 % are allowed.*\[ND_QUANTIZE_GATE_FAILED\]$/,
    );
  });

  test('without calibration windows INT8 is refused', async () => {
    await expect(quantize({ ...options(), calibration: undefined })).rejects.toThrow('[ND_QUANTIZE_NO_CALIBRATION]');
    await expect(
      quantize({ ...options(), calibration: { past: new Float32Array(), target: new Float32Array() } }),
    ).rejects.toThrow('[ND_QUANTIZE_NO_CALIBRATION]');
  });

  test('windows that never change are refused, and so are infinite ones', async () => {
    const still = { past: new Float32Array(32 * 16), target: new Float32Array(16 * 16) };
    await expect(quantize({ ...options(), calibration: still })).rejects.toThrow(
      /^first: .*\[ND_QUANTIZE_RANGE_COLLAPSED\]$/,
    );
    const broken = { past: new Float32Array(32).fill(Number.NaN), target: new Float32Array(16) };
    await expect(quantize({ ...options(), calibration: broken })).rejects.toThrow('[ND_QUANTIZE_SCALE_NOT_FINITE]');
  });

  test('windows of the wrong length are refused by the name of the input', async () => {
    await expect(
      quantize({ ...options(), validation: { past: new Float32Array(33), target: new Float32Array(8) } }),
    ).rejects.toThrow(/^past: .*\[ND_SHAPE_MISMATCH\]$/);
  });

  test('a graph without a product worth it is refused', async () => {
    const g = createGraph();
    const graph = g.finish({ forecast: g.input('past', ['batch', 8, 1]) });
    const windows = { past: new Float32Array(8).fill(1), target: new Float32Array(8) };
    await expect(quantize({ graph, to: 'int8', engine, calibration: windows, validation: windows })).rejects.toThrow(
      '[ND_QUANTIZE_OP_UNSUPPORTED]',
    );
  });

  test('unknown target values do not count', async () => {
    const given = options();
    const target = given.validation.target.map((value, i) => (i % 2 === 0 ? value : 1e9));
    const targetMask = given.validation.target.map((_, i) => (i % 2 === 0 ? 1 : 0));
    const { report } = await quantize({ ...given, validation: { ...given.validation, target, targetMask } });
    expect(report.fp32Mae).toBeLessThan(1);
  });
});
