/** Most memory of a process that loads a model file and forecasts a window. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createOrtEngine } from '../src/engine/ort.js';
import { leafName, type Graph } from '../src/graph/index.js';
import { answerApart, feedsFor, measureApart, memoryMb } from './apart.js';

interface Case {
  readonly file: string;
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** In MB, the process itself included. */
export function peakOf(model: Uint8Array, { inputs }: Graph, folder: string): number {
  const file = join(folder, 'peak.onnx');
  writeFileSync(file, model);
  const shapes = inputs.map((input) => ({
    name: leafName(input),
    shape: input.shape.map((dim) => (typeof dim === 'number' ? dim : 1)),
  }));
  const { peakMb } = measureApart<{ peakMb: number }>(import.meta.url, { file, inputs: shapes } satisfies Case);
  rmSync(file);
  return peakMb;
}

await answerApart<Case>(import.meta.url, async ({ file, inputs }) => {
  const session = await createOrtEngine().load(readFileSync(file));
  session.run(feedsFor(inputs));
  session.close();
  return { peakMb: memoryMb('VmHWM') };
});
