/** How PyTorch stores the layers that every model uses: what `reference.parameter` of a model is made of. */
import type { ReferenceParameter } from '../model.js';

/** `weight` or `bias` of a fully connected layer; PyTorch's weight is `[outputs, inputs]`. */
export const linearParameter = (layer: string, kind: string): ReferenceParameter =>
  kind === 'weight' ? { name: `${layer}.weight`, transpose: [1, 0] } : { name: `${layer}.${kind}` };
