/** The commands of `nd` and their options. What a command does is loaded only when it is asked for. */
import { Argument, Command, Option } from 'commander';
import { compressions } from '../quantize/task.js';
import { version } from '../version.js';
import {
  addDataOptions,
  addLearningOptions,
  addTrainingOptions,
  deviceOption,
  duration,
  futureDataOption,
  listOf,
  moment,
  nameList,
  numberList,
  realNumber,
  speed,
  wholeNumber,
} from './option.js';

/** Throws `CommanderError` where the words are not understood; the caller says so. */
export function createProgram(): Command {
  const nd = new Command('nd')
    .description('Neural forecasting for constrained devices: train here, run on a Raspberry Pi or a Jetson.')
    .version(version)
    .option('--json', 'print the result as one JSON object on stdout')
    .option('--quiet', 'say nothing but the result')
    .configureOutput({ outputError: () => undefined })
    .exitOverride();

  nd.command('demo')
    .description('the whole way on real sensor data: train, quantize, push to a device, forecast, alert')
    .addOption(
      new Option('--series <name>', 'which of the shipped series').choices(['machine', 'ambient']).default('machine'),
    )
    .option('--report <file>', 'where the report goes', 'demo-report.html')
    .option('--seed <n>', 'seed of every random draw', wholeNumber, 1)
    .action(async (_: object, command: Command) =>
      (await import('./demo/command.js')).demoCommand(command.optsWithGlobals()),
    );

  addTrainingOptions(addDataOptions(nd.command('train'), 'a time and a target column'))
    .description('train models on a table')
    .requiredOption('--out <folder>', 'where the trained forecaster goes')
    .requiredOption('--horizon <steps>', 'steps to forecast', wholeNumber)
    .option('--model <names>', 'models to train, separated by commas', nameList, ['nhits'])
    .action(async (_: object, command: Command) =>
      (await import('./commands/train.js')).trainCommand(command.optsWithGlobals()),
    );

  addDataOptions(nd.command('predict'), 'the past')
    .description('forecast with a trained forecaster')
    .argument('<folder>', 'what `nd train` wrote')
    .option('--out <file>', 'CSV for the forecasts; - is stdout', '-')
    .option('--levels <percents>', 'intervals, such as 80,90', numberList)
    .addOption(futureDataOption())
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/predict.js')).predictCommand(folder, command.optsWithGlobals()),
    );

  addLearningOptions(addDataOptions(nd.command('evaluate'), 'past and truth'))
    .description('measure a forecaster, or models by a protocol of the literature, beside what costs nothing')
    .argument('[folder]', 'what `nd train` wrote')
    .option('--protocol <name>', 'ett, ratio:7,1,2 or m4: train on its training part, measure on its test part')
    .option('--horizon <steps>', 'steps to forecast, by a protocol', wholeNumber)
    .option('--model <names>', 'models to train by a protocol, separated by commas', nameList, ['nhits'])
    .option('--test-data <file>', 'the test part of M4, where it is a file of its own')
    .option('--windows <n>', 'forecasts at the end of each series', wholeNumber, 20)
    .option('--step <steps>', 'steps between two of them (one horizon)', wholeNumber)
    .option('--season <steps>', 'length of a season (found from the values)', wholeNumber)
    .option('--report <file>', 'write a page with charts')
    .addOption(futureDataOption())
    .action(async (folder: string | undefined, _: object, command: Command) =>
      (await import('./commands/evaluate.js')).evaluateCommand(folder, command.optsWithGlobals()),
    );

  nd.command('import')
    .description('make a forecaster of a NeuralForecast checkpoint')
    .argument('<folder>', 'what `NeuralForecast.save` wrote')
    .requiredOption('--out <folder>', 'where the forecaster goes')
    .option('--overwrite', 'replace the forecaster in the folder')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/import.js')).importCommand(folder, command.optsWithGlobals()),
    );

  addTrainingOptions(addDataOptions(nd.command('distill'), 'a time and a target column'))
    .description('teach a small model what large ones know, and measure whether it paid')
    .requiredOption('--teacher <paths>', 'forecasters and ONNX files, separated by commas', nameList)
    .requiredOption('--out <folder>', 'where the trained student goes')
    .option('--horizon <steps>', 'steps to forecast (those of the first forecaster)', wholeNumber)
    .option('--model <name>', 'the student', 'mlp')
    .option('--alpha <weight>', 'weight of what the teacher says (1)', realNumber)
    .option('--truth <weight>', 'weight of the loss against the truth (1)', realNumber)
    .option('--scales <n>', 'averages over 1, 2, 4, … steps that are compared (4)', wholeNumber)
    .option('--spectrum <weight>', 'weight of the divergence of spectra (0.1)', realNumber)
    .option('--tilt <value>', 'e^tilt is how much more the last step counts than the first (0)', realNumber)
    .option('--extra <share>', 'made-up windows with the forecasts of the teacher, per true window (0)', realNumber)
    .addOption(
      new Option('--combine <way>', 'how several teachers become one (greedy)').choices(['greedy', 'mean', 'best']),
    )
    .option('--seeds <n>', 'students of each kind that are compared (3)', wholeNumber)
    .option('--quantize <file>', 'learn on with INT8 in mind, and write the student as an INT8 model')
    .option('--cache <folder>', 'keep the forecasts of the teachers there for the next time')
    .action(async (_: object, command: Command) =>
      (await import('./commands/distill.js')).distillCommand(command.optsWithGlobals()),
    );

  addDataOptions(nd.command('quantize'), 'what to calibrate on and to validate with')
    .description('make a smaller model and prove that it is as good')
    .argument('<folder>', 'what `nd train` wrote')
    .requiredOption('--out <file>', 'the quantized ONNX model')
    .addOption(
      new Option('--to <precision>', 'what weights are stored and computed in').choices(compressions).default('int8'),
    )
    .addOption(deviceOption())
    .option('--model <name>', 'which of the models (the best)')
    .option('--validation <rows>', 'last rows of each series that judge it (those of training)', wholeNumber)
    .option('--max-loss <share>', 'largest relative growth of the error (0.01)', realNumber)
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/quantize.js')).quantizeCommand(folder, command.optsWithGlobals()),
    );

  addDataOptions(nd.command('pack'), 'what to calibrate on and to measure with')
    .description('pack a bundle that a device can run')
    .argument('<folder>', 'what `nd train` wrote')
    .requiredOption('--out <folder>', 'the bundle')
    .requiredOption('--line <name>', 'model family, such as boiler')
    .option('--release <n>', 'number of this release, rising per line', wholeNumber, 1)
    .option('--model <name>', 'which of the models (the best)')
    .addOption(
      new Option('--precisions <names>', 'int8, fp16, fp32, separated by commas; devices run the first')
        .argParser((text) => listOf(text, ['int8', 'fp16', 'fp32']))
        .default(['int8']),
    )
    .addOption(deviceOption())
    .option('--validation <rows>', 'last rows of each series it is measured on (those of training)', wholeNumber)
    .option('--max-loss <share>', 'largest relative growth of the error (0.01)', realNumber)
    .option('--unit <unit>', 'unit of the readings, such as °C')
    .option('--tunable', 'add what a device needs to train it further on its own readings')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/pack.js')).packCommand(folder, command.optsWithGlobals()),
    );

  nd.command('tuf-client')
    .description('the update client alone, as the tuf-conformance suite drives it')
    .addArgument(new Argument('<action>', 'what to do').choices(['init', 'refresh', 'download']))
    .argument('[root]', 'the root.json to trust, for init')
    .requiredOption('--metadata-dir <folder>', 'where trusted metadata is kept')
    .option('--metadata-url <url>', 'where the repository serves its metadata')
    .option('--target-name <path>', 'a target to download; again for more', (name: string, before: string[] = []) => [
      ...before,
      name,
    ])
    .option('--target-base-url <url>', 'where the repository serves its targets')
    .option('--target-dir <folder>', 'where targets go')
    .action(async (action: string, root: string | undefined, _: object, command: Command) =>
      (await import('./commands/tuf-client.js')).tufClientCommand(action, root, command.optsWithGlobals()),
    );

  nd.command('verify')
    .description('compare the precisions of a bundle on its golden vectors and on other windows')
    .argument('<bundle>', 'what `nd pack` wrote')
    .addOption(new Option('--emulate <machine>', 'also on an emulated board').choices(['arm64']))
    .option('--windows <n>', 'windows beside the golden ones', wholeNumber, 256)
    .option('--card', 'write the figures into the card of the bundle')
    .action(async (bundle: string, _: object, command: Command) =>
      (await import('./commands/verify.js')).verifyCommand(bundle, command.optsWithGlobals()),
    );

  const repo = nd.command('repo').description('the signed repository devices take models from');
  repo
    .command('init')
    .argument('<folder>', 'a new repository')
    .description('make keys and first metadata')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).initCommand(folder, command.optsWithGlobals()),
    );
  repo
    .command('publish')
    .argument('<folder>', 'the repository')
    .argument('<bundle>', 'what `nd pack` wrote')
    .description('verify, add and sign a bundle')
    .action(async (folder: string, bundle: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).publishCommand(folder, bundle, command.optsWithGlobals()),
    );
  repo
    .command('refresh')
    .argument('<folder>', 'the repository')
    .description('sign anew before the signatures expire (daily)')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).refreshCommand(folder, command.optsWithGlobals()),
    );
  repo
    .command('verify')
    .argument('<folder>', 'a bundle or a repository')
    .description('check hashes, models, golden vectors and, of a repository, signatures')
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).verifyCommand(folder, command.optsWithGlobals()),
    );

  repo
    .command('assign')
    .argument('<folder>', 'the repository')
    .argument('<device>', 'SITE/DEVICE')
    .description('sign what a device shall run, and tell the broker')
    .requiredOption('--line <name>', 'family of the model')
    .option('--release <n>', 'release of the line; the newest when not given', wholeNumber)
    .option('--stream <names>', 'streams of the device that it serves; those of before when not given', nameList)
    .addOption(
      new Option('--mode <mode>', 'what becomes of it').choices(['active', 'shadow', 'stop']).default('active'),
    )
    .option('--allow-rollback-to <n>', 'allow this release below one that has run', wholeNumber)
    .option('--probation-minutes <n>', 'how long it is on probation at least; 60', wholeNumber)
    .option('--probation-forecasts <n>', 'how many forecasts that takes at least; 100', wholeNumber)
    .option('--days <n>', 'how long it may be taken', wholeNumber, 7)
    .option('--base <name>', 'first level of the topics', 'neuro-divergent')
    .option('--broker <url>', 'publish it there, retained')
    .option('--username <name>', 'user at the broker')
    .option('--password-file <file>', 'file with its password')
    .option('--ca-file <file>', 'certificates for mqtts, PEM')
    .option('--out <file>', 'write the signed message')
    .action(async (folder: string, device: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).assignCommand(folder, device, command.optsWithGlobals()),
    );
  repo
    .command('export')
    .argument('<folder>', 'the repository')
    .description('write an update file for a USB stick')
    .requiredOption('--out <file>', 'where it goes, such as boiler.ndb')
    .option('--desired <file>', 'what a device shall run, with all models it names')
    .option('--line <name>', 'a model to take along')
    .option('--release <n>', 'release of the line; the newest when not given', wholeNumber)
    .option('--days <n>', 'how long it may be taken', wholeNumber, 7)
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).exportCommand(folder, command.optsWithGlobals()),
    );
  repo
    .command('serve')
    .argument('<folder>', 'the repository')
    .description('serve what devices fetch, over HTTP')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port; 0 for any that is free', wholeNumber, 8080)
    .action(async (folder: string, _: object, command: Command) =>
      (await import('./commands/repo.js')).serveCommand(folder, command.optsWithGlobals()),
    );

  nd.command('run')
    .description('run the device: readings in, forecasts and alerts out')
    .requiredOption('--config <file>', 'YAML or JSON configuration')
    .option('--events', 'print one JSON line per event')
    .action(async ({ config, events = false }: { config: string; events?: boolean }) => {
      process.exitCode = await (await import('../runtime/main.js')).runDeviceProcess(config, { events });
    });

  addDataOptions(nd.command('simulate'), 'recordings to play', false)
    .description('sensors that play real recordings, with faults, to a broker or into a file')
    .addOption(
      new Option('--recording <name>', 'which of the shipped series, without --data')
        .choices(['machine', 'ambient'])
        .default('machine'),
    )
    .option('--broker <url>', 'publish there')
    .option('--out <file>', 'write the messages there, one JSON line each; - is stdout')
    .option('--devices <n>', 'how many devices', wholeNumber, 1)
    .option('--sensors <n>', 'how many sensors each has', wholeNumber, 1)
    .option('--faults <list>', 'such as late:0.01,gap or all', '')
    .option('--seed <n>', 'seed of every random draw', wholeNumber, 1)
    .option('--duration <time>', 'so much of the recording, such as 12h or 7d (all of it, once)', duration)
    .option('--speed <factor>', 'how much faster than it was recorded; max for as fast as possible', speed, 1)
    .option('--start <time>', 'time of the first reading', moment)
    .option('--preset <name>', 'shape of the messages: native, tasmota, zigbee2mqtt or esphome', 'native')
    .option('--base <name>', 'first level of native topics', 'neuro-divergent')
    .option('--site <name>', 'site of the devices', 'simulated')
    .option('--device <name>', 'name of the device, numbered where there are several', 'device')
    .option('--stream <name>', 'name of the sensor, numbered where there are several', 'sensor')
    .option('--username <name>', 'user at the broker')
    .option('--password-file <file>', 'file with its password')
    .option('--ca-file <file>', 'certificates for mqtts, PEM')
    .action(async (_: object, command: Command) =>
      (await import('./commands/simulate.js')).simulateCommand(command.optsWithGlobals()),
    );

  nd.command('install')
    .argument('<file>', 'what `nd repo export` wrote')
    .description('hand an update file to the device of this machine')
    .requiredOption('--state <folder>', 'state_dir of the device')
    .action(async (file: string, _: object, command: Command) =>
      (await import('./commands/install.js')).installCommand(file, command.optsWithGlobals()),
    );

  nd.command('tune-local')
    .description("train a device's model further on what the device has stored")
    .requiredOption('--config <file>', 'configuration of the device')
    .option('--line <name>', 'which of its models (the only one)')
    .option('--stream <name>', 'the only stream to learn from (all that the model serves)')
    .option('--steps <n>', 'training steps (those of the configuration)', wholeNumber)
    .option('--minutes <n>', 'it ends without a result after so many', realNumber)
    .option('--memory <mb>', 'the same for the memory of its process', wholeNumber)
    .option('--dry-run', 'measure, and leave the device as it is')
    .option('--undo', 'go back to the release that the tuned model was made from')
    .action(async (_: object, command: Command) =>
      (await import('./commands/tune-local.js')).tuneLocalCommand(command.optsWithGlobals()),
    );

  const config = nd.command('config').description('what a device makes of its configuration');
  config
    .command('check')
    .argument('<file>', 'YAML or JSON configuration')
    .description('find what is wrong with it, and files it names that are not there')
    .action(async (file: string, _: object, command: Command) =>
      (await import('./commands/config.js')).checkConfigCommand(file, command.optsWithGlobals()),
    );
  config
    .command('show')
    .argument('<file>', 'YAML or JSON configuration')
    .description('print all of it, defaults too, without passwords')
    .action(async (file: string, _: object, command: Command) =>
      (await import('./commands/config.js')).showConfigCommand(file, command.optsWithGlobals()),
    );

  const models = nd
    .command('models')
    .description('list the models')
    .argument('[name]', 'show only this one, as `nd models info`')
    .action(async (name: string | undefined, _: object, command: Command) =>
      (await import('./commands/models.js')).modelsCommand(name, command.optsWithGlobals()),
    );
  models
    .command('info')
    .argument('<name>', 'a model')
    .description('show one model and its hyperparameters')
    .action(async (name: string, _: object, command: Command) =>
      (await import('./commands/models.js')).modelsCommand(name, command.optsWithGlobals()),
    );

  nd.command('doctor')
    .description('check what this machine has and lacks')
    .option('--config <file>', "also look at a device's stored readings: do its streams report as it says?")
    .action(async (_: object, command: Command) =>
      (await import('./commands/doctor.js')).doctorCommand(command.optsWithGlobals()),
    );

  nd.command('parity')
    .description('compare our numbers with those of the reference library')
    .requiredOption('--fixtures <folder>', 'golden files')
    .option('--only <models>', 'models of the reference library, separated by commas', nameList)
    .action(async (_: object, command: Command) => {
      process.exitCode = await (await import('./parity.js')).runParityCommand(command.optsWithGlobals());
    });
  return nd;
}
