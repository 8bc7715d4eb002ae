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

/** A chunk that holds a package bears its name: mqtt.js, tuf-js.js. */
const packageOf = (id) => id?.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1].replace('/', '-');

/** Notes about how packages are written, which we cannot change; everything else is shown. */
const packageWarnings = ['THIS_IS_UNDEFINED', 'INVALID_ANNOTATION', 'CIRCULAR_DEPENDENCY', 'EVAL'];

export default {
  input: { 'nd-device': entry },
  external: ['onnxruntime-node', 'better-sqlite3'],
  plugins: [unusedFetcher, resolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json()],
  output: {
    dir: 'dist/device',
    format: 'es',
    entryFileNames: '[name].js',
    chunkFileNames: ({ moduleIds, name }) => `${packageOf(moduleIds.at(-1)) ?? name}.js`,
  },
  onwarn(warning, warn) {
    const files = [warning.id, warning.loc?.file, ...(warning.ids ?? [])].filter((id) => id !== undefined);
    if (packageWarnings.includes(warning.code) && files.every((id) => id.includes('node_modules'))) return;
    warn(warning);
  },
};
