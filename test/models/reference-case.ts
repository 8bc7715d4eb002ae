/** Runs a model on a case of the reference library with the plain kernels: forward, loss, gradients and three Adam steps. */
import { expect, test } from 'vitest';
import {
  add,
  createGraph,
  gradients,
  log,
  leafName,
  mul,
  ndarray,
  slice,
  softplus,
  square,
  div,
  sub,
  evaluate,
  weightedMean,
  type NdArray,
  type Scope,
  type Tensor,
} from '../../src/graph/index.js';
import { createLoss, losses } from '../../src/losses/index.js';
import type { Model, ModelInputs } from '../../src/models/model.js';
import { fixtures, type Fixture } from '../fixtures.js';

type Feeds = Record<string, NdArray>;
interface Loss {
  readonly outputs: number;
  readonly of: (g: Scope, forecast: Tensor, target: Tensor, mask: Tensor, past: Tensor) => Tensor;
}

function lossOf({ info }: Fixture): Loss {
  const { name, args } = (info['hyperparameters'] as { loss: { name: string; args: Record<string, unknown> } }).loss;
  if (name === 'DistributionLoss')
    return { outputs: 2, of: (_, forecast, target, mask) => normal(forecast, target, mask) };
  const id = Object.keys(losses).find((key) => losses[key]!.reference === name)!;
  const loss = createLoss(id, args['level'] === undefined ? args : { levels: args['level'] });
  const units = { shift: mul(0, 1), scale: mul(1, 1), restore: (x: Tensor): Tensor => x };
  return {
    outputs: loss.outputs,
    of: (g, forecast, target, mask, past) => loss.loss(g, { forecast, target, mask, rawTarget: target, past, units }),
  };
}

/** Negative log-likelihood of a normal distribution; the reference adds 0.2 to the softplus scale. */
function normal(forecast: Tensor, target: Tensor, mask: Tensor): Tensor {
  const centre = slice(forecast, { axis: 2, start: 0, end: 1 });
  const scale = add(softplus(slice(forecast, { axis: 2, start: 1, end: 2 })), 0.2);
  const nll = add(add(log(scale), 0.5 * Math.log(2 * Math.PI)), mul(square(div(sub(target, centre), scale)), 0.5));
  return weightedMean(nll, mask);
}

interface Built {
  readonly forecast: Tensor;
  readonly loss: Tensor;
  readonly parameters: readonly Tensor[];
  readonly states: readonly Tensor[];
  readonly updates: Readonly<Record<string, Tensor>>;
}

function build(model: Model, fixture: Fixture, training: boolean): Built {
  const { tensors, info } = fixture;
  const g = createGraph({ batch: 4, training });
  const shape = (name: string): readonly number[] => tensors[`input/${name}`]!.shape;
  const input = (name: string): Tensor => g.input(name, shape(name));
  const inputs: ModelInputs = {
    past: input('insample_y'),
    mask: input('insample_mask'),
    ...(tensors['input/hist_exog'] && { historic: input('hist_exog') }),
    ...(tensors['input/futr_exog'] && { future: input('futr_exog') }),
    ...(tensors['input/stat_exog'] && { static: input('stat_exog') }),
  };
  const loss = lossOf(fixture);
  const given = info['hyperparameters'] as Record<string, unknown>;
  const own = Object.entries(model.reference.hyperparameters).flatMap(([ours, theirs]) => {
    const { name, read } =
      typeof theirs === 'string' ? { name: theirs, read: (value: unknown): unknown => value } : theirs;
    return given[name] === undefined || given[name] === null ? [] : [[ours, read(given[name])]];
  });
  const hyperparameters = model.parse({
    ...Object.fromEntries(own),
    inputLength: inputs.past.shape[1],
    horizon: shape('outsample_y')[1],
    outputs: loss.outputs,
    historic: inputs.historic?.shape[2] ?? 0,
    future: inputs.future?.shape[2] ?? 0,
    static: inputs.static?.shape[1] ?? 0,
  });
  const forecast = model.build(g, inputs, hyperparameters);
  const value = loss.of(g, forecast, input('outsample_y'), input('outsample_mask'), inputs.past);
  const { parameters, states, updates } = g.finish({ value });
  return { forecast, loss: value, parameters, states, updates };
}

/** Our layout of a tensor of theirs. */
function turned({ data, shape }: NdArray, order: readonly number[] | undefined): NdArray {
  if (order === undefined) return { data, shape };
  const [rows, columns] = shape as [number, number];
  return ndarray(
    Float64Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!),
    [columns, rows],
  );
}

const close = (what: string, ours: NdArray, theirs: NdArray, floor: number, mask?: NdArray): void => {
  expect(ours.shape, what).toEqual(theirs.shape);
  const largest = theirs.data.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
  for (const [i, v] of ours.data.entries()) {
    if (mask?.data[i] === 0) continue;
    const error = Math.abs(v - theirs.data[i]!);
    if (!(error <= floor + 1e-4 * largest))
      throw new Error(`${what}[${i}] is ${v}, but the reference has ${theirs.data[i]}`);
  }
};

export function referenceCases(model: Model): void {
  const cases = fixtures('models').filter(({ file }) => file.startsWith(`${model.reference.model}.`));
  test.skipIf(cases.length > 0)('the fixtures are there', () => console.warn('skipped'));
  for (const fixture of cases) {
    const { tensors } = fixture;
    const inputs: Feeds = Object.fromEntries(
      Object.entries(tensors).flatMap(([name, value]) => (name.startsWith('input/') ? [[name.slice(6), value]] : [])),
    );
    const theirs = (prefix: string, tensor: Tensor): NdArray | undefined => {
      const { name, transpose } = model.reference.parameter(leafName(tensor), {})!;
      const found = tensors[`${prefix}/${name}`];
      return found && turned(found, transpose);
    };
    const start = (built: Built): Feeds =>
      Object.fromEntries([...built.parameters, ...built.states].map((p) => [leafName(p), theirs('param', p)!]));

    test(`${fixture.file}: forward, loss and the gradient of every parameter`, () => {
      for (const training of [false, true]) {
        const built = build(model, fixture, training);
        const prefix = training && tensors['train/forward'] ? 'train/' : '';
        const names = built.parameters.map(leafName);
        const unnamed = Object.keys(tensors).filter(
          (name) =>
            name.startsWith('grad/') &&
            !names.some((own) => `grad/${model.reference.parameter(own, {})!.name}` === name),
        );
        expect(unnamed).toEqual([]);
        const outputs = [built.forecast, built.loss, ...gradients(built.loss, built.parameters, { allowUnused: true })];
        const [forecast, loss, ...found] = evaluate(outputs, { ...inputs, ...start(built) });
        close('forward', forecast!, tensors[prefix ? 'train/forward' : 'output/forward']!, 1e-5);
        close('loss', loss!, tensors[prefix ? 'train/loss' : 'output/loss']!, 1e-5);
        for (const [i, p] of built.parameters.entries())
          close(`${prefix}grad ${leafName(p)}`, found[i]!, theirs(`${prefix}grad`, p)!, 2e-5);
      }
    });

    test(`${fixture.file}: three Adam steps`, () => {
      const built = build(model, fixture, true);
      const feeds = start(built);
      const outputs = [
        built.loss,
        ...Object.values(built.updates),
        ...gradients(built.loss, built.parameters, { allowUnused: true }),
      ];
      const updated = Object.keys(built.updates);
      const moments = built.parameters.map((p) => ({
        first: new Float64Array(feeds[leafName(p)]!.data.length),
        second: new Float64Array(feeds[leafName(p)]!.data.length),
      }));
      for (let step = 1; step <= 3; step++) {
        const [loss, ...rest] = evaluate(outputs, { ...inputs, ...feeds });
        close(`loss ${step}`, loss!, { data: tensors['after_loss']!.data.slice(step - 1, step), shape: [] }, 1e-5);
        for (const [i, name] of updated.entries()) feeds[name] = rest[i]!;
        for (const [i, p] of built.parameters.entries()) {
          const value = feeds[leafName(p)]!;
          const { first, second } = moments[i]!;
          const data = value.data.map((v, e) => {
            const d = rest[updated.length + i]!.data[e]!;
            first[e] = 0.9 * first[e]! + 0.1 * d;
            second[e] = 0.999 * second[e]! + 0.001 * d * d;
            return v - (1e-3 * (first[e] / (1 - 0.9 ** step))) / (Math.sqrt(second[e] / (1 - 0.999 ** step)) + 1e-8);
          });
          feeds[leafName(p)] = { data, shape: value.shape };
        }
      }
      for (const p of [...built.parameters, ...built.states])
        close(`after ${leafName(p)}`, feeds[leafName(p)]!, theirs('after', p)!, 2e-5, theirs('after_mask', p));
    });
  }
}
