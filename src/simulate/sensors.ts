/** Devices and sensors that play a recording, with faults: one stream of readings, the same for the same seed. */
import { createRandom } from '../engine/random.js';
import {
  beginnings,
  faults,
  outageBlock,
  outageChance,
  type Draws,
  type FaultName,
  type Rates,
  type Reading,
} from './fault.js';
import { roundMs, type Recording } from './recording.js';

export interface SensorReading extends Reading {
  /** Number of the device, and of the sensor in it, from 0. */
  readonly device: number;
  readonly sensor: number;
}

export interface Simulation {
  /** Sensors take them in turn. */
  readonly recordings: readonly Recording[];
  readonly devices: number;
  /** In each device. */
  readonly sensors: number;
  readonly rates: Rates;
  readonly seed: number;
  /** Time of the first reading, milliseconds UTC; that of the first recording when not given. */
  readonly startMs?: number;
  /** Recordings begin again until this has passed; they are played once when not given. `Infinity` never ends. */
  readonly durationMs?: number;
}

/** Sensors differ from the recording by a level of their own and by noise, in its standard deviations. */
const LEVEL = 0.5;
const NOISE = 0.02;
/** So many steps of all sensors are in memory at once. */
const SLICE_STEPS = 64;

/**
 * All readings in the order in which they leave; the lost ones are among them, marked. The first sensor is the recording
 * itself. Sensors speak one after the other within a step, as they do not know of each other.
 */
export function* simulate(simulation: Simulation): Generator<SensorReading> {
  const { recordings, devices, sensors } = simulation;
  const count = devices * sensors;
  const sources = Array.from({ length: count }, (_, i) => {
    const [device, sensor] = [Math.floor(i / sensors), i % sensors];
    return { readings: sensorOf(simulation, device, sensor, i / count), next: undefined as SensorReading | undefined };
  });
  for (const source of sources) source.next = advance(source.readings);
  const sliceMs = SLICE_STEPS * Math.min(...recordings.map(({ stepMs }) => stepMs));
  for (;;) {
    const firstMs = sources.reduce((least, { next }) => Math.min(least, next?.atMs ?? Infinity), Infinity);
    if (firstMs === Infinity) return;
    const slice: SensorReading[] = [];
    for (const source of sources)
      for (; source.next !== undefined && source.next.atMs < firstMs + sliceMs; source.next = advance(source.readings))
        slice.push(source.next);
    yield* slice.sort((a, b) => a.atMs - b.atMs); // stable: what leaves a sensor at one moment stays in order
  }
}

function advance(readings: Generator<SensorReading>): SensorReading | undefined {
  const next = readings.next();
  return next.done === true ? undefined : next.value;
}

/** `phase` is when in a step it speaks, in [0, 1). */
function* sensorOf(
  { recordings, sensors, rates, seed, ...limits }: Simulation,
  device: number,
  sensor: number,
  phase: number,
): Generator<SensorReading> {
  const recording = recordings[(device * sensors + sensor) % recordings.length]!;
  const startMs = limits.startMs ?? recordings[0]!.time[0]!;
  const durationMs = limits.durationMs ?? roundMs(recording);
  const { stepMs, spread } = recording;
  const isSilent = outages(rates, startMs, stepMs, (block) => createRandom(seed, 'outage', device, block));
  const random = createRandom(seed, 'sensor', device, sensor);
  const level = device + sensor === 0 ? 0 : (2 * random() - 1) * LEVEL * spread;
  const noise = device + sensor === 0 ? 0 : NOISE * spread;

  function* played(): Generator<Reading> {
    for (let seq = 0; ; seq++) {
      const row = seq % recording.time.length;
      const round = Math.floor(seq / recording.time.length);
      const sinceMs = recording.time[row]! - recording.time[0]! + round * roundMs(recording);
      if (sinceMs >= durationMs) return;
      const timeMs = startMs + sinceMs;
      const own = noise === 0 ? 0 : level + (2 * random() - 1) * noise;
      const value = own === 0 ? recording.value[row]! : Number((recording.value[row]! + own).toPrecision(7));
      const reading = { seq, atMs: timeMs + Math.floor(phase * stepMs), timeMs, value, fault: null, lost: false };
      if (isSilent(timeMs)) yield* faults.outage.apply([reading], { random, spread, stepMs });
      else yield reading;
    }
  }
  for (const reading of disturb(played(), rates, {
    random: createRandom(seed, 'fault', device, sensor),
    spread,
    stepMs,
  }))
    yield { ...reading, device, sensor };
}

/** Whether a device is silent at a moment: at most once within a block of steps, at a place and for a time of its own. */
function outages(
  rates: Rates,
  startMs: number,
  stepMs: number,
  drawsOf: (block: number) => () => number,
): (timeMs: number) => boolean {
  const chance = outageChance(rates);
  if (chance === 0) return () => false;
  let block = -1;
  let [from, to] = [0, 0];
  return (timeMs) => {
    const step = Math.floor((timeMs - startMs) / stepMs);
    if (Math.floor(step / outageBlock) !== block) {
      block = Math.floor(step / outageBlock);
      const random = drawsOf(block);
      const length = random() < chance ? between(faults.outage.length, random()) : 0;
      from = block * outageBlock + Math.floor(random() * (outageBlock - length + 1));
      to = from + length;
    }
    return step >= from && step < to;
  };
}

/** Lets faults begin at random where a stretch of readings is unbroken, and long enough. */
export function* disturb(readings: Iterable<Reading>, rates: Rates, draws: Draws): Generator<Reading> {
  const { random, stepMs } = draws;
  const chances = beginnings(rates);
  const source = readings[Symbol.iterator]();
  const ahead: Reading[] = [];
  const have = (count: number): boolean => {
    while (ahead.length < count) {
      const next = source.next();
      if (next.done === true) return false;
      ahead.push(next.value);
    }
    return true;
  };
  const free = (count: number): boolean =>
    have(count) &&
    ahead.slice(0, count).every(({ timeMs, lost }, i) => !lost && timeMs === ahead[0]!.timeMs + i * stepMs);

  while (have(1)) {
    const name = pick(chances, random());
    const length = name === undefined ? 1 : between(faults[name].length, random());
    if (name !== undefined && free(length)) yield* faults[name].apply(ahead.splice(0, length), draws);
    else yield ahead.shift()!;
  }
}

/** A whole number from least to most. */
const between = ([least, most]: readonly [number, number], draw: number): number =>
  least + Math.floor(draw * (most - least + 1));

function pick(chances: ReadonlyMap<FaultName, number>, draw: number): FaultName | undefined {
  let below = 0;
  for (const [name, chance] of chances) if (draw < (below += chance)) return name;
  return undefined;
}

/** What was played: the truth that a device can be held to. */
export interface Tally {
  /** Of the recording. */
  readings: number;
  /** Readings that left, second copies too. */
  messages: number;
  /** Readings hit, by fault. */
  readonly faults: Record<string, number>;
}

export const createTally = (): Tally => ({ readings: 0, messages: 0, faults: {} });

export function addToTally(tally: Tally, { fault, lost }: Reading): void {
  if (fault !== 'duplicate') tally.readings++;
  if (!lost) tally.messages++;
  if (fault !== null) tally.faults[fault] = (tally.faults[fault] ?? 0) + 1;
}
