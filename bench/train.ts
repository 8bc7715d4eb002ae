/** One training step, gradients and Adam included, beside PyTorch eager with its default Adam on the same threads. */
import { createOrtEngine } from '../src/engine/ort.js';
import { createRandom } from '../src/engine/random.js';
import { createTrainingStep } from '../src/engine/training-step.js';
import { mae } from '../src/losses/index.js';
import { findModel } from '../src/models/index.js';
import { planTraining } from '../src/train/plan.js';
import { startPeer, type Peer } from './peer.js';
import { geometricMean, minimum, percentile } from './statistics.js';

const task = { inputLength: 96, horizon: 24 };
const batch = 32;

/** What is measured, and the least ratio peer / ours that is asked for. */
const cases = {
  dlinear: { hyperparameters: {}, target: 3 },
  mlp: { hyperparameters: { hidden: 64, layers: 2 }, target: 3 },
  gru: { hyperparameters: { hidden: 128 }, target: 1.5 },
  nhits: { hyperparameters: {}, target: 1 },
  patchtst: { hyperparameters: { hidden: 64, layers: 3 }, target: 1 },
};
type Case = keyof typeof cases;

export interface TrainRow {
  readonly model: string;
  readonly parameters: number;
  /** Smallest and middle time of a step. */
  readonly oursMs: number;
  readonly oursMedianMs: number;
  readonly peerMs: number | null;
  readonly peerMedianMs: number | null;
  /** Peer / ours, of the smallest times; and of the middle ones. */
  readonly ratio: number | null;
  readonly medianRatio: number | null;
  readonly target: number;
}

export interface TrainReport {
  readonly rows: readonly TrainRow[];
  readonly geomean: number | null;
  readonly threads: number;
  readonly peer: string | null;
}

async function ourStep(
  id: Case,
  threads: number,
): Promise<{ parameters: number; times(steps: number): number[]; close(): void }> {
  const model = findModel(id);
  const spec = {
    model,
    hyperparameters: model.parse({ ...task, ...cases[id].hyperparameters }),
    loss: mae(),
    scaler: 'identity' as const,
  };
  const plan = planTraining(spec, { batch, seed: 1 });
  const step = await createTrainingStep({
    engine: createOrtEngine(),
    model: plan.model,
    layout: plan.layout,
    seed: 1,
    threads,
  });
  step.load(plan.values);
  const random = createRandom(1, 'bench');
  const feeds = Object.fromEntries(
    plan.layout.inputs.map(({ name, shape }) => {
      const length = shape.reduce((product, dim) => product * dim, 1);
      return [
        name,
        {
          dims: shape,
          data: Float32Array.from({ length }, () => (name.toLowerCase().includes('mask') ? 1 : 2 * random() - 1)),
        },
      ];
    }),
  );
  return {
    parameters: plan.layout.parameters.reduce(
      (sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1),
      0,
    ),
    times: (steps) =>
      Array.from({ length: steps }, () => {
        const start = performance.now();
        step.step(feeds, { learningRate: 1e-3, clipNorm: 1 });
        return performance.now() - start;
      }),
    close: () => step.close(),
  };
}

/** Ours and theirs in turn, so that a busy machine hurts both. */
export async function benchTrain({
  peers,
  only,
  rounds = 8,
  threads = 2,
}: {
  peers: boolean;
  only?: readonly string[] | undefined;
  rounds?: number;
  threads?: number;
}): Promise<TrainReport> {
  const python = process.env['ND_PEER_PYTHON'] ?? 'python3';
  const peer: Peer | undefined = peers ? await startPeer(python, threads) : undefined;
  const rows: TrainRow[] = [];
  for (const id of Object.keys(cases) as Case[]) {
    if (only !== undefined && !only.includes(id)) continue;
    const ours = await ourStep(id, threads);
    const first = minimum(ours.times(10)); // also the warm-up
    await peer?.times(id, 5);
    const steps = Math.max(5, Math.min(300, Math.round(150 / first)));
    const oursMs: number[] = [];
    const peerMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      oursMs.push(...ours.times(steps));
      if (peer) peerMs.push(...(await peer.times(id, Math.max(5, Math.round(steps / 3)))));
    }
    ours.close();
    const round = (value: number): number => Number(value.toPrecision(4));
    const [least, middle] = [minimum(oursMs), percentile(oursMs, 0.5)];
    const [peerLeast, peerMiddle] = peer ? [minimum(peerMs), percentile(peerMs, 0.5)] : [null, null];
    rows.push({
      model: id,
      parameters: ours.parameters,
      oursMs: round(least),
      oursMedianMs: round(middle),
      peerMs: peerLeast && round(peerLeast),
      peerMedianMs: peerMiddle && round(peerMiddle),
      ratio: peerLeast && round(peerLeast / least),
      medianRatio: peerMiddle && round(peerMiddle / middle),
      target: cases[id].target,
    });
  }
  peer?.close();
  const ratios = rows.flatMap(({ ratio }) => (ratio === null ? [] : [ratio]));
  return {
    rows,
    geomean: ratios.length > 0 ? geometricMean(ratios) : null,
    threads,
    peer: peer ? `torch ${peer.version}` : null,
  };
}
