/**
 * What the tests of the execution engine share: a clock of yesterday, reports that must succeed, and their effects.
 *
 * @module
 */
import postgres from "postgres";
import type { ItemResult } from "../../_shared/batch.ts";
import type { Run } from "../../_shared/run.ts";
import {
  type Answer,
  assertEquals,
  assertExists,
  type Client,
  env,
  type Operation,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  report,
  type ReportedEvent,
  server,
} from "./harness.ts";

export type { ItemResult, Run };
export type Action = OperationEvent["action_type"];

/** The answer of a batch, an import or a bulk change. */
export interface Results {
  results: ItemResult[];
  summary: Record<string, number>;
}

const yesterday = new Date(Date.now() - 24 * 3_600_000).toISOString().slice(0, 10);

/** Yesterday at this time of day (UTC), as the API writes it. */
export function at(time: string): string {
  return new Date(`${yesterday}T${time}Z`).toISOString();
}

/** Minutes before now, as the API writes instants. */
export function minutesAgo(minutes: number): string {
  return new Date(Date.now() - minutes * 60_000).toISOString();
}

/** Reports one event that must be recorded. */
export async function reportOne(
  operation: Operation,
  action: Action,
  more: Record<string, unknown> = {},
  client: Client = server,
): Promise<ReportedEvent & { operation: OperationWithActions }> {
  const { status, body, text } = await report(client, operation, action, more);
  assertEquals(status, 201, `${action} ${JSON.stringify(more)}: ${text}`);
  assertExists(body.operation);
  return { ...body, operation: body.operation };
}

/** Reports events that must be recorded; the operation after the last one. */
export async function reported(
  operation: Operation,
  ...reports: [action: Action, more?: Record<string, unknown>][]
): Promise<OperationWithActions> {
  let after: OperationWithActions | undefined;
  for (const [action, more] of reports) after = (await reportOne(operation, action, more)).operation;
  assertExists(after);
  return after;
}

/** The operation as it is now. */
export async function read(operation: Operation, client: Client = server): Promise<OperationWithActions> {
  const { status, body, text } = await client.get<OperationWithActions>(operationPath(operation));
  assertEquals(status, 200, text);
  return body;
}

/** Changes the operation by PATCH, which must succeed. */
export async function patched(
  operation: Operation,
  patch: Record<string, unknown>,
  client: Client = server,
): Promise<OperationWithActions> {
  const { status, body, text } = await client.patch<OperationWithActions>(operationPath(operation), patch);
  assertEquals(status, 200, `${JSON.stringify(patch)}: ${text}`);
  return body;
}

/** Performs a transition of the operation. */
export function transition<Body = ReportedEvent>(
  client: Client,
  operation: Operation,
  action: Action,
  more: Record<string, unknown> = {},
): Promise<Answer<Body>> {
  return client.post<Body>(`${operationPath(operation)}/transitions`, { action, ...more });
}

/** The events of the operation, oldest first. */
export async function eventsOf({ order_no, operation_no, asset_id }: Operation): Promise<OperationEvent[]> {
  const { body } = await server.get<OperationEvent[]>("/events/v1", {
    query: { order_no, operation_no, asset_id, limit: 500 },
  });
  return body.toSorted((a, b) => a.op_seq - b.op_seq);
}

/** The runs of the operation, oldest first. */
export async function runsOf(operation: Operation, client: Client = server): Promise<Run[]> {
  const { status, body, text } = await client.get<Run[]>(`${operationPath(operation)}/runs`);
  assertEquals(status, 200, text);
  return body;
}

/** Some fields of an object, to compare them at once. */
export function pick<Whole, Name extends keyof Whole>(whole: Whole, ...names: Name[]): Pick<Whole, Name> {
  return Object.fromEntries(names.map((name) => [name, whole[name]])) as Pick<Whole, Name>;
}

/** Asks the database itself, where the tests know its address. */
export async function withSql<Result>(ask: (sql: postgres.Sql) => Promise<Result>): Promise<Result> {
  const sql = postgres(env.databaseUrl ?? "", { max: 1, onnotice: () => {} });
  try {
    return await ask(sql);
  } finally {
    await sql.end();
  }
}
