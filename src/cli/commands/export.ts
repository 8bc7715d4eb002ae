/** `nd export`: a trained model as ONNX, for windows or for a stream. */
import { writeFileSync } from 'node:fs';
import { exportOnnx, exportStep } from '../../forecaster/compile.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { chosenModel } from '../ship.js';
import { formatBytes, formatTable, printResult, type OutputFlags } from '../terminal.js';

export interface ExportFlags extends OutputFlags {
  readonly out: string;
  readonly model?: string;
  readonly step?: boolean;
  readonly holdScale?: boolean;
}

export async function exportCommand(folder: string, flags: ExportFlags): Promise<void> {
  const { out, step: asStep = false, holdScale: heldScale = false } = flags;
  const model = chosenModel(await Forecaster.load(folder), flags.model);
  const files: Record<string, Uint8Array> = {};
  if (asStep || heldScale) {
    const { step, statistics } = exportStep(model, { heldScale });
    files[out] = step;
    if (statistics !== undefined) files[`${out.replace(/\.onnx$/, '')}.statistics.onnx`] = statistics;
  } else files[out] = exportOnnx(model);

  for (const [path, content] of Object.entries(files)) writeFileSync(path, content);
  const written = Object.entries(files).map(([path, { length }]) => ({ path, bytes: length }));
  const rows = written.map(({ path, bytes }) => [path, formatBytes(bytes)]);
  printResult(flags, { model: model.name, files: written }, formatTable(['file', 'size'], rows));
}
