/** Every model by its id. */
import { NeuroDivergentError } from '../errors.js';
import { autoformer } from './autoformer.js';
import { bitcn } from './bitcn.js';
import { deepar } from './deepar.js';
import { deepnpts } from './deepnpts.js';
import { dilatedrnn } from './dilatedrnn.js';
import { dlinear } from './dlinear.js';
import { fedformer } from './fedformer.js';
import { gru } from './gru.js';
import { hintOver } from './hint.js';
import { informer } from './informer.js';
import { itransformer } from './itransformer.js';
import { kan } from './kan.js';
import { lstm } from './lstm.js';
import { mlp } from './mlp.js';
import { mlpmultivariate } from './mlpmultivariate.js';
import type { Model } from './model.js';
import { nbeats } from './nbeats.js';
import { nbeatsx } from './nbeatsx.js';
import { nearest } from './nearest.js';
import { nhits } from './nhits.js';
import { nlinear } from './nlinear.js';
import { patchtst } from './patchtst.js';
import { rmok } from './rmok.js';
import { rnn } from './rnn.js';
import { softs } from './softs.js';
import { softssharp } from './softssharp.js';
import { stemgnn } from './stemgnn.js';
import { tcn } from './tcn.js';
import { tft } from './tft.js';
import { tide } from './tide.js';
import { timellm } from './timellm.js';
import { timemixer } from './timemixer.js';
import { timesnet } from './timesnet.js';
import { timexer } from './timexer.js';
import { tsmixer } from './tsmixer.js';
import { tsmixerx } from './tsmixerx.js';
import { vanillatransformer } from './vanillatransformer.js';
import { xlinear } from './xlinear.js';
import { xlstm } from './xlstm.js';

export {
  inferenceGraph,
  seriesTogether,
  statisticsGraph,
  stepGraph,
  trainingGraph,
  type ForecastSpec,
  type StreamOptions,
} from './assemble.js';
export { scalerNames, type ScalerName } from './blocks/window-scaler.js';
export { nearest } from './nearest.js';
export { feedsBack, type Model } from './model.js';

/** All but the one that is made of another. */
const bases: readonly Model[] = [
  autoformer,
  bitcn,
  deepar,
  deepnpts,
  dilatedrnn,
  dlinear,
  fedformer,
  gru,
  informer,
  itransformer,
  kan,
  lstm,
  mlp,
  mlpmultivariate,
  nbeats,
  nbeatsx,
  nhits,
  nlinear,
  patchtst,
  rmok,
  rnn,
  softs,
  softssharp,
  stemgnn,
  tcn,
  tft,
  tide,
  timellm,
  timemixer,
  timesnet,
  timexer,
  tsmixer,
  tsmixerx,
  vanillatransformer,
  xlinear,
  xlstm,
];

export const hint = hintOver(bases.filter(({ capabilities }) => capabilities.series === 'one'));

export const models: readonly Model[] = [...bases, hint].sort((a, b) => (a.id < b.id ? -1 : 1));

/** The model of this id. Throws `ND_MODEL_UNKNOWN`, which names the nearest. */
export function findModel(id: string): Model {
  const found = models.find((model) => model.id === id.toLowerCase());
  if (found !== undefined) return found;
  const ids = models.map((model) => model.id);
  throw new NeuroDivergentError('ND_MODEL_UNKNOWN', {
    where: id,
    what: `There is no model of this name; the nearest is ${nearest(id.toLowerCase(), ids)}.`,
    mend: `Use one of ${ids.join(', ')}.`,
  });
}
