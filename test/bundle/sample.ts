/** A small real bundle: an ONNX model encoded by an independent protobuf library, golden vectors, a card. */
import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { packBundle } from '../../src/bundle/pack.js';
import type { Bundle, ManifestParts } from '../../src/bundle/pack.js';
import { writeSafetensors } from '../../src/contracts/safetensors.js';
import { ModelProtoSchema } from '../../src/graph/onnx/onnx_pb.js';

export type ModelInit = MessageInitShape<typeof ModelProtoSchema>;

export const identityModel: ModelInit = {
  irVersion: 10n,
  opsetImport: [{ domain: '', version: 21n }],
  graph: {
    name: 'identity',
    node: [{ opType: 'Add', input: ['past', 'zero'], output: ['forecast'] }],
    initializer: [{ name: 'zero', dataType: 1, dims: [1n], floatData: [0] }],
    input: [{ name: 'past' }],
    output: [{ name: 'forecast' }],
  },
};

export const encodeModel = (model: ModelInit): Uint8Array =>
  toBinary(ModelProtoSchema, create(ModelProtoSchema, model));

export const golden = writeSafetensors({
  'c0/in/past': { dtype: 'F32', shape: [1, 2], data: Float32Array.of(1, 2) },
  'c0/out/fp32/forecast': { dtype: 'F32', shape: [1, 2], data: Float32Array.of(1, 2) },
});

export const sampleManifest = (release: number): ManifestParts => ({
  name: 'boiler-identity',
  line: 'boiler',
  release,
  version: `1.${release}.0`,
  created: 1_763_823_600_000,
  minRuntime: '0.1.0',
  targets: [
    { arch: ['x64', 'arm64'], provider: 'cpu', precision: 'fp32', files: ['model.fp32.onnx', 'golden.safetensors'] },
  ],
  inputs: [{ role: 'target', kind: 'target', unit: '°C', cadenceMs: 60_000, agg: 'mean', impute: 'linear' }],
  inputLength: 2,
  horizon: 2,
  outputs: [{ name: 'forecast', shape: ['batch', 2] }],
  quantiles: [],
  calibration: { method: 'conformal', coverage: 0.9, scores: [0.5, 0.7] },
  thresholds: { anomalyP: 0.001 },
  golden: { cases: 1, tolerance: { fp32: 1e-5 } },
  budget: { p95Ms: 20, rssMb: 115 },
  metrics: { dataset: 'boiler-2025', mae: 0.41, coverage: 0.9 },
  parent: null,
  notes: '',
});

export const sampleFiles = (notes = 'A model that repeats its window.') => ({
  'model.fp32.onnx': { role: 'model' as const, content: encodeModel(identityModel) },
  'golden.safetensors': { role: 'golden' as const, content: golden },
  'card.md': { role: 'card' as const, content: notes },
});

export const packSample = (dir: string, release = 1): Promise<Bundle> =>
  packBundle({ dir, manifest: sampleManifest(release), files: sampleFiles(`release ${release}`) });
