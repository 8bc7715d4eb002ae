// Runs inside the unpacked package: loads both native modules and, given a bundle's model, runs it once.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [folder, model] = process.argv.slice(2);
const require = createRequire(join(resolve(folder), 'package.json'));

const Database = require('better-sqlite3');
const { version } = new Database(':memory:').prepare('select sqlite_version() as version').get();
console.log(`${process.arch}, Node ${process.versions.node}, SQLite ${version}`);

const { InferenceSession, Tensor } = require('onnxruntime-node');
console.log(`ONNX Runtime loaded: ${typeof InferenceSession.create === 'function'}`);
if (model) {
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const feeds = Object.fromEntries(
    session.inputMetadata.map(({ name, shape }) => {
      const dims = shape.map((dim) => (typeof dim === 'number' && dim > 0 ? dim : 1));
      const size = dims.reduce((a, b) => a * b, 1);
      return [
        name,
        new Tensor(
          'float32',
          Float32Array.from({ length: size }, (_, i) => Math.sin(i / 3)),
          dims,
        ),
      ];
    }),
  );
  for (const [name, { dims, data }] of Object.entries(await session.run(feeds))) {
    console.log(`${name} [${dims}] ${Array.from(data.slice(0, 4), (value) => value.toFixed(4)).join(' ')} …`);
  }
}
