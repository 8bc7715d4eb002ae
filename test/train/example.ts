/** A small noisy sine and a spec to learn it, for tests of training and forecasting. */
import type { TimeSeriesFrame } from '../../src/data/frame.js';
import { createRandom } from '../../src/engine/random.js';
import { mae } from '../../src/losses/index.js';
import type { ForecastSpec } from '../../src/models/assemble.js';
import { findModel } from '../../src/models/index.js';
import type { ScalerName } from '../../src/models/blocks/window-scaler.js';

export function sines({ rows = 400, series = 2, noise = 0.05 } = {}): TimeSeriesFrame {
  const random = createRandom(7, 'sines');
  const target = Float32Array.from({ length: rows * series }, (_, i) => {
    const s = Math.floor(i / rows);
    return 10 * (s + 1) + (s + 1) * Math.sin((2 * Math.PI * i) / 12) + noise * random();
  });
  return {
    ids: Array.from({ length: series }, (_, s) => `sine ${s}`),
    offsets: Uint32Array.from({ length: series + 1 }, (_, s) => s * rows),
    time: Float64Array.from({ length: rows * series }, (_, i) => (i % rows) * 3_600_000),
    columns: { target },
    available: new Uint8Array(rows * series).fill(1),
    frequency: 'h',
  };
}

export function specOf(
  id: string,
  hyperparameters: Record<string, unknown> = {},
  scaler: ScalerName = 'standard',
): ForecastSpec {
  const model = findModel(id);
  return {
    model,
    hyperparameters: model.parse({ inputLength: 24, horizon: 6, ...hyperparameters }),
    loss: mae(),
    scaler,
  };
}
