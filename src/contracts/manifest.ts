/** The bundle manifest: everything a runtime needs to know about a model (EDGE.md §11). */
import * as z from 'zod/mini';
import { wireObject } from './wire.js';
import { segmentPattern } from './topic.js';

const count = z.int().check(z.positive());
const finite = z.number();
const ms = z.int().check(z.nonnegative());
const name = z.string().check(z.regex(segmentPattern));

export const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits'));

/** Relative, forward slashes, no `.` or `..` part: safe below any folder. */
export const plainPath = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/;

export const bundlePath = z.string().check(z.maxLength(200), z.regex(plainPath, 'expected a plain relative path'));

export const precision = z.enum(['fp32', 'fp16', 'int8', 'int4']);
export type Precision = z.output<typeof precision>;

export const bundleFile = wireObject({
  path: bundlePath,
  /** `train` and `template` come together: what a device tunes its model with (contracts/tuning.ts). */
  role: z.enum(['model', 'golden', 'train', 'template', 'card', 'other']),
  sha256,
  /** Bytes. */
  length: z.int().check(z.nonnegative()),
});
export type BundleFile = z.output<typeof bundleFile>;

export const bundleInput = wireObject({
  role: name,
  kind: z.enum(['target', 'historic', 'future', 'static', 'calendar']),
  unit: z.nullable(z.string()),
  cadenceMs: count,
  agg: z.enum(['mean', 'last', 'sum', 'min', 'max']),
  impute: z.enum(['linear', 'last', 'seasonal', 'none']),
  categories: z.optional(z.array(z.string())),
});

const manifestObject = wireObject({
  schema: z.literal(1),
  name,
  /** Model family; releases are numbered within it. */
  line: name,
  release: count,
  version: z.string(),
  /** Milliseconds UTC. */
  created: ms,
  minRuntime: z.string().check(z.regex(/^\d+\.\d+\.\d+/)),
  targets: z
    .array(
      wireObject({
        arch: z.array(z.enum(['x64', 'arm64'])),
        provider: z.string(),
        precision,
        files: z.array(bundlePath),
      }),
    )
    .check(z.minLength(1)),
  files: z.array(bundleFile).check(z.minLength(1), z.maxLength(100)),
  inputs: z.array(bundleInput).check(z.minLength(1)),
  inputLength: count,
  horizon: count,
  outputs: z.array(wireObject({ name: z.string(), shape: z.array(z.union([z.string(), z.int()])) })),
  /** In the order of the model's last axis; `[]` for a model that gives one point. */
  quantiles: z.array(finite),
  /** Half-widths of the interval at `coverage`, one per step of the horizon, in sensor units. */
  calibration: z.nullable(
    wireObject({ method: z.enum(['conformal', 'none']), coverage: finite, scores: z.array(finite) }),
  ),
  thresholds: wireObject({ anomalyP: finite }),
  /** Greatest |difference| to the expected output, relative to the largest |expected| value, by precision. */
  golden: wireObject({ cases: count, tolerance: z.partialRecord(precision, finite) }),
  budget: wireObject({ p95Ms: finite, rssMb: finite }),
  opset: count,
  ops: z.array(z.string()),
  metrics: wireObject({ dataset: z.string(), mae: finite, coverage: z.nullable(finite) }),
  /** `line/release` this one was made from, if any. */
  parent: z.nullable(z.string()),
  /** Of a model that a device has tuned for itself: the release it was made from. */
  tuned: z.optional(wireObject({ manifestSha256: sha256 })),
  notes: z.string(),
});
export type Manifest = z.output<typeof manifestObject>;

/** What must hold between the fields. */
const agreements: readonly (readonly [what: string, holds: (manifest: Manifest) => boolean])[] = [
  ['files are listed once', ({ files }) => new Set(files.map(({ path }) => path)).size === files.length],
  ['manifest.json does not list itself', ({ files }) => files.every(({ path }) => path !== 'manifest.json')],
  [
    'targets name listed files',
    ({ files, targets }) =>
      targets.every((target) => target.files.every((path) => files.some((file) => file.path === path))),
  ],
  [
    'each target has a model and golden vectors',
    (manifest) =>
      manifest.targets.every((target) =>
        (['model', 'golden'] as const).every((role) =>
          manifest.files.some((file) => file.role === role && target.files.includes(file.path)),
        ),
      ),
  ],
  [
    'train and template come together, once',
    ({ files }) => {
      const [train, template] = ['train', 'template'].map((role) => files.filter((file) => file.role === role).length);
      return train === template && train! <= 1;
    },
  ],
  [
    'each precision has a tolerance',
    ({ targets, golden }) => targets.every(({ precision }) => golden.tolerance[precision] !== undefined),
  ],
  [
    'scores are one per step of the horizon',
    ({ calibration, horizon }) => calibration === null || calibration.scores.length === horizon,
  ],
];

export const manifestSchema = manifestObject.check(
  ...agreements.map(([what, holds]) => z.refine<Manifest>(holds, `does not agree: ${what}`)),
);
