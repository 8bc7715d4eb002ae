/** A reading as a message: in our shape, or in that of other makers (contracts/mapping.ts reads them). */
import { presets } from '../contracts/mapping.js';
import { createTopics } from '../contracts/topic.js';
import type { Reading } from './fault.js';

export interface SensorName {
  readonly base: string;
  readonly site: string;
  readonly device: string;
  readonly stream: string;
}

export interface SensorShape {
  readonly topic: string;
  readonly payload: (reading: Pick<Reading, 'timeMs' | 'value' | 'seq'>) => string;
}

const fill = (topic: string, name: string, id: string): string => topic.replace('<name>', name).replace('<id>', id);
const iso = (timeMs: number): string => new Date(timeMs).toISOString();
const text = ({ value }: { value: number }): string => String(value);

/** Throws `ND_CONFIG_OUT_OF_RANGE` for a name that is no segment of a topic. */
export const shapes: Readonly<Record<string, (name: SensorName) => SensorShape>> = {
  native: (name) => ({
    topic: createTopics(name).in(name.stream),
    payload: ({ timeMs, value, seq }) => JSON.stringify({ ts: timeMs, value, seq }),
  }),
  /** Its times have no zone, so a device takes those of arrival. */
  tasmota: ({ device, stream }) => ({
    topic: fill(presets.tasmota.topic, `${device}-${stream}`, ''),
    payload: ({ timeMs, value }) =>
      JSON.stringify({ Time: iso(timeMs).slice(0, 19), DS18B20: { Temperature: value }, TempUnit: 'C' }),
  }),
  zigbee2mqtt: ({ device, stream }) => ({
    topic: fill(presets.zigbee2mqtt.topic, `${device}-${stream}`, ''),
    payload: ({ timeMs, value }) => JSON.stringify({ last_seen: iso(timeMs), temperature: value }),
  }),
  esphome: ({ device, stream }) => ({ topic: fill(presets.esphome.topic, device, stream), payload: text }),
};
