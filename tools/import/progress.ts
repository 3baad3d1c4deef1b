import process from "node:process";
// @ts-types="@types/cli-progress"
import { SingleBar } from "cli-progress";
import { format } from "@std/fmt/duration.js";

/** Progress of an import. */
export interface Position {
  /** Rows that are done, those of an earlier attempt included. */
  rows: number;
  rejected: number;
  /** Bytes of the input that are read; the input's size when it is known. */
  bytes: number;
  size_bytes: number | undefined;
}

/** Shows the import going on: a bar on a terminal, else a line every few seconds. */
export interface Progress {
  update(position: Position): void;
  /** Says something beside. */
  say(text: string): void;
  end(): void;
}

const plainEvery_ms = 5000;

/** Rows per second of this attempt, and how long the rest will take at this pace. */
export class Pace {
  #started = performance.now();
  #first: Position;

  constructor(first: Position) {
    this.#first = first;
  }

  of(position: Position): { rowsPerSecond: number; left: string } {
    const elapsed_ms = performance.now() - this.#started;
    const rowsPerSecond = Math.round((position.rows - this.#first.rows) / (elapsed_ms / 1000) || 0);
    const done = position.bytes - this.#first.bytes;
    if (position.size_bytes === undefined || done <= 0) return { rowsPerSecond, left: "?" };
    const left_s = Math.round(elapsed_ms * (position.size_bytes - position.bytes) / done / 1000);
    return { rowsPerSecond, left: left_s === 0 ? "0s" : format(left_s * 1000, { ignoreZero: true }) };
  }
}

/** A bar on a terminal. */
export function bar(first: Position): Progress {
  const pace = new Pace(first);
  const rest = "{rows} rows, {rowsPerSecond}/s, {rejected} rejected";
  const shown = new SingleBar({
    format: first.size_bytes === undefined ? rest : `[{bar}] {percentage} %  ${rest}, {left} left`,
    barsize: 30,
    stream: process.stderr,
    hideCursor: true,
    fps: 5,
    gracefulExit: false,
  });
  const payload = (position: Position) => ({ rows: position.rows, rejected: position.rejected, ...pace.of(position) });
  shown.start(first.size_bytes ?? 1, first.bytes, payload(first));
  return {
    update: (position) => shown.update(position.size_bytes === undefined ? 0 : position.bytes, payload(position)),
    say: (text) => console.error(`\n${text}`),
    end: () => shown.stop(),
  };
}

/** Lines, for logs. */
export function lines(first: Position): Progress {
  const pace = new Pace(first);
  let toldAt = performance.now();
  return {
    update(position) {
      if (performance.now() - toldAt < plainEvery_ms) return;
      toldAt = performance.now();
      const { rowsPerSecond, left: rest } = pace.of(position);
      const share = position.size_bytes ? `${Math.floor(100 * position.bytes / position.size_bytes)} %, ` : "";
      const toGo = position.size_bytes ? `, ${rest} left` : "";
      console.error(`${share}${position.rows} rows, ${rowsPerSecond}/s, ${position.rejected} rejected${toGo}`);
    },
    say: (text) => console.error(text),
    end: () => {},
  };
}
