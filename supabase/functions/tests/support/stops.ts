/**
 * What the tests of downtimes and machine states share.
 *
 * @module
 */
import type { Downtime } from "../../_shared/downtime.ts";
import type { SignalledWorkplace, WorkplaceNow } from "../../workplaces/schemas.ts";
import { type Answer, assertEquals, type Client, newWorkplace, server, unique } from "./harness.ts";

export type { Downtime, SignalledWorkplace, WorkplaceNow };

let spans = 0;

/** Begin and end of a downtime that overlaps no other one: a minute of the last weeks, each time another one. */
export function aSpan(): { occurred_at: string; ended_at: string } {
  const began = Date.now() - 20 * 24 * 3_600_000 + 120_000 * spans++;
  return { occurred_at: new Date(began).toISOString(), ended_at: new Date(began + 60_000).toISOString() };
}

/** Creates a workplace and returns its name. */
export async function aWorkplace(fields: Record<string, unknown> = {}): Promise<string> {
  const name = newWorkplace();
  const { status, text } = await server.post("/workplaces/v1", { name, ...fields });
  assertEquals(status, 201, text);
  return name;
}

/** Creates a reason code of kind DOWNTIME and returns the code. */
export async function aDowntimeReason(fields: Record<string, unknown> = {}): Promise<string> {
  const code = unique("R");
  const { status, text } = await server.post("/reason-codes/v1", { kind: "DOWNTIME", code, ...fields });
  assertEquals(status, 201, text);
  return code;
}

/** Opens a downtime; the answer is not checked. */
export function open<Body = Downtime>(
  workplace_name: string,
  more: Record<string, unknown> = {},
  client: Client = server,
): Promise<Answer<Body>> {
  return client.post<Body>("/downtimes/v1", { workplace_name, ...more });
}

/** Opens a downtime, which must succeed. */
export async function opened(
  workplace_name: string,
  more: Record<string, unknown> = {},
  client: Client = server,
): Promise<Downtime> {
  const { status, body, text } = await open(workplace_name, more, client);
  assertEquals(status, 201, text);
  return body;
}

/** Sends a command on a downtime; the answer is not checked. */
export function command<Body = Downtime>(
  { id }: Pick<Downtime, "id">,
  verb: "end" | "classify" | "split" | "cancel",
  body: Record<string, unknown> = {},
  client: Client = server,
): Promise<Answer<Body>> {
  return client.post<Body>(`/downtimes/v1/${id}/${verb}`, body);
}

/** The downtimes of a workplace, oldest first. */
export async function downtimesOf(
  workplace_name: string,
  query: Record<string, string | boolean> = {},
  client: Client = server,
): Promise<Downtime[]> {
  const { status, body, text } = await client.get<Downtime[]>("/downtimes/v1", {
    query: { workplace_name, limit: 500, ...query },
  });
  assertEquals(status, 200, text);
  return body.toReversed();
}

/** Reports the state of a machine; the answer is not checked. */
export function signal<Body = SignalledWorkplace>(
  workplace_name: string,
  state: string,
  occurred_at?: string,
  more: Record<string, unknown> = {},
  client: Client = server,
): Promise<Answer<Body>> {
  return client.post<Body>(`/workplaces/v1/${workplace_name}/state`, { state, occurred_at, ...more });
}

/** Reports states one after the other, which must be taken. */
export async function signalled(workplace_name: string, ...signals: [state: string, occurred_at: string][]) {
  for (const [state, occurred_at] of signals) {
    const { status, text } = await signal(workplace_name, state, occurred_at);
    assertEquals(status === 200 || status === 201, true, text);
  }
}

/** The workplace as it is now. */
export async function workplaceNow(name: string, client: Client = server): Promise<WorkplaceNow> {
  const { status, body, text } = await client.get<WorkplaceNow>(`/workplaces/v1/${name}`);
  assertEquals(status, 200, text);
  return body;
}
