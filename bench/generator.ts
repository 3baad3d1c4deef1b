import { fileURLToPath } from "node:url";
import { TextLineStream } from "@std/streams/text_line_stream.js";
import type { Load, LoadResult } from "./load.ts";

/** The load generator's process. */
export class Generator {
  #process: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #answers: AsyncIterator<unknown>;

  constructor() {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", "--frozen", fileURLToPath(new URL("load.ts", import.meta.url))],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#answers = this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      [Symbol.asyncIterator]();
  }

  /** Carries a load out. */
  async run(load: Load): Promise<LoadResult> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(load)}\n`));
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("The load generator has ended");
    const result: LoadResult = JSON.parse(String(value));
    if (result.unexpected) throw new Error(`Not what was expected: ${result.unexpected}`);
    return result;
  }

  async end(): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }
}
