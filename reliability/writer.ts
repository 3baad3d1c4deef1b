/** A client that keeps account: what it attempted, what was acknowledged, and how everything was answered. */

/** URLs and key of the stack. */
export interface Address {
  url: string;
  secretKey: string;
}

/** One answer, with how long it took. 0 = the connection broke. */
export interface Answered {
  status: number;
  took_ms: number;
  /** When it came, by performance.now(). */
  at: number;
  hasRetryAfter: boolean;
  /** Value of Retry-After, or 0. */
  retryAfter_s: number;
  /** The body, or why there is no answer. */
  text: string;
}

/** Sends a request and waits for its answer as long as it takes. */
export async function send(
  { url, secretKey }: Address,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<Answered> {
  const began = performance.now();
  const headers: Record<string, string> = { apikey: secretKey };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key !== undefined) headers["idempotency-key"] = key;
  try {
    const response = await fetch(`${url}/functions/v1${path}`, { method, headers, body: JSON.stringify(body) });
    const text = await response.text();
    const at = performance.now();
    return {
      status: response.status,
      took_ms: at - began,
      at,
      hasRetryAfter: response.headers.has("retry-after"),
      retryAfter_s: Number(response.headers.get("retry-after") ?? 0),
      text,
    };
  } catch (error) {
    const at = performance.now();
    const causes: unknown[] = [error];
    if (error instanceof Error) causes.push(error.cause);
    return { status: 0, took_ms: at - began, at, hasRetryAfter: false, retryAfter_s: 0, text: causes.join(": ") };
  }
}

/** A request that must work: for what a figure needs. The connection that was killed last may still refuse one. */
export async function must(address: Address, method: string, path: string, body?: unknown): Promise<string> {
  const key = method === "GET" ? undefined : crypto.randomUUID();
  for (let attempt = 1;; attempt++) {
    const { status, text } = await send(address, method, path, body, key);
    if (status >= 200 && status < 300) return text;
    if (status !== 503 || attempt === 10) throw new Error(`${method} ${path} answered ${status}: ${text}`);
  }
}

/** An operation that runs and takes any number of pieces. */
export interface RunningOperation {
  order_no: string;
  asset_id: number;
  operation_no: string;
  workplace_name: string;
}

/** Makes operations and starts them. */
export async function startOperations(address: Address, count: number): Promise<RunningOperation[]> {
  const order_no = `A-${crypto.randomUUID().slice(0, 12)}`;
  const operations = Array.from({ length: count }, (_, i) => ({
    order_no,
    asset_id: 1,
    operation_no: String(i + 1),
    workplace_name: `Workplace of ${order_no}`,
  }));
  for (const operation of operations) {
    await must(address, "POST", "/operations/v1", { ...operation, status: "RELEASED" });
    await must(address, "POST", "/events/v1", { ...operation, action_type: "START" });
  }
  return operations;
}

/** One report of one piece, under an event id and a key of its own. */
export interface Write {
  id: string;
  body: RunningOperation & { id: string; action_type: "REPORT_QUANTITY"; qty_good: 1 };
}

export function newWrite(operation: RunningOperation): Write {
  const id = crypto.randomUUID();
  return { id, body: { ...operation, id, action_type: "REPORT_QUANTITY", qty_good: 1 } };
}

export const sendWrite = (address: Address, { id, body }: Write): Promise<Answered> =>
  send(address, "POST", "/events/v1", body, id);

/** Reads the stored state: pieces by the operations, and ids of the events. */
export async function observe(
  address: Address,
  operations: RunningOperation[],
): Promise<{ pieces: number; ids: string[]; isInSequence: boolean }> {
  let pieces = 0;
  let isInSequence = true;
  const ids: string[] = [];
  for (const { order_no, asset_id, operation_no } of operations) {
    const read = JSON.parse(await must(address, "GET", `/operations/v1/${order_no}/${asset_id}/${operation_no}`));
    pieces += read.qty_processed;
    const events: { id: string; action_type: string; op_seq: number }[] = [];
    for (let skip = 0;; skip += 500) {
      const page = JSON.parse(
        await must(
          address,
          "GET",
          `/events/v1?order_no=${order_no}&operation_no=${operation_no}&limit=500&skip=${skip}`,
        ),
      );
      events.push(...page);
      if (page.length < 500) break;
    }
    isInSequence &&= events.toReversed().every(({ op_seq }, index) => op_seq === index + 1);
    ids.push(...events.filter(({ action_type }) => action_type === "REPORT_QUANTITY").map(({ id }) => id));
  }
  return { pieces, ids, isInSequence };
}
