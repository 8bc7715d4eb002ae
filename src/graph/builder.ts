/** Building a graph: a scope names parameters by path, and the finished graph lists what must be fed, learned and kept. */
import { NeuroDivergentError, ShapeError } from '../errors.js';
import { topological, type Op, type Tensor } from './ir.js';
import {
  inputOp,
  keepOp,
  leaf,
  leafName,
  nextName,
  parameterOp,
  stateOp,
  uniformOp,
  type Init,
  type NamedLeaf,
} from './ops/leaf.js';
import { sameShape, type Dim, type Shape } from './shape.js';

export interface Graph {
  /** Fed at every run. */
  readonly inputs: readonly Tensor[];
  /** Learned, in the order they were declared. */
  readonly parameters: readonly Tensor[];
  /** Kept but not learned. */
  readonly states: readonly Tensor[];
  /** Random draws, fed at every training step from the seeded stream. */
  readonly draws: readonly Tensor[];
  /** New values of states after a training step, by name of the state. */
  readonly updates: Readonly<Record<string, Tensor>>;
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** A place in the model: what is declared here gets the path as a prefix. */
export interface Scope {
  readonly path: string;
  /** In training, dropout is on and normalisations use the statistics of the batch. */
  readonly training: boolean;
  readonly batch: Dim;
  /** The graph reads one step of a stream: what steps before it left is fed, what it leaves comes out. */
  readonly streaming: boolean;
  scope(name: string | number): Scope;
  input(name: string, shape: Shape): Tensor;
  parameter(name: string, shape: readonly number[], init: Init): Tensor;
  state(name: string, shape: readonly number[], init: Init): Tensor;
  /** Gives a state its value after this training step. */
  update(state: Tensor, value: Tensor): void;
  /** In a stream, what the step before left here, `[batch, …]`, zero before the first. Every one must be left anew. */
  carry(name: string, shape: Shape): Tensor;
  /** What the next step finds under this name; the output `<path>/next`. */
  leave(name: string, value: Tensor): void;
  /** Uniform draws in [0, 1). */
  uniform(name: string, shape: Shape): Tensor;
  /** Draws of 1 / probability with that probability, else of 0: what dropout multiplies by. */
  keep(name: string, shape: Shape, probability: number): Tensor;
}

export interface GraphBuilder extends Scope {
  finish(outputs: Readonly<Record<string, Tensor>>): Graph;
}

export interface GraphOptions {
  /** `batch` leaves it symbolic; training graphs use a number. */
  readonly batch?: Dim;
  readonly training?: boolean;
  readonly streaming?: boolean;
  /** Draws are inputs, fed by the caller: for draws that were made elsewhere. */
  readonly givenDraws?: boolean;
}

export function createGraph({
  batch = 'batch',
  training = false,
  streaming = false,
  givenDraws = false,
}: GraphOptions = {}): GraphBuilder {
  const inputs: Tensor[] = [];
  const parameters: Tensor[] = [];
  const states: Tensor[] = [];
  const draws: Tensor[] = [];
  const updates: Record<string, Tensor> = {};
  const carried: Tensor[] = [];
  const left: Record<string, Tensor> = {};
  const names = new Set<string>();

  const declare = (list: Tensor[], tensor: Tensor): Tensor => {
    const name = leafName(tensor);
    if (names.has(name)) {
      throw new NeuroDivergentError('ND_GRAPH_DUPLICATE_NAME', {
        where: name,
        what: 'Two tensors have this name.',
        mend: 'Declare each one in a scope of its own.',
      });
    }
    names.add(name);
    list.push(tensor);
    return tensor;
  };

  const draw = <A extends NamedLeaf>(op: Op, attributes: A): Tensor =>
    givenDraws ? declare(inputs, leaf(inputOp, attributes)) : declare(draws, leaf(op, attributes));

  const at = (path: string): Scope => {
    const full = (name: string): string => (path === '' ? name : `${path}/${name}`);
    return {
      path,
      training,
      batch,
      streaming,
      scope: (name) => at(full(String(name))),
      input: (name, shape) => declare(inputs, leaf(inputOp, { name: full(name), shape })),
      parameter: (name, shape, init) => declare(parameters, leaf(parameterOp, { name: full(name), shape, init })),
      state: (name, shape, init) => declare(states, leaf(stateOp, { name: full(name), shape, init })),
      uniform: (name, shape) => draw(uniformOp, { name: full(name), shape }),
      keep: (name, shape, probability) => draw(keepOp, { name: full(name), shape, probability }),
      carry: (name, shape) => {
        const tensor = declare(inputs, leaf(inputOp, { name: full(name), shape }));
        carried.push(tensor);
        return tensor;
      },
      leave: (name, value) => {
        left[nextName(full(name))] = value;
      },
      update: (state, value) => {
        keepsShape(state, value);
        updates[leafName(state)] = value;
      },
    };
  };

  return {
    ...at(''),
    finish: (found) => {
      for (const tensor of carried) keepsShape(tensor, left[nextName(leafName(tensor))]);
      const outputs = { ...found, ...left };
      // A model need not use every input it is offered; the graph lists those it does use.
      const used = new Set(topological([...Object.values(outputs), ...Object.values(updates)]));
      return { inputs: inputs.filter((input) => used.has(input.node)), parameters, states, draws, updates, outputs };
    },
  };
}

/** What is kept from step to step is written at each, and stays as large as it is. */
function keepsShape(state: Tensor, value: Tensor | undefined): void {
  if (value !== undefined && sameShape(state.shape, value.shape)) return;
  throw new ShapeError({
    where: leafName(state),
    what: `the new value is ${value === undefined ? 'missing' : `[${value.shape}]`}, the state [${state.shape}].`,
    mend: 'Keep the shape.',
  });
}
