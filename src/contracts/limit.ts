/** Sizes that bound what is taken from outside (EDGE.md §11 and §18). All in bytes unless the name says otherwise. */
export const limits = {
  messageBytes: 256 * 1024,
  batchRows: 5000,
  jsonDepth: 16,
  topicBytes: 512,
  forecastPoints: 720,
  desiredBytes: 16 * 1024,
  manifestBytes: 64 * 1024,
  rootBytes: 512 * 1024,
  bundleBytes: 200 * 1024 * 1024,
  /** Update files: several bundles, and what vouches for them. */
  archiveBytes: 1024 * 1024 * 1024,
  archiveEntries: 256,
  /** All that a bundle brings for tuning, and the tensors of one step of it. */
  tuningBytes: 32 * 1024 * 1024,
  tuningStepBytes: 96 * 1024 * 1024,
  releaseJump: 10_000,
  streams: 500,
  logLineBytes: 4096,
} as const;
