/** An embedded MQTT 3.1.1 broker for the demo, tests and small fleets. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Broker {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback unless told otherwise; port 0 takes a free one. */
export async function startBroker({
  port = 0,
  host = '127.0.0.1',
}: { readonly port?: number; readonly host?: string } = {}): Promise<Broker> {
  const { Aedes } = await import('aedes');
  const aedes = await Aedes.createBroker();
  const server = createServer(aedes.handle);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await new Promise<void>((resolve) => aedes.close(resolve));
    await closed;
  };
  return {
    url: `mqtt://${host}:${bound.port}`,
    port: bound.port,
    close: () => (closing ??= stop()),
  };
}
