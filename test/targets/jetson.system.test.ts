/** The package for a Jetson, as far as it goes without a graphics card: built, unpacked, checked, and run on the CPU under emulation. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../src/contracts/config.js';
import { packModel } from '../../faults/device.js';

const runs = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;
/** 200 MB come from PyPI, and stay in the cache. */
const able =
  process.env['ND_JETSON'] !== undefined &&
  runs('qemu-aarch64-static', '--version') &&
  runs('aarch64-linux-gnu-g++', '--version') &&
  runs('dpkg-deb', '--version');
const emulate = ['targets/arm64/emulate.sh', '--board', 'pi5'];
const libraries = 'node_modules/onnxruntime-node/bin/napi-v6/linux/arm64';

let dir: string;
let app: string;
let deb: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-jetson-'));
  if (!able) return;
  const made = process.env['ND_JETSON']!; // packages that are there already, or 1
  const packages = existsSync(made) ? made : join(dir, 'packages');
  if (packages !== made) execFileSync('bash', ['targets/package.sh', 'jetson', '--npm-binding', packages], { stdio: 'pipe' }); // prettier-ignore
  const path = (end: string): string =>
    join(
      packages,
      readdirSync(packages).find((name) => name.endsWith(end))!,
    );
  deb = path('.deb');
  execFileSync('tar', ['-xzf', path('.tar.gz'), '-C', dir]);
  app = join(dir, 'neuro-divergent');
}, 900_000);
afterAll(() => rmSync(dir, { recursive: true }));

describe.skipIf(!able)(
  'the packages (with ND_JETSON=1; needs PyPI, qemu-user-static, g++-aarch64-linux-gnu, dpkg)',
  () => {
    test('hold the libraries of the wheel, a unit with a list of devices, and a configuration that asks for the card', () => {
      expect(readdirSync(join(app, libraries)).sort()).toEqual([
        'libonnxruntime.so.1',
        'libonnxruntime_providers_cuda.so',
        'libonnxruntime_providers_shared.so',
        'onnxruntime_binding.node',
      ]);
      const { engine } = parseConfig(parse(readFileSync(join(app, 'config.yaml'), 'utf8')), 'config.yaml');
      expect(engine).toEqual({ providers: ['tensorrt', 'cuda', 'cpu'], requireGpu: false });
      const listed = execFileSync('dpkg-deb', ['--contents', deb], { encoding: 'utf8' });
      expect(listed).toContain('./usr/lib/systemd/system/neuro-divergent.service.d/gpu.conf');
      expect(listed).toContain(`./opt/neuro-divergent/${libraries}/libonnxruntime_providers_cuda.so`);
      expect(execFileSync('dpkg-deb', ['--field', deb], { encoding: 'utf8' })).toMatch(/^Package: neuro-divergent-device-jetson$[^]*^Architecture: arm64$[^]*^Conflicts: neuro-divergent-device$/m); // prettier-ignore
    });

    test('load on an emulated processor, and the library of the wheel runs a model there', async () => {
      await packModel(join(dir, 'bundle'));
      const script = ['targets/arm64/smoke.mjs', app, join(dir, 'bundle', 'model.fp32.onnx')];
      const said = execFileSync('bash', [...emulate, ...script], { encoding: 'utf8' });
      expect(said).toMatch(/^arm64, Node v?20\.[^]*forecast \[1,\d+,1\] /);
    }, 120_000);

    test('compute on the CPU where there is no card, or refuse to start', () => {
      const start = (requireGpu: boolean) => {
        const config = join(dir, 'device.json');
        const engine = { providers: ['tensorrt', 'cuda', 'cpu'], require_gpu: requireGpu };
        writeFileSync(config, JSON.stringify({ site: 's', device: 'd', state_dir: join(dir, 'state'), clock: 'trusted', engine, mqtt: { url: 'mqtt://127.0.0.1:1' }, http: { port: null } })); // prettier-ignore
        return spawnSync('timeout', ['--signal=INT', '20', 'bash', ...emulate, join(app, 'nd-device.js'), config, '--events'], { encoding: 'utf8' }); // prettier-ignore
      };
      expect(start(false).stdout).toContain('"event":"running"');
      const refused = start(true);
      expect(refused.status).toBe(70);
      expect(refused.stderr).toContain('ND_ENGINE_PROVIDER_MISSING');
    }, 120_000);
  },
);

test.skipIf(!runs('systemd-analyze', '--version'))(
  'systemd takes the unit with what the card needs (needs systemd)',
  () => {
    const units = join(dir, 'units');
    mkdirSync(join(units, 'neuro-divergent.service.d'), { recursive: true });
    const unit = join(units, 'neuro-divergent.service');
    const node = /ExecStart=\S+/; // where systemd looks for it on this machine
    writeFileSync(unit, readFileSync('deploy/systemd/neuro-divergent.service', 'utf8').replace(node, `ExecStart=${process.execPath}`)); // prettier-ignore
    const verify = () =>
    spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8', env: { ...process.env, SYSTEMD_UNIT_PATH: `${units}:` } }); // prettier-ignore
    const drop = join(units, 'neuro-divergent.service.d', 'gpu.conf');
    cpSync('targets/jetson/gpu.conf', drop);
    expect(verify()).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(drop, '[Service]\nNoSuchKey=1\n');
    expect(verify().stderr).toContain('NoSuchKey'); // it is read
  },
);

describe.skipIf(!runs('aarch64-linux-gnu-g++', '--version'))('the binding (needs g++-aarch64-linux-gnu)', () => {
  const version = '1.2.3';
  const build = (folder: string, wanted = version) =>
    spawnSync('bash', ['targets/jetson/build-binding.sh', join(dir, 'source'), wanted, folder], { encoding: 'utf8' });
  /** What the script looks for in the source of ONNX Runtime, and nothing more. */
  const helper = `#include <cmath>
#include <napi.h>
struct Options { int device_id; int trt_engine_cache_enable; const char* trt_engine_cache_path; int trt_timing_cache_enable; const char* trt_timing_cache_path; };
static struct { void AppendExecutionProvider_TensorRT_V2(Options&) {} } sessionOptions;
static Napi::Object Init(Napi::Env env, Napi::Object exports) {
      int deviceId = 0;
      Options held{}; Options* options = &held;
#ifdef USE_TENSORRT
      options->device_id = deviceId;
      sessionOptions.AppendExecutionProvider_TensorRT_V2(*options);
#endif
      exports.Set("cuda", Napi::Number::New(env, USE_CUDA + options->device_id + deviceId));
      exports.Set("cache", Napi::Boolean::New(env, options->trt_engine_cache_enable != 0));
      return exports;
}
NODE_API_MODULE(onnxruntime_binding, Init)
`;
  const folderWith = (...names: string[]): string => {
    const folder = mkdtempSync(join(dir, 'libraries-'));
    cpSync(`node_modules/onnxruntime-node/bin/napi-v6/linux/arm64/libonnxruntime.so.1`, join(folder, 'libonnxruntime.so.1')); // prettier-ignore
    for (const name of names) writeFileSync(join(folder, name), '');
    return folder;
  };

  beforeAll(() => {
    mkdirSync(join(dir, 'source/js/node/src'), { recursive: true });
    writeFileSync(join(dir, 'source/VERSION_NUMBER'), `${version}\n`);
    writeFileSync(join(dir, 'source/js/node/src/session_options_helper.cc'), helper);
  });

  test('is compiled for ARM64 and finds the library beside it', () => {
    const folder = folderWith();
    expect(build(folder)).toMatchObject({ status: 0, stderr: '' });
    const binding = join(folder, 'onnxruntime_binding.node');
    expect(execFileSync('readelf', ['-hd', binding], { encoding: 'utf8' })).toMatch(/AArch64[^]*RUNPATH.*\[\$ORIGIN\]/);
  }, 120_000);

  test('with TensorRT it keeps engines where ND_ENGINE_CACHE says', () => {
    const folder = folderWith('libonnxruntime_providers_tensorrt.so');
    expect(build(folder)).toMatchObject({ status: 0, stderr: '' });
    const binding = join(folder, 'onnxruntime_binding.node');
    expect(readFileSync(binding).includes('ND_ENGINE_CACHE')).toBe(true);
  }, 120_000);

  test('of another version, or of a source that has changed, is refused', () => {
    expect(build(folderWith(), '9.9.9')).toMatchObject({ status: 1, stderr: expect.stringContaining('wanted is 9.9.9') as string }); // prettier-ignore
    writeFileSync(join(dir, 'source/js/node/src/session_options_helper.cc'), '');
    expect(build(folderWith('libonnxruntime_providers_tensorrt.so'))).toMatchObject({ status: 1, stderr: expect.stringContaining('has changed') as string }); // prettier-ignore
  }, 120_000);
});
