/** Losses: what a forecast costs, and what it means. */
export type { Loss } from './loss.js';
export { mae } from './point.js';
export {
  lossFromReference,
  lossNameFromReference,
  lossParameter,
  type NamedLoss,
  type ReferenceLoss,
} from './reference.js';
export { createLoss, losses, targetRanges } from './table.js';
