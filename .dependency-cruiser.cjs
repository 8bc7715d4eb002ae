/**
 * Which folder of src/ may import which (type imports count too). A folder may always import itself, errors.ts and version.ts.
 * `*` = any folder but cli. The reasons stand in docs/decisions/; the map for readers in CONTRIBUTING.md.
 */
const arrows = {
  contracts: [],
  graph: [],
  time: [],
  stats: [],
  engine: ['contracts'],
  losses: ['graph'],
  language: ['contracts'],
  models: ['graph', 'losses', 'language'],
  data: ['contracts', 'time'],
  evaluate: ['data', 'engine', 'stats'],
  train: ['contracts', 'graph', 'language', 'models', 'losses', 'data', 'evaluate', 'engine'],
  forecaster: ['*'],
  import: ['contracts', 'graph', 'losses', 'models', 'train', 'forecaster'],
  quantize: ['graph', 'data', 'engine', 'stats', 'train'],
  distill: ['contracts', 'graph', 'losses', 'models', 'data', 'evaluate', 'engine', 'train', 'forecaster', 'quantize'],
  bundle: ['contracts'],
  transport: ['contracts'],
  runtime: ['contracts', 'bundle', 'transport', 'engine', 'stats', 'time'],
  fleet: ['contracts', 'bundle', 'transport'],
  simulate: ['contracts', 'data', 'engine'],
  cli: ['*'],
};

const folders = Object.keys(arrows);

const arrowRules = Object.entries(arrows)
  .filter(([, targets]) => !targets.includes('*'))
  .map(([folder, targets]) => ({
    name: `arrow-${folder}`,
    comment: `src/${folder} may import only: ${['errors', ...targets].join(', ')}`,
    severity: 'error',
    from: { path: `^src/${folder}/` },
    to: { path: '^src/', pathNot: `^src/((errors|version)[.]ts$|(${[folder, ...targets].join('|')})/)` },
  }));

/** Packages that load native code, and the only place that may import each. */
const owners = {
  'onnxruntime-node': '^src/engine/',
  'better-sqlite3': '^src/runtime/(store|readings|salvage|integrity)[.]ts$',
};

const ownerRules = Object.entries(owners).map(([name, owner]) => ({
  name: `only-owner-imports-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: owner },
  to: { path: `node_modules/(@types/)?${name}/` },
}));

module.exports = {
  forbidden: [
    ...arrowRules,
    ...ownerRules,
    {
      name: 'unknown-folder',
      comment: 'A new folder of src/ needs a line in the table above.',
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/((${folders.join('|')})/|(index|errors|version)[.]ts$)` },
      to: {},
    },
    {
      name: 'errors-import-nothing',
      severity: 'error',
      from: { path: '^src/(errors|version)[.]ts$' },
      to: { path: '^src/' },
    },
    {
      name: 'nothing-imports-cli',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'no-cycle',
      comment:
        'Type imports make no cycle at run time. Ops name each other inside gradient functions only (the gradient of a ' +
        'sum is a broadcast, and the reverse): a cycle that stays within graph/ops is the mathematics, not the layout.',
      severity: 'error',
      from: { pathNot: '^src/graph/ops/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: 'node_modules/@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    cache: { folder: 'node_modules/.cache/dependency-cruiser', strategy: 'content' },
  },
};
