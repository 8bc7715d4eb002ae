/** The states of an update (EDGE.md §12), and what leads from one to the next. */
import type { UpdateState } from '../contracts/payload.js';

export type UpdateEvent =
  | 'offer'
  | 'accept'
  | 'fetched'
  | 'verified'
  | 'test'
  | 'passed'
  | 'shadowed'
  | 'chosen'
  | 'dismissed'
  | 'activated'
  | 'proven'
  | 'refuse'
  | 'disproven'
  | 'restored'
  | 'tuned'
  | 'restart'
  | 'resume'
  | 'stop';

/** Any pair that is not here cannot happen; `nextState` says so. */
export const updateTable: readonly (readonly [state: UpdateState, event: UpdateEvent, next: UpdateState])[] = [
  ['idle', 'offer', 'offered'],
  ['committed', 'offer', 'offered'],
  ['probation', 'offer', 'offered'],
  ['failed', 'offer', 'offered'],
  ['rolled_back', 'offer', 'offered'],
  ['shadow', 'offer', 'offered'],

  ['offered', 'accept', 'downloading'],
  ['downloading', 'fetched', 'verifying'],
  ['verifying', 'verified', 'staged'],
  ['staged', 'test', 'testing'],
  ['testing', 'passed', 'activating'],
  ['testing', 'shadowed', 'shadow'],
  ['shadow', 'chosen', 'activating'],
  // It ends, and what ran beside it goes on.
  ['shadow', 'dismissed', 'committed'],
  ['activating', 'activated', 'probation'],
  // Tuned and tested on this machine, in the place of the release it was made from.
  ['idle', 'tuned', 'activating'],
  ['committed', 'tuned', 'activating'],
  ['probation', 'tuned', 'activating'],
  ['failed', 'tuned', 'activating'],
  ['rolled_back', 'tuned', 'activating'],
  ['probation', 'proven', 'committed'],

  ['offered', 'refuse', 'failed'],
  ['downloading', 'refuse', 'failed'],
  ['verifying', 'refuse', 'failed'],
  ['staged', 'refuse', 'failed'],
  ['testing', 'refuse', 'failed'],
  ['shadow', 'refuse', 'failed'],

  ['activating', 'disproven', 'rolling_back'],
  ['probation', 'disproven', 'rolling_back'],
  // An offer was refused while the model before it was, and is, on probation.
  ['failed', 'proven', 'committed'],
  ['failed', 'disproven', 'rolling_back'],
  // By command.
  ['committed', 'disproven', 'rolling_back'],
  ['rolling_back', 'restored', 'rolled_back'],

  // Killed on the way: the retained desired state comes again and everything before activation is simply repeated.
  ['offered', 'restart', 'idle'],
  ['downloading', 'restart', 'idle'],
  ['verifying', 'restart', 'idle'],
  ['staged', 'restart', 'idle'],
  ['testing', 'restart', 'idle'],
  ['activating', 'restart', 'activating'],
  ['rolling_back', 'restart', 'rolling_back'],

  // The same, while another model is on probation.
  ['offered', 'resume', 'probation'],
  ['downloading', 'resume', 'probation'],
  ['verifying', 'resume', 'probation'],
  ['staged', 'resume', 'probation'],
  ['testing', 'resume', 'probation'],

  ['idle', 'stop', 'idle'],
  ['committed', 'stop', 'idle'],
  ['probation', 'stop', 'idle'],
  ['failed', 'stop', 'idle'],
  ['rolled_back', 'stop', 'idle'],
  ['shadow', 'stop', 'idle'],
];

/** Undefined when the event has no meaning in this state. */
export function nextState(state: UpdateState, event: UpdateEvent): UpdateState | undefined {
  return updateTable.find(([from, when]) => from === state && when === event)?.[2];
}
