import { describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import type { FloatTensor, Session } from '../../src/engine/port.js';
import { exportOnnx, exportStep, type Trained } from '../../src/forecaster/compile.js';
import { leafName, type NdArray } from '../../src/graph/index.js';
import { inferenceGraph, stepGraph } from '../../src/models/assemble.js';
import { wideCases, randomFeeds } from './cases.js';
import { specOf } from './contract.js';
import { carriedZeros, streamWindow } from './stream.js';

const engine = createOrtEngine();

function runOn(session: Session, feeds: Record<string, NdArray>): Record<string, NdArray> {
  const single = ({ data, shape }: NdArray): FloatTensor => ({ data: Float32Array.from(data), dims: shape });
  const found = session.run(Object.fromEntries(session.inputNames.map((name) => [name, single(feeds[name]!)])));
  return Object.fromEntries(
    Object.entries(found).map(([name, { data, dims }]) => [name, { data: Float64Array.from(data), shape: dims }]),
  );
}

describe.each(wideCases.filter(({ model }) => model.capabilities.streams !== undefined))('$id', (one) => {
  test.each(['identity', 'robust'] as const)('the file of a step equals that of a window (%s)', async (scaler) => {
    const heldScale = scaler !== 'identity';
    const spec = { ...specOf(one.model, one.hyperparameters), scaler };
    const graph = inferenceGraph(spec);
    const feeds = randomFeeds(graph, 4, 3);
    const values = Object.fromEntries(
      [...graph.parameters, ...graph.states].map((tensor) => [leafName(tensor), feeds[leafName(tensor)]!.data]),
    );
    const trained: Trained = { spec, values };
    const files = exportStep(trained, { heldScale });
    const window = await engine.load(exportOnnx(trained));
    const step = await engine.load(files.step);
    const expected = runOn(window, feeds)['forecast']!;
    const statistics = files.statistics && runOn(await engine.load(files.statistics), feeds);
    const { horizon } = one.hyperparameters as { horizon: number };
    const found = streamWindow(
      (given) => runOn(step, given),
      carriedZeros(stepGraph(spec, { heldScale }), 4),
      { ...feeds, ...statistics },
      horizon,
    );
    const size = expected.data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    const furthest = expected.data.reduce((most, value, i) => Math.max(most, Math.abs(value - found.data[i]!)), 0);
    expect(furthest / size).toBeLessThan(one.id === 'xlstm' ? 2e-6 : 1e-6); // xlstm adds up in another order; both are 1e-6 off
  });
});
