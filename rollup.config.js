// Bundles the device runtime into dist/device/: one file, the update client as a chunk that loads only on an update,
// and two native modules (onnxruntime-node, better-sqlite3) that stay outside.
import { existsSync } from 'node:fs';
import commonjs from '@rollup/plugin-commonjs';
import json from '@rollup/plugin-json';
import resolve from '@rollup/plugin-node-resolve';

const entry = 'dist/runtime/main.js';
if (!existsSync(entry)) {
  console.error(`${entry} does not exist yet: no device bundle was built.`);
  process.exit(0);
}

/** tuf-js's default fetcher: never used on the device, which always hands in its own. */
const unusedFetcher = {
  name: 'unused-fetcher',
  resolveId: (id) => (id === 'make-fetch-happen' ? '\0unused-fetcher' : null),
  load: (id) =>
    id === '\0unused-fetcher'
      ? "export default () => { throw new Error('tuf-js: the default fetcher is not part of the device bundle'); };"
      : null,
};

export default {
  input: { 'nd-device': entry },
  external: ['onnxruntime-node', 'better-sqlite3'],
  plugins: [unusedFetcher, resolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json()],
  output: {
    dir: 'dist/device',
    format: 'es',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    // Packages written for CommonJS call require() for Node's own modules.
    banner:
      "import { createRequire as ndCreateRequire } from 'node:module';\nconst require = ndCreateRequire(import.meta.url);",
  },
  onwarn(warning, warn) {
    if (warning.code === 'CIRCULAR_DEPENDENCY' && warning.ids.every((id) => id.includes('node_modules'))) return;
    if (warning.code === 'THIS_IS_UNDEFINED') return;
    warn(warning);
  },
};
