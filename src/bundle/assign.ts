/** What each device should run: kept whole beside the repository, since a desired state is no delta (EDGE.md §11). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { desiredSchema } from '../contracts/desired.js';
import type { Desired, DesiredModel } from '../contracts/desired.js';
import { limits } from '../contracts/limit.js';
import { createTopics } from '../contracts/topic.js';
import { parseWire, wireText } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { signDesired } from './desired.js';
import { writeWhole } from './folder.js';
import { orThrow } from './refusal.js';
import { openRepository, publishedBundle } from './repository.js';
import type { RepositoryOptions } from './repository.js';

export interface Assignment extends RepositoryOptions {
  readonly site: string;
  readonly device: string;
  readonly line: string;
  /** The newest when undefined. */
  readonly release?: number | undefined;
  /** Streams of the device that the model serves, each alone; those of before when empty. */
  readonly streams: readonly string[];
  readonly mode: DesiredModel['mode'];
  readonly allowRollbackTo?: number | undefined;
  /** What the device does when it is not given: 60 minutes and 100 forecasts. */
  readonly probation?: DesiredModel['probation'];
  readonly lifetimeDays: number;
}

const dayMs = 86_400_000;

/**
 * Writes and signs what the device should run from now on: its lines of before, with this one in its place.
 * Throws `ND_FILE_NOT_FOUND` for what is not published, `ND_CONFIG_OUT_OF_RANGE` for a name that is none or a line without streams.
 */
export async function assign(assignment: Assignment): Promise<{ desired: Desired; envelope: Uint8Array }> {
  const { dir, site, device, line, streams, mode, lifetimeDays, nowMs = Date.now() } = assignment;
  const topics = createTopics({ base: 'neuro-divergent', site, device });
  streams.forEach((stream) => topics.in(stream)); // names that are none are refused
  const { fleetKey } = await openRepository(assignment);
  const { release, manifestSha256, inputs } = await publishedBundle(assignment);
  const role = inputs.find(({ kind }) => kind === 'target')?.role ?? 'target';
  const file = join(dir, 'desired', site, `${device}.json`);
  const before = await readFile(file).then(
    (bytes) => orThrow(parseWire(desiredSchema, bytes, limits.manifestBytes), file),
    () => undefined,
  );
  const known = before?.models.find((model) => model.line === line);
  const bind = streams.length > 0 ? streams.map((stream) => ({ [role]: stream })) : known?.bind;
  if (bind === undefined)
    throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
      where: `${site}/${device}`,
      what: `It is not said which stream ${line} serves.`,
      mend: 'Name the streams, as in --stream boiler,pump.',
    });
  const model: DesiredModel = {
    line,
    release,
    manifestSha256,
    urls: [],
    bind,
    mode,
    ...(assignment.allowRollbackTo !== undefined && { allowRollbackTo: assignment.allowRollbackTo }),
    ...(assignment.probation !== undefined && { probation: assignment.probation }),
  };
  const desired: Desired = {
    v: 1,
    site,
    device,
    seq: Math.max((before?.seq ?? 0) + 1, Math.floor(nowMs / 1000)), // it rises even where the folder was lost
    issued: nowMs,
    expires: nowMs + lifetimeDays * dayMs,
    models: [...(before?.models.filter((one) => one.line !== line) ?? []), model],
  };
  const envelope = signDesired(desired, fleetKey);
  await writeWhole(file, wireText(desiredSchema, desired));
  return { desired, envelope };
}
