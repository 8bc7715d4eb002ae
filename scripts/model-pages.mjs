// Writes docs/models/*.md and the tables of docs/choosing.md from `nd models --json`, docs/models/guide.yaml and
// bench/cards.json. `--check` writes nothing and fails when a page is not what it would write.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { format, resolveConfig } from 'prettier';

const check = process.argv.includes('--check');
const { models } = JSON.parse(
  execFileSync(process.execPath, ['dist/cli/main.js', 'models', '--json'], { encoding: 'utf8' }),
);
const guide = parse(readFileSync('docs/models/guide.yaml', 'utf8'));
const { command, machine, task, rows } = JSON.parse(readFileSync('bench/cards.json', 'utf8'));
const costs = new Map(rows.map((row) => [row.model, row]));
/** Set by the forecaster: by the loss, the frame, the columns that are named. */
const derived = ['outputs', 'series', 'historic', 'future', 'static'];
const own = ['inputLength', 'horizon'];

const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, body) => [row(head), row(head.map(() => '---')), ...body.map(row)].join('\n');
const code = (value) => (value === undefined ? 'required' : `\`${JSON.stringify(value)}\``);
const escaped = (text) => String(text).replaceAll('|', '\\|');

function page({ id, title, paper, series, covariates, mode, quantization, hyperparameters }) {
  const { idea, when, not } = guide[id] ?? fail(`docs/models/guide.yaml has no ${id}`);
  const cost = costs.get(id);
  const shown = hyperparameters.filter(({ name }) => !derived.includes(name));
  return `# ${title}

${idea}

- **When**: ${when}.
- **When not**: ${not}.

Paper: <${paper}>

| | |
| --- | --- |
| series | ${series === 'one' ? 'each by itself' : 'many from each other'} |
| covariates | ${covariates.join(', ') || 'none'} |
| mode | ${mode} |
| INT8 class | ${quantization} |
| weights | ${cost.parameters.toLocaleString('en')} (${(cost.bytes / 1024).toFixed(0)} kB of ONNX) |
| one training step | ${cost.stepMs} ms |
| one forecast, p50 | ${cost.p50Us} µs |

Costs at ${task}, library defaults, by \`${command}\` on ${machine}.

${table(
  ['hyperparameter', 'default', 'range', 'what it is'],
  shown.map(({ name, default: value, type, range, description }) => [
    `\`${name}\``,
    code(value),
    escaped(type.includes('|') ? type : range),
    escaped(description),
  ]),
)}

\`\`\`sh
nd train --data readings.csv --model ${id} --horizon 24 --out forecaster
\`\`\`

\`\`\`ts
import { Forecaster, ${id} } from 'neuro-divergent';
const forecaster = new Forecaster({ models: [${id}({ horizon: 24${series === 'many' ? ', series: 7' : ''} })] });
\`\`\`
`;
}

const matrix = () =>
  table(
    [
      'model',
      'series',
      'covariates',
      'mode',
      'weights',
      'ONNX kB',
      'training s / 1,000 steps',
      'forecast p50 µs',
      'INT8',
    ],
    models.map(({ id, title, series, covariates, mode, quantization }) => {
      const { parameters, bytes, stepMs, p50Us } = costs.get(id);
      const seconds = stepMs >= 10 ? stepMs.toFixed(0) : stepMs;
      return [`[${title}](models/${id}.md)`, series, covariates.map((kind) => kind[0].toUpperCase()).join('') || '–', mode, parameters.toLocaleString('en'), (bytes / 1024).toFixed(0), seconds, p50Us, quantization]; // prettier-ignore
    }),
  );
const cards = () =>
  models
    .map(({ id, title }) => `- **[${title}](models/${id}.md)**. When: ${guide[id].when}. When not: ${guide[id].not}.`)
    .join('\n');

/** The text between two marks of a page, made anew. */
function filled(path, parts) {
  return Object.entries(parts).reduce(
    (text, [name, content]) => {
      const mark = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- end -->)`);
      return mark.test(text)
        ? text.replace(mark, (_, begin, end) => `${begin}\n${content}\n\n${end}`)
        : fail(`${path} has no mark ${name}`);
    },
    readFileSync(path, 'utf8'),
  );
}

function fail(what) {
  throw new Error(what);
}

const pages = {
  ...Object.fromEntries(models.map((model) => [`docs/models/${model.id}.md`, page(model)])),
  'docs/choosing.md': filled('docs/choosing.md', {
    matrix: `${matrix()}\n\nAt ${task}, library defaults, by \`${command}\` on ${machine}. Covariates: H historic, F future, S static.`,
    cards: cards(),
  }),
};
const stale = [];
for (const [path, text] of Object.entries(pages)) {
  const wanted = await format(text, { ...(await resolveConfig(path)), filepath: path });
  if (existsSync(path) && readFileSync(path, 'utf8') === wanted) continue;
  stale.push(path);
  if (!check) writeFileSync(path, wanted);
}
console.log(stale.length === 0 ? 'All pages are up to date.' : `${check ? 'Stale' : 'Wrote'}: ${stale.join(', ')}`);
if (check && stale.length > 0) process.exitCode = 1;
