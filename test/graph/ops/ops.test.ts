import { describe, expect, test } from 'vitest';
import '../../../src/graph/index.js';
import { gradients } from '../../../src/graph/autodiff.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { topological, type Tensor } from '../../../src/graph/ir.js';
import { mul } from '../../../src/graph/ops/elementwise.js';
import { constant } from '../../../src/graph/ops/leaf.js';
import { sum } from '../../../src/graph/ops/reduce.js';
import { verify } from '../../../src/graph/verify.js';
import { opCases, seeded } from './samples.js';

/** Σ of all outputs times fixed random weights: a scalar whose gradient tests every element. */
export function probeLoss(outputs: readonly Tensor[]): Tensor {
  const random = seeded(7);
  const parts = outputs.map((y) => {
    const shape = y.shape as readonly number[];
    const weights = constant(
      Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
      shape,
    );
    return sum(mul(y, weights), { axes: shape.map((_, axis) => axis) });
  });
  return parts[0]!;
}

describe.each(opCases())('$title', ({ op, graph, inputs, outputs, feeds }) => {
  test('has the shape it says', () => {
    verify(graph);
    for (const [i, value] of evaluate(outputs, feeds).entries()) {
      expect(value.shape).toEqual(outputs[i]!.shape);
      expect(value.data.length).toBe(value.shape.reduce((a, b) => a * b, 1));
    }
  });

  test.skipIf(op.grad === 'none')('its gradient equals finite differences', () => {
    const loss = probeLoss(outputs);
    const wrt = inputs.filter((input) => flows(loss, input));
    const exact = evaluate(gradients(loss, wrt), feeds);
    const step = 1e-5;
    for (const [i, tensor] of wrt.entries()) {
      const name = `x${inputs.indexOf(tensor)}`;
      for (let element = 0; element < feeds[name]!.data.length; element++) {
        const shifted = (by: number): number => {
          const data = feeds[name]!.data.slice();
          data[element]! += by;
          return evaluate([loss], { ...feeds, [name]: { ...feeds[name]!, data } })[0]!.data[0]!;
        };
        expect(exact[i]!.data[element]).toBeCloseTo((shifted(step) - shifted(-step)) / (2 * step), 6);
      }
    }
  });
});

const flows = (loss: Tensor, input: Tensor): boolean => {
  if (!topological([loss]).includes(input.node)) return false;
  try {
    gradients(loss, [input]);
    return true;
  } catch {
    return false;
  }
};
