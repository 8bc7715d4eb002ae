/** R3: bundles that are signed as they should be, and bad. The old model must be running again within a minute, and forecasts go on. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { add, broadcastTo, constant, defineOp, div, log, matmul, mean, mul, slice, sub } from '../src/graph/index.js';
import type { Tensor } from '../src/graph/index.js';
import type { UnaryWith } from '../src/graph/ir.js';
import { startBroker } from '../src/transport/broker.js';
import { inFolder, installModel, minute, prefix, settings, stream, writeSettings } from './device.js';
import type { ModelTraits } from './device.js';
import { createFleet } from './fleet.js';
import { pause, startDevice, until } from './process.js';
import type { RunningDevice } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures } from './row.js';

const BACK_WITHIN_MS = 60_000;
const READING_EVERY_MS = 20;
/** So many forecasts of the old model must follow. */
const FOLLOWING = 5;
const OLD = 'boiler-naive@1';
/** Holds all that is measured. */
const WIDE = 60;

/** Unclean ends after which a device gives a model up. */
const CRASHES = 3;
const WIDTH = 256;
const identity = constant(
  Array.from({ length: WIDTH ** 2 }, (_, i) => Number(i % (WIDTH + 1) === 0)),
  [WIDTH, WIDTH],
);

const repeated = (x: Tensor, times: number): Tensor => broadcastTo(x, { shape: ['batch', x.shape[1]!, times] });
const through = (x: Tensor, layers: number): Tensor => (layers === 0 ? x : through(matmul(x, identity), layers - 1));
/**
 * The same again, by way of a tensor that is `times` as large once a value is above 100: no self-test can see it, as its
 * golden vectors are of ones.
 */
const swelling: UnaryWith<{ readonly times: number }> = defineOp({
  name: 'swelling',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: 'none',
  onnx({ times }, emit, { inputs: [x], outputs }) {
    const node = (...given: Parameters<typeof emit.node>): string => emit.node(...given)[0]!;
    const largest = node('ReduceMax', [x!], { attributes: { keepdims: 0 } });
    const above = node('Cast', [node('Greater', [largest, emit.scalar(100, 'float32')])], { attributes: { to: 7 } });
    const size = node('Add', [node('Mul', [above, emit.ints([times - 1])]), emit.ints([1])]);
    const swollen = node('Expand', [x!, node('Concat', [emit.ints([1, 1]), size], { attributes: { axis: 0 } })]);
    emit.node('ReduceMean', [swollen, emit.ints([2])], { attributes: { keepdims: 1 }, outputs });
  },
  run: ({ x }) => x.data,
  samples: [{ shapes: [[1, 4, 1]], with: { times: 2 } }],
});

const alike = (forecast: Tensor) => ({ forecast });
const middle = (x: Tensor): Tensor => mean(x, { axes: [2], keep: true });

interface Plant {
  readonly name: string;
  readonly ends: 'failed' | 'rolled_back';
  readonly traits?: ModelTraits;
  /** How the report of it begins, where it could end for another reason. */
  readonly says?: string;
  /** What happens to the device meanwhile; gives the device that goes on. */
  readonly meanwhile?: (device: RunningDevice, release: number, restart: () => RunningDevice) => Promise<RunningDevice>;
}

/** Readings are above 100, golden vectors are of ones. */
const plants: readonly Plant[] = [
  { name: 'another answer than promised', ends: 'failed', traits: { promised: { forecast: [1, 1, 1, 1.1] } } },
  { name: 'answers that are no number', ends: 'failed', traits: { outputs: (past) => alike(log(sub(past, 2))) } },
  { name: 'infinite answers', ends: 'failed', traits: { outputs: (past) => alike(div(past, sub(past, 1))) } },
  { name: 'slow', ends: 'failed', traits: { p95Ms: 5, outputs: (past) => alike(middle(through(repeated(past, WIDTH), 3000))) } },
  { name: 'half a gigabyte', ends: 'failed', traits: { p95Ms: 1e6, outputs: (past) => alike(middle(repeated(past, 3e7))) } },
  { name: 'its test is killed', ends: 'failed', meanwhile: killTest },
  { name: 'no number for what is measured', ends: 'rolled_back', traits: { outputs: (past) => alike(add(past, mul(log(sub(100, past)), 1e-9))) } },
  { name: 'too short an answer', ends: 'rolled_back', traits: { outputs: (past) => alike(slice(past, { axis: 1, start: 0, end: 2 })), promised: { forecast: [1, 1] } } },
  { name: 'an answer of another name', ends: 'rolled_back', traits: { outputs: (past) => ({ answer: add(past, 0) }), promised: { answer: [1, 1, 1, 1] } } },
  { name: 'slow with what is measured', ends: 'rolled_back', says: 'forecasts slower', traits: { p95Ms: 1, outputs: (past) => alike(swelling(past, { times: 2e6 })) } },
  { name: 'memory for what is measured', ends: 'rolled_back', says: 'memory', traits: { p95Ms: 1e6, outputs: (past) => alike(swelling(past, { times: 1e7 })) } },
  { name: 'an interval that holds nothing', ends: 'rolled_back', says: 'values inside', traits: { halfWidth: 1e-3 } },
  { name: 'the device dies of it', ends: 'rolled_back', meanwhile: dieOften },
]; // prettier-ignore

export const plantedBundles: FaultRow = {
  id: 'R3',
  what: `${plants.length} kinds of bundles that are signed and bad, to the process of a device with its self-test`,
  counts: 'another end than expected, the old model not back within 60 s, forecasts that end',
  trials: { C: plants.length, N: 20 * plants.length },
  run: (trials, seed) => inFolder((dir) => plantInTurn(dir, trials, seed)),
};

async function plantInTurn(dir: string, trials: number, seed: number): Promise<Failures> {
  const failures: string[] = [];
  const random = createDraws('R3', seed);
  const stateDir = join(dir, 'state');
  await installModel(stateDir);
  const broker = await startBroker();
  const fleet = await createFleet(dir, 1_000_000);
  const change = { retention_days: 10_000, repository: fleet.settings };
  const config = writeSettings(dir, settings(stateDir, broker.url, change));
  let device = startDevice(config);
  await device.told('link', ({ state }) => state === 'online');

  const client = await mqtt.connectAsync(broker.url);
  const forecasts: string[] = [];
  let reported: { readonly release: number; readonly detail: string | null } | undefined;
  client.on('message', (topic, payload) => {
    const heard = JSON.parse(payload.toString()) as { model: string; models: [typeof reported] };
    if (topic === `${prefix}/model/reported`) reported = heard.models[0];
    else forecasts.push(heard.model);
  });
  await client.subscribeAsync([`${prefix}/forecast/${stream}`, `${prefix}/model/reported`], { qos: 1 });
  let sending = true;
  const sender = (async () => {
    for (let ts = Date.UTC(2021, 0, 1); sending; ts += minute) {
      await client.publishAsync(`${prefix}/in/${stream}`, `{"ts":${ts},"value":${random.int(101, 150)}}`, { qos: 1 });
      await pause(READING_EVERY_MS);
    }
  })();
  const oldForecasts = (from: number) => forecasts.slice(from).filter((model) => model === OLD).length;

  for (let trial = 0; trial < trials; trial++) {
    const { name, ends, traits, says, meanwhile } = plants[trial % plants.length]!;
    const release = trial + 2;
    const from = forecasts.length;
    try {
      await client.publishAsync(
        `${prefix}/model/desired`,
        Buffer.from(await fleet.publish(release, { halfWidth: WIDE, ...traits })),
        {
          qos: 1,
          retain: true,
        },
      );
      if (meanwhile) device = await meanwhile(device, release, () => (device = startDevice(config)));
      await device.told('model-state', (facts) => facts['state'] === ends && facts['release'] === release);
      const decided = forecasts.length;
      await until('the old model forecasts', () => oldForecasts(decided) >= FOLLOWING, BACK_WITHIN_MS);
      await until('the end is reported', () => reported?.release === release && reported.detail !== null);
      if (says !== undefined && !reported!.detail!.startsWith(says)) failures.push(`${name}: ${reported!.detail}`);
      if (ends === 'failed' && oldForecasts(from) < forecasts.length - from) failures.push(`${name}: it forecast`);
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
  }
  sending = false;
  await sender;
  await device.kill('SIGTERM');
  await client.endAsync(true);
  await fleet.close();
  await broker.close();
  return failures;
}

async function killTest(device: RunningDevice, release: number): Promise<RunningDevice> {
  await device.told('model-state', (facts) => facts['state'] === 'testing' && facts['release'] === release);
  const children = (): string[] =>
    readFileSync(`/proc/${device.pid}/task/${device.pid}/children`, 'utf8').split(' ').filter(Boolean);
  await until('the test runs', () => children().length > 0);
  process.kill(Number(children()[0]), 'SIGKILL');
  return device;
}

async function dieOften(device: RunningDevice, release: number, restart: () => RunningDevice): Promise<RunningDevice> {
  await device.told('model-active', (facts) => facts['release'] === release);
  for (let crash = 0; crash < CRASHES; crash++) {
    await device.kill();
    device = restart();
    await device.told('running');
  }
  return device;
}
