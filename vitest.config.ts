import { defineConfig } from 'vitest/config';

// Three projects by suffix. `pure` loads no native code, so its files may share one process and stay fast.
export default defineConfig({
  test: {
    // Tests that compare with ONNX Runtime directly do not pass engine/ort.ts, which switches its telemetry off.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    projects: [
      {
        test: {
          name: 'pure',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.{ort,system}.test.ts'],
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        test: { name: 'ort', include: ['test/**/*.ort.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
      },
      {
        test: { name: 'system', include: ['test/**/*.system.test.ts'], testTimeout: 180_000, hookTimeout: 180_000 },
      },
    ],
  },
});
