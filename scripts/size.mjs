// Lines per folder and bytes of the device bundle, each against a budget. Raise one only in a commit that says what it bought.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Lines of TypeScript (generated files apart). */
const lineBudgets = {
  bundle: 1250,
  cli: 6000,
  contracts: 1900,
  data: 2150,
  distill: 1000,
  engine: 1240,
  evaluate: 1750,
  forecaster: 1000,
  graph: 5150,
  import: 920,
  losses: 1150,
  language: 280,
  models: 7800,
  quantize: 1500,
  runtime: 10_000,
  simulate: 520,
  stats: 300,
  time: 350,
  train: 1150,
  transport: 1600,
};
/** Bytes of JavaScript. `start` is what a restart loads to forecast; the rest loads to connect, or on an update. */
const deviceBudgets = { start: 408_000, all: 1_950_000 };

const generated = (path) => path.endsWith('onnx_pb.ts') || path.endsWith('.wasm.ts');
const filesUnder = (folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());

/** A file and everything it imports statically. */
function closure(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  const imports = readFileSync(join('dist/device', file), 'utf8').matchAll(
    /^import\s(?:[^'"]*?\sfrom\s)?'\.\/([^']+)'/gm,
  );
  for (const [, imported] of imports) closure(imported, seen);
  return seen;
}
const bytesOf = (paths) => paths.reduce((sum, path) => sum + statSync(path).size, 0);

const rows = [];
for (const entry of readdirSync('src', { withFileTypes: true })) {
  if (!entry.isDirectory()) continue;
  const files = filesUnder(join('src', entry.name)).filter((path) => path.endsWith('.ts') && !generated(path));
  if (files.length === 0) continue;
  const lines = files.reduce((sum, path) => sum + readFileSync(path, 'utf8').split('\n').length - 1, 0);
  rows.push({ what: `src/${entry.name}`, size: lines, budget: lineBudgets[entry.name] ?? 0, unit: 'lines' });
}
if (existsSync('dist/device/nd-device.js')) {
  const start = bytesOf([...closure('nd-device.js')].map((file) => join('dist/device', file)));
  const bytes = bytesOf(filesUnder('dist/device').filter((path) => path.endsWith('.js')));
  rows.push({ what: 'device bundle, start', size: start, budget: deviceBudgets.start, unit: 'bytes' });
  rows.push({ what: 'device bundle, all', size: bytes, budget: deviceBudgets.all, unit: 'bytes' });
} else {
  console.error('dist/device/nd-device.js is missing: run `npm run build` to measure the device bundle.');
  process.exitCode = 1;
}

for (const { what, size, budget, unit } of rows) {
  const verdict = size > budget ? 'OVER' : '';
  console.log(
    `${what.padEnd(24)} ${String(size).padStart(9)} of ${String(budget).padStart(9)} ${unit} ${verdict}`.trimEnd(),
  );
}
if (rows.some(({ size, budget }) => size > budget)) process.exitCode = 1;
