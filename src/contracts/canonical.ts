/** Canonical JSON (RFC 8785): one value, one byte string, so that hashes of it mean something. */
export declare function canonicalJson(value: unknown): string;
