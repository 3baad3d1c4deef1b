import type { DurableStack } from "./durable_stack.ts";

/** A row of an import. */
export interface Row {
  order_no: string;
  asset_id: number;
  operation_no: string;
  workplace_name: string;
  workplace_group: string;
  activity_code: string;
  activity_description: string;
  status: string;
  qty_desired: number | null;
  planned_start_at: string;
  planned_end_at: string;
  t_target_processing_min: number;
  t_target_setup_min: number;
  timestamp_ms: string;
  change_type: string;
}

/** Key of an operation. */
export type Operation = Pick<Row, "order_no" | "asset_id" | "operation_no" | "workplace_name">;

const workplaces = Array.from({ length: 20 }, (_, i) => `Bench ${i + 1}`);

let orders = 0;

/** Returns new operations: orders of ten, over all workplaces, without a limit of pieces. */
export function newRows(count: number): Row[] {
  return Array.from({ length: count }, (_, i) => {
    if (i % 10 === 0) orders++;
    const workplace = orders % workplaces.length;
    return {
      order_no: `B${String(orders).padStart(8, "0")}`,
      asset_id: 1,
      operation_no: String((i % 10 + 1) * 10).padStart(4, "0"),
      workplace_name: workplaces[workplace] ?? "",
      workplace_group: `Group ${workplace % 4}`,
      activity_code: "LASER",
      activity_description: "Cut sheet 3 mm, see drawing",
      status: "RELEASED",
      qty_desired: null,
      planned_start_at: "2026-11-24T08:00:00Z",
      planned_end_at: "2026-11-24T10:00:00Z",
      t_target_processing_min: 90.5,
      t_target_setup_min: 12,
      timestamp_ms: "2026-11-22T15:00:00Z",
      change_type: "INSERT",
    };
  });
}

async function json(url: string, headers: Record<string, string>, method: string, body: unknown) {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok || response.status === 207) {
    throw new Error(`${method} ${url}: ${response.status} ${text.slice(0, 500)}`);
  }
  return JSON.parse(text);
}

/** A supervisor of the benchmark's workplaces, so that access is checked as for most people; the headers of their calls. */
export async function signUpSupervisor(stack: DurableStack): Promise<Record<string, string>> {
  const credentials = { email: "bench@example.com", password: crypto.randomUUID() };
  const signedUp = await json(
    `${stack.supabaseUrl}/auth/v1/signup`,
    { apikey: stack.publishableKey },
    "POST",
    credentials,
  );
  const profile = { role: "supervisor", workplace_access: workplaces };
  await json(`${stack.functionsUrl}/profiles/v1/${signedUp.user.id}`, { apikey: stack.secretKey }, "PATCH", profile);
  return {
    apikey: stack.publishableKey,
    authorization: `Bearer ${signedUp.access_token}`,
    "content-type": "application/json",
  };
}

/** Makes operations and returns them. */
export async function newOperations(stack: DurableStack, count: number): Promise<Operation[]> {
  const rows = newRows(count);
  for (let at = 0; at < rows.length; at += 1000) {
    const url = `${stack.functionsUrl}/operations/v1/import`;
    await json(url, { apikey: stack.secretKey }, "POST", rows.slice(at, at + 1000));
  }
  return rows;
}

/** Starts operations, so that quantities can be reported. */
export async function start(stack: DurableStack, operations: Operation[]): Promise<void> {
  const events = operations.map((operation) => ({ action_type: "START", ...keyOf(operation) }));
  await json(`${stack.functionsUrl}/events/v1/batch`, { apikey: stack.secretKey }, "POST", { events });
}

/** Fields by which a report names an operation. */
export const keyOf = ({ order_no, asset_id, operation_no, workplace_name }: Operation) => ({
  order_no,
  asset_id,
  operation_no,
  workplace_name,
});
