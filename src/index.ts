/** The training side: read a frame, fit a forecaster, forecast, export. */
import { choose, type ChoiceOptions, type ModelChoice } from './forecaster/choice.js';
import { autoformer as autoformerModel } from './models/autoformer.js';
import { bitcn as bitcnModel } from './models/bitcn.js';
import { deepar as deeparModel } from './models/deepar.js';
import { deepnpts as deepnptsModel } from './models/deepnpts.js';
import { dilatedrnn as dilatedrnnModel } from './models/dilatedrnn.js';
import { dlinear as dlinearModel } from './models/dlinear.js';
import { fedformer as fedformerModel } from './models/fedformer.js';
import { gru as gruModel } from './models/gru.js';
import { informer as informerModel } from './models/informer.js';
import { itransformer as itransformerModel } from './models/itransformer.js';
import { kan as kanModel } from './models/kan.js';
import { lstm as lstmModel } from './models/lstm.js';
import { mlp as mlpModel } from './models/mlp.js';
import { mlpmultivariate as mlpmultivariateModel } from './models/mlpmultivariate.js';
import { nbeats as nbeatsModel } from './models/nbeats.js';
import { nbeatsx as nbeatsxModel } from './models/nbeatsx.js';
import { nhits as nhitsModel } from './models/nhits.js';
import { nlinear as nlinearModel } from './models/nlinear.js';
import { patchtst as patchtstModel } from './models/patchtst.js';
import { rmok as rmokModel } from './models/rmok.js';
import { rnn as rnnModel } from './models/rnn.js';
import { softs as softsModel } from './models/softs.js';
import { softssharp as softssharpModel } from './models/softssharp.js';
import { stemgnn as stemgnnModel } from './models/stemgnn.js';
import { tcn as tcnModel } from './models/tcn.js';
import { tft as tftModel } from './models/tft.js';
import { tide as tideModel } from './models/tide.js';
import { timellm as timellmModel } from './models/timellm.js';
import { timemixer as timemixerModel } from './models/timemixer.js';
import { timesnet as timesnetModel } from './models/timesnet.js';
import { timexer as timexerModel } from './models/timexer.js';
import { tsmixer as tsmixerModel } from './models/tsmixer.js';
import { tsmixerx as tsmixerxModel } from './models/tsmixerx.js';
import { vanillatransformer as vanillatransformerModel } from './models/vanillatransformer.js';
import { xlinear as xlinearModel } from './models/xlinear.js';
import { xlstm as xlstmModel } from './models/xlstm.js';

export { makeFuture, withStatic, type CovariateColumns, type FutureRows, type StaticTable } from './data/covariates.js';
export { parseCsv, readCsv, readStaticCsv, type CsvOptions } from './data/csv.js';
export { frameFromColumns, type FrameColumns, type FrameOptions } from './data/from-columns.js';
export { describe, sliceTime, splitAt, tail, validate, type TimeSeriesFrame } from './data/frame.js';
export { DataError, formatFindings, type Finding } from './data/validate.js';
export {
  distill,
  modelTeacher,
  onnxTeacher,
  type DistillEvent,
  type DistillOptions,
  type DistillReport,
  type Distilled,
  type Teacher,
} from './distill/index.js';
export { exitCode, NeuroDivergentError, type ErrorCode } from './errors.js';
export { backtest, type Backtest, type BacktestModel } from './evaluate/backtest.js';
export { leaderboard, formatLeaderboard } from './evaluate/leaderboard.js';
export { choose, type ModelChoice } from './forecaster/choice.js';
export { compile, exportOnnx, exportStep, type CompiledForecast, type ExportOptions } from './forecaster/compile.js';
export {
  Forecaster,
  type FitEvent,
  type FitOptions,
  type Forecasts,
  type ForecasterOptions,
  type TrainedModel,
} from './forecaster/forecaster.js';
import { hint as hintModel } from './models/index.js';
export { findModel, models } from './models/index.js';

export const autoformer = (options: ChoiceOptions<typeof autoformerModel.hyperparameters>): ModelChoice =>
  choose(autoformerModel, options);
export const bitcn = (options: ChoiceOptions<typeof bitcnModel.hyperparameters>): ModelChoice =>
  choose(bitcnModel, options);
export const deepar = (options: ChoiceOptions<typeof deeparModel.hyperparameters>): ModelChoice =>
  choose(deeparModel, options);
export const deepnpts = (options: ChoiceOptions<typeof deepnptsModel.hyperparameters>): ModelChoice =>
  choose(deepnptsModel, options);
export const dilatedrnn = (options: ChoiceOptions<typeof dilatedrnnModel.hyperparameters>): ModelChoice =>
  choose(dilatedrnnModel, options);
export const dlinear = (options: ChoiceOptions<typeof dlinearModel.hyperparameters>): ModelChoice =>
  choose(dlinearModel, options);
export const fedformer = (options: ChoiceOptions<typeof fedformerModel.hyperparameters>): ModelChoice =>
  choose(fedformerModel, options);
export const gru = (options: ChoiceOptions<typeof gruModel.hyperparameters>): ModelChoice => choose(gruModel, options);
export const hint = (options: ChoiceOptions<typeof hintModel.hyperparameters>): ModelChoice =>
  choose(hintModel, options);
export const informer = (options: ChoiceOptions<typeof informerModel.hyperparameters>): ModelChoice =>
  choose(informerModel, options);
export const itransformer = (options: ChoiceOptions<typeof itransformerModel.hyperparameters>): ModelChoice =>
  choose(itransformerModel, options);
export const kan = (options: ChoiceOptions<typeof kanModel.hyperparameters>): ModelChoice => choose(kanModel, options);
export const lstm = (options: ChoiceOptions<typeof lstmModel.hyperparameters>): ModelChoice =>
  choose(lstmModel, options);
export const mlp = (options: ChoiceOptions<typeof mlpModel.hyperparameters>): ModelChoice => choose(mlpModel, options);
export const mlpmultivariate = (options: ChoiceOptions<typeof mlpmultivariateModel.hyperparameters>): ModelChoice =>
  choose(mlpmultivariateModel, options);
export const nbeats = (options: ChoiceOptions<typeof nbeatsModel.hyperparameters>): ModelChoice =>
  choose(nbeatsModel, options);
export const nbeatsx = (options: ChoiceOptions<typeof nbeatsxModel.hyperparameters>): ModelChoice =>
  choose(nbeatsxModel, options);
export const nhits = (options: ChoiceOptions<typeof nhitsModel.hyperparameters>): ModelChoice =>
  choose(nhitsModel, options);
export const nlinear = (options: ChoiceOptions<typeof nlinearModel.hyperparameters>): ModelChoice =>
  choose(nlinearModel, options);
export const patchtst = (options: ChoiceOptions<typeof patchtstModel.hyperparameters>): ModelChoice =>
  choose(patchtstModel, options);
export const rmok = (options: ChoiceOptions<typeof rmokModel.hyperparameters>): ModelChoice =>
  choose(rmokModel, options);
export const rnn = (options: ChoiceOptions<typeof rnnModel.hyperparameters>): ModelChoice => choose(rnnModel, options);
export const softs = (options: ChoiceOptions<typeof softsModel.hyperparameters>): ModelChoice =>
  choose(softsModel, options);
export const softssharp = (options: ChoiceOptions<typeof softssharpModel.hyperparameters>): ModelChoice =>
  choose(softssharpModel, options);
export const stemgnn = (options: ChoiceOptions<typeof stemgnnModel.hyperparameters>): ModelChoice =>
  choose(stemgnnModel, options);
export const tcn = (options: ChoiceOptions<typeof tcnModel.hyperparameters>): ModelChoice => choose(tcnModel, options);
export const tft = (options: ChoiceOptions<typeof tftModel.hyperparameters>): ModelChoice => choose(tftModel, options);
export const tide = (options: ChoiceOptions<typeof tideModel.hyperparameters>): ModelChoice =>
  choose(tideModel, options);
export const timellm = (options: ChoiceOptions<typeof timellmModel.hyperparameters>): ModelChoice =>
  choose(timellmModel, options);
export const timemixer = (options: ChoiceOptions<typeof timemixerModel.hyperparameters>): ModelChoice =>
  choose(timemixerModel, options);
export const timesnet = (options: ChoiceOptions<typeof timesnetModel.hyperparameters>): ModelChoice =>
  choose(timesnetModel, options);
export const vanillatransformer = (
  options: ChoiceOptions<typeof vanillatransformerModel.hyperparameters>,
): ModelChoice => choose(vanillatransformerModel, options);
export const timexer = (options: ChoiceOptions<typeof timexerModel.hyperparameters>): ModelChoice =>
  choose(timexerModel, options);
export const tsmixer = (options: ChoiceOptions<typeof tsmixerModel.hyperparameters>): ModelChoice =>
  choose(tsmixerModel, options);
export const tsmixerx = (options: ChoiceOptions<typeof tsmixerxModel.hyperparameters>): ModelChoice =>
  choose(tsmixerxModel, options);
export const xlinear = (options: ChoiceOptions<typeof xlinearModel.hyperparameters>): ModelChoice =>
  choose(xlinearModel, options);
export const xlstm = (options: ChoiceOptions<typeof xlstmModel.hyperparameters>): ModelChoice =>
  choose(xlstmModel, options);
