/** The two sensor series that ship with the package, and what people labelled as failures in them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const scenarioNames = ['machine', 'ambient'] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface Scenario {
  readonly title: string;
  readonly csv: string;
  /** The device's name for the stream. */
  readonly stream: string;
  readonly unit: string;
  readonly cadenceMs: number;
  readonly inputLength: number;
  readonly horizon: number;
  /** Labelled failures, milliseconds UTC, first and last moment. */
  readonly windows: readonly (readonly [from: number, to: number])[];
}

const folder = new URL('../../../examples/data/', import.meta.url);
const minute = 60_000;

const series: Record<ScenarioName, Omit<Scenario, 'windows' | 'csv'> & { readonly file: string }> = {
  machine: {
    title: 'temperature of a large industrial machine',
    file: 'machine_temperature_system_failure.csv',
    stream: 'machine-temperature',
    unit: '°F',
    cadenceMs: 5 * minute,
    inputLength: 96,
    horizon: 24,
  },
  ambient: {
    title: 'ambient temperature in an office',
    file: 'ambient_temperature_system_failure.csv',
    stream: 'ambient-temperature',
    unit: '°F',
    cadenceMs: 60 * minute,
    inputLength: 96,
    horizon: 24,
  },
};

export function loadScenario(name: ScenarioName): Scenario {
  const { file, ...rest } = series[name];
  const labels = JSON.parse(readFileSync(new URL('windows.json', folder), 'utf8')) as Record<
    string,
    [string, string][]
  >;
  const time = (text: string): number => Date.parse(`${text.slice(0, 19).replace(' ', 'T')}Z`);
  return {
    ...rest,
    csv: fileURLToPath(new URL(file, folder)),
    windows: labels[file]!.map(([from, to]) => [time(from), time(to)] as const),
  };
}
