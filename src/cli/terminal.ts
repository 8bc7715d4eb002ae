/** How commands talk: results on stdout, talk on stderr, a bar on a terminal and plain lines elsewhere. */

import { formatNumber } from '../evaluate/table.js';

/** Taken by every command. */
export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** The result of a command: one JSON object for scripts, or words for people. */
export function printResult({ json = false }: OutputFlags, value: object, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
}

export interface Terminal {
  /** A heading or a sentence for the reader. */
  say(text: string): void;
  /** Shows how far long work is; `note` is what matters now, such as the loss. Call `done` at the end. */
  progress(label: string, total: number): Progress;
}

export interface Progress {
  update(value: number, note?: string): void;
  done(note?: string): void;
}

const barWidth = 24;
const redrawMs = 80;

export function createTerminal({
  quiet = false,
  stream = process.stderr,
}: { quiet?: boolean; stream?: NodeJS.WriteStream } = {}): Terminal {
  const write = (text: string): void => {
    if (!quiet) stream.write(text);
  };
  return {
    say: (text) => write(`${text}\n`),
    progress: (label, total) => {
      const live = stream.isTTY === true;
      let drawnAt = 0;
      const draw = (value: number, note: string): void => {
        const share = total === 0 ? 1 : Math.min(1, value / total);
        const filled = Math.round(share * barWidth);
        const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
        write(
          `\r\x1b[2K  ${label} ${bar} ${Math.round(share * 100)} %  ${note}`.slice(
            0,
            Math.max(40, (stream.columns || 100) + 4),
          ),
        );
      };
      return {
        update: (value, note = '') => {
          const now = performance.now();
          if (!live || now - drawnAt < redrawMs) return;
          drawnAt = now;
          draw(value, note);
        },
        done: (note = '') => write(live ? `\r\x1b[2K  ${label}  ${note}\n` : `  ${label}  ${note}\n`),
      };
    },
  };
}

/** A table with aligned columns; numbers to the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[], indent = '  '): string {
  const width = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const isNumber = header.map((_, column) =>
    rows.every((row) => /^[-+−]?[\d.,]/.test(row[column] ?? '') || row[column] === '–'),
  );
  const line = (cells: readonly string[]): string =>
    `${indent}${cells.map((cell, column) => (isNumber[column] ? cell.padStart(width[column]!) : cell.padEnd(width[column]!))).join('  ')}`.trimEnd();
  return [line(header), line(width.map((n) => '─'.repeat(n))), ...rows.map(line)].join('\n');
}

/** `12.3 kB` */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log(Math.max(bytes, 1)) / Math.log(1000)));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** `0.4 %` */
export const formatPercent = (share: number, digits = 1): string => `${(share * 100).toFixed(digits)} %`;

/** Four digits, or a dash where there is no value. */
export const formatFigure = (value: number | null): string => formatNumber(value ?? Number.NaN);

/** `0.42 % higher`, `0.31 % lower` */
export const formatChange = (share: number, digits = 2): string =>
  `${formatPercent(Math.abs(share), digits)} ${share < 0 ? 'lower' : 'higher'}`;
