/** What Node and the kernel know about this process; undefined where they do not tell (other systems than Linux). */
import { readdirSync, readFileSync } from 'node:fs';

/** The kernel counts times of processes in hundredths of a second for programs, on every architecture we run on. */
const TICKS_PER_SECOND = 100;

/** Seconds since 1970, as the kernel has it, so that it is the same at every scrape. */
export function startSeconds(): number | undefined {
  const ticks = statField(22);
  const booted = match('/proc/stat', /^btime (\d+)$/m);
  return ticks === undefined || booted === undefined ? undefined : booted + ticks / TICKS_PER_SECOND;
}

export const virtualBytes = (): number | undefined => statField(23);

/** Bytes that this process sent to the disk. */
export const writtenBytes = (): number | undefined => match('/proc/self/io', /^write_bytes: (\d+)$/m);

export const openFiles = (): number | undefined => attempt(() => readdirSync('/proc/self/fd').length - 1); // less the folder that is read

export const openFilesLimit = (): number | undefined => match('/proc/self/limits', /^Max open files\s+(\d+)/m);

/** A field of /proc/self/stat by its number in proc(5), behind the name, which may hold anything. */
function statField(number: number): number | undefined {
  return attempt(() => {
    const text = readFileSync('/proc/self/stat', 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[number - 3]);
  });
}

const match = (path: string, pattern: RegExp): number | undefined =>
  attempt(() => Number(pattern.exec(readFileSync(path, 'latin1'))![1]));

function attempt(read: () => number): number | undefined {
  try {
    const value = read();
    return Number.isFinite(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
