/** An embedded MQTT 3.1.1 broker for the demo, tests and small fleets. */
export interface Broker {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}
/** Listens on loopback unless told otherwise; port 0 takes a free one. */
export declare function startBroker(options?: { readonly port?: number; readonly host?: string }): Promise<Broker>;
