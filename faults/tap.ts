/** Listens to a device and its broker from between them: what a device acknowledges, it must have. */

export interface Tap {
  /** Subscriptions that the broker has confirmed. */
  readonly subscriptions: number;
  /** For one connection: what passes each way. */
  connection(): { readonly fromDevice: (chunk: Buffer) => void; readonly fromBroker: (chunk: Buffer) => void };
}

const [CONNECT, PUBLISH, PUBACK, SUBACK] = [1, 3, 4, 9];
const MQTT5 = 5;

/** `onAcknowledged` hears of each message at QoS 1 that the device has confirmed. */
export function createTap(onAcknowledged: (topic: string, payload: Buffer) => void): Tap {
  let subscriptions = 0;
  return {
    get subscriptions() {
      return subscriptions;
    },
    connection() {
      const delivered = new Map<number, { topic: string; payload: Buffer }>();
      let version = MQTT5;
      return {
        fromDevice: packets((kind, _, body) => {
          if (kind === CONNECT) version = body[2 + body.readUInt16BE(0)]!; // after the name of the protocol
          if (kind !== PUBACK) return;
          const id = body.readUInt16BE(0);
          const message = delivered.get(id);
          delivered.delete(id);
          if (message !== undefined) onAcknowledged(message.topic, message.payload);
        }),
        fromBroker: packets((kind, flags, body) => {
          if (kind === SUBACK) subscriptions++;
          if (kind !== PUBLISH || (flags & 0b110) === 0) return;
          const end = 2 + body.readUInt16BE(0);
          const properties = version === MQTT5 ? varint(body, end + 2)! : { value: 0, end: end + 2 };
          const payload = Buffer.from(body.subarray(properties.end + properties.value));
          delivered.set(body.readUInt16BE(end), { topic: body.toString('utf8', 2, end), payload });
        }),
      };
    },
  };
}

/** Cuts a stream of bytes into packets of MQTT. */
function packets(hear: (kind: number, flags: number, body: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const length = varint(rest, 1);
      if (length === undefined || rest.length < length.end + length.value) return;
      const end = length.end + length.value;
      hear(rest[0]! >> 4, rest[0]! & 0b1111, rest.subarray(length.end, end));
      rest = rest.subarray(end);
    }
  };
}

/** A number of seven bits a byte, least first; undefined while it is not complete. */
function varint(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  for (let value = 0, i = 0; at + i < bytes.length; i++) {
    value += (bytes[at + i]! & 0x7f) * 128 ** i;
    if (bytes[at + i]! < 0x80) return { value, end: at + i + 1 };
  }
  return undefined;
}
