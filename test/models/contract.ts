/** What every model must do, whatever it is. The parts that need ONNX Runtime stand in contract.ort.test.ts. */
import { expect, test } from 'vitest';
import { evaluate, leafName, verify, type NdArray } from '../../src/graph/index.js';
import { createLoss } from '../../src/losses/index.js';
import { gradientName, inferenceGraph, trainingGraph, type ForecastSpec } from '../../src/models/assemble.js';
import { feedsBack, type Model } from '../../src/models/model.js';
import { seeded } from '../graph/ops/samples.js';
import { randomFeeds } from './cases.js';
import { expectStreams } from './stream.js';

export const specOf = (model: Model, hyperparameters: Record<string, unknown>, loss = 'mse'): ForecastSpec => {
  const created = createLoss(loss);
  return {
    model,
    hyperparameters: model.parse({ ...hyperparameters, outputs: created.outputs }),
    loss: created,
    scaler: 'standard',
  };
};

export function modelContract(model: Model, hyperparameters: Record<string, unknown>): void {
  const { horizon, series } = hyperparameters as { horizon: number; series: number };

  test('forecasts every step of the horizon, for any number of windows', () => {
    const graph = inferenceGraph(specOf(model, hyperparameters, 'mq'));
    verify(graph);
    for (const batch of [1, 3]) {
      const [forecast] = evaluate([graph.outputs['forecast']!], randomFeeds(graph, batch, 1), batch);
      expect(forecast!.shape).toEqual([batch, horizon, series * 5]);
      expect(forecast!.data.every(Number.isFinite)).toBe(true);
    }
  });

  test('a forecast does not depend on what is forecast beside it, unless the model says so', () => {
    const graph = inferenceGraph(specOf(model, hyperparameters));
    const feeds = randomFeeds(graph, 3, 1);
    const forecast = graph.outputs['forecast']!;
    const perWindow = new Set(graph.inputs.filter(({ shape }) => shape[0] === 'batch').map(leafName));
    const alone = Object.fromEntries(
      Object.entries(feeds).map(([name, { data, shape }]) =>
        perWindow.has(name)
          ? [name, { data: data.slice(0, data.length / 3), shape: [1, ...shape.slice(1)] }]
          : [name, { data, shape }],
      ),
    );
    const [beside] = evaluate([forecast], feeds, 3);
    const [own] = evaluate([forecast], alone, 1);
    const furthest = own!.data.reduce((most, value, i) => Math.max(most, Math.abs(value - beside!.data[i]!)), 0);
    const mixes = model.capabilities.mixes === true && hyperparameters['selection'] !== 'static';
    if (mixes) expect(furthest).toBeGreaterThan(1e-6);
    else expect(furthest).toBeLessThan(1e-9);
  });

  test.each([true, false])('the gradient of every parameter equals finite differences (training: %s)', (training) => {
    const graph = trainingGraph(specOf(model, hyperparameters), { batch: 2, training });
    verify(graph);
    const feeds = randomFeeds(graph, 2, 2);
    const lossAt = (changed: Record<string, NdArray>): number =>
      evaluate([graph.outputs['loss']!], { ...feeds, ...changed })[0]!.data[0]!;
    const random = seeded(3);
    expect(graph.parameters.length).toBeGreaterThan(0);
    for (const parameter of graph.parameters) {
      const name = leafName(parameter);
      const at = feeds[name]!;
      const [gradient] = evaluate([graph.outputs[gradientName(name)]!], feeds);
      expect(gradient!.shape).toEqual(at.shape);
      for (let direction = 0; direction < 2; direction++) {
        const along = at.data.map(() => 2 * random() - 1);
        const moved = (step: number): NdArray => ({ ...at, data: at.data.map((value, i) => value + step * along[i]!) });
        const step = 1e-6;
        const slope = (lossAt({ [name]: moved(step) }) - lossAt({ [name]: moved(-step) })) / (2 * step);
        const exact = gradient!.data.reduce((sum, value, i) => sum + value * along[i]!, 0);
        expect(Math.abs(exact - slope), name).toBeLessThan(1e-5 * (1 + Math.abs(slope)));
      }
    }
  });

  test('names its parameters by path, and knows those of the reference library', () => {
    const spec = specOf(model, hyperparameters);
    const { parameters } = trainingGraph(spec, { batch: 2 });
    const names = parameters.map((parameter) => leafName(parameter).replace(/^model\//, ''));
    const theirs = names.map((name) => model.reference.parameter(name, spec.hyperparameters)?.name);
    expect(theirs).not.toContain(undefined);
    expect(new Set(theirs).size).toBe(names.length);
  });

  const { streams } = model.capabilities;
  if (streams !== undefined)
    test('step by step along a window it forecasts what it forecasts of the window', () => {
      const spec = { ...specOf(model, hyperparameters, 'mq'), scaler: 'identity' as const };
      const without = streams === 'without future' ? { future: 0 } : feedsBack(model, spec.hyperparameters) && { historic: 0 }; // prettier-ignore
      expectStreams({ ...spec, hyperparameters: { ...spec.hyperparameters, ...without } });
    });

  test('what a tuner tries for it is in range, in any combination', () => {
    // One that needs a language model is tried with the small one of its case.
    const given = 'language' in hyperparameters ? hyperparameters : { inputLength: 96, horizon: 24, series };
    const choices = Object.entries(model.search as Readonly<Record<string, readonly unknown[]>>);
    const random = seeded(7);
    for (const [name, values] of choices) {
      expect(new Set(values.map((value) => JSON.stringify(value))).size, name).toBe(values.length);
      expect(values.length, name).toBeGreaterThan(1);
    }
    const all = choices.reduce<Record<string, unknown>[]>(
      (sofar, [name, values]) => sofar.flatMap((chosen) => values.map((value) => ({ ...chosen, [name]: value }))),
      [given],
    );
    for (const chosen of all) model.parse(chosen);
    for (let sample = 0; sample < 4; sample++) {
      const drawn = choices.map(([name, values]) => [name, values[Math.floor(random() * values.length)]] as const);
      verify(inferenceGraph(specOf(model, { ...given, ...Object.fromEntries(drawn) })));
    }
  });

  test('refuses hyperparameters outside their range and names that it does not know, with the place', () => {
    expect(() => model.parse({ ...hyperparameters, horizon: 0 })).toThrow(
      new RegExp(`${model.id}\\.horizon: .*\\[ND_HYPERPARAMETER\\]`),
    );
    if (model.capabilities.series === 'one')
      expect(() => model.parse({ ...hyperparameters, series: 2 })).toThrow(/series: .*\[ND_HYPERPARAMETER\]/);
    expect(() => model.parse({ ...hyperparameters, horizn: 4 })).toThrow(/horizn.*\[ND_HYPERPARAMETER\]/);
  });
}
