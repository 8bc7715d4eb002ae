/** How a stream reports (EDGE.md §4): settings that a stream and a mapping share. */
import * as z from 'zod/mini';
import { duration } from './duration.js';

/** At a steady pace; only when the value changes, so that it holds until then; or that, and at least every `heartbeat`. */
const reportModes = ['periodic', 'on_change', 'heartbeat'] as const;
export type ReportMode = (typeof reportModes)[number];

export const reportingShape = {
  /** As the mapping's preset says when null, else `periodic`. */
  report: z._default(z.nullable(z.enum(reportModes)), null),
  /** With `report: heartbeat`: it speaks at least so often. */
  heartbeatMs: z._default(z.nullable(duration.check(z.positive())), null),
};
export const reportingNames = { heartbeatMs: 'heartbeat' };

export const heartbeatBelongs = z.refine<{ report: ReportMode | null; heartbeatMs: number | null }>(
  ({ report, heartbeatMs }) => (report === 'heartbeat') === (heartbeatMs !== null),
  '`heartbeat: 1h` (how often at least) belongs to `report: heartbeat`',
);
