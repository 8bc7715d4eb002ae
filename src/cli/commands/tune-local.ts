/** `nd tune-local`: a device's model is trained further on what the device has stored, and is taken up if it is better. */
import type { DeviceConfig, TuningSettings } from '../../contracts/config.js';
import { tuningSettings } from '../../contracts/config.js';
import { tuneReasons } from '../../contracts/reason.js';
import type { Refusal, TuneReason, UpdateReason } from '../../contracts/reason.js';
import { readWire, toWire } from '../../contracts/wire.js';
import { bundleCode } from '../../bundle/refusal.js';
import { NeuroDivergentError, type ErrorCode } from '../../errors.js';
import { readDeviceConfig } from '../../runtime/index.js';
import { openSlots, type Slots } from '../../runtime/slots.js';
import { offerReleased } from '../../runtime/tuned.js';
import { tuneInChild } from '../../runtime/tune-process.js';
import type { TuneReport } from '../../runtime/tune.js';
import { createTerminal, formatTable, printResult, type OutputFlags } from '../terminal.js';

export interface TuneLocalFlags extends OutputFlags {
  readonly config: string;
  readonly line?: string;
  readonly stream?: string;
  readonly steps?: number;
  readonly minutes?: number;
  /** Megabytes. */
  readonly memory?: number;
  readonly dryRun?: boolean;
  readonly undo?: boolean;
}

/** Throws what `readDeviceConfig` throws, `ND_TUNE_…`, `ND_BUNDLE_…` for a bundle that is not as it was installed, and `ND_CLI_USAGE`. */
export async function tuneLocalCommand(flags: TuneLocalFlags): Promise<void> {
  const config = await readDeviceConfig(flags.config);
  const slots = openSlots(config.stateDir);
  const line = flags.line ?? onlyLine(slots, config);
  if (flags.undo === true) return undo(slots, line, flags);

  const { steps, minutes, memoryMb } = settingsOf(config, flags);
  const terminal = createTerminal({ quiet: flags.quiet ?? false });
  const progress = terminal.progress(line, steps);
  const outcome = await tuneInChild(
    { config, line, stream: flags.stream ?? null, steps, dryRun: flags.dryRun === true },
    { minutes, memoryMb, on: ({ step, loss }) => progress.update(step, `loss ${loss.toPrecision(4)}`) },
  );
  if (!outcome.ok) throw refused(line, outcome);
  progress.done(`${outcome.value.steps} steps`);
  printResult(flags, outcome.value, describe(outcome.value));
}

/** Those of the configuration, or the usual ones, unless the command line says otherwise. Throws `ND_CONFIG_OUT_OF_RANGE`. */
function settingsOf({ tuning }: DeviceConfig, { steps, minutes, memory }: TuneLocalFlags): TuningSettings {
  const given = Object.entries({ steps, minutes, memory_mb: memory }).filter(([, value]) => value !== undefined);
  const usual = tuning === null ? {} : (toWire(tuningSettings, tuning) as object);
  const read = readWire(tuningSettings, { ...usual, ...Object.fromEntries(given) });
  if (read.ok) return read.value;
  throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
    where: 'nd tune-local',
    what: `${read.findings.map(({ path, message }) => `${path}: ${message}`).join('; ')}.`,
    mend: 'Correct the options named here.',
  });
}

function describe({ line, release, windows, gate, kept }: TuneReport): string {
  const ratio = (value: number): string => value.toFixed(3);
  const parts = gate.thirds.map((value, i) => [`part ${i + 1} of the horizon`, ratio(value)]);
  const streams = Object.entries(gate.streams).map(([name, value]) => [name, ratio(value)]);
  const end = kept
    ? 'It waits to be taken up: by the running device in some seconds, else at its next start.'
    : gate.better
      ? 'Nothing was changed (--dry-run).'
      : 'It was dropped; the model that runs stays.';
  return (
    `${line}, release ${release}: ${gate.better ? 'better' : 'not better'}, ${gate.why}\n` +
    `Learned from ${windows} windows, judged on ${gate.windows} newer ones; error of the tuned model over that of the running one:\n` +
    `${formatTable(['where', 'ratio'], [['everywhere', ratio(gate.ratio)], ...parts, ...streams])}\n${end}`
  );
}

function undo(slots: Slots, line: string, flags: TuneLocalFlags): void {
  if (!offerReleased(slots, line))
    throw refused(line, { ok: false, reason: 'no_model', detail: `${line} runs no tuned model` });
  const text = `The release that ${line} was tuned from waits to be taken up: by the running device in some seconds, else at its next start.`;
  printResult(flags, { line, undone: true }, text);
}

/** Throws `ND_TUNE_NO_MODEL` when there is none, `ND_CLI_USAGE` when there are several. */
function onlyLine(slots: Slots, { stateDir }: DeviceConfig): string {
  const lines = slots.lines().filter((line) => slots.pointer(line) !== undefined);
  if (lines.length === 1) return lines[0]!;
  if (lines.length === 0)
    throw refused(stateDir, { ok: false, reason: 'no_model', detail: 'the device runs no model' });
  throw new NeuroDivergentError('ND_CLI_USAGE', {
    where: 'nd tune-local',
    what: `The device runs ${lines.join(', ')}.`,
    mend: 'Name one of them: --line.',
  });
}

const mends: Record<TuneReason, string> = {
  no_model: 'Assign a model to the device first (`nd repo assign`), and name its line and a stream that it serves.',
  not_tunable: 'Pack the release with `nd pack --tunable`, and assign it.',
  too_few_windows: 'Let the device collect more readings, or raise `max_gap` of its streams.',
  not_finite: 'Look for values that no sensor measures among the stored readings; set `min` and `max` of the stream.',
  out_of_time: 'Allow more (`--minutes`), or fewer steps (`--steps`).',
  out_of_memory: 'Allow more (`--memory`), or pack a smaller model.',
  stopped: 'Try again; look for a lack of memory in the log of the system.',
};

function refused(where: string, { reason, detail }: Refusal<TuneReason | UpdateReason>): NeuroDivergentError {
  const ours = (tuneReasons as readonly string[]).includes(reason);
  const code = ours ? (`ND_TUNE_${reason.toUpperCase()}` as ErrorCode) : bundleCode(reason as UpdateReason);
  const mend = ours ? mends[reason as TuneReason] : 'Assign the release again, so that the device fetches it anew.';
  return new NeuroDivergentError(code, { where, what: `${detail}.`, mend });
}
