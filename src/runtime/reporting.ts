/** What is asked of each stream: its own settings, and where these leave it open what its mapping says of how it reports. */
import type { DeviceConfig, StreamSettings } from '../contracts/config.js';
import { withPreset } from '../contracts/mapping.js';

export interface StreamRules extends StreamSettings {
  /** How long a value holds without a sign of life; null for a stream that reports at a steady pace. */
  readonly holdMs: number | null;
}

export type RulesOf = (stream: string) => StreamRules;

const DAY_MS = 86_400_000;

const unnamed: StreamSettings = {
  unit: null,
  min: null,
  max: null,
  maxRate: null,
  stuckCount: null,
  report: null,
  heartbeatMs: null,
  maxSilenceMs: null,
  levels: { above: null, below: null },
  acceptRetained: false,
  latenessMs: null,
  maxGap: 3,
};

/** The configuration alone decides, so that a stream of a mapping is known before it speaks. */
export function createRules({ streams, mappings }: Pick<DeviceConfig, 'streams' | 'mappings'>): RulesOf {
  const configured = new Map(Object.entries(streams)); // names come from outside, and `constructor` is one too
  const mapped = mappings.map(withPreset).map(({ stream, report, heartbeatMs }) => ({
    pattern: new RegExp(`^${stream.replace(/\$[1-9]/g, '[A-Za-z0-9_-]*')}$`),
    reporting: { report, heartbeatMs },
  }));

  return (name) => {
    const own = configured.get(name) ?? unnamed;
    const said = own.report === null ? mapped.find(({ pattern }) => pattern.test(name))?.reporting : undefined;
    const settings = { ...own, ...said };
    if ((settings.report ?? 'periodic') === 'periodic') return { ...settings, holdMs: null };
    const holdMs = settings.maxSilenceMs ?? (settings.heartbeatMs === null ? DAY_MS : 2 * settings.heartbeatMs);
    // Only a change is reported: equal readings, which a heartbeat repeats, are no fault.
    return { ...settings, holdMs, maxSilenceMs: holdMs, stuckCount: null };
  };
}
