/** Reports hold what their caller sees: nothing of another workplace is in any aggregate. */
import {
  type Answer,
  assertEquals,
  assertProblem,
  type Client,
  newUser,
  newWorkplace,
  type ProblemBody,
  server,
  unique,
} from "../support/harness.ts";
import { patched, reported } from "../support/floor.ts";
import { opened } from "../support/stops.ts";
import { happened, newPlace, on, shift } from "../support/reports.ts";

const early = [shift("EARLY", "06:00", "14:00")];
const window = { from: on("00:00"), to: on("2026-11-21T00:00:00Z") };

/** Every report, with every filter and key. */
async function everything(client: Client, workplace_group: string): Promise<string[]> {
  const answers: Answer<unknown>[] = [];
  for (const places of [{}, { workplace_group }]) {
    for (const by of [[], ["workplace"], ["group"], ["day"], ["shift", "workplace"]]) {
      for (const report of ["oee", "losses", "scrap"]) {
        answers.push(await client.get(`/reports/v1/${report}`, { query: { ...places, ...window, by } }));
      }
    }
    for (const by of ["operation", "order"]) {
      for (const attribution of ["prorated", "reported"]) {
        answers.push(await client.get("/reports/v1/oee", { query: { ...places, ...window, by, attribution } }));
      }
      answers.push(await client.get("/reports/v1/scrap", { query: { ...places, ...window, by } }));
    }
    answers.push(
      await client.get("/reports/v1/oee", {
        query: { ...places, shift_date: "2026-11-20", shift_code: "EARLY" },
      }),
    );
    answers.push(await client.get("/reports/v1/operations", { query: { ...places, ...window } }));
    const summary = await client.get("/reports/v1/summary", { query: places });
    answers.push({ ...summary, text: summary.text.replace(/"at":"[^"]*"/, "") });
    const board = await client.get("/reports/v1/board", { query: { ...places, include: "oee" } });
    // minutes of what runs, and OEE of a shift of today, go on
    answers.push({
      ...board,
      text: board.text.replace(/"(at|to)":"[^"]*"/g, "").replace(/"(\w+_min|minutes)":[\d.]+/g, ""),
    });
  }
  for (const { status, text } of answers) assertEquals(status, 200, text);
  return answers.map(({ text }) => text);
}

Deno.test("Reports: a supervisor learns nothing of another workplace from any of them", async () => {
  const workplace_group = unique("Group");
  const [here, there] = [await newPlace(early, { workplace_group }), await newPlace(early, { workplace_group })];
  const { client } = await newUser({ role: "supervisor", workplaces: [here] });
  const moved = await happened(here, { t_target_per_piece_min: 1, qty_desired: 500 }, [
    ["06:00", "START"],
    ["07:00", "REPORT_QUANTITY", { qty_good: 50, qty_scrap: 2, reason_code: "SURFACE" }],
    ["07:30", "STOP", { reason_code: "MATERIAL" }],
  ]);
  await patched(moved, { workplace_name: there });
  const before = await everything(client, workplace_group);
  for (const text of before) assertEquals(text.includes(there), false, text);

  await reported(
    { ...moved, workplace_name: there },
    ["START", { occurred_at: on("08:00") }],
    ["REPORT_QUANTITY", { occurred_at: on("09:00"), qty_good: 200, qty_scrap: 9, reason_code: "DIMENSION" }],
    ["STOP", { occurred_at: on("09:30") }],
    ["CORRECT", { qty_good: -5, qty_scrap: 5 }],
  );
  await happened(there, { t_target_per_piece_min: 1 }, [["10:00", "START"], ["11:00", "COMPLETE", { qty_good: 9 }]]);
  await happened(there, {}, [["11:00", "START"]]);
  await opened(there, { occurred_at: on("12:00"), category: "UNPLANNED" });
  assertEquals(await everything(client, workplace_group), before);
});

Deno.test("Reports: say that they hold the caller's workplaces only", async () => {
  const workplace_group = unique("Group");
  const [here, there] = [await newPlace(early, { workplace_group }), await newPlace(early, { workplace_group })];
  const scopeOf = async (client: Client) => {
    const { body } = await client.get<{ scope: unknown }>("/reports/v1/oee", { query: { workplace_group, ...window } });
    return body.scope;
  };
  const { client } = await newUser({ role: "supervisor", workplaces: [here] });
  assertEquals(await scopeOf(client), { access: "own", workplace_names: [here] });
  assertEquals(await scopeOf(server), { access: "all", workplace_names: [here, there].toSorted() });
});

Deno.test("Reports: answer hidden and missing workplaces and groups with the same words", async () => {
  const workplace_group = unique("Group");
  const [here, there] = [await newPlace(early), await newPlace(early, { workplace_group })];
  const { client } = await newUser({ role: "supervisor", workplaces: [here] });
  const words = (answer: Answer<unknown>) => {
    const { instance: _, ...body } = assertProblem(answer, 404, "not_found") as ProblemBody;
    return body;
  };
  for (const report of ["oee", "losses", "scrap", "operations", "timeline", "summary", "board"]) {
    const hasWindow = !["summary", "board"].includes(report);
    const of = (query: Record<string, string | string[]>) =>
      client.get(`/reports/v1/${report}`, { query: { ...hasWindow && window, ...query } });
    const missing = words(await of({ workplace_name: newWorkplace() }));
    assertEquals(words(await of({ workplace_name: there })), missing, report);
    if (report === "timeline") continue;
    assertEquals(words(await of({ workplace_name: [here, there] })), missing, report);
    assertEquals(words(await of({ workplace_group })), missing, report);
    assertEquals(words(await of({ workplace_group: unique("Group") })), missing, report);
  }
});
