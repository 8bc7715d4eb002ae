/** The models of a bundle on windows from a file, window by window as a device runs them. Also a program, for machines that are emulated. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors, writeSafetensors, type StoredTensor } from '../../contracts/safetensors.js';
import { createOrtEngine } from '../../engine/ort.js';

export type Tensors = Readonly<Record<string, StoredTensor>>;

/** `models` are files by precision, `windows` tensors `<window>/<graph input>`; gives `<window>/<precision>`, the forecasts. */
export async function runModels(models: Readonly<Record<string, string>>, windows: Tensors): Promise<Tensors> {
  const engine = createOrtEngine();
  const names = [...new Set(Object.keys(windows).map((name) => name.split('/')[0]!))];
  const forecasts: Record<string, StoredTensor> = {};
  for (const [precision, file] of Object.entries(models)) {
    const session = await engine.load(readFileSync(file), { threads: 1 });
    for (const name of names) {
      const feeds = session.inputNames.map((input) => {
        const { data, shape } = windows[`${name}/${input}`]!;
        return [input, { data: Float32Array.from(data as Float32Array), dims: shape }] as const;
      });
      const { data, dims } = session.run(Object.fromEntries(feeds))['forecast']!;
      forecasts[`${name}/${precision}`] = { dtype: 'F32', shape: [...dims], data: Float32Array.from(data) };
    }
    session.close();
  }
  return forecasts;
}

/** In the folder of the third argument: `job.json` (files by precision) and `windows.safetensors` become `forecasts.safetensors`. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2]!;
  const models = JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8')) as Record<string, string>;
  const { tensors } = readSafetensors(readFileSync(join(folder, 'windows.safetensors')));
  writeFileSync(join(folder, 'forecasts.safetensors'), writeSafetensors(await runModels(models, tensors)));
}
