/** Writes rows as a table in Markdown; numbers are right-aligned. */
export function table(rows: Record<string, string | number | undefined>[]): string {
  const names = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => names.map((name) => String(row[name] ?? "")));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const isNumber = names.map((name) =>
    rows.every((row) => typeof row[name] !== "string" || /^[\d.]* ?%?$/.test(row[name]))
  );
  const line = (row: string[]) =>
    `| ${
      row.map((cell, i) => isNumber[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)).join(" | ")
    } |`;
  const rule = names.map((_, i) => "-".repeat((widths[i] ?? 1) - (isNumber[i] ? 1 : 0)) + (isNumber[i] ? ":" : ""));
  return [line(names), line(rule), ...cells.map(line)].join("\n");
}
