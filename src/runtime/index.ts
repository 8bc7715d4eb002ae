/** The device side of neuro-divergent: everything that runs on the machine beside the sensor, without graph or training. */
export { createSystemClock } from './clock.js';
export type { Clock } from './clock.js';
export { runDevice } from './device.js';
export type { Probe } from './device.js';
export { deviceExit, readDeviceConfig, runDeviceProcess } from './main.js';
export type { DeviceProcessOptions } from './main.js';
export type { LinkOptions, Machine, Ports } from './ports.js';
export { openStore } from './store.js';
export type { Store, StoreOptions } from './store.js';
