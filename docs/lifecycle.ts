/**
 * `deno task lifecycle` writes the tables of actions and transitions in docs/execution.md from those of the database;
 * with `--check` it writes nothing and fails when they are not current.
 */
import { parseArgs } from "node:util";
import { connect } from "../local/postgres/bootstrap.ts";
import { runCommand, StackFailure } from "../local/system/failure.ts";
import { inProject } from "../local/system/paths.ts";
import { applySchema, readSchema } from "../local/schema/schema_files.ts";
import { openScratchDatabase } from "../local/schema/scratch_database.ts";
import { showHelp } from "../local/system/help.ts";

showHelp(`Usage: deno task lifecycle [--check]

Writes the tables of docs/execution.md from the lifecycle of the database.

  --check   write nothing, and fail when they differ
  --help    this text`);

const guide = inProject("docs", "execution.md");
const [begin, end] = ["<!-- lifecycle: written by `deno task lifecycle` -->", "<!-- end of lifecycle -->"];

const transitionRows = `
  select a.action::text, string_agg(t.from_state::text, ', ' order by t.from_state) as from,
    case when t.to_state = t.from_state then 'the same' else t.to_state::text end as to,
    coalesce(t.least_role, a.least_role)::text as role, a.scope::text
  from app.transitions t join app.actions a using (action)
  group by a.position, a.action, case when t.to_state = t.from_state then 'the same' else t.to_state::text end,
    coalesce(t.least_role, a.least_role)
  order by a.position, min(t.from_state)`;

const actionRows = `
  select a.action::text, a.run_effect as run, a.follows, a.quantities,
    case when a.reason_kind is null then 'none' else a.reason_kind || ', ' || case a.reason_needed
      when 'never' then 'optional' when 'always' then 'needed' else 'needed when short' end end as reason,
    coalesce(nullif(array_to_string(a.takes, ', '), ''), 'none') as fields
  from app.actions a
  order by a.position`;

type Row = Record<string, string>;

/** A Markdown table, aligned as `deno fmt` does it. */
function markdown(columns: Record<string, string>, rows: Row[]): string {
  const cells = [Object.values(columns), ...rows.map((row) => Object.keys(columns).map((name) => row[name] ?? ""))];
  const widths = Object.keys(columns).map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)));
  const line = (values: string[]) => `| ${values.map((value, at) => value.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}

async function tables(): Promise<string> {
  await using database = await openScratchDatabase();
  await applySchema(database.url, await readSchema());
  const sql = connect(database.url);
  try {
    const code = (row: Row): Row => ({ ...row, action: `\`${row.action}\`` });
    const withScope = (row: Row): Row => ({ ...code(row), scope: `\`${row.scope}\`` });
    const transitions = await sql.unsafe<Row[]>(transitionRows);
    const actions = await sql.unsafe<Row[]>(actionRows);
    return [
      markdown(
        { action: "action", from: "from", to: "to", role: "least role", scope: "scope of a key" },
        transitions.map(withScope),
      ),
      markdown({
        action: "action",
        run: "run",
        follows: "comes after",
        quantities: "quantities",
        reason: "reason code",
        fields: "fields",
      }, actions.map(code)),
    ].join("\n\n");
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function lifecycle(): Promise<void> {
  const { values: { check } } = parseArgs({ args: Deno.args, options: { check: { type: "boolean", default: false } } });
  const present = await Deno.readTextFile(guide);
  const [before, rest] = present.split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new StackFailure(`docs/execution.md has no place for the lifecycle: ${begin}`);
  const text = `${before}${begin}\n\n${await tables()}\n\n${end}${after}`;
  if (text !== present) {
    if (check) throw new StackFailure("docs/execution.md is not current: run `deno task lifecycle` and commit it.");
    await Deno.writeTextFile(guide, text);
    console.log("Wrote docs/execution.md.");
  }
  Deno.exit(0);
}

await runCommand(lifecycle);
