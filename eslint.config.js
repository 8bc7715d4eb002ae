import tseslint from 'typescript-eslint';

const clockRule = {
  'no-restricted-syntax': [
    'error',
    {
      selector: "MemberExpression[object.name='Date'][property.name='now']",
      message: 'Take time from the Clock that was handed in (src/runtime/clock.ts).',
    },
    {
      selector: "NewExpression[callee.name='Date'][arguments.length=0]",
      message: 'Take time from the Clock that was handed in (src/runtime/clock.ts).',
    },
    {
      selector: "MemberExpression[object.name='performance'][property.name='now']",
      message: 'Take time from the Clock that was handed in (src/runtime/clock.ts).',
    },
  ],
};

export default tseslint.config(
  {
    ignores: ['dist/', 'dist-bench/', 'coverage/', 'src/graph/onnx/onnx_pb.ts', '**/*.wasm.ts', '**/*.{js,mjs,cjs}'],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': 'off', // tsc reports them
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowArray: true },
      ],
      '@typescript-eslint/require-await': 'off', // an adapter of an async port may have nothing to await
      '@typescript-eslint/no-namespace': ['error', { allowDeclarations: true }], // types that Node's own leave out
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  { files: ['src/cli/**', 'bench/**', 'faults/**', 'test/**'], rules: { 'no-console': 'off' } },
  { files: ['src/runtime/**', 'src/transport/**'], ignores: ['src/runtime/clock.ts'], rules: clockRule },
);
