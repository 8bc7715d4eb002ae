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

/**
 * Packages of packages that a device never runs. tuf-js's own fetcher: it is always handed ours. socks: proxies are no
 * option of ours. readable-stream is Node's own stream once more, for other platforms; it has a switch to do the same.
 */
const never = new Map([
  ['make-fetch-happen', 'tuf-js: its default fetcher'],
  ['socks', 'mqtt: its SOCKS proxy'],
]);
const replaced = {
  name: 'replaced',
  resolveId(id) {
    if (never.has(id)) return `\0never:${id}`;
    return id === 'readable-stream' ? { id: 'node:stream', external: true } : null;
  },
  load(id) {
    const what = id.startsWith('\0never:') && never.get(id.slice(7));
    if (!what) return null;
    const refuse = `() => { throw new Error('${what} is not part of the device bundle'); }`;
    return `export default ${refuse};\nexport const SocksClient = { createConnection: ${refuse} };`;
  },
};

/** mqtt-packet keeps a Buffer for each of 65,536 numbers, 7 MB, unless it is told not to; mqtt hides the setting. */
const noNumberCache = {
  name: 'no-number-cache',
  transform(code, id) {
    if (!id.endsWith('mqtt-packet/writeToStream.js')) return null;
    const settings = ['let writeNumber = writeNumberCached', 'let toGenerate = true'];
    if (!settings.every((line) => code.includes(line))) this.error('mqtt-packet has changed: where is its cache?');
    const told = code
      .replace(settings[0], 'let writeNumber = writeNumberGenerated')
      .replace(settings[1], 'let toGenerate = false');
    return { code: told, map: null };
  },
};

/** V8 keeps the source, in two bytes a character as soon as one is not Latin. */
const ascii = {
  name: 'ascii',
  renderChunk: (code) => ({
    code: code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
    map: null,
  }),
};

/** A chunk that holds a package bears its name: mqtt.js, tuf-js.js. */
const packageOf = (id) => id?.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1].replace('/', '-');

/** Notes about how packages are written, which we cannot change; everything else is shown. */
const packageWarnings = ['THIS_IS_UNDEFINED', 'INVALID_ANNOTATION', 'CIRCULAR_DEPENDENCY', 'EVAL'];

export default {
  // The second is a process of its own, which must not load the device for what the two share.
  input: { 'nd-device': entry, 'tune-process': 'dist/runtime/tune-process.js' },
  external: ['onnxruntime-node', 'better-sqlite3'],
  plugins: [
    replaced,
    noNumberCache,
    resolve({ preferBuiltins: true, exportConditions: ['node'] }),
    commonjs(),
    json(),
    ascii,
  ],
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
