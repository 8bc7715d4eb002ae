// Lines per folder and bytes of the device bundle, each against a budget. Raise one only in a commit that says what it bought.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Lines of TypeScript (generated files apart). */
const lineBudgets = {
  cli: 2500,
  contracts: 900,
  data: 1200,
  engine: 900,
  evaluate: 700,
  forecaster: 600,
  graph: 3000,
  losses: 500,
  models: 1500,
  quantize: 900,
  bundle: 900,
  runtime: 1800,
  stats: 500,
  time: 600,
  train: 1200,
  transport: 700,
};
/** Bytes of JavaScript. `start` is what a device loads to forecast; the rest loads only on an update. */
const deviceBudgets = { start: 1_400_000, all: 2_000_000 };

const generated = (path) => path.endsWith('onnx_pb.ts') || path.endsWith('.wasm.ts');
const filesUnder = (folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());

const rows = [];
for (const entry of readdirSync('src', { withFileTypes: true })) {
  if (!entry.isDirectory()) continue;
  const files = filesUnder(join('src', entry.name)).filter((path) => path.endsWith('.ts') && !generated(path));
  if (files.length === 0) continue;
  const lines = files.reduce((sum, path) => sum + readFileSync(path, 'utf8').split('\n').length - 1, 0);
  rows.push({ what: `src/${entry.name}`, size: lines, budget: lineBudgets[entry.name] ?? 0, unit: 'lines' });
}
if (existsSync('dist/device/nd-device.js')) {
  const scripts = filesUnder('dist/device').filter((path) => path.endsWith('.js'));
  const bytes = scripts.reduce((sum, path) => sum + statSync(path).size, 0);
  const start = statSync('dist/device/nd-device.js').size;
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
