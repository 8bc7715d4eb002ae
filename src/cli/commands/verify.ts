/** `nd verify`: do all precisions of a bundle say the same, here and on an emulated ARM64 board? */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packBundle, readBundle, type Bundle, type PackOptions } from '../../bundle/pack.js';
import { verifyBundle } from '../../bundle/verify.js';
import { readSafetensors } from '../../contracts/safetensors.js';
import { errorKinds, exitCode } from '../../errors.js';
import { createTerminal, formatTable, printResult, type OutputFlags } from '../terminal.js';
import { compareForecasts, windowsFrom, type Comparison } from '../verify/compare.js';
import { runModelsEmulated } from '../verify/emulate.js';
import { runModels, type Tensors } from '../verify/run-models.js';

export interface VerifyFlags extends OutputFlags {
  readonly emulate?: 'arm64';
  readonly windows: number;
  readonly card?: boolean;
}

/** Exit code 3 when the bundle is not sound, or when a precision leaves its golden vectors. */
export async function verifyCommand(dir: string, flags: VerifyFlags): Promise<void> {
  const terminal = createTerminal(flags);
  const [fault] = await verifyBundle(dir);
  if (fault !== undefined) {
    printResult(flags, { passed: false, fault }, `✗ ${fault.where}: ${fault.detail} [${fault.code}]`);
    process.exitCode = exitCode[errorKinds[fault.code]];
    return;
  }
  const bundle = await readBundle(dir);
  const { manifest } = bundle;
  const pathOf = (role: string, among?: readonly string[]): string =>
    join(dir, manifest.files.find((file) => file.role === role && (among?.includes(file.path) ?? true))!.path);
  const models = Object.fromEntries(
    manifest.targets.map(({ precision, files }) => [precision, pathOf('model', files)]),
  );
  const golden = readSafetensors(readFileSync(pathOf('golden'))).tensors;
  const windows = windowsFrom(golden, manifest, flags.windows);

  terminal.say(
    `Running ${Object.keys(models).join(', ')} on ${manifest.golden.cases} golden and ${flags.windows} other windows …`,
  );
  const machines: Record<string, Tensors> = { [process.arch]: await runModels(models, windows) };
  if (flags.emulate !== undefined) {
    terminal.say('The same on an emulated Cortex-A72; this takes a while …');
    machines[emulatedName] = runModelsEmulated(models, windows);
  }
  const rows = compareForecasts(machines, golden, manifest);
  if (flags.card === true) await writeCard(bundle, rows, flags.windows);
  const passed = rows.every((row) => row.passed);
  printResult(flags, { passed, windows: flags.windows, rows }, table(rows));
  if (!passed) process.exitCode = exitCode.data;
}

const emulatedName = 'arm64, Cortex-A72 (emulated)';
const heading = '## The same forecasts everywhere';

const cells = (row: Comparison): string[] => [
  row.machine,
  row.precision,
  `${row.golden.toExponential(1)} of ${row.tolerance}`,
  row.mean.toExponential(1),
  row.largest.toExponential(1),
  row.passed ? 'passed' : 'FAILED',
];
const columns = ['machine', 'precision', 'golden vectors', 'mean difference', 'largest difference', ''];
const table = (rows: readonly Comparison[]): string =>
  `${formatTable(columns, rows.map(cells))}\n\nDifferences are to ${rows[0]!.reference}, as shares of its largest value.`;

/** The bundle with the table in its card, under a new hash. Do it before you publish: devices know a bundle by its hash. */
async function writeCard({ dir, manifest }: Bundle, rows: readonly Comparison[], windows: number): Promise<void> {
  const { files } = manifest;
  const lines = [columns, columns.map(() => '---'), ...rows.map(cells)].map((row) => `| ${row.join(' | ')} |`);
  const section = `${heading}\n\nOn ${windows} windows, beside ${rows[0]!.reference}, as shares of its largest value:\n\n${lines.join('\n')}\n`;
  const contents = files.map(({ path, role }): [string, PackOptions['files'][string]] => {
    const content = readFileSync(join(dir, path));
    if (role !== 'card') return [path, { role, content }];
    const [before] = content.toString().split(`\n${heading}`) as [string];
    return [path, { role, content: `${before.trimEnd()}\n\n${section}` }];
  });
  await packBundle({ dir, manifest, files: Object.fromEntries(contents) });
}
