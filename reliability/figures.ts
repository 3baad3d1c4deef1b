/** Figures, and their table. */

/** One line of the final table. */
export interface Figure {
  figure: string;
  /** Value that it must reach. */
  bar: string;
  measured: string;
  isMet: boolean;
}

/** The figures as a table in Markdown. */
export function table(figures: Figure[]): string {
  const rows = [
    ["figure", "bar", "measured", "ok"],
    ...figures.map(({ figure, bar, measured, isMet }) => [figure, bar, measured, isMet ? "yes" : "NO"]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}

/** Counts each value, as text. */
export function tally(values: Iterable<string | number>): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  return [...counts].sort().map(([value, count]) => `${value}: ${count}`).join(", ");
}
