/** `nd doctor`: what this machine has, what it lacks, and how to mend it. */
import { providers } from '../../contracts/provider.js';
import { availableParallelism, cpus, freemem, tmpdir, totalmem } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { exitCode } from '../../errors.js';
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

export async function doctorCommand({ json = false }: { json?: boolean }): Promise<void> {
  const results: { name: string; ok: boolean; detail: string; mend?: string }[] = [];
  for (const { name, run, mend } of checks) {
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
