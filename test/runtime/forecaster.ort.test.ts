import { expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { exportOnnx } from '../../src/forecaster/compile.js';
import { createLoss } from '../../src/losses/index.js';
import { findModel } from '../../src/models/index.js';
import { createForecaster } from '../../src/runtime/forecaster.js';
import { planTraining, startingValues } from '../../src/train/plan.js';
import { manifestOf } from './fakes.js';

test.each(['nhits', 'dlinear', 'tcn', 'gru', 'patchtst'])(
  '%s forecasts many streams at once as it does each',
  async (id) => {
    const [model, loss] = [findModel(id), createLoss('mae')];
    const task = { inputLength: 32, horizon: 8 };
    const spec = { model, loss, scaler: 'robust' as const, hyperparameters: model.parse({ ...task, outputs: 1 }) };
    const file = exportOnnx({ spec, values: startingValues(planTraining(spec, { batch: 1, seed: 1 })) });
    const manifest = manifestOf({ ...task, outputs: [{ name: 'forecast', shape: ['batch', 8, 1] }] });
    const choice = { manifest, provider: 'cpu', precision: 'fp32', modelFile: 'model.fp32.onnx' } as const;
    const forecaster = await createForecaster(createOrtEngine(), choice, file);
    const windows = Array.from({ length: 11 }, (_, w) => ({
      past: Float32Array.from({ length: 32 }, (__, i) => 20 + w + Math.sin(i / 3 + w)),
      mask: new Float32Array(32).fill(1),
      imputed: 0,
      nextMs: 0,
    }));
    const alone = windows.map((window) => forecaster.forecast(window)().forecast!.p50);
    const together = windows.map((window) => forecaster.forecast(window)).map((answer) => answer().forecast!.p50);
    for (const [w, own] of alone.entries())
      for (const [step, value] of own.entries()) expect(Math.abs(together[w]![step]! / value - 1)).toBeLessThan(1e-6);
    forecaster.close();
  },
);
