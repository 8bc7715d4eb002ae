import { expect, test } from 'vitest';
import '../../../src/graph/index.js';
import { gradients } from '../../../src/graph/autodiff.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { verify } from '../../../src/graph/verify.js';
import { differentiableCases, opCases, probeLoss } from './samples.js';

test.each(opCases())('$title has the shape it says', ({ graph, outputs, feeds }) => {
  verify(graph);
  for (const [i, value] of evaluate(outputs, feeds).entries()) {
    expect(value.shape).toEqual(outputs[i]!.shape);
    expect(value.data.length).toBe(value.shape.reduce((a, b) => a * b, 1));
  }
});

test.each(differentiableCases())(
  '$title has a gradient that equals finite differences',
  ({ inputs, wrt, outputs, feeds }) => {
    const loss = probeLoss(outputs);
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
  },
);
