/** Times on the plant's clocks stand beside UTC, and mean the same instant. */
import { onClocksOf } from "../../_shared/plant_zone.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  type JsonObject,
  newOperation,
  newUser,
  report,
  server,
} from "../support/harness.ts";
import { Model } from "../support/model.ts";
import { newCalendar, shift } from "../support/reports.ts";

Deno.test("onClocksOf: writes the clocks of a zone with its offset, in summer, in winter and in the hour that comes twice", () => {
  const cases: [zone: string, instant: string, local: string][] = [
    ["Europe/Amsterdam", "2026-11-23T08:15:00.000Z", "2026-11-23T09:15:00+01:00"],
    ["Europe/Amsterdam", "2026-07-01T22:30:05.999Z", "2026-07-02T00:30:05+02:00"],
    ["Europe/Amsterdam", "2026-10-25T00:30:00.000Z", "2026-10-25T02:30:00+02:00"],
    ["Europe/Amsterdam", "2026-10-25T01:30:00.000Z", "2026-10-25T02:30:00+01:00"],
    ["Asia/Kolkata", "2026-11-23T08:15:00.000Z", "2026-11-23T13:45:00+05:30"],
    ["America/St_Johns", "2026-11-23T02:15:00.000Z", "2026-11-22T22:45:00-03:30"],
    ["UTC", "2026-11-23T08:15:00.000Z", "2026-11-23T08:15:00+00:00"],
  ];
  for (const [zone, instant, local] of cases) assertEquals(onClocksOf(zone, instant), local);
});

Deno.test("server/discover: answers while a shift takes place in a zone that the runtime may not know", async () => {
  // of 2025: PostgreSQL knows it, and Deno may be older
  const calendar = await newCalendar([shift("DAY", "00:00", "00:00")], "America/Coyhaique");
  const { workplace_name } = await newOperation();
  const patched = await server.patch(`/workplaces/v1/${workplace_name}`, { calendar_name: calendar });
  assertEquals(patched.status, 200, patched.text);
  const { client } = await newUser({ role: "operator", workplaces: [workplace_name ?? ""] });
  const { status, text, result } = await new Model(client).send("server/discover");
  assertEquals(status, 200, text);
  assertStringIncludes(String(result?.instructions), `of calendar "${calendar}" takes place now, until 20`);
});

interface Instant {
  name: string;
  instant: string;
  local: unknown;
}

/** Returns the instants of an answer, each with its local time. */
function instantsIn(value: unknown): Instant[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, one]: [string, unknown]): Instant[] => {
    const isInstant = typeof one === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(one);
    return isInstant ? [{ name, instant: one, local: Reflect.get(value, `${name}_local`) }] : instantsIn(one);
  });
}

Deno.test("tools: every instant has its local time, in the zone that the answer names", async () => {
  const operation = await newOperation();
  const { order_no, asset_id, operation_no, workplace_name } = operation;
  assertEquals((await report(server, operation, "START")).status, 201);
  const { client } = await newUser({ role: "supervisor", workplaces: [workplace_name ?? ""] });
  const model = new Model(client);
  const asked: [tool: string, args: JsonObject][] = [
    ["floor_now", {}],
    ["get_operation", { order_no, asset_id, operation_no }],
    ["get_oee", { from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" }],
    ["take_transition", { action: "STOP", order_no, asset_id, operation_no }],
  ];
  for (const [tool, args] of asked) {
    const answer = await model.ask(tool, args);
    const instants = instantsIn(answer);
    assert(instants.length > 0, tool);
    for (const { name, instant, local } of instants) {
      assertEquals(local, onClocksOf(String(answer.local_time_zone), instant), `${tool}: ${name}`);
    }
  }
});

Deno.test("tools: take a time with any offset", async () => {
  const operation = await newOperation();
  const { order_no } = operation;
  assertEquals((await report(server, operation, "START")).status, 201);
  const { client } = await newUser({ role: "admin" });
  const local = onClocksOf("Asia/Kolkata", new Date(Date.now() - 3_600_000).toISOString());
  const { events } = await new Model(client).ask<{ events: unknown[] }>("list_events", {
    order_no,
    occurred_after: local,
  });
  assertEquals(events.length, 1);
});
