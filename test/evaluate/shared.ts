/** The folder of reference numbers, which is no part of the project: `ND_SHARED`, default `../shared`. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const shared = (...path: string[]): string =>
  join(process.env['ND_SHARED'] ?? join(import.meta.dirname, '..', '..', '..', 'shared'), ...path);

/** Why a test of this file cannot run here, or undefined when it can. */
export function missing(...path: string[]): string | undefined {
  return existsSync(shared(...path)) ? undefined : `skipped: no ${path.join('/')} in the shared folder (set ND_SHARED)`;
}
