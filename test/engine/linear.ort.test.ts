import { expect, test } from 'vitest';
import { createLinearEngine } from '../../src/engine/linear.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createRandom } from '../../src/engine/random.js';
import { exportOnnx } from '../../src/forecaster/compile.js';
import { mae } from '../../src/losses/index.js';
import { findModel } from '../../src/models/index.js';
import type { ScalerName } from '../../src/models/index.js';
import { planTraining, startingValues } from '../../src/train/plan.js';

function fileOf(id: string, scaler: ScalerName = 'identity', task = { inputLength: 31, horizon: 18 }): Uint8Array {
  const model = findModel(id);
  const spec = { model, hyperparameters: model.parse(task), loss: mae(), scaler };
  return exportOnnx({ spec, values: startingValues(planTraining(spec, { batch: 1, seed: 1 })) });
}
const draw = (length: number): Float32Array => {
  const random = createRandom(3, 'windows');
  return Float32Array.from({ length }, () => 20 * random() - 10);
};
const worst = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

test.each([
  ['dlinear', 31, 18],
  ['nlinear', 96, 24],
  ['dlinear', 7, 1],
])(
  '%s from %i to %i steps gives the numbers of ONNX Runtime, for one window and for many',
  async (id, inputLength, horizon) => {
    const file = fileOf(id, 'identity', { inputLength, horizon });
    const ours = await createLinearEngine().load(file);
    const reference = await createOrtEngine().load(file);
    expect(ours.inputNames).toEqual(reference.inputNames);
    expect(ours.outputNames).toEqual(reference.outputNames);
    for (const rows of [1, 5]) {
      const past = { data: draw(rows * inputLength), dims: [rows, inputLength, 1] };
      const expected = reference.run({ past })['forecast']!;
      const forecast = ours.run({ past })['forecast']!;
      expect(forecast.dims).toEqual([...expected.dims]);
      expect(worst(forecast.data, expected.data)).toBeLessThan(1e-6 * Math.max(...expected.data.map(Math.abs)));
      const memory = { dims: [rows, horizon, 1], data: new Float32Array(rows * horizon) };
      expect(ours.run({ past }, { forecast: memory })['forecast']).toBe(memory);
      expect(memory.data).toEqual(forecast.data);
    }
    reference.close();
    ours.close();
  },
);

test.each([
  ['a network', fileOf('mlp', 'identity'), /node Relu|next step|attributes|beside one Gemm/],
  ['a linear model that scales its windows', fileOf('dlinear', 'standard'), /one input and one output/],
  ['a file that is no model', Uint8Array.of(1, 2, 3), /ends inside|no protobuf/],
  ['an empty file', new Uint8Array(), /no graph/],
])('%s is refused with the reason', async (_, file, reason) => {
  const loading = createLinearEngine().load(file);
  await expect(loading).rejects.toMatchObject({ code: 'ND_ENGINE_MODEL_UNSUPPORTED', where: 'linear engine' });
  await expect(loading).rejects.toThrow(reason);
});

test('other models go to the other engine, which is asked for only then', async () => {
  let asked = 0;
  const engine = createLinearEngine({
    otherwise: async () => {
      asked += 1;
      return createOrtEngine();
    },
  });
  const linear = await engine.load(fileOf('dlinear'));
  expect(asked).toBe(0);
  const network = await engine.load(fileOf('mlp'));
  expect(asked).toBe(1);
  const past = { data: draw(31), dims: [1, 31, 1] };
  expect([linear, network].map((session) => session.run({ past })['forecast']!.dims)).toEqual([
    [1, 18, 1],
    [1, 18, 1],
  ]);
  network.close();
});

test('inputs and outputs that do not fit are named', async () => {
  const session = await createLinearEngine().load(fileOf('dlinear'));
  const past = { data: draw(31), dims: [1, 31, 1] };
  expect(() => session.run({})).toThrow(/"past" is not fed.*\[ND_ENGINE_INPUT_MISSING\]$/);
  expect(() => session.run({ past: { data: draw(30), dims: [1, 30, 1] } })).toThrow(
    /"past" is \[1,30,1\], but the model has \[batch,31,1\].*\[ND_ENGINE_INPUT_SHAPE\]$/,
  );
  expect(() => session.run({ past }, { trend: past })).toThrow(
    /The output "trend": the model has no such output.*\[ND_ENGINE_OUTPUT_MISMATCH\]$/,
  );
  expect(() => session.run({ past }, { forecast: past })).toThrow('The output "forecast": the model has [batch,18,1]');
});
