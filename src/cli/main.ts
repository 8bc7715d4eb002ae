#!/usr/bin/env node
/** The `nd` command: understand the words, call, and turn what goes wrong into one line and an exit code. */
import { CommanderError, type Command } from 'commander';
import { exitCode, NeuroDivergentError } from '../errors.js';
import { nearest } from '../models/nearest.js';
import { createProgram } from './program.js';

/** Whoever reads our output may stop doing so, as `head` does. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const program = createProgram();

/** What was thrown, as an error that says how to mend it; undefined when only help was asked for. */
function asKnown(error: unknown): NeuroDivergentError | undefined {
  if (error instanceof NeuroDivergentError) return error;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined;
    const command = program.commands.find((known) => process.argv.includes(known.name()));
    const name = command?.name();
    return new NeuroDivergentError('ND_CLI_USAGE', {
      where: name === undefined ? 'nd' : `nd ${name}`,
      what: error.code === 'commander.help' ? 'A command is missing.' : (misspelt(command) ?? sentence(error.message)),
      mend: name === undefined ? 'See `nd help`.' : `See \`nd help ${name}\`.`,
      cause: error,
    });
  }
  return new NeuroDivergentError('ND_INTERNAL', {
    where: 'nd',
    what: `${error instanceof Error ? (error.stack ?? error.message) : String(error)}.`,
    mend: 'This is a fault of the program: please report it with the command and these lines.',
    cause: error,
  });
}

/** Where an option is missing, another one may be misspelt: commander would only say the former. */
function misspelt(command: Command = program): string | undefined {
  const known = [...program.options, ...command.options].flatMap(({ long }) => long ?? []);
  const words = process.argv.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0]!);
  const stray = words.find((word) => !known.includes(word));
  return stray && command.commands.length === 0
    ? `There is no option ${stray}; the nearest is ${nearest(stray, known)}.`
    : undefined;
}

/** `error: unknown option '--dat'\n(Did you mean --data?)` as one sentence. */
const sentence = (message: string): string =>
  `${message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/\.$/, '')}.`.replace('?).', '?)');

try {
  await program.parseAsync();
} catch (thrown) {
  const error = asKnown(thrown);
  if (error !== undefined) {
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`);
    else process.stderr.write(`${error.message.replaceAll(/\n (?! )/g, '\n')}\n`);
  }
  process.exitCode = error?.exitCode ?? exitCode.ok;
}
