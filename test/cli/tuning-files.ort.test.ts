import { describe, expect, test } from 'vitest';
import { inspectOnnx } from '../../src/bundle/onnx.js';
import { tuningFiles } from '../../src/cli/tuning-files.js';
import { readTuningPlan } from '../../src/contracts/tuning.js';
import { readInitializers } from '../../src/engine/onnx-file.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { exportOnnx } from '../../src/forecaster/compile.js';
import type { TrainedModel } from '../../src/forecaster/forecaster.js';
import { leafName, type NdArray } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { trainSettings } from '../../src/train/defaults.js';
import { planTraining, startingValues } from '../../src/train/plan.js';
import { modelCases, randomFeeds } from '../models/cases.js';
import { specOf } from '../models/contract.js';
import { specOf as exampleSpec } from '../train/example.js';

const engine = createOrtEngine();
const trained = (spec: TrainedModel['spec']): TrainedModel => {
  const settings = trainSettings(spec.model.id, { windowsBatchSize: 4, seed: 3 });
  const values = startingValues(planTraining(spec, { batch: 1, seed: 3 }));
  return { name: spec.model.id, spec, settings, values, lossConfig: { name: 'mq' }, history: [], steps: 0, bestStep: 0, errors: undefined }; // prettier-ignore
};

/** Models that a device runs: of one series, asking no language model. */
const deviceCases = modelCases.filter(
  ({ model, hyperparameters }) => model.capabilities.series !== 'many' && model.prompt?.(hyperparameters) === undefined,
);

describe.each(deviceCases)('$id', ({ model, hyperparameters }) => {
  test('its template forecasts what ships, and holds every parameter that its training graph wants', async () => {
    const { historic: _h, future: _f, static: _s, stacks: _e, ...own } = hyperparameters; // a device has the target alone
    const one = trained(specOf(model, own, 'mq'));
    const files = tuningFiles(one);
    const [train, template] = ['train.onnx', 'template.onnx'].map((path) => files[path]!.content as Uint8Array) as [Uint8Array, Uint8Array]; // prettier-ignore

    const summary = inspectOnnx(train);
    const plan = summary.ok ? readTuningPlan(summary.value.metadata) : summary;
    if (!plan.ok) throw new Error(plan.detail);
    const { parameters, states } = plan.value.layout;
    const names = [...parameters, ...states].map(({ name }) => name);
    const held = readInitializers(template, names);
    expect(Object.keys(held).sort()).toEqual(names.sort());
    for (const name of names) expect(held[name], name).toEqual(one.values[name]);

    const graph = inferenceGraph(one.spec);
    const feeds = randomFeeds(graph, 3, 5);
    const run = async (bytes: Uint8Array): Promise<Float32Array> => {
      const session = await engine.load(bytes);
      const single = ({ data, shape }: NdArray) => ({ data: Float32Array.from(data), dims: shape });
      const inputs = graph.inputs.map(leafName).filter((name) => session.inputNames.includes(name));
      const { forecast } = session.run(Object.fromEntries(inputs.map((name) => [name, single(feeds[name]!)])));
      session.close();
      return forecast!.data;
    };
    const [expected, found] = [await run(exportOnnx(one)), await run(template)];
    const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(1e-4 * size);
  });
});

test('a model whose training does not fit a device is refused, with its size', () => {
  const large = trained(exampleSpec('mlp', { inputLength: 24, horizon: 6, hidden: 3000, layers: 2 }));
  expect(() => tuningFiles(large)).toThrow(/mlp: --tunable: Its training takes .* MB in the bundle.*\[ND_CONFIG_CONFLICT\]/); // prettier-ignore
});
