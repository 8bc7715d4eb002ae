/** DLinear and MLP in TensorFlow.js, plain JavaScript backend: what a Node user without native code would train with. */
import * as tf from '@tensorflow/tfjs';
import { movingAverageMatrix } from '../src/models/blocks/moving-average.js';
import { task } from './case.js';
import { batch } from './own-step.js';

const { inputLength, horizon } = task;
type Network = (past: tf.Tensor2D) => tf.Tensor2D;

function dense(inputs: number, outputs: number): Network {
  const weight = tf.variable(tf.randomUniform([inputs, outputs], -0.1, 0.1)) as tf.Tensor2D;
  const bias = tf.variable(tf.zeros([outputs]));
  return (x) => tf.add(tf.matMul(x, weight), bias);
}

const networks: Readonly<Record<string, () => Network>> = {
  dlinear: () => {
    const average: tf.Tensor2D = tf.tensor2d(Float32Array.from(movingAverageMatrix(inputLength, 25)), [
      inputLength,
      inputLength,
    ]);
    const [trend, season] = [dense(inputLength, horizon), dense(inputLength, horizon)];
    return (past) => {
      const smooth = tf.matMul<tf.Tensor2D>(past, average);
      return tf.add(trend(smooth), season(tf.sub<tf.Tensor2D>(past, smooth)));
    };
  },
  'mlp-64': () => {
    const layers = [dense(inputLength, 64), dense(64, 64), dense(64, horizon)];
    return (past) => layers.reduce((x, layer, i) => layer(i === 0 ? x : tf.relu(x)), past);
  },
};

export const tfjsCases: readonly string[] = Object.keys(networks);

/** Runs so many steps and gives their times in ms. */
export function tfjsTrainer(name: string): (steps: number) => number[] {
  const network = networks[name]!();
  const optimizer = tf.train.adam(1e-3);
  const past = tf.randomNormal<tf.Rank.R2>([batch, inputLength]);
  const target = tf.randomNormal([batch, horizon]);
  const step = (): void => void optimizer.minimize(() => tf.mean<tf.Scalar>(tf.abs(tf.sub(network(past), target))));
  for (let i = 0; i < 3; i++) step();
  return (steps) =>
    Array.from({ length: steps }, () => {
      const start = performance.now();
      step();
      return performance.now() - start;
    });
}
