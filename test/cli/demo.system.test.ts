/** `nd demo` as a user runs it, and what it leaves behind: nothing but its report, however it ends. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const main = resolve('dist/cli/main.js');
const patienceMs = 400_000;

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'nd-demo-test-'));
});
afterAll(() => rmSync(root, { recursive: true }));

/** What a Linux process knows about itself; nothing once it is gone or belongs to somebody else. */
function read<T>(look: () => T, nothing: T): T {
  try {
    return look();
  } catch {
    return nothing;
  }
}

/** Processes that were started with `mark` in their environment, which children inherit. */
const marked = (mark: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => read(() => readFileSync(`/proc/${pid}/environ`, 'latin1'), '').includes(mark));

/** Listening TCP ports by the inode of their socket. */
function listening(): Map<string, number> {
  const lines = ['tcp', 'tcp6'].flatMap((table) =>
    read(() => readFileSync(`/proc/net/${table}`, 'latin1').split('\n').slice(1), []),
  );
  const rows = lines.map((line) => line.trim().split(/\s+/)).filter(([, , , state]) => state === '0A');
  return new Map(rows.map((row) => [`socket:[${row[9]}]`, Number.parseInt(row[1]!.split(':')[1]!, 16)]));
}

function portsOf(pids: readonly string[]): number[] {
  const ports = listening();
  const sockets = pids.flatMap((pid) =>
    read(() => readdirSync(`/proc/${pid}/fd`), []).map((fd) => read(() => readlinkSync(`/proc/${pid}/fd/${fd}`), '')),
  );
  return sockets.flatMap((socket) => ports.get(socket) ?? []);
}

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Ports that it or its children listened on. */
  readonly ports: ReadonlySet<number>;
  /** What is left: processes, ports, and files in its temp, home and working folders. */
  readonly left: { processes: string[]; ports: number[]; temp: string[]; home: string[]; cwd: string[] };
}

/** Runs the demo in folders of its own below `name`. Once `moment` holds of what it has said and started, Ctrl-C is pressed. */
async function demo(name: string, moment?: (stderr: string, pids: readonly string[]) => boolean): Promise<Run> {
  const folder = (kind: string): string => join(root, name, kind);
  for (const kind of ['temp', 'home', 'cwd']) mkdirSync(folder(kind), { recursive: true });
  const mark = `ND_DEMO_TEST=${root}/${name}/${process.hrtime.bigint()}`;
  const env = {
    ...process.env,
    HOME: folder('home'),
    TMPDIR: folder('temp'),
    [mark.split('=')[0]!]: mark.split('=')[1],
  };
  const child = spawn(process.execPath, [main, 'demo', '--json', '--series', 'ambient'], {
    cwd: folder('cwd'),
    env,
    detached: true, // a process group of its own: a terminal sends Ctrl-C to the whole group
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));

  const ports = new Set<number>();
  let pressed = false;
  const watch = setInterval(() => {
    const pids = marked(mark);
    for (const port of portsOf(pids)) ports.add(port);
    if (pressed || moment?.(stderr, pids) !== true) return;
    pressed = true;
    process.kill(-child.pid!, 'SIGINT');
  }, 50);
  const code = await new Promise<number | null>((ended) => child.once('close', ended));
  clearInterval(watch);

  const stillOpen = new Set(listening().values());
  const files = (kind: string): string[] => readdirSync(folder(kind), { recursive: true }).map(String);
  return {
    code,
    stdout,
    stderr,
    ports,
    left: {
      processes: marked(mark),
      ports: [...ports].filter((port) => stillOpen.has(port)),
      temp: files('temp'),
      home: files('home'),
      cwd: files('cwd'),
    },
  };
}

const nothing = { processes: [], ports: [], temp: [], home: [], cwd: [] };
const hasThreads = (pid: string): number => read(() => readdirSync(`/proc/${pid}/task`).length, 0);
const figure = expect.any(Number) as number;

test.concurrent(
  'Ctrl-C while it trains ends it with 130 and leaves nothing behind, and the next run works',
  async () => {
    let threadsBefore = 0;
    const interrupted = await demo('twice', (stderr, [pid]) => {
      if (!stderr.includes('to learn from')) threadsBefore = hasThreads(pid!);
      return stderr.includes('to learn from') && hasThreads(pid!) > threadsBefore; // the worker is there
    });
    expect(interrupted).toMatchObject({ code: 130, stdout: '', left: nothing });
    expect(interrupted.stderr).toContain('Interrupted');

    const { code, stdout, ports, left } = await demo('twice');
    expect(code).toBe(0);
    expect(left).toEqual({ ...nothing, cwd: ['demo-report.html'] });
    expect(ports.size).toBeGreaterThanOrEqual(2); // the broker and the repository's server
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(stdout)).toMatchObject({
      models: ['nhits', 'dlinear', 'gru'].map(() => ({
        name: expect.stringMatching(/^(nhits|dlinear|gru)$/) as string,
        mae: figure,
        seasonalNaiveMae: figure,
      })),
      int8: { sizeRatio: figure, maeLoss: figure },
      messages: figure,
      forecasts: figure,
      alerts: { opened: figure, resolved: figure, labelledWindows: 2, windowsHit: figure },
      latencyMs: { p50: figure, p99: figure },
      coldStartMs: figure,
      rssMb: figure,
      report: join(root, 'twice', 'cwd', 'demo-report.html'),
    });
  },
  patienceMs,
);

const moments: [string, (stderr: string, pids: readonly string[]) => boolean][] = [
  ['its device starts', (_, pids) => pids.some((pid) => read(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1'), '').includes('nd-device'))], // prettier-ignore
  ['it replays', (stderr) => stderr.includes('4  Replay')],
];
test.concurrent.each(moments)(
  'Ctrl-C while %s ends it with 130 and leaves nothing behind',
  async (when, moment) => {
    expect(await demo(when.replaceAll(' ', '-'), moment)).toMatchObject({ code: 130, stdout: '', left: nothing });
  },
  patienceMs,
);
