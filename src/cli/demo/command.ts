/** The command around the demo: Ctrl-C, one JSON object or plain words. */
import { exitCode } from '../../errors.js';
import { createTerminal, formatPercent } from '../terminal.js';
import { runDemo, type DemoOptions } from './demo.js';

export async function demoCommand({
  json = false,
  quiet = false,
  ...options
}: DemoOptions & { json?: boolean; quiet?: boolean }): Promise<void> {
  const terminal = createTerminal({ quiet });
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    const result = await runDemo(options, terminal, interrupted.signal);
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else process.stdout.write(`\n${summary(result)}\n`);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    terminal.say('\nInterrupted; everything that was started has been stopped.');
    process.exitCode = exitCode.interrupted;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

const summary = ({
  messages,
  forecasts,
  alerts,
  forecastMae,
  coverage,
  latencyMs,
  coldStartMs,
  rssMb,
  seconds,
  report,
}: Awaited<ReturnType<typeof runDemo>>): string =>
  [
    `${messages} readings, ${forecasts} forecasts (mean error ${forecastMae.toFixed(2)}, ${formatPercent(coverage, 0)} inside the 90 % interval)`,
    `${alerts.opened} alerts, ${alerts.resolved} resolved; ${alerts.windowsHit} of ${alerts.labelledWindows} labelled failures found`,
    `device: inference ${latencyMs.p50.toFixed(2)} ms (p99 ${latencyMs.p99.toFixed(2)}), cold start ${Math.round(coldStartMs)} ms, ${Math.round(rssMb)} MB`,
    `${Math.round(seconds)} s in all; the report is ${report}`,
  ].join('\n');
