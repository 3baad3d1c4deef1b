import { Buffer } from "node:buffer";
import { stringify } from "@std/csv/stringify.js";
import { type Format, maxBytes } from "./options.ts";
import type { Row } from "./rows.ts";

/** Rows that go together in one request. */
export interface Chunk {
  /** All rows, in the file's order; those with a refusal are not sent. */
  rows: Row[];
  /** Rows of the chunk, in their order. */
  sent: Row[];
  /** Body of the request; undefined when there is nothing to send. */
  body: string | undefined;
}

/** Options by which rows become bodies. */
export interface ChunkLimits {
  format: Format;
  /** Column names of a CSV. */
  names: string[];
  maxRows: number;
}

const csvLine = (fields: string[]): string => stringify([fields], { crlf: false });

/** Groups rows to requests within the endpoint's limits of rows and bytes. */
export async function* chunksOf(groups: AsyncIterable<Row[]>, limits: ChunkLimits): AsyncGenerator<Chunk> {
  const head = limits.format === "csv" ? csvLine(limits.names) : "";
  let rows: Row[] = [];
  let sent: Row[] = [];
  let parts = [head];
  let bytes = Buffer.byteLength(head);
  const close = (): Chunk => {
    const chunk = { rows, sent, body: sent.length === 0 ? undefined : parts.join("") };
    rows = [];
    sent = [];
    parts = [head];
    bytes = Buffer.byteLength(head);
    return chunk;
  };
  for await (const group of groups) {
    for (const row of group) {
      if (rows.length === limits.maxRows) yield close();
      if (row.refusal) {
        rows.push(row);
        continue;
      }
      const part = row.fields === undefined ? `${row.text}\n` : csvLine(row.fields);
      const size = Buffer.byteLength(part);
      if (Buffer.byteLength(head) + size > maxBytes) {
        rows.push({
          ...row,
          refusal: { code: "body_too_large", detail: `The row alone is larger than ${maxBytes} bytes` },
        });
        continue;
      }
      if (bytes + size > maxBytes) yield close();
      rows.push(row);
      sent.push(row);
      parts.push(part);
      bytes += size;
    }
  }
  if (rows.length > 0) yield close();
}
