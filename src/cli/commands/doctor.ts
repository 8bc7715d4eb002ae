/** `nd doctor`: what this machine has, what it lacks, and how to mend it. */
import { providers } from '../../contracts/provider.js';
import { availableParallelism, cpus, freemem, tmpdir, totalmem } from 'node:os';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { exitCode } from '../../errors.js';
import { duration } from '../../runtime/condition.js';
import type { ReportGuess } from '../../runtime/report-guess.js';
import { version } from '../../version.js';
import { formatBytes } from '../terminal.js';

interface Check {
  readonly name: string;
  readonly run: () => Promise<string> | string;
  readonly mend: string;
}

const checks: readonly Check[] = [
  { name: 'neuro-divergent', run: () => version, mend: '' },
  {
    name: 'Node.js',
    run: () => {
      const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
      if (major < 20 || (major === 20 && minor < 19)) throw new Error(`${process.versions.node} is too old`);
      return `${process.versions.node} on ${process.platform} ${process.arch}`;
    },
    mend: 'Install Node.js 20.19 or newer.',
  },
  {
    name: 'processor',
    run: () => `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} threads`,
    mend: '',
  },
  { name: 'memory', run: () => `${formatBytes(freemem())} of ${formatBytes(totalmem())} free`, mend: '' },
  {
    name: 'ONNX Runtime',
    run: async () => {
      const { createOrtEngine, usableProviders } = await import('../../engine/ort.js');
      const { constant, createGraph, matmul, toOnnx } = await import('../../graph/index.js');
      const g = createGraph();
      const x = g.input('x', [1, 2]);
      const engine = createOrtEngine();
      const session = await engine.load(toOnnx(g.finish({ y: matmul(x, constant([1, 2], [2, 1])) })));
      const { y } = session.run({ x: { data: Float32Array.of(3, 4), dims: [1, 2] } });
      session.close();
      if (y?.data[0] !== 11) throw new Error(`3·1 + 4·2 gave ${y?.data[0]}`);
      return `runs; computes with ${usableProviders(providers).join(', ')}`;
    },
    mend: 'Reinstall onnxruntime-node; it ships for Linux x64 and ARM64, Windows, and macOS ARM64.',
  },
  {
    name: 'SQLite',
    run: async () => {
      const { createSystemClock, openStore } = await import('../../runtime/index.js');
      const dir = mkdtempSync(join(tmpdir(), 'nd-doctor-'));
      try {
        const store = openStore({ path: join(dir, 'check.sqlite'), clock: createSystemClock('trusted') });
        store.close();
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
      return 'opens, writes';
    },
    mend: 'Run `npm rebuild better-sqlite3`; it needs a C++ compiler, make and Python.',
  },
];

/** What the readings of a device say of how its streams report, where its configuration says another thing. */
const reportingOf = (path: string): Check => ({
  name: 'reporting',
  async run() {
    const { readDeviceConfig } = await import('../../runtime/index.js');
    const { readStored } = await import('../../runtime/readings.js');
    const { createRules } = await import('../../runtime/reporting.js');
    const { guessReport } = await import('../../runtime/report-guess.js');
    const config = await readDeviceConfig(path);
    const database = join(config.stateDir, 'device.db');
    if (!existsSync(database)) return 'no readings yet';
    const stored = readStored(database);
    try {
      const rulesOf = createRules(config);
      const findings = stored.streams().flatMap((stream) => {
        const guess = guessReport(stored.readings(stream, 0).toSorted((a, b) => a.timeMs - b.timeMs));
        const said = rulesOf(stream).report ?? 'periodic';
        return guess === undefined || guess.report === said ? [] : [describe(stream, said, guess)];
      });
      return findings.join('; ') || 'as configured, by what is stored';
    } finally {
      stored.close();
    }
  },
  mend: 'Correct the configuration; `nd config check` says more.',
});

/** "stream kitchen looks like on_change, not periodic (412 intervals of 9 s to 35 min, half of them below 2 min)" */
function describe(stream: string, said: string, { report, heartbeatMs, ...seen }: ReportGuess): string {
  const setting = heartbeatMs === undefined ? report : `${report} of ${duration(heartbeatMs)}`;
  const range = `${duration(seen.shortMs)} to ${duration(seen.longMs)}, half of them below ${duration(seen.usualMs)}`;
  return `stream ${stream} looks like ${setting}, not ${said} (${seen.intervals} intervals of ${range})`;
}

export async function doctorCommand({ json = false, config }: { json?: boolean; config?: string }): Promise<void> {
  const results: { name: string; ok: boolean; detail: string; mend?: string }[] = [];
  for (const { name, run, mend } of [...checks, ...(config === undefined ? [] : [reportingOf(config)])]) {
    try {
      results.push({ name, ok: true, detail: await run() });
    } catch (error) {
      results.push({ name, ok: false, detail: error instanceof Error ? error.message : String(error), mend });
    }
  }
  if (json) process.stdout.write(`${JSON.stringify({ checks: results })}\n`);
  else
    for (const { name, ok, detail, mend } of results)
      process.stdout.write(`${ok ? '✓' : '✗'} ${name.padEnd(16)} ${detail}${ok ? '' : `. ${mend ?? ''}`}\n`);
  if (results.some(({ ok }) => !ok)) process.exitCode = exitCode.internal;
}
