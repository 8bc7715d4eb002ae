import { expect, test } from 'vitest';
import {
  openFiles,
  openFilesLimit,
  startSeconds,
  virtualBytes,
  writtenBytes,
} from '../../src/runtime/process-facts.js';

test.skipIf(process.platform !== 'linux')('the kernel tells the same of this process as Node', () => {
  const nodeStart = Date.now() / 1000 - process.uptime();
  expect(Math.abs(startSeconds()! - nodeStart)).toBeLessThan(5); // btime is in whole seconds, and clocks are slewed
  expect(startSeconds()).toBe(startSeconds());
  expect(virtualBytes()).toBeGreaterThan(process.memoryUsage.rss());
  expect(writtenBytes()).toBeGreaterThanOrEqual(0);
  expect(openFiles()).toBeGreaterThan(2);
  expect(openFiles()).toBeLessThanOrEqual(openFilesLimit()!);
});
