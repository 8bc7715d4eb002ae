/** From a model that has been trained and measured to the folder a device runs. Used by `nd pack` and the demo. */
import { packBundle, type Bundle, type PackOptions } from '../bundle/pack.js';
import type { Precision } from '../contracts/manifest.js';
import { writeSafetensors, type StoredTensor } from '../contracts/safetensors.js';
import type { Provider } from '../contracts/provider.js';
import type { Engine, FloatTensor } from '../engine/port.js';
import { version } from '../version.js';

export interface BundleParts {
  readonly dir: string;
  /** Model family; also the prefix of the bundle's name. */
  readonly line: string;
  readonly release: number;
  /** `nhits` */
  readonly model: string;
  /** ONNX bytes by precision. The first is the one devices run. */
  readonly models: Readonly<Partial<Record<Precision, Uint8Array>>>;
  /** What computes on the devices it is for, the best first; every precision runs on each. */
  readonly providers?: readonly Provider[];
  readonly inputLength: number;
  readonly horizon: number;
  /** Columns of the model's last axis: [] for a single point. */
  readonly quantiles: readonly number[];
  readonly unit: string | null;
  readonly cadenceMs: number;
  /** A few windows by graph input, `[1, …]` each, that every precision must reproduce on the device. */
  readonly golden: readonly Readonly<Record<string, FloatTensor>>[];
  /** Half-widths of the interval per step, sensor units. */
  readonly calibration: { readonly coverage: number; readonly halfWidths: readonly number[] };
  readonly metrics: { readonly dataset: string; readonly mae: number; readonly coverage: number | null };
  readonly createdMs: number;
  readonly notes?: string;
  /** What a device tunes it with, see `tuningFiles`. */
  readonly tuning?: PackOptions['files'];
}

/** Largest |difference| to the golden output, relative to its largest value: float rounding, or one INT8 step between CPUs. */
const tolerance: Record<Precision, number> = { fp32: 1e-4, fp16: 1e-3, int8: 0.02, int4: 0.05 };

const falseAlarmEveryMs = 14 * 86_400_000;
const largestRate = 0.01;

/** The p-value below which a reading counts as anomalous: by chance about once in two weeks, at any cadence. */
const falseAlarmRate = (cadenceMs: number): number => Math.min(largestRate, cadenceMs / falseAlarmEveryMs);

export async function makeBundle(parts: BundleParts, engine: Engine): Promise<Bundle> {
  const precisions = Object.keys(parts.models) as Precision[];
  const golden: Record<string, StoredTensor> = {};
  const store = (name: string, { data, dims }: FloatTensor): void => {
    golden[name] = { dtype: 'F32', shape: [...dims], data: Float32Array.from(data) };
  };
  for (const [i, feeds] of parts.golden.entries())
    for (const [input, tensor] of Object.entries(feeds)) store(`${i}/in/${input}`, tensor);
  for (const precision of precisions) {
    const session = await engine.load(parts.models[precision]!);
    for (const [i, feeds] of parts.golden.entries()) {
      const used = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]));
      for (const [output, tensor] of Object.entries(session.run(used)))
        store(`${i}/out/${precision}/${output}`, tensor);
    }
    session.close();
  }

  const files = Object.fromEntries(
    precisions.map((precision) => [
      `model.${precision}.onnx`,
      { role: 'model' as const, content: parts.models[precision]! },
    ]),
  );
  return packBundle({
    dir: parts.dir,
    manifest: {
      name: `${parts.line}-${parts.model}`,
      line: parts.line,
      release: parts.release,
      version: `1.${parts.release}.0`,
      created: parts.createdMs,
      minRuntime: version,
      targets: (parts.providers ?? ['cpu']).flatMap((provider) =>
        precisions.map((precision) => ({
          arch: ['x64' as const, 'arm64' as const],
          provider,
          precision,
          files: [`model.${precision}.onnx`, 'golden.safetensors'],
        })),
      ),
      inputs: [
        { role: 'target', kind: 'target', unit: parts.unit, cadenceMs: parts.cadenceMs, agg: 'mean', impute: 'linear' },
      ],
      inputLength: parts.inputLength,
      horizon: parts.horizon,
      outputs: [{ name: 'forecast', shape: ['batch', parts.horizon, Math.max(1, parts.quantiles.length)] }],
      quantiles: [...parts.quantiles],
      calibration: {
        method: 'conformal',
        coverage: parts.calibration.coverage,
        scores: [...parts.calibration.halfWidths],
      },
      thresholds: { anomalyP: falseAlarmRate(parts.cadenceMs) },
      golden: {
        cases: parts.golden.length,
        tolerance: Object.fromEntries(precisions.map((precision) => [precision, tolerance[precision]])),
      },
      budget: { p95Ms: 20, rssMb: 115 },
      metrics: parts.metrics,
      parent: null,
      notes: parts.notes ?? '',
    },
    files: {
      ...files,
      ...parts.tuning,
      'golden.safetensors': { role: 'golden', content: writeSafetensors(golden) },
      'card.md': { role: 'card', content: card(parts, precisions) },
    },
  });
}

const card = (
  parts: BundleParts,
  precisions: readonly Precision[],
): string => `# ${parts.line}, release ${parts.release}

${parts.model} forecasting ${parts.horizon} steps of ${parts.cadenceMs / 1000} s from the last ${parts.inputLength}.

- trained and measured on: ${parts.metrics.dataset}
- mean absolute error: ${parts.metrics.mae.toPrecision(4)}${parts.unit === null ? '' : ` ${parts.unit}`}
- interval: split conformal, ${Math.round(parts.calibration.coverage * 100)} % coverage
- precisions: ${precisions.join(', ')}
`;
