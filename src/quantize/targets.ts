/** What devices gain from which arithmetic: the table that decides what is computed in integers (ENGINE.md §5). */

export interface Target {
  readonly title: string;
  /** Weights from which on a product is faster in INT8 than in FP32; Infinity where none is, and only storage is saved. */
  readonly int8From: number;
  /** Type of activations in INT8. GPUs want both sides alike, and symmetric. */
  readonly activations: 'uint8' | 'int8';
  /** Which operators its runtime has: those of the ONNX standard, or also ONNX Runtime's own (`com.microsoft`). */
  readonly operators: 'onnx' | 'onnxruntime';
  /** Whether it computes in FP16. Processors do so in FP32, by casts. */
  readonly half: boolean;
}

/** A product of 40,000 weights takes about 12 µs in either arithmetic; smaller ones lose by the nodes around them. */
const pays = 40_000;
const x86 = { int8From: pays, activations: 'uint8', operators: 'onnxruntime', half: false } as const;
/** Cores without dot product instructions: INT8 products are no faster, their weights are still a quarter. */
const plainArm = { ...x86, int8From: Infinity } as const;
const gpu = { int8From: pays, activations: 'int8', operators: 'onnx', half: true } as const;

export const targets = {
  any: { ...x86, title: 'Any processor, any runtime', operators: 'onnx' },
  'x86-64': { ...x86, title: 'x86 of 64 bits, with VNNI or without' },
  'raspberry-pi-3': { ...plainArm, title: 'Raspberry Pi 3 and Zero 2 W (Cortex-A53)' },
  'raspberry-pi-4': { ...plainArm, title: 'Raspberry Pi 4 (Cortex-A72)' },
  'raspberry-pi-5': { ...x86, title: 'Raspberry Pi 5 (Cortex-A76)' },
  'jetson-nano': { ...gpu, title: 'Jetson Nano (Maxwell): FP16, no integer units', int8From: Infinity },
  'jetson-orin': { ...gpu, title: 'Jetson Orin (Ampere), CUDA or TensorRT' },
} as const satisfies Readonly<Record<string, Target>>;

export type TargetName = keyof typeof targets;
export const targetNames = Object.keys(targets) as readonly TargetName[];
