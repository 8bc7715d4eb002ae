/** What computes: the processor, or a graphics card through CUDA or TensorRT, which leave to the processor what they lack. */
export const providers = ['cpu', 'cuda', 'tensorrt'] as const;
export type Provider = (typeof providers)[number];
