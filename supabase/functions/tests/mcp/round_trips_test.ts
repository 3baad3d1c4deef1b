/** A tool makes one call of the database, a confirmed write two: its dry run and its execution. */
import { tools } from "../../mcp/tools.ts";
import { assertEquals, type JsonObject, newOperation, newUser, report, server } from "../support/harness.ts";
import { newKey } from "../support/api_keys.ts";
import { Model } from "../support/model.ts";
import { watchFunctions } from "../support/watched_functions.ts";

/** Calls that are no part of a request: they are made once a minute, for all requests of a process. */
const ofTheProcess = ["health", "settle_rates", "note_key_use"];

const canSignTokens = Deno.env.get("LOCAL_JWT_SECRET") !== undefined;

Deno.test("tools: call the database once, and once more to execute", async (t) => {
  const functions = await watchFunctions(["mcp"]);
  try {
    const operation = await newOperation();
    const { order_no, asset_id, operation_no, workplace_name } = operation;
    const subject = { order_no, asset_id, operation_no };
    assertEquals((await report(server, operation, "START")).status, 201);
    const window = { workplace_names: [workplace_name], from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z" };
    const reads: Record<string, [args: JsonObject, sqlFunctions: string[]]> = {
      floor_now: [{ workplace_names: [workplace_name] }, ["floor_now"]],
      find_operations: [{ order_no, limit: 1 }, ["list_operations"]],
      get_operation: [subject, ["get_operation_history"]],
      get_queue: [{ workplace_name }, ["list_queue"]],
      list_events: [{ order_no }, ["list_events"]],
      get_losses: [window, ["report_losses"]],
      get_oee: [window, ["report_oee"]],
      find_problems: [{ limit: 1 }, ["find_problems"]],
      list_reason_codes: [{ limit: 1 }, ["list_reason_codes"]],
      explain_error: [{ code: "not_found" }, []],
    };
    const place = { ...subject, workplace_name };
    const writes: Record<string, [args: JsonObject, sqlFunction: string]> = {
      report_event: [{ action_type: "REPORT_QUANTITY", ...place, qty_good: 2 }, "report_event"],
      correct_operation: [{ action_type: "CORRECT", ...place, qty_good: -1, qty_scrap: 1 }, "report_event"],
      report_downtime: [{ action_type: "DOWNTIME_START", workplace_name, stop_runs: true }, "report_downtime"],
      take_transition: [{ action: "START", ...subject }, "transition_operation"],
    };
    assertEquals([...Object.keys(reads), ...Object.keys(writes)].sort(), tools.map(({ name }) => name).sort());

    const key = await newKey();
    const callers: [string, Model][] = [["an API key", new Model(key.client, { url: `${functions.url}/mcp/v1` })]];
    // without the key that signs tokens, these functions could not verify one
    if (canSignTokens) {
      const { client } = await newUser({ role: "admin" });
      callers.push(["a user", new Model(client, { url: `${functions.url}/mcp/v1` })]);
    }
    const taken = () =>
      functions.takeCalls().map((call) => call.replace("POST /rest/v1/rpc/", ""))
        .filter((name) => !ofTheProcess.includes(name));
    for (const [caller, model] of callers) {
      // the first request of a key asks whether it is one
      await model.ask("explain_error", { code: "not_found" });
      taken();
      for (
        const [method, sqlFunctions] of [["server/discover", ["describe_caller"]], ["tools/list", [
          "describe_caller",
        ]]] as const
      ) {
        await t.step(`${method} by ${caller}`, async () => {
          assertEquals((await model.send(method)).status, 200);
          assertEquals(taken(), [...sqlFunctions]);
        });
      }
      for (const [tool, [args, sqlFunctions]] of Object.entries(reads)) {
        await t.step(`${tool} by ${caller}`, async () => {
          await model.ask(tool, args);
          assertEquals(taken(), sqlFunctions);
        });
      }
      if (caller !== "an API key") continue;
      for (const [tool, [args, sqlFunction]] of Object.entries(writes)) {
        await t.step(`${tool} by ${caller}`, async () => {
          const { confirm_token } = await model.ask<{ confirm_token: string }>(tool, args);
          assertEquals(taken(), [sqlFunction], "the dry run");
          await model.ask(tool, { ...args, confirm_token });
          assertEquals(taken(), [sqlFunction], "the execution");
        });
      }
    }
  } finally {
    await functions.end();
  }
});
