/**
 * Recurrent mode: a model says after each step it reads what comes next. It learns from windows that go on with the truth,
 * and forecasts by reading its own forecasts, one by one. A step has the target of its time and the covariates of the
 * next; what is known only up to now counts as 0 from the end of the window on, as in the reference.
 */
import { concat, mul, slice, type Scope, type Tensor } from '../graph/index.js';
import type { Carry, Model, ModelInputs } from './model.js';

type Hyperparameters = Readonly<Record<string, unknown>>;

interface Truth {
  /** In scaled units, `[batch, horizon, 1]`. */
  readonly target: Tensor;
  readonly mask: Tensor;
}

/** Steps of axis 1. */
export const steps = (x: Tensor, start: number, end: number): Tensor =>
  start === 0 && end === x.shape[1] ? x : slice(x, { axis: 1, start, end });
const join = (...parts: Tensor[]): Tensor => (parts.length === 1 ? parts[0]! : concat(parts, { axis: 1 }));
const zeroStep = (x: Tensor): Tensor => mul(steps(x, 0, 1), 0);

/** Forecasts of the first `count` steps of the horizon, each from the truth before it, `[batch, count, outputs]`. */
export function forecastFromTruth(
  g: Scope,
  model: Model,
  inputs: ModelInputs,
  hyperparameters: Hyperparameters,
  { truth, count }: { readonly truth: Truth; readonly count: number },
): Tensor {
  const time = inputs.past.shape[1] as number;
  const goOn = (window: Tensor, after: Tensor): Tensor =>
    count === 1 ? window : join(window, steps(after, 0, count - 1));
  const { historic, future } = inputs;
  const read: ModelInputs = {
    ...inputs,
    past: goOn(inputs.past, truth.target),
    mask: goOn(inputs.mask, truth.mask),
    ...(historic && { historic: nextStep(historic, count) }),
    ...(future && { future: steps(future, 1, time + count) }),
  };
  return model.build(g, read, { ...hyperparameters, horizon: count });
}

/**
 * Forecasts of the whole horizon, each from those before it, `[batch, horizon, outputs]`.
 * `feedBack` turns the outputs of a step into the value that is read next, `[batch, 1, outputs]` → `[batch, 1, 1]`.
 */
export function forecastFromForecasts(
  g: Scope,
  model: Model,
  inputs: ModelInputs,
  hyperparameters: Hyperparameters,
  feedBack: (forecast: Tensor) => Tensor,
): Tensor {
  const cell = declaredOnce(g);
  const horizon = hyperparameters['horizon'] as number;
  const time = inputs.past.shape[1] as number;
  const { historic, future } = inputs;
  const read = (step: ModelInputs, starts?: readonly Carry[]) => model.steps!(cell, step, hyperparameters, starts);

  const window = read({
    ...inputs,
    ...(historic && { historic: nextStep(historic, 1) }),
    ...(future && { future: steps(future, 1, time + 1) }),
  });
  let { ends } = window;
  const forecasts = [steps(window.forecast, time - 1, time)];
  for (let ahead = 1; ahead < horizon; ahead++) {
    const next = read(
      {
        ...inputs,
        past: feedBack(forecasts.at(-1)!),
        mask: steps(inputs.mask, time - 1, time),
        ...(historic && { historic: zeroStep(historic) }),
        ...(future && { future: steps(future, time + ahead, time + ahead + 1) }),
      },
      ends,
    );
    ends = next.ends;
    forecasts.push(next.forecast);
  }
  return join(...forecasts);
}

/** Each step gets the columns of the next; `count` steps of zeros follow the window. */
function nextStep(historic: Tensor, count: number): Tensor {
  const time = historic.shape[1] as number;
  const known = time > 1 ? [steps(historic, 1, time)] : [];
  return join(...known, ...Array.from({ length: count }, () => zeroStep(historic)));
}

/** A scope that finds again what was declared in it: the same cell reads the window and every step after it. */
export function declaredOnce(scope: Scope, known = new Map<string, Tensor>()): Scope {
  return {
    ...scope,
    scope: (name) => declaredOnce(scope.scope(name), known),
    parameter: (name, shape, init) => {
      const path = `${scope.path}/${name}`;
      const found = known.get(path) ?? scope.parameter(name, shape, init);
      known.set(path, found);
      return found;
    },
  };
}
