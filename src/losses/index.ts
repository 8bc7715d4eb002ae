/** Losses: what a forecast costs, and what it means. */
export type { Loss, LossInputs, WindowUnits } from './loss.js';
export { fredf, huber, mae, mape, mase, mse, relMse, rmse, smape, tukey } from './point.js';
export {
  bernoulliLoss,
  negativeBinomialLoss,
  normalLoss,
  poissonLoss,
  studentTLoss,
  tweedieLoss,
} from './distribution.js';
export { gmm, nbmm, pmm } from './mixture.js';
export { huberIq, iq } from './implicit-quantile.js';
export { lossFromReference, lossParameter, type ReferenceLoss } from './reference.js';
export { huberMq, huberQuantile, mq, quantile } from './quantile.js';
export { createLoss, losses } from './table.js';
