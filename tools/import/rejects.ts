import { stringify } from "@std/csv/stringify.js";
import { messageOf } from "../../local/system/failure.ts";
import { ImportFailure } from "./failure.ts";
import type { ImportOptions } from "./options.ts";
import { problemColumns, type Row, type TextForm } from "./rows.ts";
import { encoderOf } from "./text_encoding.ts";

/** A row that was refused. */
export interface Reject {
  row: Row;
  code: string;
  detail: string;
}

/** The form of the imported file, which the report takes over. */
export interface ReportForm extends Pick<ImportOptions, "format" | "separator" | "encoding"> {
  /** Column names of a CSV. */
  names: string[];
  text: TextForm;
}

/**
 * The report of refused rows: the rows as they were, with a code and an explanation. Corrected, it can be imported.
 * The file is there once the first row is refused.
 */
export class RejectsReport {
  #path: string;
  #form: ReportForm;
  #file: Deno.FsFile | undefined;
  #length_bytes: number;

  private constructor(path: string, form: ReportForm, length_bytes: number) {
    this.#path = path;
    this.#form = form;
    this.#length_bytes = length_bytes;
  }

  /**
   * Begins the report, or goes on with one.
   *
   * @param length_bytes How much of an earlier one is to stay: what was written for a chunk that is repeated goes.
   */
  static async open(path: string, form: ReportForm, length_bytes: number): Promise<RejectsReport> {
    const report = new RejectsReport(path, form, length_bytes);
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
    const { format, names, encoding, text } = this.#form;
    const lines = rejects.map((reject) => format === "csv" ? this.#csvLine(reject) : jsonLine(reject));
    if (this.#length_bytes === 0 && format === "csv") lines.unshift(this.#csvFields([...names, ...problemColumns]));
    const start = this.#length_bytes === 0 && text.hasBom ? "\ufeff" : "";
    try {
      this.#file ??= await Deno.open(this.#path, { create: true, append: true });
      const bytes = encoderOf(encoding)(start + lines.map((line) => line + text.lineEnd).join(""));
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

  #csvFields(fields: string[]): string {
    return stringify([fields], { separator: this.#form.separator }).replace(/\r\n$/, "");
  }

  #csvLine({ row, code, detail }: Reject): string {
    const { separator } = this.#form;
    const added = this.#csvFields([code, `line ${row.line}: ${detail}`]);
    if (row.fields !== undefined) return `${this.#csvFields(row.fields)}${separator}${added}`;
    // a broken row stays as it is, without what an earlier report said of it
    const end = row.text.lastIndexOf(`${separator}malformed_csv${separator}`);
    return `${end < 0 ? row.text : row.text.slice(0, end)}${separator}${added}`;
  }

  #failure(error: unknown): ImportFailure {
    return new ImportFailure(
      `Cannot write the report of refused rows ${this.#path}: ${messageOf(error)}. Name another with --rejects.`,
    );
  }
}

function jsonLine({ row, code, detail }: Reject): string {
  const added = JSON.stringify({ problem_code: code, problem_detail: `line ${row.line}: ${detail}` }).slice(1);
  if (!isObject(row.text)) return `{"row":${JSON.stringify(row.text)},${added}`;
  const members = row.text.trimEnd().slice(0, -1).trimEnd();
  return `${members}${members.endsWith("{") ? "" : ","}${added}`;
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
