/** `nd quantize`: a smaller model, and the proof that it is as good. */
import { writeFileSync } from 'node:fs';
import { createOrtEngine } from '../../engine/ort.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { targets, type Compression, type TargetName } from '../../quantize/index.js';
import { readData, type DataFlags } from '../table.js';
import { chosenModel, compress, heldOutRows, holdOut, type Compressed } from '../ship.js';
import { createTerminal, formatBytes, formatFigure, formatPercent, formatTable, printResult } from '../terminal.js';
import type { OutputFlags } from '../terminal.js';

export interface QuantizeFlags extends DataFlags, OutputFlags {
  readonly out: string;
  readonly to: Compression;
  readonly device: TargetName;
  readonly model?: string;
  readonly validation?: number;
  readonly maxLoss?: number;
}

export async function quantizeCommand(folder: string, flags: QuantizeFlags): Promise<void> {
  const { out, to, maxLoss } = flags;
  const terminal = createTerminal(flags);
  const forecaster = await Forecaster.load(folder);
  const { inputLength, horizon } = forecaster;
  const model = chosenModel(forecaster, flags.model);
  const frame = await readData(flags, { terminal, minLength: inputLength + horizon + (flags.validation ?? 0) });
  const rows = flags.validation ?? heldOutRows(model, frame);
  const { rest: calibration, held: validation } = holdOut(frame, rows, inputLength);
  terminal.say(`Quantizing ${model.name} to ${to}; the last ${rows} rows of each series judge it.`);

  const compressed = await compress(model, {
    engine: createOrtEngine(),
    to,
    target: targets[flags.device],
    calibration,
    validation,
    maxLoss,
  });
  writeFileSync(out, compressed.model);
  const { report, latency } = compressed;
  printResult(
    flags,
    { model: model.name, to, device: flags.device, out, ...report, latencyUs: latency },
    comparison(compressed, to),
  );
  terminal.say(`\nWrote ${out}.`);
}

/** FP32 beside the small model, then its layers. */
export function comparison({ report, latency: { fp32, small } }: Compressed, to: string): string {
  const { fp32Bytes, sizeBytes, sizeRatio, fp32Mae, mae, maeLoss, layers, keptFp32 } = report;
  const share = (ratio: number): string => `${ratio >= 0 ? '+' : '−'}${formatPercent(Math.abs(ratio), 2)}`;
  const figures = formatTable(
    ['', 'fp32', to, 'change'],
    [
      ['file', formatBytes(fp32Bytes), formatBytes(sizeBytes), share(sizeRatio - 1)],
      ['MAE on validation windows', formatFigure(fp32Mae), formatFigure(mae), share(maeLoss)],
      ['latency p50, µs', fp32.p50Us.toFixed(1), small.p50Us.toFixed(1), share(small.p50Us / fp32.p50Us - 1)],
      ['latency p99, µs', fp32.p99Us.toFixed(1), small.p99Us.toFixed(1), share(small.p99Us / fp32.p99Us - 1)],
    ],
  );
  const perLayer = formatTable(
    ['layer', 'precision', 'signal to noise, dB'],
    layers.map(({ name, precision, signalToNoiseDb }) => [name, precision, signalToNoiseDb.toFixed(1)]),
  );
  const kept = keptFp32.length > 0 ? `\n\nKept in FP32: ${keptFp32.join(', ')}` : '';
  return `${figures}\n\n${perLayer}${kept}`;
}
