/**
 * Reads pickles as data. A pickle is a program for a stack machine; this one knows the instructions that build plain
 * values, and of all that a pickle may call only what the caller lists. It can call nothing else.
 * https://github.com/python/cpython/blob/3.12/Lib/pickletools.py
 */
import { refused } from './checkpoint.js';

/** An object of a class that was listed: nothing but its name, its arguments and its state. */
export interface Built {
  readonly global: string;
  readonly args: readonly unknown[];
  state: unknown;
}

export type Dictionary = Map<unknown, unknown>;

export interface PickleReader {
  /** `module name` → what stands for a call of it. What is not here is refused by name. */
  readonly globals: Readonly<Record<string, (args: readonly unknown[]) => unknown>>;
  /** What stands for a persistent id: a storage, in a file of torch. */
  readonly persistent?: (id: unknown) => unknown;
}

/** A name that was listed, not called yet. */
class Global {
  constructor(readonly name: string) {}
}
const mark = Symbol('mark');

/** Throws `ND_IMPORT_REFUSED`, naming the instruction or the name that is not allowed. */
export function readPickle(bytes: Uint8Array, where: string, { globals, persistent }: PickleReader): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const memo = new Map<number, unknown>();
  const stack: unknown[] = [];
  let at = 0;
  const fail = (what: string): never => {
    throw refused(where, `The pickle cannot be read: ${what} (at byte ${at})`);
  };
  const skip = (length: number): number => {
    if (at + length > bytes.byteLength) fail('it is cut short');
    at += length;
    return at - length;
  };
  const pop = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === mark) fail('its stack is empty');
    return stack.pop();
  };
  const toMark = (): unknown[] => {
    const start = stack.lastIndexOf(mark);
    if (start < 0) fail('a mark is missing');
    return stack.splice(start).slice(1);
  };
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : fail('a list is missing'));
  const text = (length: number): string => Buffer.from(bytes.subarray(skip(length), at)).toString('utf8');
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0) fail('it is cut short');
    return text(end + 1 - at).slice(0, -1);
  };
  const global = (module: string, name: string): Global => {
    const full = `${module} ${name}`;
    if (!Object.hasOwn(globals, full))
      throw refused(where, `It wants ${module}.${name}, which is not on the list of what is read`);
    return new Global(full);
  };
  const call = (): void => {
    const args = list(pop());
    const target = pop();
    stack.push(target instanceof Global ? globals[target.name]!(args) : fail('it calls what is no name'));
  };
  const put = (pairs: readonly unknown[]): void => {
    const target = stack.at(-1);
    if (!(target instanceof Map) || pairs.length % 2 !== 0) return fail('a dictionary is missing');
    for (let i = 0; i < pairs.length; i += 2) target.set(pairs[i], pairs[i + 1]);
  };
  const tuple = (length: number): void => void stack.push(Array.from({ length }, pop).reverse());
  const get = (key: number): void =>
    void stack.push(memo.has(key) ? memo.get(key) : fail('it recalls what it never kept'));
  const keep = (key: number): void => void memo.set(key, stack.at(-1));
  const build = (): void => {
    const state = pop();
    const target = stack.at(-1);
    if (isBuilt(target)) target.state = state;
    else if (!(target instanceof Map)) fail('it gives a state to what has none');
  };

  /** Instruction -> what it does. Those that are not here are refused. */
  const instructions: Readonly<Record<number, () => void>> = {
    0x80: () => void skip(1), // PROTO
    0x95: () => void skip(8), // FRAME
    0x28: () => void stack.push(mark), // MARK
    0x4e: () => void stack.push(null), // NONE
    0x88: () => void stack.push(true), // NEWTRUE
    0x89: () => void stack.push(false), // NEWFALSE
    0x4b: () => void stack.push(view.getUint8(skip(1))), // BININT1
    0x4d: () => void stack.push(view.getUint16(skip(2), true)), // BININT2
    0x4a: () => void stack.push(view.getInt32(skip(4), true)), // BININT
    0x47: () => void stack.push(view.getFloat64(skip(8))), // BINFLOAT
    0x8a: () => {
      const length = view.getUint8(skip(1)); // LONG1
      if (length > 8) fail('a number has more than 64 bits');
      const digits = Buffer.from(bytes.subarray(skip(length), at))
        .reverse()
        .toString('hex');
      stack.push(length === 0 ? 0 : Number(BigInt.asIntN(8 * length, BigInt(`0x${digits}`))));
    },
    0x8c: () => void stack.push(text(view.getUint8(skip(1)))), // SHORT_BINUNICODE
    0x58: () => void stack.push(text(view.getUint32(skip(4), true))), // BINUNICODE
    0x43: () => void stack.push(Uint8Array.from(bytes.subarray(skip(view.getUint8(skip(1))), at))), // SHORT_BINBYTES
    0x7d: () => void stack.push(new Map()), // EMPTY_DICT
    0x5d: () => void stack.push([]), // EMPTY_LIST
    0x8f: () => void stack.push([]), // EMPTY_SET
    0x29: () => void stack.push([]), // EMPTY_TUPLE
    0x85: () => tuple(1), // TUPLE1
    0x86: () => tuple(2), // TUPLE2
    0x87: () => tuple(3), // TUPLE3
    0x74: () => void stack.push(toMark()), // TUPLE
    0x61: () => {
      const item = pop(); // APPEND
      list(stack.at(-1)).push(item);
    },
    0x65: () => {
      const items = toMark(); // APPENDS
      const target = list(stack.at(-1));
      for (const item of items) target.push(item);
    },
    0x90: () => {
      const items = toMark(); // ADDITEMS
      const target = list(stack.at(-1));
      for (const item of items) target.push(item);
    },
    0x73: () => put([pop(), pop()].reverse()), // SETITEM
    0x75: () => put(toMark()), // SETITEMS
    0x71: () => keep(view.getUint8(skip(1))), // BINPUT
    0x72: () => keep(view.getUint32(skip(4), true)), // LONG_BINPUT
    0x94: () => keep(memo.size), // MEMOIZE
    0x68: () => get(view.getUint8(skip(1))), // BINGET
    0x6a: () => get(view.getUint32(skip(4), true)), // LONG_BINGET
    0x63: () => void stack.push(global(line(), line())), // GLOBAL
    0x93: () => {
      const [name, module] = [pop(), pop()]; // STACK_GLOBAL
      if (typeof module !== 'string' || typeof name !== 'string') fail('a name is no text');
      stack.push(global(module as string, name as string));
    },
    0x52: call, // REDUCE
    0x81: call, // NEWOBJ
    0x62: build, // BUILD
    0x51: () => void stack.push(persistent === undefined ? fail('it points outside') : persistent(pop())), // BINPERSID
  };

  for (;;) {
    const code = view.getUint8(skip(1));
    if (code === 0x2e) return pop(); // STOP
    const instruction = Object.hasOwn(instructions, code) ? instructions[code] : undefined;
    if (instruction === undefined) fail(`the instruction 0x${code.toString(16)} is not on the list of what is read`);
    instruction!();
  }
}

const isBuilt = (value: unknown): value is Built =>
  typeof value === 'object' && value !== null && 'global' in value && 'state' in value;

/** A listed class of which only name, arguments and state are kept. */
export const built =
  (global: string) =>
  (args: readonly unknown[]): Built => ({ global, args, state: undefined });
