import { stringify } from "@std/csv/stringify.js";
import { ImportFailure, messageOf } from "./failure.ts";

/** A row that was refused. */
export interface Reject {
  /** Its first line in the file. */
  line: number;
  code: string;
  detail: string;
  /** The row as it stands in the file. */
  row: string;
}

/** The report of refused rows; the file is there once the first row is refused. */
export class RejectsReport {
  #path: string;
  #file: Deno.FsFile | undefined;
  #isCsv: boolean;
  #length_bytes: number;

  private constructor(path: string, length_bytes: number) {
    this.#path = path;
    this.#isCsv = path.toLowerCase().endsWith(".csv");
    this.#length_bytes = length_bytes;
  }

  /**
   * Begins the report, or goes on with one.
   *
   * @param length_bytes How much of an earlier one is to stay: what was written for a chunk that is repeated goes.
   */
  static async open(path: string, length_bytes: number): Promise<RejectsReport> {
    const report = new RejectsReport(path, length_bytes);
    try {
      if (length_bytes === 0) await Deno.remove(path);
      else await Deno.truncate(path, length_bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw report.#failure(error);
      report.#length_bytes = 0;
    }
    return report;
  }

  get length_bytes(): number {
    return this.#length_bytes;
  }

  /** Adds rows. */
  async add(rejects: Reject[]): Promise<void> {
    if (rejects.length === 0) return;
    const lines = this.#isCsv
      ? stringify(rejects.map(({ line, code, detail, row }) => [line, code, detail, row]), { crlf: false })
      : rejects.map((reject) => `${JSON.stringify(reject)}\n`).join("");
    const head = this.#isCsv && this.#length_bytes === 0 ? "line,code,detail,row\n" : "";
    try {
      this.#file ??= await Deno.open(this.#path, { create: true, append: true });
      const bytes = new TextEncoder().encode(head + lines);
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
      this.#length_bytes += bytes.length;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #failure(error: unknown): ImportFailure {
    return new ImportFailure(
      `Cannot write the report of refused rows ${this.#path}: ${messageOf(error)}. Name another with --rejects.`,
    );
  }
}
