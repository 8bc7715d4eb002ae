/** The same model through ONNX Runtime's own Python quantizer, with the same calibration windows. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leafName, type Graph } from '../src/graph/index.js';
import type { WindowArrays } from '../src/quantize/index.js';

/** Throws the last line the quantizer says when it fails. `ND_PEER_PYTHON` needs onnx and onnxruntime. */
export function quantizeByPeer(fp32: Uint8Array, { inputs }: Graph, windows: WindowArrays): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'nd-peer-'));
  try {
    writeFileSync(join(folder, 'fp32.onnx'), fp32);
    const shapes = inputs.map((input) => {
      const data = windows[leafName(input)]!;
      writeFileSync(join(folder, `${leafName(input)}.f32`), data);
      return [leafName(input), [-1, ...input.shape.slice(1)]] as const;
    });
    writeFileSync(join(folder, 'inputs.json'), JSON.stringify(Object.fromEntries(shapes)));
    const python = process.env['ND_PEER_PYTHON'] ?? 'python3';
    const ended = spawnSync(python, ['bench/quantize_peer.py', folder], { encoding: 'utf8' });
    if (ended.status !== 0) throw new Error(ended.stderr.trim().split('\n').at(-1));
    return readFileSync(join(folder, 'int8.onnx'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
