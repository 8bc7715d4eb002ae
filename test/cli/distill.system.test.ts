import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example, jsonOf, nd } from './nd.js';

let cwd: string;
const data = ['--data', example, '--fill-gaps', 'linear'];
const quick = ['--input-length', '24', '--max-steps', '40', '--batch', '32', '--threads', '1'];
const student = ['--model', 'mlp', '--set', 'hidden=8', '--set', 'layers=1', '--seeds', '1'];

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'nd-cli-distill-'));
  const trained = await nd(['train', ...data, ...quick, '--horizon', '6', '--model', 'nlinear,dlinear', '--out', 'teachers'], { cwd }); // prettier-ignore
  expect(trained.code).toBe(0);
});
afterAll(() => rm(cwd, { recursive: true }));

test('nd distill makes a forecaster of the student and says what it gained, on stdout, as JSON and in the folder', async () => {
  const args = ['distill', ...data, ...quick, ...student, '--teacher', 'teachers'];
  const [json, text] = [
    await nd([...args, '--out', 'a', '--cache', 'kept', '--json'], { cwd }),
    await nd([...args, '--out', 'b', '--cache', 'kept'], { cwd }),
  ];
  expect([json.code, text.code]).toEqual([0, 0]);
  const { out, model, validationRows, ...report } = jsonOf(json);
  expect({ out, model, validationRows }).toEqual({ out: 'a', model: 'mlp', validationRows: 788 });
  expect(report).toEqual(JSON.parse(readFileSync(join(cwd, 'a/distillation.json'), 'utf8')));
  expect(report).toMatchObject({ metric: 'mae', alone: { errors: [expect.any(Number)] } }); // prettier-ignore
  expect(text.stdout).toContain(report['verdict'] as string);
  expect(json.stderr).toMatch(/nlinear {2}\d+ windows[\s\S]*mlp alone, seed 1[\s\S]*mlp taught, seed 1/);
  expect(text.stderr).not.toMatch(/\d+ windows/); // kept from the first time
  expect(readdirSync(join(cwd, 'a')).sort()).toEqual(['config.json', 'distillation.json', 'mlp.safetensors']);
  expect(readdirSync(join(cwd, 'kept'))).toHaveLength(4); // two teachers, each for training and validation
  const predicted = await nd(['predict', 'a', ...data, '--json'], { cwd });
  expect(jsonOf(predicted)).toMatchObject({ horizon: 6 });

  const again = await nd([...args, '--out', 'a', '--json'], { cwd });
  expect([again.code, jsonOf(again)['error']]).toMatchObject([7, { code: 'ND_FILE_EXISTS' }]);
});

test('nd distill --quantize writes the better of both students in INT8, and keeps it', async () => {
  const student = ['--model', 'mlp', '--set', 'hidden=64', '--set', 'layers=1', '--seeds', '1'];
  const args = ['distill', ...data, ...quick, ...student, '--teacher', 'teachers', '--cache', 'kept', '--out', 'e'];
  const ended = await nd([...args, '--quantize', 'e.onnx', '--json'], { cwd });
  expect([ended.code, ended.stderr]).toMatchObject([0, expect.stringContaining('mlp aware, seed 1')]);
  const { int8 } = jsonOf(ended) as { int8: { from: string; bytes: number; mae: Record<string, number | null> } };
  expect(readFileSync(join(cwd, 'e.onnx'))).toHaveLength(int8.bytes);
  const known = Object.values(int8.mae).filter((value) => value !== null);
  expect(int8.mae[int8.from]).toBe(Math.min(...known));
});

test('nd distill that is interrupted goes on with --resume', async () => {
  const args = ['distill', ...data, ...quick, ...student, '--teacher', 'teachers', '--max-steps', '3000', '--out', 'c'];
  const stopped = await nd(args, {
    cwd,
    watch: (child) =>
      // A line ends when its student has learned: the next one is on its way.
      child.stderr?.on('data', (text: Buffer) => text.includes('mlp alone') && child.kill('SIGINT')),
  });
  expect(stopped.code).toBe(130);
  expect(stopped.stderr).toContain('--resume');
  expect(existsSync(join(cwd, 'c/config.json'))).toBe(false);
  const resumed = await nd([...args, '--resume', '--max-steps', '40'], { cwd });
  expect([resumed.code, resumed.stderr]).toMatchObject([4, expect.stringContaining('ND_TRAIN_RESUME_INCOMPATIBLE')]); // prettier-ignore
  const whole = await nd([...args, '--resume'], { cwd });
  expect(whole.code).toBe(0);
  expect(existsSync(join(cwd, 'c/students'))).toBe(false);
});

test.each([
  ['a teacher that is not there', ['--teacher', 'nowhere', '--horizon', '6'], 7, 'ND_FILE_NOT_FOUND'],
  ['an ONNX file without a horizon', ['--teacher', 'a.onnx'], 2, 'ND_CLI_USAGE'],
  ['a file that is no model', ['--teacher', 'a.onnx', '--horizon', '6'], 7, 'ND_ENGINE_MODEL_CORRUPT'],
  ['a horizon beyond the teacher', ['--teacher', 'teachers', '--horizon', '12'], 4, 'ND_DISTILL_HORIZON'],
  ['a weight below zero', ['--teacher', 'teachers', '--alpha', '-1'], 4, 'ND_CONFIG_OUT_OF_RANGE'],
])('%s ends with its code', async (_, args, code, name) => {
  await writeFile(join(cwd, 'a.onnx'), 'no model');
  const ended = await nd(['distill', ...data, ...quick, ...student, '--out', 'd', '--json', ...args], { cwd });
  expect([ended.code, jsonOf(ended)['error']]).toMatchObject([code, { code: name }]);
  expect(existsSync(join(cwd, 'd'))).toBe(false);
});
