// Writes docs/models/*.md and the tables of docs/choosing.md, docs/accuracy.md and docs/guides/compress.md from
// `nd models --json`, docs/models/guide.yaml, bench/cards.json, bench/accuracy.json and bench/compress.json. `--check` writes nothing and fails when a page is not what it would write.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { format, resolveConfig } from 'prettier';

const check = process.argv.includes('--check');
const { models } = JSON.parse(
  execFileSync(process.execPath, ['dist/cli/main.js', 'models', '--json'], { encoding: 'utf8' }),
);
const guide = parse(readFileSync('docs/models/guide.yaml', 'utf8'));
const read = (bench) => JSON.parse(readFileSync(`bench/${bench}.json`, 'utf8'));
const { command, machine, task, rows } = read('cards');
const accuracy = read('accuracy');
const compress = read('compress');
const costs = new Map(rows.map((row) => [row.model, row]));
/** Set by the forecaster: by the loss, the frame, the columns that are named. */
const derived = ['outputs', 'series', 'historic', 'future', 'static'];
const own = ['inputLength', 'horizon'];

const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, body) => [row(head), row(head.map(() => '---')), ...body.map(row)].join('\n');
const code = (value) => (value === undefined ? 'required' : `\`${JSON.stringify(value)}\``);
const escaped = (text) => String(text).replaceAll('|', '\\|');

function page({ id, title, paper, series, covariates, mode, quantization, streams, hyperparameters }) {
  const { idea, when, not, variant } = guide[id] ?? fail(`docs/models/guide.yaml has no ${id}`);
  const cost = costs.get(id);
  const shown = hyperparameters.filter(({ name }) => !derived.includes(name));
  return `# ${title}

${idea}

- **When**: ${when}.
- **When not**: ${not}.
${variant ? `- **Static variant**: ${variant}\n` : ''}
Paper: <${paper}>

| | |
| --- | --- |
| series | ${series === 'one' ? 'each by itself' : 'many from each other'} |
| covariates | ${covariates.join(', ') || 'none'} |
| mode | ${mode} |
| INT8 class | ${quantization} |
| streams | ${streams} |
| weights | ${cost.parameters.toLocaleString('en')} (${(cost.bytes / 1024).toFixed(0)} kB of ONNX) |
| one training step | ${cost.stepMs} ms |
| one forecast, p50 | ${cost.p50Us} µs |

Costs at ${task}, library defaults, by \`${command}\` on ${machine}.

${table(
  ['hyperparameter', 'default', 'range', 'search', 'what it is'],
  shown.map(({ name, default: value, type, range, search, description }) => [
    `\`${name}\``,
    code(value),
    escaped(type.includes('|') ? type : range),
    search.map(code).join(' ') || '–',
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

const share = (ratio) => ratio.toFixed(2);
const change = (loss) => `${loss < 0 ? '−' : '+'}${Math.abs(100 * loss).toFixed(2)} %`;
const titleOf = (id) => models.find((model) => model.id === id)?.title ?? id;

/** What each precision costs and saves on ETTh1, model by model. */
const compressed = () =>
  table(
    ['model', 'FP32 kB', 'FP16', 'INT8', 'INT8 layers', 'INT8 speed', 'four bits'],
    models.flatMap(({ id, title }) => {
      const of = (precision) =>
        compress.rows.find((row) => row.model === id && row.dataset === 'etth1' && row.precision === precision);
      const brief = ({ sizeRatio, loss, gate }) => `${share(sizeRatio)}, ${change(loss)}${gate === 'pass' ? '' : ' (misses)'}`; // prettier-ignore
      const [fp16, int8, w4] = ['fp16', 'int8', 'w4'].map(of);
      if (int8 === undefined) return [];
      return [[title, Math.round(int8.fp32Bytes / 1024), brief(fp16), brief(int8), int8.layers, `${(int8.fp32P50Us / int8.p50Us).toFixed(2)}x`, brief(w4)]]; // prettier-ignore
    }),
  );
function compressSummary() {
  const int8 = compress.rows.filter(({ dataset, precision }) => dataset === 'etth1' && precision === 'int8');
  const within = int8.filter(({ gate }) => gate === 'pass').length;
  const size = Math.exp(int8.reduce((sum, { sizeRatio }) => sum + Math.log(sizeRatio), 0) / int8.length);
  const { models: count, loss, peerLoss } = compress.peer;
  return `INT8 is within the gate for ${within} of ${int8.length} models, at ${share(size)} of the size (geometric mean). The same files from ONNX Runtime's own quantizer: median change of the error ${change(peerLoss)}, ours ${change(loss)} (${count} models). By \`${compress.command}\` on ${compress.machine}.`;
}

const paperOf = ({ model, horizon, task: of }) => {
  const paper = of === 'etth1' ? accuracy.published[model]?.[horizon] : undefined;
  return paper ? `${paper.mse} / ${paper.mae}` : '–';
};
const accuracyOf = (taskName, errors) =>
  table(
    ['horizon', 'model', 'input length', ...errors.map((error) => error.toUpperCase()), ...(taskName === 'etth1' ? ['paper'] : []), 'steps', 'seconds'], // prettier-ignore
    accuracy.rows
      .filter((row) => row.task === taskName)
      .map((row) => [row.horizon, titleOf(row.model), row.inputLength ?? '–', ...errors.map((error) => row.errors[error]), ...(taskName === 'etth1' ? [paperOf(row)] : []), row.stepsAsked ? `${row.steps} of ${row.stepsAsked}` : (row.steps ?? '–'), row.seconds]), // prettier-ignore
  );

const matrix = () =>
  table(
    [
      'model',
      'series',
      'covariates',
      'mode',
      'streams',
      'weights',
      'ONNX kB',
      'training s / 1,000 steps',
      'forecast p50 µs',
      'INT8',
      'INT8 size, error',
      'ETTh1 MSE',
    ],
    models.map(({ id, title, series, covariates, mode, quantization, streams }) => {
      const { parameters, bytes, stepMs, p50Us } = costs.get(id);
      const int8 = compress.rows.find((row) => row.model === id && row.dataset === 'etth1' && row.precision === 'int8');
      const measured = accuracy.rows.find((row) => row.model === id && row.task === 'etth1' && row.horizon === 96);
      const seconds = stepMs >= 10 ? stepMs.toFixed(0) : stepMs;
      return [`[${title}](models/${id}.md)`, series, covariates.map((kind) => kind[0].toUpperCase()).join('') || '–', mode, streams === 'no' ? '–' : streams, parameters.toLocaleString('en'), (bytes / 1024).toFixed(0), seconds, p50Us, quantization, int8 ? `${share(int8.sizeRatio)}, ${change(int8.loss)}` : '–', measured?.errors.mse ?? '–']; // prettier-ignore
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
    matrix: `${matrix()}\n\nAt ${task}, library defaults, by \`${command}\` on ${machine}. Covariates: H historic, F future, S static. Streams: it also has a graph of one step. INT8 size as a share of FP32 and the change of its error on ETTh1 by \`${compress.command}\`; MSE of ETTh1 at 96 steps ([accuracy.md](accuracy.md)), – where it is not measured yet.`,
    cards: cards(),
  }),
  'docs/accuracy.md': filled('docs/accuracy.md', {
    etth1: accuracyOf('etth1', ['mse', 'mae']),
    m4: accuracyOf('m4', ['smape', 'mase', 'owa']),
    machine: `Paper: MSE and MAE at the input length of the paper. Steps: fewer than were asked for where the time did not last. On ${[...new Set(accuracy.rows.map((row) => row.machine))].join('; and on ')}.`,
  }),
  'docs/guides/compress.md': filled('docs/guides/compress.md', {
    summary: compressSummary(),
    table: compressed(),
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
