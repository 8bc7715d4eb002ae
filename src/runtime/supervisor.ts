/**
 * systemd hears that the device is ready, alive and going (EDGE.md §15, sd_notify(3)). Node has no datagram sockets of the
 * kind, so the program `systemd-notify` says it; the unit allows that with `NotifyAccess=all`.
 */
import { spawn } from 'node:child_process';

export interface Supervisor {
  /** How often it wants to hear that the device is alive; undefined when it does not. */
  readonly aliveEveryMs: number | undefined;
  say(what: 'ready' | 'alive' | 'stopping'): void;
}

const words = { ready: 'READY=1', alive: 'WATCHDOG=1', stopping: 'STOPPING=1' } as const;

/** `onFailure` hears once that nobody can be told. */
export function createSupervisor(
  env: NodeJS.ProcessEnv,
  onFailure: (detail: string) => void,
  program = 'systemd-notify',
): Supervisor {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds, WATCHDOG_PID: pid } = env;
  const watched = socket !== undefined && microseconds !== undefined && (pid ?? `${process.pid}`) === `${process.pid}`;
  let failed = false;
  const fail = (detail: string): void => {
    if (!failed) onFailure(detail);
    failed = true;
  };
  return {
    aliveEveryMs: watched ? Number(microseconds) / 1000 / 2 : undefined,
    say(what) {
      if (socket === undefined) return;
      const child = spawn(program, [words[what]], { stdio: 'ignore' });
      child.once('error', ({ message }) => fail(message));
      child.once('exit', (code) => code === 0 || fail(`${program} ended with ${code}`));
    },
  };
}
