/**
 * Keeps ONNX Runtime's binding from copying outputs. It computes them straight into the memory that they bring, and then
 * hands each of them back a second time, in a new buffer: for a network of a million weights that takes longer than the
 * products. What it cannot hand back ends a run before the first copy, so a model gets such an output, before all others
 * (docs/decisions/0008-outputs-are-not-handed-back.md).
 */

import { field } from './onnx-file.js';

/** An output that is no tensor. */
export const fenceName = 'fence';

/** The text with which the binding refuses to hand it back, after all outputs are written. */
export const isFence = (cause: unknown): boolean => cause instanceof Error && cause.message.includes('Non tensor type');

const lengthDelimited = 2;
const float32 = 1;

/** https://protobuf.dev/programming-guides/encoding, for lengths below 128. */
const bytes = (number: number, content: readonly number[]): number[] => [
  (number << 3) | lengthDelimited,
  content.length,
  ...content,
];
const text = (number: number, content: string): number[] => bytes(number, [...Buffer.from(content)]);

const node = [...text(field.node.output, fenceName), ...text(field.node.opType, 'SequenceEmpty')];
const tensorType = bytes(field.type.tensor, [field.tensorType.elementType << 3, float32]);
const sequenceType = bytes(field.type.sequence, bytes(field.sequenceType.elementType, tensorType));
const output = [...text(field.value.name, fenceName), ...bytes(field.value.type, sequenceType)];
const graph = [...bytes(field.graph.node, node), ...bytes(field.graph.output, output)];
const fence = Uint8Array.from(bytes(field.model.graph, graph));

/** The model with a fence as its first output: of two halves of a message, protobuf makes one, lists one after the other. */
export const fenced = (model: Uint8Array): Uint8Array => Buffer.concat([fence, model]);
