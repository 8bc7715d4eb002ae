/** Serves a folder over HTTP: GET and HEAD, byte ranges, ETags, nothing outside the folder. */
export interface FileServer {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}
export declare function serveFiles(options: { readonly dir: string; readonly port?: number; readonly host?: string }): Promise<FileServer>;
