import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkModel, inspectOnnx } from '../../src/bundle/onnx.js';
import { encodeModel, identityModel } from './sample.js';
import type { ModelInit } from './sample.js';

const withGraph = (graph: Record<string, unknown>): ModelInit =>
  ({ ...identityModel, graph: { ...(identityModel.graph as object), ...graph } }) as ModelInit;
const declared = { opset: 21, ops: ['Add', 'If', 'com.microsoft::QGemm'] };

test('a model is summed up', () => {
  expect(inspectOnnx(encodeModel(identityModel))).toEqual({
    ok: true,
    value: {
      opset: 21,
      customDomains: [],
      ops: ['Add'],
      nodes: 1,
      initializers: 1,
      externalData: false,
      metadata: {},
      inputs: ['past'],
      outputs: ['forecast'],
    },
  });
});

test('operators of subgraphs and functions are seen', () => {
  const branch = {
    name: 'then',
    node: [{ opType: 'Loop', attribute: [{ name: 'body', g: { node: [{ opType: 'Exp' }] } }] }],
  };
  const model: ModelInit = {
    ...withGraph({ node: [{ opType: 'If', attribute: [{ name: 'then_branch', g: branch }] }] }),
    functions: [{ name: 'f', node: [{ opType: 'Tanh' }] }],
  } as ModelInit;
  expect(inspectOnnx(encodeModel(model))).toMatchObject({ value: { ops: ['Exp', 'If', 'Loop', 'Tanh'], nodes: 4 } });
});

test('a declared model passes, one operator of our allowed domain too', () => {
  const model = withGraph({ node: [{ opType: 'QGemm', domain: 'com.microsoft' }] });
  expect(checkModel(encodeModel(identityModel), declared)).toMatchObject({ ok: true });
  expect(checkModel(encodeModel(model), declared)).toMatchObject({
    ok: true,
    value: { customDomains: ['com.microsoft'] },
  });
});

test.each<[string, ModelInit, RegExp]>([
  [
    'weights in another file',
    withGraph({
      initializer: [{ name: 'w', dataLocation: 1, externalData: [{ key: 'location', value: '/etc/passwd' }] }],
    }),
    /other files/,
  ],
  [
    'weights in another file, in an attribute',
    withGraph({ node: [{ opType: 'Add', attribute: [{ name: 'value', t: { dataLocation: 1 } }] }] }),
    /other files/,
  ],
  ['another domain', withGraph({ node: [{ opType: 'Add', domain: 'evil.example' }] }), /domains evil\.example/],
  ['another opset', { ...identityModel, opsetImport: [{ domain: '', version: 13n }] } as ModelInit, /opset is 13/],
  ['an operator that is not declared', withGraph({ node: [{ opType: 'Conv' }] }), /does not declare Conv/],
])('%s is refused', (_, model, detail) => {
  expect(checkModel(encodeModel(model), declared)).toMatchObject({
    reason: 'model_refused',
    detail: expect.stringMatching(detail) as string,
  });
});

test.each<[string, Uint8Array]>([
  ['nothing', new Uint8Array()],
  ['text', Buffer.from('<html>not found</html>')],
  ['half a model', encodeModel(identityModel).subarray(0, 40)],
])('%s is no model', (_, bytes) => {
  expect(inspectOnnx(bytes)).toMatchObject({ ok: false, reason: 'malformed' });
});

test('random bytes and random damage never throw', () => {
  const good = encodeModel(identityModel);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void inspectOnnx(bytes)));
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bad = Uint8Array.from(good);
      bad[at] = value;
      inspectOnnx(bad);
    }),
  );
});

test('graphs nested without end are refused', () => {
  let graph: Record<string, unknown> = { node: [{ opType: 'Add' }] };
  for (let depth = 0; depth < 20; depth++) graph = { node: [{ opType: 'If', attribute: [{ g: graph }] }] };
  expect(inspectOnnx(encodeModel({ graph }))).toMatchObject({ reason: 'malformed' });
});
