/** Every argument of every tool with hostile values: a refusal or an answer, never an error of ours, and no write. */
import { tools } from "../../mcp/tools.ts";
import {
  assert,
  assertEquals,
  type Json,
  type JsonObject,
  newOperation,
  newUser,
  type OperationEvent,
  report,
  server,
} from "../support/harness.ts";
import { Model, resultOf } from "../support/model.ts";

const hostile: Json[] = [
  ...[null, true, -1, 1.5, 2 ** 31, 1e308, "", " ", "a\0b", "\ud800", "x".repeat(70_000), "'; drop table x; --"],
  ...["*", "%", "..", "2026-02-30T00:00:00Z", "now", "infinity", "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c"],
  ...[[], {}, [null], [[]], { $gt: 1 }, Array.from({ length: 500 }, () => "x")],
];

Deno.test("tools: hostile arguments are refused or harmless", async (t) => {
  const operation = await newOperation();
  const { order_no, asset_id, operation_no, workplace_name } = operation;
  assertEquals((await report(server, operation, "START")).status, 201);
  const { client } = await newUser({ role: "supervisor", workplaces: [workplace_name ?? ""] });
  const model = new Model(client);
  const subject = { order_no, asset_id, operation_no };
  const window = { from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" };
  const valid: Record<string, JsonObject> = {
    get_operation: subject,
    get_queue: { workplace_name },
    get_losses: window,
    get_oee: window,
    explain_error: { code: "not_found" },
    report_event: { action_type: "REPORT_QUANTITY", ...subject, workplace_name, qty_good: 1 },
    take_transition: { action: "STOP", ...subject },
    report_downtime: { action_type: "DOWNTIME_START", workplace_name },
    correct_operation: { action_type: "CORRECT", ...subject, workplace_name, qty_good: 1 },
  };
  for (const { name, inputSchema } of tools) {
    await t.step(name, async () => {
      const { properties = {} } = inputSchema["~standard"].jsonSchema.input({ target: "draft-2020-12" });
      for (const argument of [...Object.keys(Object(properties)), "no_such_argument"]) {
        for (const value of hostile) {
          const args = { ...valid[name], [argument]: value };
          const { status, text, result, error } = await model.send("tools/call", { name, arguments: args });
          // a text that is none in JSON either
          if (status === 400) {
            assertEquals(error?.code, -32700, text);
            continue;
          }
          assertEquals(status, 200, `${argument}: ${text}`);
          const { problem } = resultOf(name, result ?? {});
          const said = `${argument} = ${JSON.stringify(value).slice(0, 60)}: ${text.slice(0, 300)}`;
          assert(problem === undefined || problem.status < 500, said);
          if (argument === "no_such_argument") assertEquals(problem?.code, "validation_failed", said);
        }
      }
    });
  }
  const { body } = await server.get<OperationEvent[]>(`/events/v1?order_no=${order_no}`);
  assertEquals(body.map(({ action_type }) => action_type), ["START"], "Nothing was written");
});

Deno.test("tools: a long name of a client is stored as far as it is text", async () => {
  const operation = await newOperation();
  const { order_no, asset_id, operation_no } = operation;
  const { client } = await newUser({ role: "admin" });
  const model = new Model(client, { name: `x${"\u{1f600}".repeat(60)}` });
  const args = { action: "START", order_no, asset_id, operation_no };
  const { confirm_token } = await model.ask("take_transition", args);
  await model.ask("take_transition", { ...args, confirm_token });
  const { body: [event] } = await server.get<OperationEvent[]>(`/events/v1?order_no=${order_no}`);
  assertEquals(event?.operation_data, { via: "mcp", client: `x${"\u{1f600}".repeat(49)}\ufffd` });
});
