/** Writes of language models: the dry run, the token that executes it once, and the question to the user. */
import { writeToken } from "../../mcp/confirm_tokens.ts";
import type { Downtime } from "../../_shared/downtime.ts";
import { Report } from "../../_shared/report.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
  type Client,
  env,
  type JsonObject,
  newOperation,
  newUser,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  report,
  type ReportedEvent,
  server,
} from "../support/harness.ts";
import { newKey } from "../support/api_keys.ts";
import { Model } from "../support/model.ts";
import { race } from "../support/racing.ts";

/** Answer of a tool that writes. */
interface Written {
  outcome: "DRY_RUN" | "EXECUTED" | "DECLINED";
  confirm_token: string | null;
  confirm_before: string | null;
  replayed: boolean;
  event: ReportedEvent | null;
}

interface Floor {
  model: Model;
  client: Client;
  userId: string;
  operation: OperationWithActions;
  /** Arguments that report so many good pieces. */
  pieces: (qty_good: number) => JsonObject;
  events: () => Promise<OperationEvent[]>;
}

/** A running operation, and an operator of its workplace with a model. */
async function newFloor(options: ConstructorParameters<typeof Model>[1] = {}): Promise<Floor> {
  const operation = await newOperation();
  const { order_no, asset_id, operation_no, workplace_name } = operation;
  const { client, id } = await newUser({ role: "operator", workplaces: [workplace_name ?? ""] });
  assertEquals((await report(server, operation, "START")).status, 201);
  return {
    model: new Model(client, options),
    client,
    userId: id,
    operation,
    pieces: (qty_good) => ({
      action_type: "REPORT_QUANTITY",
      order_no,
      asset_id,
      operation_no,
      workplace_name,
      qty_good,
    }),
    events: async () => (await server.get<OperationEvent[]>(`/events/v1?order_no=${order_no}`)).body,
  };
}

/** Makes a dry run and returns its token. */
async function tokenOf(model: Model, name: string, args: JsonObject): Promise<string> {
  const { outcome, confirm_token } = await model.ask<Written>(name, args);
  assertEquals(outcome, "DRY_RUN");
  assert(confirm_token !== null);
  return confirm_token;
}

Deno.test("report_event: shows first, and executes the same call with its token", async () => {
  const { model, client, userId, operation, pieces, events } = await newFloor({ name: "Assistant" });
  const shown = await model.ask<Written>("report_event", pieces(7));
  assertEquals([shown.outcome, shown.event?.operation.qty_good, shown.replayed], ["DRY_RUN", 7, false]);
  const minutesLeft = (Date.parse(shown.confirm_before ?? "") - Date.now()) / 60_000;
  assert(minutesLeft > 9 && minutesLeft <= 10, String(minutesLeft));
  assertEquals((await events()).length, 1, "A dry run writes nothing");

  const done = await model.ask<Written>("report_event", { ...pieces(7), confirm_token: shown.confirm_token });
  assertEquals([done.outcome, done.confirm_token, done.event?.operation.qty_good], ["EXECUTED", null, 7]);
  const [event] = await events();
  assertEquals([event?.id, event?.user_id], [done.event?.id, userId]);
  assertEquals(event?.operation_data, { via: "mcp", client: "Assistant" });
  const { body } = await client.get<OperationWithActions>(operationPath(operation));
  assertEquals(body.qty_good, 7);
});

Deno.test("report_event: dry_run false writes nothing without a token", async () => {
  const { model, pieces, events } = await newFloor();
  for (const dry_run of [true, false]) {
    assertEquals((await model.ask<Written>("report_event", { ...pieces(1), dry_run })).outcome, "DRY_RUN");
  }
  assertEquals((await events()).length, 1);
});

Deno.test("report_event: dry_run true writes nothing with a token, nor after a yes", async () => {
  const { model, pieces, events } = await newFloor();
  const confirm_token = await tokenOf(model, "report_event", pieces(1));
  const shown = await model.ask<Written>("report_event", { ...pieces(1), confirm_token, dry_run: true });
  assertEquals(shown.outcome, "DRY_RUN");
  const { content } = await model.call<Written>("report_event", { ...pieces(1), dry_run: true }, {
    ...accepted(true),
    requestState: confirm_token,
  });
  assertEquals(content?.outcome, "DRY_RUN");
  assertEquals((await events()).length, 1, "Nothing was written");
  const done = await model.ask<Written>("report_event", { ...pieces(1), confirm_token, dry_run: false });
  assertEquals(done.outcome, "EXECUTED", "The token is still good");
});

Deno.test("report_event: a token that executed answers the same again, and has no second effect", async () => {
  const { model, pieces, events } = await newFloor();
  const confirm_token = await tokenOf(model, "report_event", pieces(3));
  const first = await model.ask<Written>("report_event", { ...pieces(3), confirm_token });
  const again = await model.ask<Written>("report_event", { ...pieces(3), confirm_token });
  assertEquals([first.replayed, again.replayed], [false, true]);
  assertEquals(again.event?.id, first.event?.id);
  assertEquals((await events()).length, 2);
});

Deno.test("report_event: 20 confirmations of one dry run at once have one effect", async () => {
  const { model, pieces, events } = await newFloor();
  const confirm_token = await tokenOf(model, "report_event", pieces(5));
  const answers = await race(20, () => model.call<Written>("report_event", { ...pieces(5), confirm_token }));
  const executed = answers.filter(({ content }) => content?.outcome === "EXECUTED");
  assertEquals(executed.filter(({ content }) => !content?.replayed).length, 1);
  for (const { problem } of answers.filter(({ content }) => content === undefined)) {
    assertEquals(problem?.code, "idempotency_conflict", "The others are told that one is under way");
  }
  assertEquals((await events()).filter(({ qty_good }) => qty_good === 5).length, 1);
});

Deno.test("confirm_token: is refused when it is not the one of the call", async (t) => {
  const { model, operation, pieces, events } = await newFloor();
  const confirm_token = await tokenOf(model, "report_event", pieces(4));
  const colleague = await newUser({ role: "operator", workplaces: [operation.workplace_name ?? ""] });
  const key = await newKey({ role: "operator", workplaces: [operation.workplace_name ?? ""] });
  const { order_no, asset_id, operation_no } = operation;
  const altered = confirm_token.replace(/^(.*)(.)$/, (_, start, last) => `${start}${last === "0" ? "1" : "0"}`);
  const longer = confirm_token.replace(/^([0-9a-z]+)/, (time) => (parseInt(time, 36) + 60_000).toString(36));
  const cases: [what: string, model: Model, tool: string, args: JsonObject][] = [
    ["another quantity", model, "report_event", { ...pieces(40), confirm_token }],
    ["another action", model, "report_event", { ...pieces(4), action_type: "COMPLETE", confirm_token }],
    ["one argument more", model, "report_event", { ...pieces(4), note: "x", confirm_token }],
    ["another tool", model, "take_transition", { action: "STOP", order_no, asset_id, operation_no, confirm_token }],
    ["another user", new Model(colleague.client), "report_event", { ...pieces(4), confirm_token }],
    ["an API key", new Model(key.client), "report_event", { ...pieces(4), confirm_token }],
    ["an altered token", model, "report_event", { ...pieces(4), confirm_token: altered }],
    ["a token with a later end", model, "report_event", { ...pieces(4), confirm_token: longer }],
    ["no token at all", model, "report_event", { ...pieces(4), confirm_token: "yes" }],
  ];
  for (const [what, by, tool, args] of cases) {
    await t.step(what, async () => {
      const { code, reason, blocked_by } = await by.refused(tool, args);
      assertEquals([code, reason, blocked_by], ["confirmation_invalid", "other_call", "confirmation_invalid"]);
    });
  }
  assertEquals((await events()).length, 1, "Nothing was written");
  assertEquals((await model.ask<Written>("report_event", { ...pieces(4), confirm_token })).outcome, "EXECUTED");
});

Deno.test("confirm_token: the order of the arguments does not matter", async () => {
  const { model, pieces } = await newFloor();
  const confirm_token = await tokenOf(model, "report_event", pieces(2));
  const reordered = Object.fromEntries(Object.entries(pieces(2)).reverse());
  assertEquals((await model.ask<Written>("report_event", { ...reordered, confirm_token })).outcome, "EXECUTED");
});

Deno.test("confirm_token: expires after ten minutes", async () => {
  const { model, userId, pieces, operation, events } = await newFloor();
  Deno.env.set("SUPABASE_SECRET_KEYS", JSON.stringify({ default: env.secretKey }));
  const subject = { tool: "report_event", args: Report.parse(pieces(2)), caller: `user:${userId} ` };
  // the token of a dry run of then, as the function writes it
  const tokenOfMinutesAgo = (minutes: number) =>
    writeToken(subject, { version: operation.version + 1, op_seq: 1 }, Date.now() - minutes * 60_000).token;
  const { code, reason } = await model.refused("report_event", {
    ...pieces(2),
    confirm_token: tokenOfMinutesAgo(10.1),
  });
  assertEquals([code, reason], ["confirmation_invalid", "expired"]);
  assertEquals((await events()).length, 1);
  const { outcome } = await model.ask<Written>("report_event", {
    ...pieces(2),
    confirm_token: tokenOfMinutesAgo(9.9),
  });
  assertEquals(outcome, "EXECUTED", "The test makes tokens as the function does");
});

Deno.test("confirm_token: is refused with what has changed since the dry run", async (t) => {
  await t.step("by an event", async () => {
    const { model, client, operation, pieces, events } = await newFloor();
    const confirm_token = await tokenOf(model, "report_event", pieces(6));
    assertEquals((await report(client, operation, "REPORT_QUANTITY", { qty_good: 2 })).status, 201);
    const problem = await model.refused("report_event", { ...pieces(6), confirm_token });
    assertEquals([problem.code, problem.status, problem.current_status], ["stale_version", 412, "IN_PROGRESS"]);
    const [since, ...others] = problem.events_since as OperationEvent[];
    assertEquals([since?.op_seq, since?.action_type, others.length], [2, "REPORT_QUANTITY", 0]);
    assertEquals((await events()).filter(({ qty_good }) => qty_good === 6), []);
  });
  await t.step("by the plan", async () => {
    const { model, operation, pieces } = await newFloor();
    const confirm_token = await tokenOf(model, "report_event", pieces(6));
    assertEquals((await server.patch(operationPath(operation), { qty_desired: 40 })).status, 200);
    const problem = await model.refused("report_event", { ...pieces(6), confirm_token });
    assertEquals([problem.code, problem.events_since], ["stale_version", []]);
    assertMatch(problem.detail, /has changed since the dry run/);
  });
  await t.step("for a transition", async () => {
    const { model, client, operation: { order_no, asset_id, operation_no }, operation } = await newFloor();
    const args = { action: "STOP", order_no, asset_id, operation_no };
    const confirm_token = await tokenOf(model, "take_transition", args);
    assertEquals((await report(client, operation, "STOP")).status, 201);
    assertEquals((await model.refused("take_transition", { ...args, confirm_token })).code, "stale_version");
  });
  await t.step("for a downtime", async () => {
    const { model, client, operation: { workplace_name } } = await newFloor();
    const { body: { id: downtime_id } } = await client.post<Downtime>("/downtimes/v1", { workplace_name });
    const args = { action_type: "DOWNTIME_END", downtime_id };
    const confirm_token = await tokenOf(model, "report_downtime", args);
    assertEquals((await client.post(`/downtimes/v1/${downtime_id}/end`, {})).status, 200);
    const problem = await model.refused("report_downtime", { ...args, confirm_token });
    assertEquals([problem.code, problem.current_status], ["stale_version", "ENDED"]);
  });
  await t.step("for what a downtime stops", async () => {
    const { model, client, operation, operation: { workplace_name } } = await newFloor();
    const args = { action_type: "DOWNTIME_START", workplace_name, stop_runs: true };
    const confirm_token = await tokenOf(model, "report_downtime", args);
    assertEquals((await report(client, operation, "STOP")).status, 201);
    const problem = await model.refused("report_downtime", { ...args, confirm_token });
    assertEquals([problem.code, problem.running_operations], ["stale_version", []]);
  });
});

Deno.test("take_transition: executes by its token, and its event says who sent it", async () => {
  const { model, operation: { order_no, asset_id, operation_no }, events } = await newFloor({ name: "Editor" });
  const args = { action: "STOP", order_no, asset_id, operation_no };
  const confirm_token = await tokenOf(model, "take_transition", args);
  const done = await model.ask<Written>("take_transition", { ...args, confirm_token });
  assertEquals([done.outcome, done.event?.status_after], ["EXECUTED", "ON_HOLD"]);
  const [event] = await events();
  assertEquals([event?.action_type, event?.operation_data], ["STOP", { via: "mcp", client: "Editor" }]);
});

Deno.test("correct_operation: executes a REVERSE and a CORRECT by their tokens", async () => {
  const { model, client, operation, events } = await newFloor();
  const { order_no, asset_id, operation_no, workplace_name } = operation;
  const subject = { order_no, asset_id, operation_no, workplace_name };
  const reported = await report(client, operation, "REPORT_QUANTITY", { qty_good: 9 });
  for (
    const args of [
      { action_type: "REVERSE", ...subject, reverses_event_id: reported.body.id, qty_good: 4 },
      { action_type: "CORRECT", ...subject, qty_good: -1, qty_scrap: 1 },
    ]
  ) {
    const confirm_token = await tokenOf(model, "correct_operation", args);
    assertEquals((await model.ask<Written>("correct_operation", { ...args, confirm_token })).outcome, "EXECUTED");
  }
  const [corrected, reversed] = await events();
  assertEquals([corrected?.action_type, reversed?.action_type], ["CORRECT", "REVERSE"]);
  assertEquals(corrected?.operation_data, { via: "mcp", client: "test-model" });
});

Deno.test("report_downtime: opens, stops what runs, explains, splits, ends and cancels by tokens", async () => {
  const { model, operation, events } = await newFloor({ name: "Editor" });
  const { workplace_name } = operation;
  const via = { via: "mcp", client: "Editor" };
  const run = async (args: JsonObject): Promise<Downtime> => {
    const shown = await model.ask<Written & { downtime: Downtime }>("report_downtime", args);
    assertEquals(shown.outcome, "DRY_RUN");
    const done = await model.ask<Written & { downtime: Downtime }>("report_downtime", {
      ...args,
      confirm_token: shown.confirm_token,
    });
    assertEquals([done.outcome, done.downtime.status], ["EXECUTED", shown.downtime.status]);
    return done.downtime;
  };
  const opened = await run({
    action_type: "DOWNTIME_START",
    workplace_name,
    stop_runs: true,
    occurred_at: new Date(Date.now() + 10_000).toISOString(),
  });
  const [stop] = await events();
  assertEquals([stop?.action_type, stop?.operation_data], ["STOP", via]);
  const of = { downtime_id: opened.id };
  assertEquals((await run({ action_type: "DOWNTIME_END", ...of, occurred_at: opened.started_at })).status, "ENDED");
  assertEquals((await run({ action_type: "DOWNTIME_CANCEL", ...of, note: "No" })).status, "CANCELLED");
  const past = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  const { id: downtime_id } = await run({
    action_type: "DOWNTIME_START",
    workplace_name,
    occurred_at: past(60),
    ended_at: past(30),
  });
  const later = await run({ action_type: "DOWNTIME_SPLIT", downtime_id, at: past(45) });
  assertNotEquals(later.id, downtime_id);
  const { body: feed } = await server.get<{ downtime_events: { operation_data: unknown; downtime_id: string }[] }>(
    "/events/v1/feed?include=downtimes&limit=500&wait=0",
    { query: { workplace_name: workplace_name ?? "" } },
  );
  const ours = feed.downtime_events.filter(({ downtime_id: id }) => [opened.id, downtime_id, later.id].includes(id));
  assertEquals(ours.length, 8, "Three begins and their ends, a split and a cancellation");
  assert(ours.every(({ operation_data }) => JSON.stringify(operation_data) === JSON.stringify(via)));
});

const elicitation = { elicitation: { form: {} } };
const accepted = (confirm: boolean) => ({ inputResponses: { confirm: { action: "accept", content: { confirm } } } });

Deno.test("report_event: a client that can ask its user is told to ask, and executes after a yes", async () => {
  const { model, pieces, events } = await newFloor({ capabilities: elicitation });
  const { question } = await model.call("report_event", pieces(8));
  assert(question !== undefined);
  assertStringIncludes(question.message, "REPORT_QUANTITY (8 good)");
  assertEquals((await events()).length, 1, "A question writes nothing");
  const { content } = await model.call<Written>("report_event", pieces(8), {
    ...accepted(true),
    requestState: question.state,
  });
  assertEquals([content?.outcome, content?.event?.qty_good], ["EXECUTED", 8]);
  assertEquals((await events()).length, 2);
});

Deno.test("report_event: a user who says no is obeyed", async (t) => {
  const { model, pieces, events } = await newFloor({ capabilities: elicitation });
  const answers = {
    no: accepted(false),
    "a declined question": { inputResponses: { confirm: { action: "decline" } } },
    "a cancelled question": { inputResponses: { confirm: { action: "cancel" } } },
  };
  for (const [what, answer] of Object.entries(answers)) {
    await t.step(what, async () => {
      const { question } = await model.call("report_event", pieces(8));
      const { content } = await model.call<Written>("report_event", pieces(8), {
        ...answer,
        requestState: question?.state,
      });
      assertEquals([content?.outcome, content?.event], ["DECLINED", null]);
    });
  }
  await t.step("an answer to another question", async () => {
    const { question } = await model.call("report_event", pieces(8));
    const { problem } = await model.call("report_event", pieces(9), {
      ...accepted(true),
      requestState: question?.state,
    });
    assertEquals(problem?.code, "confirmation_invalid");
  });
  await t.step("no answer", async () => {
    const { question } = await model.call("report_event", pieces(8));
    const again = await model.call("report_event", pieces(8), { requestState: question?.state });
    assert(again.question !== undefined, "The server asks again");
  });
  assertEquals((await events()).length, 1);
});

Deno.test("report_event: a client that can ask its user gets no token for its model", async () => {
  const { model, pieces } = await newFloor({ capabilities: elicitation });
  const { content } = await model.call<Written>("report_event", { ...pieces(8), dry_run: true });
  assertEquals([content?.outcome, content?.confirm_token], ["DRY_RUN", null]);
});
