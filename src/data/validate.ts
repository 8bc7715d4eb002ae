/** What can be wrong with a table, and one report that lists all of it at once. */

import { NeuroDivergentError } from '../errors.js';

export type Severity = 'error' | 'warning';

/** The closed list of findings. `mend` is what the reader can do; options are named as in the API, flags as in `nd`. */
export const findingKinds = {
  ND_DATA_EMPTY: { severity: 'error', what: 'there are no rows', mend: 'Give a header line and at least one row.' },
  ND_DATA_ENCODING: {
    severity: 'error',
    what: 'the file is not UTF-8 text',
    mend: 'Export it as CSV in UTF-8; compressed and binary files are not read.',
  },
  ND_DATA_COLUMN_MISSING: {
    severity: 'error',
    what: 'the column is missing',
    mend: 'Add it, or name another one with `columns` (`--time`, `--target`, `--series`).',
  },
  ND_DATA_COLUMN_DUPLICATE: {
    severity: 'error',
    what: 'two columns have this name',
    mend: 'Rename or remove one of them.',
  },
  ND_DATA_COLUMN_TYPE: {
    severity: 'error',
    what: 'not readable as this column',
    mend: 'Write numbers with a decimal point, times as ISO 8601, and leave missing values empty.',
  },
  ND_DATA_ROW_LENGTH: {
    severity: 'error',
    what: 'the row has another number of fields than the header',
    mend: 'Add or remove separators, or quote the field that holds one.',
  },
  ND_DATA_TIMEZONE_MIXED: {
    severity: 'error',
    what: 'some times have a zone and some have none',
    mend: 'Write an offset on every time or on none (then they are UTC).',
  },
  ND_DATA_UNSORTED: {
    severity: 'error',
    what: 'times go back',
    mend: 'Sort the file by time, or pass `sort: true` (`--sort`).',
  },
  ND_DATA_DUPLICATE_ROW: {
    severity: 'error',
    what: 'the time occurs more than once in the series',
    mend: "Remove the repeats, or pass `onDuplicate: 'last'` or `'mean'` (`--on-duplicate mean`).",
  },
  ND_DATA_FREQUENCY_UNKNOWN: {
    severity: 'error',
    what: 'no frequency can be read from the times',
    mend: "Pass `frequency`, such as '5min' (`--frequency 5min`).",
  },
  ND_DATA_IRREGULAR: {
    severity: 'error',
    what: 'the time is off the grid of the frequency',
    mend: "Pass `resample: 'mean'` (`--resample mean`), or another `frequency`.",
  },
  ND_DATA_GAPS: {
    severity: 'error',
    what: 'rows are missing in the grid',
    mend: "Pass `fillGaps: 'linear'`, `'last'` or `'mask'` (`--fill-gaps linear`); filled rows count as not observed.",
  },
  ND_DATA_SERIES_TOO_SHORT: {
    severity: 'error',
    what: 'too few observed rows',
    mend: 'Give more rows, or shorten `inputLength` and `horizon`.',
  },
  ND_DATA_NOT_FINITE: {
    severity: 'error',
    what: 'the value is no finite number',
    mend: 'Remove it; leave the field empty when the value is missing.',
  },
  ND_DATA_STATIC_VARIES: {
    severity: 'error',
    what: 'a static column changes within the series',
    mend: 'Name it as a historic or future column, or give one value per series.',
  },
  ND_DATA_STATIC_ROW_MISSING: {
    severity: 'error',
    what: 'the static table has no row of this series',
    mend: 'Add one; its first column holds the names of the series.',
  },
  ND_DATA_FUTURE_ROWS_MISSING: {
    severity: 'error',
    what: 'the future has no row of this time',
    mend: 'Give the future columns for every step of the horizon (`future`, `--future-data FILE`).',
  },
  ND_DATA_MISSING: {
    severity: 'warning',
    what: 'values are missing',
    mend: 'Nothing has to be done: they count as not observed.',
  },
  ND_DATA_CONSTANT: {
    severity: 'warning',
    what: 'all values are equal',
    mend: 'Check the sensor: a constant series can be forecast but teaches nothing.',
  },
} as const satisfies Record<string, { severity: Severity; what: string; mend: string }>;

export type FindingCode = keyof typeof findingKinds;

export interface Example {
  /** Line of the file as an editor counts them (the header is line 1); for tables without a file, row from 1. */
  readonly row: number;
  readonly value: string;
}

export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  readonly series: string | null;
  readonly row: number | null;
  readonly column: string | null;
  /** How often it occurs in this series and column. */
  readonly count: number;
  /** The first three occurrences. */
  readonly examples: readonly Example[];
  readonly what: string;
  readonly mend: string;
}

export interface Place {
  readonly series?: string | null;
  readonly row?: number | null;
  readonly column?: string | null;
  readonly value?: string;
}

export interface FindingDetails {
  /** Replaces the sentence of the table when there is more to say. */
  readonly what?: string;
  readonly mend?: string;
  /** An option already mends it: report it, but go on. */
  readonly mended?: boolean;
  readonly count?: number;
}

/** Gathers findings, one per code, series and column, in the order of their first occurrence. */
export interface FindingList {
  add(code: FindingCode, place: Place, details?: FindingDetails): void;
  list(): Finding[];
}

const MAX_EXAMPLES = 3;

export function createFindings(): FindingList {
  const found = new Map<string, Finding & { count: number; examples: Example[] }>();
  return {
    add(code, { series = null, row = null, column = null, value }, details = {}) {
      const key = JSON.stringify([code, series, column, details.mended]);
      let finding = found.get(key);
      if (finding === undefined) {
        const kind = findingKinds[code];
        finding = {
          code,
          series,
          row,
          column,
          count: 0,
          examples: [],
          severity: details.mended ? 'warning' : kind.severity,
          what: details.what ?? kind.what,
          mend: details.mend ?? (details.mended ? 'Nothing has to be done: an option mended it.' : kind.mend),
        };
        found.set(key, finding);
      }
      finding.count += details.count ?? 1;
      if (row !== null && finding.examples.length < MAX_EXAMPLES)
        finding.examples.push({ row, value: (value ?? '').slice(0, 60) });
    },
    list: () => [...found.values()],
  };
}

/** One finding as one line: `error ND_DATA_UNSORTED · series boiler · row 12 · column time: times go back (3 times; …). Mend` */
export function formatFinding(finding: Finding): string {
  const place = [
    finding.series !== null && `series ${finding.series}`,
    finding.row !== null && `row ${finding.row}`,
    finding.column !== null && `column ${finding.column}`,
  ].filter((part) => part !== false);
  const shown = finding.examples.filter(({ value }) => value !== '').map(({ row, value }) => `row ${row}: “${value}”`);
  const count = finding.count > 1 ? [`${finding.count} times`] : [];
  const facts = [...count, ...shown];
  return (
    `${[`${finding.severity} ${finding.code}`, ...place].join(' · ')}: ${finding.what}` +
    `${facts.length > 0 ? ` (${facts.join('; ')})` : ''}. ${finding.mend}`
  );
}

const MAX_LINES = 100;

/** All findings, errors first, one a line; beyond a hundred the rest is counted (and stands in `findings`). */
export function formatFindings(findings: readonly Finding[]): string {
  const ordered = [...findings].sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
  const lines = ordered.slice(0, MAX_LINES).map((finding) => `  ${formatFinding(finding)}`);
  if (ordered.length > MAX_LINES) lines.push(`  … and ${ordered.length - MAX_LINES} more`);
  return lines.join('\n');
}

/** A table that cannot be used; `findings` holds everything found in it, warnings included. */
export class DataError extends NeuroDivergentError {
  readonly findings: readonly Finding[];

  constructor(where: string, findings: readonly Finding[]) {
    const errors = findings.filter(({ severity }) => severity === 'error').length;
    super('ND_DATA_INVALID', {
      where,
      what: `${errors} ${errors === 1 ? 'error' : 'errors'} in the data:\n${formatFindings(findings)}\n`,
      mend: 'Mend the rows named above, or pass the options named there.',
    });
    this.name = 'DataError';
    this.findings = findings;
  }

  override toJSON(): ReturnType<NeuroDivergentError['toJSON']> & { findings: readonly Finding[] } {
    return { ...super.toJSON(), findings: this.findings };
  }
}

/** Throws a `DataError` when a finding is an error; otherwise returns the warnings. */
export function stopOnErrors(where: string, findings: FindingList): Finding[] {
  const list = findings.list();
  if (list.some(({ severity }) => severity === 'error')) throw new DataError(where, list);
  return list;
}
