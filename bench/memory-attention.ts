/**
 * What attention needs beside its inputs and outputs: spelled out, in chunks, and as one operator of ONNX Runtime. The peak
 * is that of the process during the first run, over what it held just before.
 */
import { createOrtEngine } from '../src/engine/ort.js';
import type { FloatTensor } from '../src/engine/port.js';
import {
  attention,
  createGraph,
  fuseAttention,
  gradients,
  leafName,
  matmul,
  mul,
  reshape,
  runPasses,
  simplify,
  softmax,
  sum,
  swapLast,
  toOnnx,
  transpose,
  type Graph,
  type Tensor,
} from '../src/graph/index.js';
import { answerApart, measureApart, memoryMb } from './apart.js';
import { minimum } from './statistics.js';

const heads = 4;
const width = 64;
const lengths = [256, 512, 1024, 2048, 4096, 8192];
const chunks = [64, 128, 256, 512];

interface Case {
  readonly phase: 'training' | 'inference';
  readonly length: number;
  /** `naive`, `fused`, or the rows of a chunk. */
  readonly form: 'naive' | 'fused' | number;
}

/** Times of all runs after the first, and how far the first one raised the memory of the process. */
interface Measured {
  readonly timesMs: readonly number[];
  readonly workingMb: number;
}

interface AttentionRow {
  readonly phase: string;
  readonly length: number;
  readonly form: string;
  readonly workingMb: number;
  readonly timeMs: number;
  /** Working set of naive / ours, and time of ours / naive. */
  readonly timesLess: number;
  readonly timeRatio: number;
}

/** Attention of one window, each form on tensors as it wants them: heads first, or side by side for the one operator. */
function graphOf({ phase, length, form }: Case): Graph {
  const g = createGraph({ batch: 1, training: phase === 'training' });
  const together = form === 'fused';
  const shape = together ? [1, length, heads * width] : [heads, length, width];
  const inputs = ['q', 'k', 'v'].map((name) => g.input(name, shape));
  const headsFirst = (x: Tensor): Tensor =>
    together ? transpose(reshape(x, { shape: [1, length, heads, width] }), { order: [0, 2, 1, 3] }) : x;
  const [q, k, v] = inputs.map(headsFirst) as [Tensor, Tensor, Tensor];
  const scale = 1 / Math.sqrt(width);
  const y =
    typeof form === 'number'
      ? attention(q, k, v, { scale, chunk: form })
      : matmul(softmax(mul(matmul(q, swapLast(k)), scale), { axis: -1 }), v);
  if (together) {
    const tokensFirst = reshape(transpose(y, { order: [0, 2, 1, 3] }), { shape });
    return runPasses(g.finish({ y: tokensFirst }), [fuseAttention, simplify]);
  }
  if (phase === 'inference') return g.finish({ y });
  const loss = sum(mul(y, g.input('dy', shape)), { axes: [0, 1, 2] });
  const [dq, dk, dv] = gradients(loss, inputs) as [Tensor, Tensor, Tensor];
  return runPasses(g.finish({ y, dq, dk, dv }), [simplify]);
}

/** Runs in the child. */
async function measure(given: Case): Promise<Measured> {
  const graph = graphOf(given);
  const session = await createOrtEngine().load(toOnnx(graph), { threads: 2 });
  const filled = ({ shape }: Tensor): FloatTensor => {
    const dims = shape as readonly number[];
    const size = dims.reduce((product, dim) => product * dim, 1);
    return { dims, data: Float32Array.from({ length: size }, (_, i) => Math.sin(i)) };
  };
  const feeds = Object.fromEntries(graph.inputs.map((input) => [leafName(input), filled(input)]));
  const outputs = Object.fromEntries(Object.entries(graph.outputs).map(([name, tensor]) => [name, filled(tensor)]));
  const before = memoryMb('VmRSS');
  const runs = given.length > 4096 ? 4 : 8;
  const timesMs: number[] = [];
  let peak = 0;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    session.run(feeds, outputs);
    if (run > 0) timesMs.push(performance.now() - start);
    else peak = memoryMb('VmHWM');
  }
  return { timesMs, workingMb: Math.max(0, peak - before) };
}

/** Every length, spelled out first: that is what the others are compared with. */
export function benchAttention(): AttentionRow[] {
  const rows: AttentionRow[] = [];
  for (const phase of ['training', 'inference'] as const) {
    for (const length of lengths) {
      const forms = ['naive', ...chunks, ...(phase === 'inference' ? (['fused'] as const) : [])] as const;
      const measured = forms.map((form) => ({
        form,
        ...measureApart<Measured>(import.meta.url, { phase, length, form }),
      }));
      const naive = measured[0]!;
      const round = (value: number): number => Number(value.toPrecision(3));
      for (const { form, workingMb, timesMs } of measured) {
        rows.push({
          phase,
          length,
          form: typeof form === 'number' ? `chunks of ${form}` : form,
          workingMb: round(workingMb),
          timeMs: round(minimum(timesMs)),
          timesLess: round(naive.workingMb / workingMb),
          timeRatio: round(minimum(timesMs) / minimum(naive.timesMs)),
        });
      }
    }
  }
  return rows;
}

await answerApart<Case>(import.meta.url, measure);
