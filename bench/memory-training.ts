/**
 * The memory a model takes to train: the peak of a process from its code to some steps, above the same process when it has
 * taken one step of a model of one node. Beside PyTorch's, measured in the same way; and with activations computed again.
 */
import { createOrtEngine } from '../src/engine/ort.js';
import { createTrainingStep } from '../src/engine/training-step.js';
import { workingBytes } from '../src/graph/index.js';
import { trainingGraph } from '../src/models/assemble.js';
import { planTraining } from '../src/train/plan.js';
import { drawStart } from '../src/train/start.js';
import { answerApart, feedsFor, measureApart, memoryMb, settledMb } from './apart.js';
import { findCase, specOf } from './case.js';
import type { Peer } from './peer.js';
import { minimum, rounded } from './statistics.js';

const inputLength = 500;
const steps = 4;
const megabyte = 2 ** 20;

/** The most MB that are asked for, at a batch of 32. */
const targets: Readonly<Record<string, number>> = {
  dlinear: 4,
  nlinear: 4,
  mlp: 50,
  tsmixer: 100,
  tcn: 200,
  lstm: 400,
  nbeats: 800,
  tft: 2048,
};

interface Case {
  readonly name: string;
  readonly batch: number;
  readonly checkpointing: boolean;
  /** Beside those of the case; the length of the past is 500 steps. */
  readonly hyperparameters: Readonly<Record<string, unknown>>;
}

interface Measured {
  readonly peakMb: number;
  /** Of `peakMb`, what the first step took: activations, gradients, Adam's moments. */
  readonly stepMb: number;
  /** By estimate: intermediate results alive at once. */
  readonly activationsMb: number;
  readonly stepMs: number;
  readonly loss: number;
}

const specFor = ({ name, hyperparameters }: Case) => {
  const benchCase = findCase(name);
  return specOf({ ...benchCase, hyperparameters: { inputLength, ...benchCase.hyperparameters, ...hyperparameters } });
};

async function measure(given: Case): Promise<Measured> {
  const before = await settledMb();
  const spec = specFor(given);
  const { batch, checkpointing } = given;
  const { model, layout, starts, seed } = planTraining(spec, { batch, seed: 1, checkpointing });
  const step = await createTrainingStep({ engine: createOrtEngine(), model, layout, seed, threads: 2 });
  for (const [name, { data }] of Object.entries(step.values)) drawStart(data, name, starts[name]!, seed);
  const feeds = feedsFor(layout.inputs);
  const loaded = memoryMb('VmRSS');
  let loss = 0;
  const times = Array.from({ length: steps }, () => {
    const start = performance.now();
    loss = step.step(feeds, { learningRate: 1e-3, clipNorm: 1 }).loss;
    return performance.now() - start;
  });
  const peak = memoryMb('VmHWM');
  const activations = workingBytes(trainingGraph(spec, { batch, checkpointing })) / megabyte; // after the peak is read
  return { peakMb: peak - before, stepMb: peak - loaded, activationsMb: activations, stepMs: minimum(times), loss };
}

const plain = { batch: 32, checkpointing: false, hyperparameters: {} };

/** Every model that has a target, beside PyTorch's. */
export async function benchTraining(peer: Peer | undefined): Promise<object[]> {
  const rows: object[] = [];
  for (const [name, targetMb] of Object.entries(targets)) {
    const { peakMb, stepMb, activationsMb } = measureApart<Measured>(import.meta.url, { ...plain, name });
    const benchCase = findCase(name);
    const theirs = peer?.open({ ...benchCase, peerOptions: { ...benchCase.peerOptions, input_size: inputLength } });
    const peerMb = await theirs?.trainingMb(steps);
    theirs?.close();
    rows.push({
      model: name,
      peakMb: rounded(peakMb),
      stepMb: rounded(stepMb),
      activationsMb: rounded(activationsMb),
      targetMb,
      peerMb: peerMb === undefined ? null : rounded(peerMb),
    });
  }
  return rows;
}

/** Where activations outweigh parameters: a larger batch for N-BEATS, whose parameters are most of it at 32. */
const checkpointed: readonly Omit<Case, 'checkpointing'>[] = [
  { ...plain, name: 'tft' },
  { ...plain, name: 'nbeats', batch: 4096 },
  { ...plain, name: 'patchtst' },
  { ...plain, name: 'patchtst', hyperparameters: { layers: 8 } },
  { ...plain, name: 'lstm' },
];

export function benchCheckpointing(): object[] {
  return checkpointed.map((given) => {
    const [kept, again] = [false, true].map((checkpointing) =>
      measureApart<Measured>(import.meta.url, { ...given, checkpointing }),
    ) as [Measured, Measured];
    return {
      model: given.name,
      ...given.hyperparameters,
      batch: given.batch,
      peakMb: rounded(kept.peakMb),
      againPeakMb: rounded(again.peakMb),
      stepMb: rounded(kept.stepMb),
      againStepMb: rounded(again.stepMb),
      activationsMb: rounded(kept.activationsMb),
      againActivationsMb: rounded(again.activationsMb),
      timesLess: rounded(kept.activationsMb / again.activationsMb),
      addedTime: `${Math.round(100 * (again.stepMs / kept.stepMs - 1))} %`,
      lossesDiffer: Math.abs(again.loss - kept.loss),
    };
  });
}

await answerApart<Case>(import.meta.url, measure);
