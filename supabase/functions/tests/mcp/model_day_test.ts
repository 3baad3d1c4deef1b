/** A model's day: 40 calls over a simulated hall, scripted, whose answers are compared with REST. */
import type { Downtime } from "../../_shared/downtime.ts";
import type { ReasonCode } from "../../_shared/reason_code.ts";
import type { QueuedOperation } from "../../_shared/queue.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  type Client,
  env,
  type JsonObject,
  newUser,
  type Operation,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  type ReportedEvent,
  type RequestOptions,
} from "../support/harness.ts";
import { asOverRest, Model } from "../support/model.ts";
import { playedHall } from "../support/simulated_hall.ts";

interface Written {
  outcome: string;
  confirm_token: string;
  event: ReportedEvent;
  downtime: Downtime;
}

/** Leaves out what grows from one moment to the next: minutes of open runs, and what is computed from them. */
function ofAnyMoment(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ofAnyMoment);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([name]) =>
      !["t_actual_processing_min", "t_actual_setup_min", "duration_min", "at"].includes(name)
    )
      .map(([name, one]) => [name, ofAnyMoment(one)]),
  );
}

/** The model, which counts its calls, and the same person's client of REST. */
class Planner {
  calls = 0;
  constructor(readonly model: Model, readonly rest: Client) {}

  async ask<Content = JsonObject>(tool: string, args: object = {}): Promise<Content> {
    this.calls++;
    return await this.model.ask<Content>(tool, args);
  }

  /** Asks a tool; what REST answers is in its answer. */
  async compare<Content = JsonObject>(
    tool: string,
    args: object,
    pick: (content: Content) => unknown,
    path: string,
    query: RequestOptions["query"] = {},
  ): Promise<Content> {
    const content = await this.ask<Content>(tool, args);
    const answer = await this.rest.get<unknown>(path, { query });
    assertEquals(answer.status, 200, answer.text);
    assertEquals(ofAnyMoment(asOverRest(pick(content))), ofAnyMoment(answer.body), `${tool} ${JSON.stringify(args)}`);
    return content;
  }

  /** Shows a write, and executes it. */
  async write(tool: string, args: object): Promise<Written> {
    const { outcome, confirm_token } = await this.ask<Written>(tool, args);
    assertEquals(outcome, "DRY_RUN");
    const done = await this.ask<Written>(tool, { ...args, confirm_token });
    assertEquals(done.outcome, "EXECUTED");
    return done;
  }
}

Deno.test("A model's day: 40 calls answer what REST answers", async () => {
  const hall = await playedHall(7, 200);
  const workplaces = hall.places.map(({ name }) => name);
  const { client } = await newUser({ role: "supervisor", workplaces });
  const day = new Planner(new Model(client, { name: "planner" }), client);
  const group = { workplace_group: hall.name };

  // ------------------------------------------------------------ the morning: what goes on?
  const now = await day.compare<{ summary: unknown; running: Operation[]; stopped: Downtime[] }>(
    "floor_now",
    group,
    ({ summary }) => summary,
    "/reports/v1/summary",
    group,
  );
  assert(now.running.length > 0, "The hall is at work");
  const running = await client.get<Operation[]>("/operations/v1", { query: { status: "IN_PROGRESS" } });
  assertEquals(ofAnyMoment(asOverRest(now.running)), ofAnyMoment(running.body));
  assertEquals(now.stopped, []);
  const queues: QueuedOperation[][] = [];
  for (const workplace_name of workplaces) {
    const { queue } = await day.compare<{ queue: QueuedOperation[] }>(
      "get_queue",
      { workplace_name },
      ({ queue }) => queue,
      `/workplaces/v1/${encodeURIComponent(workplace_name)}/queue`,
      { limit: 20 },
    );
    queues.push(queue);
  }
  for (
    const query of [{ status: ["IN_PROGRESS"] }, { is_overdue: true }, { status: ["ON_HOLD", "PLANNED"] }, {
      has_parked: true,
    }]
  ) {
    await day.compare("find_operations", query, ({ operations }) => operations, "/operations/v1", {
      ...query,
      limit: 20,
    });
  }
  const pages: Operation[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; page < 3; page++) {
    const { operations, next_cursor } = await day.ask<{ operations: Operation[]; next_cursor: string | null }>(
      "find_operations",
      { ...group, limit: 4, sort: "planned_start_at", ...cursor ? { cursor } : {} },
    );
    pages.push(...operations);
    cursor = next_cursor;
  }
  const inOrder = await client.get<Operation[]>("/operations/v1", {
    query: { ...group, limit: 12, sort: "planned_start_at" },
  });
  assertEquals(ofAnyMoment(asOverRest(pages)), ofAnyMoment(inOrder.body));
  const [subject] = running.body;
  assert(subject !== undefined);
  for (const { order_no, asset_id, operation_no } of [subject, ...pages.slice(0, 3)]) {
    const key = { order_no, asset_id, operation_no };
    const path = operationPath(key);
    const { runs } = await day.compare<{ runs: { run_no: number }[]; operation: unknown }>(
      "get_operation",
      key,
      ({ operation }) => operation,
      path,
    );
    const { body } = await client.get<{ run_no: number }[]>(`${path}/runs`);
    assertEquals(ofAnyMoment(asOverRest(runs)), ofAnyMoment(body.toReversed().slice(0, 20)));
  }

  // ------------------------------------------------------------ what happened, and what it cost
  const events = ({ events }: { events: OperationEvent[] }) => events;
  const [laser] = workplaces;
  const first = await day.compare<{ events: OperationEvent[]; next_cursor: string }>(
    "list_events",
    { workplace_name: laser, limit: 5 },
    events,
    "/events/v1",
    { workplace_name: laser ?? "", limit: 5 },
  );
  await day.compare(
    "list_events",
    { workplace_name: laser, limit: 5, cursor: first.next_cursor },
    events,
    "/events/v1",
    {
      workplace_name: laser ?? "",
      limit: 5,
      skip: 5,
    },
  );
  await day.compare("list_events", { action_type: ["FINISH", "COMPLETE"] }, events, "/events/v1", {
    action_type: ["FINISH", "COMPLETE"],
    limit: 20,
  });
  await day.compare("list_events", { order_no: subject.order_no, limit: 100 }, events, "/events/v1", {
    order_no: subject.order_no,
    limit: 100,
  });
  // a window that is over: its figures do not grow
  const window = {
    from: new Date(hall.dayBeganMs).toISOString(),
    to: new Date(hall.dayBeganMs + 7_200_000).toISOString(),
  };
  const whole = (report: JsonObject) => report;
  await day.compare("get_oee", { ...group, ...window }, whole, "/reports/v1/oee", { ...group, ...window });
  await day.compare("get_oee", { ...group, ...window, by: ["workplace"] }, whole, "/reports/v1/oee", {
    ...group,
    ...window,
    by: "workplace",
  });
  await day.compare("get_losses", { ...group, ...window, by: ["workplace"] }, whole, "/reports/v1/losses", {
    ...group,
    ...window,
    by: "workplace",
  });
  await day.compare("get_losses", { ...group, ...window }, whole, "/reports/v1/losses", { ...group, ...window });
  const problems = await day.ask<Record<string, unknown>>("find_problems", {});
  const listed = async (path: string) => (await client.get<unknown>(path)).body;
  assertEquals(
    ofAnyMoment(asOverRest(problems)),
    ofAnyMoment({
      forgotten_runs: await listed("/operations/v1?open_longer_than_h=12&limit=20"),
      source_conflicts: await listed("/operations/v1?source_conflict=true&limit=20"),
      unexplained_stops: await listed("/downtimes/v1?unexplained=true&limit=20"),
      // webhooks are a manager's
      failing_webhooks: null,
    }),
  );
  const { reason_codes } = await day.ask<{ reason_codes: ReasonCode[] }>("list_reason_codes", {
    kind: "HOLD",
    limit: 100,
  });
  const quality = await client.get<unknown>("/reason-codes/v1/HOLD/QUALITY");
  assertEquals(asOverRest(reason_codes.find(({ code }) => code === "QUALITY")), quality.body);

  // ------------------------------------------------------------ a refusal, and what it means
  const key = { order_no: subject.order_no, asset_id: subject.asset_id, operation_no: subject.operation_no };
  const report = { ...key, workplace_name: subject.workplace_name };
  day.calls++;
  const refused = await day.model.refused("report_event", { action_type: "START", ...report });
  const overRest = await client.post<{ code: string; running_since: string }>("/events/v1", {
    action_type: "START",
    ...report,
    dry_run: true,
  });
  assertEquals([refused.code, refused.running_since], [overRest.body.code, overRest.body.running_since]);
  const { explanation } = await day.ask<{ explanation: string }>("explain_error", { code: refused.code });
  const page = await fetch(`${env.functionsUrl}/docs/errors/${refused.code}`, { headers: { accept: "text/plain" } });
  assertStringIncludes(await page.text(), explanation);

  // ------------------------------------------------------------ what the planner decides
  const path = operationPath(subject);
  const state = async () => (await client.get<OperationWithActions>(path)).body;
  const before = await state();
  const pieces = await day.write("report_event", { action_type: "REPORT_QUANTITY", ...report, qty_scrap: 1 });
  assertEquals((await state()).qty_scrap, before.qty_scrap + 1);
  await day.write("take_transition", { action: "HOLD", ...key, reason_code: "QUALITY", note: "Look at the edges" });
  assertEquals((await state()).hold_kind, "BLOCKED");
  await day.write("take_transition", { action: "RELEASE", ...key });
  assertEquals((await state()).hold_kind, "PAUSED");
  const { downtime } = await day.write("report_downtime", {
    action_type: "DOWNTIME_START",
    workplace_name: subject.workplace_name,
  });
  const open = await client.get<Downtime>(`/downtimes/v1/${downtime.id}`);
  assertEquals(ofAnyMoment(asOverRest(downtime)), ofAnyMoment(open.body));
  await day.write("report_downtime", { action_type: "DOWNTIME_END", downtime_id: downtime.id });
  assertEquals((await client.get<Downtime>(`/downtimes/v1/${downtime.id}`)).body.status, "ENDED");
  const undone = await day.write("correct_operation", {
    action_type: "REVERSE",
    ...report,
    reverses_event_id: pieces.event.id,
  });
  assertEquals((await state()).qty_scrap, before.qty_scrap);
  const { body: recorded } = await client.get<OperationEvent>(`/events/v1/${undone.event.id}`);
  assertEquals(recorded.operation_data, { via: "mcp", client: "planner" });
  const { body: log } = await client.get<OperationEvent[]>("/events/v1", { query: { ...key, limit: 4 } });
  assertEquals(log.map(({ action_type }) => action_type), ["REVERSE", "RELEASE", "HOLD", "REPORT_QUANTITY"]);
  assert(log.every(({ operation_data }) => operation_data?.via === "mcp"));
  assertEquals(day.calls, 40);
});
