/** `nd pack`: a trained model becomes the folder a device runs. */
import { basename } from 'node:path';
import type { BundleParts } from '../make-bundle.js';
import { createOrtEngine } from '../../engine/ort.js';
import { exportOnnx } from '../../forecaster/compile.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { targets, type TargetName } from '../../quantize/index.js';
import { tuningFiles } from '../tuning-files.js';
import { readData, shellWord, type DataFlags } from '../table.js';
import { chosenModel, compress, deviceTask, heldOutRows, holdOut, packModel } from '../ship.js';
import { createTerminal, formatBytes, formatFigure, formatPercent, formatTable, printResult } from '../terminal.js';
import type { OutputFlags } from '../terminal.js';

export interface PackFlags extends DataFlags, OutputFlags {
  readonly out: string;
  readonly line: string;
  readonly release: number;
  readonly model?: string;
  /** The first is what devices run. */
  readonly precisions: readonly ('int8' | 'fp16' | 'fp32')[];
  readonly device: TargetName;
  readonly validation?: number;
  readonly maxLoss?: number;
  readonly unit?: string;
  /** With what a device trains it further. */
  readonly tunable?: boolean;
}

export async function packCommand(folder: string, flags: PackFlags): Promise<void> {
  const { out, line, release, maxLoss, unit = null, data } = flags;
  const terminal = createTerminal(flags);
  const engine = createOrtEngine();
  const forecaster = await Forecaster.load(folder);
  const { inputLength, horizon } = forecaster;
  const model = chosenModel(forecaster, flags.model);
  deviceTask(model); // refuses before minutes of work
  const tuning = flags.tunable === true ? tuningFiles(model) : undefined;
  const frame = await readData(flags, { terminal, minLength: inputLength + horizon + (flags.validation ?? 0) });
  const rows = flags.validation ?? heldOutRows(model, frame);
  const { rest: calibration, held: heldOut } = holdOut(frame, rows, inputLength);

  const models: Record<string, Uint8Array> = {};
  for (const to of flags.precisions) {
    terminal.say(`${model.name} as ${to} …`);
    models[to] =
      to === 'fp32'
        ? exportOnnx(model)
        : (await compress(model, { engine, to, target: targets[flags.device], calibration, validation: heldOut, maxLoss })).model; // prettier-ignore
  }
  const dataset = data === '-' ? 'standard input' : basename(data);
  const parts: Pick<
    BundleParts,
    'dir' | 'line' | 'release' | 'models' | 'providers' | 'unit' | 'createdMs' | 'tuning'
  > = {
    dir: out,
    line,
    release,
    models,
    providers: targets[flags.device].half ? ['cuda', 'cpu'] : ['cpu'],
    unit,
    createdMs: Date.now(),
    ...(tuning && { tuning }),
  };
  const { bundle } = await packModel({ ...parts, model, heldOut, dataset, engine });

  const { name, metrics, files } = bundle.manifest;
  const measured = `MAE ${formatFigure(metrics.mae)}${unit === null ? '' : ` ${unit}`}`;
  printResult(
    flags,
    { out, name, line, release, model: model.name, manifestSha256: bundle.manifestSha256, metrics, files },
    `${name}, release ${release}: ${measured}, ${formatPercent(metrics.coverage ?? 0)} of values in the interval\n` +
      formatTable(
        ['file', 'role', 'size'],
        files.map(({ path, role, length }) => [path, role, formatBytes(length)]),
      ),
  );
  terminal.say(`\nNext: nd repo publish REPOSITORY ${shellWord(out)}`);
}
