/** A TCP proxy that misbehaves on request, between a device and its broker. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Tap } from './tap.js';

export interface Proxy {
  readonly port: number;
  /** Every connection ends at once, with a reset. */
  reset(): void;
  /** So many more bytes of the broker pass, then the connection ends in the middle of a packet. */
  truncate(bytes: number): void;
  /** Nothing of what the device sends passes, until `release`. */
  stall(): void;
  /** Nothing passes either way, until `release`. */
  freeze(): void;
  /** New connections are ended at once, until `release`. */
  refuse(): void;
  release(): void;
  close(): Promise<void>;
}

/** `tap` hears what passes. */
export async function createProxy(toPort: number, tap?: Tap): Promise<Proxy> {
  const pairs = new Set<{ device: Socket; broker: Socket }>();
  let refusing = false;
  let left = Infinity;

  const server: Server = createServer((device) => {
    if (refusing) {
      device.resetAndDestroy();
      return;
    }
    const broker = connect(toPort, '127.0.0.1');
    const heard = tap?.connection();
    const pair = { device, broker };
    pairs.add(pair);
    for (const socket of [device, broker]) {
      socket.on('error', () => undefined); // what we do to it
      socket.on('close', () => {
        pairs.delete(pair);
        device.destroy();
        broker.destroy();
      });
    }
    device.on('data', (chunk: Buffer) => {
      heard?.fromDevice(chunk);
      broker.write(chunk);
    });
    broker.on('data', (chunk: Buffer) => {
      const passing = chunk.subarray(0, Math.min(left, chunk.length));
      heard?.fromBroker(passing);
      device.write(passing);
      left -= chunk.length;
      if (left > 0) return;
      left = Infinity;
      device.destroySoon();
      broker.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    reset: () => pairs.forEach(({ device }) => device.resetAndDestroy()),
    truncate: (bytes) => (left = bytes),
    stall: () => pairs.forEach(({ device }) => device.pause()),
    freeze: () => pairs.forEach(({ device, broker }) => [device, broker].forEach((socket) => socket.pause())),
    refuse: () => (refusing = true),
    release() {
      refusing = false;
      left = Infinity;
      pairs.forEach(({ device, broker }) => [device, broker].forEach((socket) => socket.resume()));
    },
    async close() {
      pairs.forEach(({ device }) => device.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
