/** What a device tells goes to its log, a line for each event, as far as the level says. systemd's journal keeps it. */
import { limits } from '../contracts/limit.js';
import type { LogLevel } from '../contracts/config.js';
import { logLevels } from '../contracts/config.js';

type Facts = Readonly<Record<string, unknown>>;

/** Events that are not named here are `info`. */
const eventLevels: Readonly<Record<string, LogLevel>> = {
  'database-damaged': 'error',
  degraded: 'error',
  'model-failed': 'error',
  alert: 'warning',
  'clock-step': 'warning',
  'database-error': 'warning',
  'database-set-aside': 'warning',
  'safe-mode': 'warning',
  'no-watchdog': 'warning',
  rejected: 'warning',
  'reload-refused': 'error',
  'update-refused': 'warning',
  'first-forecast': 'debug',
};

/** As syslog numbers them; the journal takes a line's level from such a head. */
const priorities: Readonly<Record<LogLevel, number>> = { error: 3, warning: 4, info: 6, debug: 7 };

export interface Log {
  level: LogLevel;
  readonly line: (event: string, facts: Facts) => void;
}

/** `write` takes whole lines. Heads are for the journal alone. */
export function createLog(level: LogLevel, journal: boolean, write: (line: string) => void): Log {
  const log: Log = {
    level,
    line(event, facts) {
      const own = eventLevels[event] ?? 'info';
      if (logLevels.indexOf(own) > logLevels.indexOf(log.level)) return;
      const head = journal ? `<${priorities[own]}>` : '';
      const shown = Object.entries(facts).flatMap(([name, value]) =>
        value === null || value === undefined ? [] : [`${name}=${wordOf(value)}`],
      );
      write(`${[`${head}${event}`, ...shown].join(' ').slice(0, limits.logLineBytes)}\n`);
    },
  };
  return log;
}

/** Quoted where it is not one plain word, so that a line stays a line. */
function wordOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=\p{C}]+$/u.test(text) ? text : JSON.stringify(text);
}
