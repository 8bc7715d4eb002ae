#!/usr/bin/env node
/** The `nd` command: parse, call, print. Every command is loaded only when it is asked for. */
import { Command, CommanderError, Option } from 'commander';
import { exitCode, NeuroDivergentError } from '../errors.js';
import { version } from '../version.js';

const list = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
const whole = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw usage(`"${text}" is not a whole number.`);
};
const real = (text: string): number => {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw usage(`"${text}" is not a number.`);
};
const usage = (what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_CLI_USAGE', { where: 'nd', what, mend: 'See `nd help`.' });

const csvOptions = (command: Command): Command =>
  command
    .option('--time <column>', 'name of the time column')
    .option('--target <column>', 'name of the column to forecast')
    .option('--series <column>', 'name of the column that tells series apart')
    .option('--frequency <step>', 'step of the series, such as 5min, h or D (found from the data)')
    .addOption(
      new Option('--fill-gaps <rule>', 'how missing steps are filled')
        .choices(['none', 'linear', 'last', 'mask'])
        .default('none'),
    )
    .option('--sort', 'sort the rows by time')
    .addOption(
      new Option('--on-duplicate <rule>', 'what repeated times become').choices([
        'mean',
        'last',
        'first',
        'sum',
        'min',
        'max',
      ]),
    );

function program(): Command {
  const nd = new Command('nd')
    .description('Neural forecasting for constrained devices: train here, run on a Raspberry Pi or a Jetson.')
    .version(version)
    .option('--json', 'print the result as one JSON object on stdout')
    .option('--quiet', 'say nothing but the result')
    .showHelpAfterError('(nd help lists all commands)')
    .exitOverride();

  nd.command('demo')
    .description('the whole way on real sensor data: train, quantize, push to a device, forecast, alert')
    .addOption(
      new Option('--series <name>', 'which of the shipped series').choices(['machine', 'ambient']).default('machine'),
    )
    .option('--report <file>', 'where the report goes', 'demo-report.html')
    .option('--seed <n>', 'seed of every random draw', whole, 1)
    .action(async (options: object, command: Command) =>
      (await import('./demo/command.js')).demoCommand(command.optsWithGlobals()),
    );

  csvOptions(nd.command('train').description('train models on a CSV file'))
    .requiredOption('--data <file>', 'CSV with a time and a target column')
    .requiredOption('--out <folder>', 'where the trained forecaster goes')
    .option('--model <names>', 'models to train, separated by commas', list, ['nhits'])
    .requiredOption('--horizon <steps>', 'steps to forecast', whole)
    .option('--input-length <steps>', 'steps of the past to look at (three horizons)', whole)
    .option('--set <name=value...>', 'hyperparameters, such as nhits.kernel=5')
    .option('--loss <name>', 'mae, mse, huber, mq, normal, …', 'mae')
    .option('--scaler <name>', 'identity, standard, robust, minmax, revin, …', 'robust')
    .option('--max-steps <n>', 'training steps', whole)
    .option('--learning-rate <rate>', 'learning rate', real)
    .option('--batch <windows>', 'windows per step', whole)
    .option('--validation <rows>', 'last rows of each series kept for validation', whole)
    .option('--patience <checks>', 'stop after so many checks without improvement', whole)
    .option('--threads <n>', 'threads', whole)
    .option('--seed <n>', 'seed of every random draw', whole, 1)
    .option('--resume', 'go on from the checkpoint in the folder')
    .action(async (options: object, command: Command) =>
      (await import('./commands/train.js')).trainCommand(command.optsWithGlobals()),
    );

  csvOptions(nd.command('predict').description('forecast with a trained forecaster'))
    .argument('<folder>', 'what `nd train` wrote')
    .requiredOption('--data <file>', 'CSV with the past')
    .option('--out <file>', 'CSV for the forecasts, - for stdout', '-')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/predict.js')).predictCommand(folder, command.optsWithGlobals()),
    );

  csvOptions(nd.command('evaluate').description('backtest a forecaster beside seasonal naive and ridge'))
    .argument('<folder>', 'what `nd train` wrote')
    .requiredOption('--data <file>', 'CSV with past and truth')
    .option('--windows <n>', 'forecast origins at the end of each series', whole, 20)
    .option('--step <steps>', 'steps between two origins (one horizon)', whole)
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/evaluate.js')).evaluateCommand(folder, command.optsWithGlobals()),
    );

  csvOptions(nd.command('quantize').description('make a smaller model and prove that it is as good'))
    .argument('<folder>', 'what `nd train` wrote')
    .requiredOption('--data <file>', 'CSV to calibrate on and to validate with')
    .requiredOption('--out <file>', 'the quantized ONNX model')
    .addOption(new Option('--to <precision>', 'precision of weights').choices(['int8', 'fp16']).default('int8'))
    .option('--model <name>', 'which of the models', 'nhits')
    .option('--max-loss <share>', 'largest relative growth of the error', real)
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/quantize.js')).quantizeCommand(folder, command.optsWithGlobals()),
    );

  csvOptions(nd.command('pack').description('pack a bundle a device can run'))
    .argument('<folder>', 'what `nd train` wrote')
    .requiredOption('--data <file>', 'CSV for calibration and golden vectors')
    .requiredOption('--out <folder>', 'the bundle')
    .requiredOption('--line <name>', 'model family, such as boiler')
    .option('--release <n>', 'number of this release, rising per line', whole, 1)
    .option('--model <name>', 'which of the models', 'nhits')
    .option('--precisions <names>', 'precisions to pack', list, ['int8'])
    .option('--unit <unit>', 'unit of the readings')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/pack.js')).packCommand(folder, command.optsWithGlobals()),
    );

  const repo = nd.command('repo').description('the signed repository devices take models from');
  repo
    .command('init')
    .argument('<folder>')
    .description('make keys and first metadata')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).initCommand(folder, command.optsWithGlobals()),
    );
  repo
    .command('publish')
    .argument('<folder>')
    .argument('<bundle>')
    .description('verify, add and sign a bundle')
    .action(async (folder: string, bundle: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).publishCommand(folder, bundle, command.optsWithGlobals()),
    );
  repo
    .command('verify')
    .argument('<bundle>')
    .description('check a bundle: hashes, model, golden vectors')
    .action(async (bundle: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).verifyCommand(bundle, command.optsWithGlobals()),
    );

  nd.command('run')
    .description('run the device: readings in, forecasts and alerts out')
    .requiredOption('--config <file>', 'YAML or JSON configuration')
    .option('--events', 'print one JSON line per event')
    .action(async ({ config, events }: { config: string; events?: boolean }) =>
      (await import('./commands/run.js')).runCommand(config, { events: events === true }),
    );

  nd.command('models')
    .description('list the models, or show one')
    .argument('[info]', 'the word info')
    .argument('[name]', 'a model')
    .action(async (info: string | undefined, name: string | undefined, _: object, command: Command) =>
      (await import('./commands/models.js')).modelsCommand(info === 'info' ? name : info, command.optsWithGlobals()),
    );

  nd.command('doctor')
    .description('check what this machine has and lacks')
    .action(async (_: object, command: Command) =>
      (await import('./commands/doctor.js')).doctorCommand(command.optsWithGlobals()),
    );

  nd.command('parity')
    .description('compare our numbers with those of the reference library')
    .requiredOption('--fixtures <folder>', 'golden files')
    .option('--only <models>', 'models of the reference library, separated by commas', list)
    .action(async (_: object, command: Command) => {
      process.exitCode = await (await import('./parity.js')).runParityCommand(command.optsWithGlobals());
    });
  return nd;
}

/** One line for people, one object for scripts; the exit code tells the kind. */
function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  if (error instanceof NeuroDivergentError) {
    if (json) process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`);
    else process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exitCode.internal;
}

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = report(error, process.argv.includes('--json'));
}
