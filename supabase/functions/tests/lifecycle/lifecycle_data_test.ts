/** The lifecycle as data: what is derived from the tables of actions and transitions agrees with them. */
import type postgres from "postgres";
import { Report } from "../../_shared/report.ts";
import { assertEquals, assertNotEquals } from "../support/harness.ts";
import { withSql } from "../support/floor.ts";
import { hasDatabase } from "../support/database_connection.ts";

/** Returns the rows of a materialized view, or those that its query gives now. */
async function rowsOf(sql: postgres.TransactionSql, view: string, isFresh: boolean): Promise<unknown[]> {
  const [{ query } = {}] = await sql`select trim(trailing ';' from pg_get_viewdef(${view}::regclass)) as query`;
  const rows = await sql.unsafe(
    `select to_json(r)::text as row from ${isFresh ? `(${query})` : view} r order by to_json(r)::text`,
  );
  return [...rows];
}

for (const view of ["app.lifecycle", "app.possible_actions"]) {
  Deno.test({
    name: `${view}: is current, and becomes stale when a transition changes`,
    ignore: !hasDatabase,
    fn: () =>
      withSql(async (sql) => {
        const undone = new Error("undone");
        await sql.begin(async (transaction) => {
          const stored = await rowsOf(transaction, view, false);
          assertEquals(stored, await rowsOf(transaction, view, true));
          await transaction`delete from app.transitions where action = 'START' and from_state = 'PAUSED'`;
          assertNotEquals(stored, await rowsOf(transaction, view, true));
          throw undone;
        }).catch((error) => {
          if (error !== undone) throw error;
        });
      }),
  });
}

Deno.test({
  name: "app.actions: `takes` names the fields of the contract when a report has the action",
  ignore: !hasDatabase,
  async fn() {
    const fields = Report.options.map(({ shape }) => Object.keys(shape));
    const common = fields.reduce((all, some) => all.filter((name) => some.includes(name)));
    const expected = Report.options.map(({ shape }) => ({
      action: shape.action_type.value,
      takes: Object.keys(shape).filter((name) => !common.includes(name)).sort(),
    }));
    const actions = await withSql((sql) =>
      sql<{ action: string; takes: string[] }[]>`
        select action::text, array(select unnest(takes) as name order by name) as takes from app.actions`
    );
    const byAction = <Row extends { action: string }>(rows: Row[]) =>
      rows.toSorted((a, b) => a.action.localeCompare(b.action));
    assertEquals(byAction([...actions]), byAction(expected));
  },
});
