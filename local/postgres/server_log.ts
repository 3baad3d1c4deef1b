import { basename, dirname } from "node:path";
import { createStream, type RotatingFileStream } from "rotating-file-stream";

/** Waits this long after a failure before the file is opened again. */
const reopenAfterMs = 1000;
/** Most messages that wait for a slow disk. Further ones are dropped, because PostgreSQL stops at a full pipe. */
const maxWaitingBytes = 1024 * 1024;

/** Limits of a log. */
export interface LogLimits {
  files: number;
  fileMegabytes: number;
}

/** The log of a server: a file and its predecessors. While it cannot be written, messages are dropped. */
export class ServerLog {
  #file: string;
  #limits: LogLimits;
  #stream: RotatingFileStream | undefined;
  #reopenAt = 0;
  #hasFailed = false;

  constructor(file: string, limits: LogLimits = { files: 10, fileMegabytes: 10 }) {
    this.#file = file;
    this.#limits = limits;
  }

  /** Appends `bytes` when that is possible. Never throws and never waits. */
  write(bytes: Uint8Array): void {
    if (performance.now() < this.#reopenAt) return;
    const stream = this.#stream ??= this.#open();
    if (stream.writableLength < maxWaitingBytes) stream.write(bytes, (error) => !error && this.#recover());
  }

  #open(): RotatingFileStream {
    const { files, fileMegabytes } = this.#limits;
    const stream = createStream(basename(this.#file), {
      path: dirname(this.#file),
      size: `${fileMegabytes}M`,
      // Beside the current file.
      rotate: files - 1,
      mode: 0o600,
    });
    stream.on("error", (error) => this.#fail(stream, error));
    return stream;
  }

  #fail(stream: RotatingFileStream, error: Error): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#reopenAt = performance.now() + reopenAfterMs;
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    console.error(`Cannot write ${this.#file}: ${error.message}. Messages are dropped until it can be written again.`);
  }

  #recover(): void {
    if (!this.#hasFailed) return;
    this.#hasFailed = false;
    console.error(`${this.#file} can be written again.`);
  }

  /** Writes what waits, and closes the file. */
  async close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#reopenAt = Infinity;
    if (!stream) return;
    const closed = Promise.withResolvers<void>();
    stream.on("close", closed.resolve);
    stream.end();
    await closed.promise;
  }
}
