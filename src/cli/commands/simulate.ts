/** `nd simulate`: sensors that play real recordings, with faults, to a broker or into a file. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { exitCode, NeuroDivergentError } from '../../errors.js';
import { faults as knownFaults, parseFaults, type FaultName, type Rates } from '../../simulate/fault.js';
import { shapes, type SensorShape } from '../../simulate/message.js';
import { play } from '../../simulate/play.js';
import { recordingsOf, roundMs, type Recording } from '../../simulate/recording.js';
import { addToTally, createTally, simulate, type SensorReading, type Tally } from '../../simulate/sensors.js';
import type { MqttLink } from '../../transport/mqtt.js';
import { openBroker, type BrokerFlags } from '../broker.js';
import { loadScenario, type ScenarioName } from '../demo/scenario.js';
import { readData, type DataFlags } from '../table.js';
import { createTerminal, formatTable, printResult, type OutputFlags, type Terminal } from '../terminal.js';

export interface SimulateFlags extends OutputFlags, BrokerFlags, Omit<DataFlags, 'data'> {
  readonly data?: string;
  readonly recording: ScenarioName;
  readonly broker?: string;
  readonly out?: string;
  readonly devices: number;
  readonly sensors: number;
  readonly faults: string;
  readonly seed: number;
  readonly duration?: number;
  readonly speed: number;
  readonly start?: number;
  readonly preset: string;
  readonly base: string;
  readonly site: string;
  readonly device: string;
  readonly stream: string;
}

/** What `nd simulate --json` prints. */
export interface SimulateResult extends Tally {
  readonly devices: number;
  readonly sensors: number;
  readonly seed: number;
  /** Time of the first reading, and of the moment after the last that was played: milliseconds UTC. */
  readonly startMs: number;
  readonly endMs: number;
  /** Messages that the broker did not take at once; it may have each twice. */
  readonly resent: number;
  readonly interrupted: boolean;
}

const MOST_SENSORS = 10_000;
const RETRY_MS = 50;

/** Throws `ND_CLI_USAGE`, `ND_CONFIG_OUT_OF_RANGE`, `ND_BUNDLE_UNREACHABLE`, and what reading a table throws. */
export async function simulateCommand(flags: SimulateFlags): Promise<void> {
  const { out, broker, devices, sensors, seed, json = false, quiet = false } = flags;
  const terminal = createTerminal({ quiet });
  checkUsage(flags);
  const rates: Rates = parseFaults(flags.faults);
  const shapeOf = namer(flags);
  const recordings = await readRecordings(flags, terminal);
  const durationMs = flags.duration ?? Math.max(...recordings.map(roundMs));
  const startMs = flags.start ?? startOf(recordings[0]!, durationMs, broker === undefined ? null : flags.speed);
  const readings = simulate({ recordings, devices, sensors, rates, seed, startMs, ...(flags.duration && { durationMs }) }); // prettier-ignore

  const tally = createTally();
  const bar = terminal.progress('simulate', durationMs);
  let endMs = startMs;
  const note = (reading: SensorReading): void => {
    addToTally(tally, reading);
    endMs = Math.max(endMs, reading.atMs);
    bar.update(endMs - startMs, `${tally.messages} messages, now ${new Date(endMs).toISOString()}`);
  };
  let resent = 0;
  let interrupted = false;
  if (out !== undefined) writeTrace(out, readings, shapeOf, note);
  else ({ resent, interrupted } = await publish(readings, shapeOf, flags, note));
  bar.done(`${tally.messages} messages, up to ${new Date(endMs).toISOString()}`);
  if (interrupted) process.exitCode = exitCode.interrupted;
  const result: SimulateResult = { ...tally, devices, sensors, seed, startMs, endMs, resent, interrupted };
  if (out !== '-' || json) printResult(flags, result, summary(result));
}

function checkUsage({ out, broker, json = false, devices, sensors, preset }: SimulateFlags): void {
  const refuse = (what: string, mend: string): never => {
    throw new NeuroDivergentError('ND_CLI_USAGE', { where: 'nd simulate', what, mend });
  };
  if ((out === undefined) === (broker === undefined))
    refuse('It needs to know where messages go.', 'Give one of --broker URL and --out FILE.');
  if (out === '-' && json) refuse('The trace and the result cannot both go to stdout.', 'Give --out a file.');
  if (!Object.hasOwn(shapes, preset))
    refuse(`There is no preset ${preset}.`, `Choose one of ${Object.keys(shapes).join(', ')}.`);
  if (devices < 1 || sensors < 1 || devices * sensors > MOST_SENSORS)
    refuse(`${devices} devices of ${sensors} sensors are too few or too many.`, `Ask for 1 to ${MOST_SENSORS} sensors.`); // prettier-ignore
}

async function readRecordings(flags: SimulateFlags, terminal: Terminal): Promise<Recording[]> {
  const { data, recording } = flags;
  if (data !== undefined) return recordingsOf(await readData({ ...flags, data }, { terminal, minLength: 2 }));
  const shipped: DataFlags = { data: loadScenario(recording).csv, sort: true, onDuplicate: 'mean', fillGaps: 'mask' };
  return recordingsOf(await readData(shipped, { terminal: createTerminal({ quiet: true }), minLength: 2 }));
}

/**
 * When the first reading is from: as recorded in a file, and for a broker so that the last is from the moment at which it leaves, or the
 * first where that would be in the future. Whole steps from where it was, so that readings stay on their grid.
 */
function startOf({ time, stepMs }: Recording, durationMs: number, speed: number | null): number {
  const recordedMs = time[0]!;
  if (speed === null) return recordedMs;
  const nowMs = Date.now();
  const wanted = Math.min(nowMs, nowMs - durationMs * (1 - 1 / speed));
  return recordedMs + Math.floor((wanted - recordedMs) / stepMs) * stepMs;
}

/** Topic and payload of each sensor, made once. */
function namer(flags: SimulateFlags): (reading: SensorReading) => SensorShape {
  const { base, site, devices, sensors } = flags;
  const numbered = (name: string, count: number, i: number): string => (count === 1 ? name : `${name}${i + 1}`);
  const known = Array.from({ length: devices }, (_, d) =>
    Array.from({ length: sensors }, (_, s) =>
      shapes[flags.preset]!({
        base,
        site,
        device: numbered(flags.device, devices, d),
        stream: numbered(flags.stream, sensors, s),
      }),
    ),
  );
  return ({ device, sensor }) => known[device]![sensor]!;
}

/** One line for each message: when it leaves, topic, payload, and the fault that it suffers. */
function writeTrace(
  path: string,
  readings: Iterable<SensorReading>,
  shapeOf: (reading: SensorReading) => SensorShape,
  note: (reading: SensorReading) => void,
): void {
  const file = path === '-' ? process.stdout.fd : openTrace(path);
  let lines = '';
  const flush = (): void => {
    for (let rest = Buffer.from(lines); rest.length > 0;) rest = rest.subarray(writeSync(file, rest));
    lines = '';
  };
  for (const reading of readings) {
    note(reading);
    if (reading.lost) continue;
    const { topic, payload } = shapeOf(reading);
    lines += `${JSON.stringify({ at: reading.atMs, topic, payload: payload(reading), ...(reading.fault !== null && { fault: reading.fault }) })}\n`; // prettier-ignore
    if (lines.length > 65_536) flush();
  }
  flush();
  if (path !== '-') closeSync(file);
}

function openTrace(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `It cannot be written: ${(cause as Error).message}.`,
      mend: 'Name a file in a folder that exists.',
      cause,
    });
  }
}

/** Until all is with the broker, or Ctrl-C. What it does not take is sent again. */
async function publish(
  readings: Iterable<SensorReading>,
  shapeOf: (reading: SensorReading) => SensorShape,
  flags: SimulateFlags,
  note: (reading: SensorReading) => void,
): Promise<{ resent: number; interrupted: boolean }> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  let link: MqttLink | undefined;
  let resent = 0;
  try {
    const open = (link = await openBroker(flags.broker!, flags, 'nd-simulate'));
    await play(readings, {
      speed: flags.speed,
      signal: interrupted.signal,
      onSent: note,
      async send(reading) {
        if (reading.lost) return;
        const { topic, payload } = shapeOf(reading);
        const message = payload(reading);
        while (!(await open.publish(topic, message)) && !interrupted.signal.aborted) {
          resent++;
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      },
    });
  } finally {
    await link?.close();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
  return { resent, interrupted: interrupted.signal.aborted };
}

function summary({ devices, sensors, readings, messages, faults, resent, interrupted }: SimulateResult): string {
  const rows = Object.entries(faults).map(([name, count]) => [name, String(count), `${((100 * count) / readings).toFixed(2)} %`, knownFaults[name as FaultName].what]); // prettier-ignore
  return [
    `Played ${readings} readings by ${devices * sensors} ${devices * sensors === 1 ? 'sensor' : 'sensors'}: ${messages} messages${interrupted ? ', then it was interrupted' : ''}`,
    ...(resent > 0 ? [`${resent} times the broker did not take a message at once`] : []),
    ...(rows.length > 0 ? [formatTable(['fault', 'readings', 'share', 'what'], rows)] : []),
  ].join('\n');
}
