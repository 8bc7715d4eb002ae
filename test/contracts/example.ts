/** Payloads as they stand on the wire, after the examples of the conventions. */
const hash = 'ab'.repeat(32);

export const wireManifest = {
  schema: 1, name: 'boiler-nhits', line: 'boiler', release: 12, version: '1.2.0', created: 1_763_823_600_000, min_runtime: '0.1.0',
  targets: [{ arch: ['x64', 'arm64'], provider: 'cpu', precision: 'int8', files: ['model.int8.onnx', 'golden.safetensors'] }],
  files: [
    { path: 'model.int8.onnx', role: 'model', sha256: hash, length: 91_234 },
    { path: 'golden.safetensors', role: 'golden', sha256: hash, length: 20_480 },
  ],
  inputs: [{ role: 'target', kind: 'target', unit: '°C', cadence_ms: 60_000, agg: 'mean', impute: 'linear' }],
  input_length: 96, horizon: 24, outputs: [{ name: 'forecast', shape: ['batch', 24, 3] }], quantiles: [0.5, 0.05, 0.95],
  calibration: { method: 'conformal', coverage: 0.9, scores: Array.from({ length: 24 }, (_, step) => 0.1 + step / 10) }, thresholds: { anomaly_p: 0.001 },
  golden: { cases: 4, tolerance: { fp32: 1e-5, int8: 0.02 } }, budget: { p95_ms: 20, rss_mb: 115 }, opset: 21, ops: ['Gemm', 'Relu'],
  metrics: { dataset: 'boiler-2025', mae: 0.41, coverage: 0.9 }, parent: null, notes: '',
};

export const wireDesired = {
  v: 1, site: 'plant1', device: 'pi7', seq: 4, issued: 1_763_823_600_000, expires: 1_764_428_400_000,
  models: [{ line: 'boiler', release: 12, manifest_sha256: hash, urls: [], bind: { target: 'boiler' }, mode: 'active', arm: null, allow_rollback_to: 11 }],
};

export const wireForecast = {
  v: 1, id: '01J', stream: 'boiler', issued: 1_763_823_600_000, start: 1_763_823_660_000, step_ms: 60_000, unit: '°C',
  p50: [61.2, 61.5], lo: [60.1, null], hi: [62.4, 62.9], coverage: 0.9, calibrated: true, model: 'boiler-nhits@12', slot: 'a', arm: 'A',
  quality: { imputed: 0.02, late: 0 }, ms: 3.1, ha: { v: 61.5, lo: 60.2, hi: 62.9, at: '2026-01-01T10:01:00Z' },
};

export const wireAlert = {
  v: 1, id: '01J', key: 'pi7/boiler/anomaly', detector: 'conformal', state: 'firing', event: 'opened', seq: 1, severity: 'warning',
  started: 1_763_823_600_000, ended: null, value: 74.1, expected: 61.5, lo: 60.2, hi: 62.9, score: 5.3, p: 0.0004, threshold: 0.001,
  channel: 'boiler', reason: 'above interval 3 of 3', model: 'boiler-nhits@12', suppressed: 0,
};
