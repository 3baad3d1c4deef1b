/** Operators who do a day's work as fast as they are answered, and keep account of it. */
import { type Account as SupabaseAccount, signUp } from "./accounts.ts";
import type { DurableStack } from "../bench/durable_stack.ts";

/** Answers and latencies of the operators. */
export interface Shift {
  /** Latency of each answer. */
  latencies_ms: number[];
  /** Requests that were not answered as they must be, each in words. */
  failures: string[];
  writes: number;
}

/** An operation that one operator works on alone. */
interface OwnOperation {
  order_no: string;
  asset_id: number;
  operation_no: string;
  workplace_name: string;
}

const operationsEach = 3;

/** One operator with their own workplace and operations. */
export class Operator {
  readonly #acknowledged: string[] = [];
  #turn = 0;

  constructor(
    readonly functionsUrl: string,
    readonly account: SupabaseAccount,
    readonly operations: OwnOperation[],
  ) {}

  /** Ids of the events that were acknowledged. */
  get acknowledged(): readonly string[] {
    return this.#acknowledged;
  }

  /** Looks, starts, reports, looks and stops, over and over, until `isOver`. */
  async work(shift: Shift, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const operation = this.operations[this.#turn++ % this.operations.length];
      if (operation === undefined) throw new Error("The operator has no operations");
      const { order_no, asset_id, operation_no, workplace_name } = operation;
      await this.#read(shift, `/operations/v1?workplace_name=${encodeURIComponent(workplace_name)}&limit=20`);
      await this.#read(shift, `/operations/v1/${order_no}/${asset_id}/${operation_no}`);
      await this.#report(shift, { ...operation, action_type: "START" });
      await this.#report(shift, { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1 });
      await this.#report(shift, { ...operation, action_type: "REPORT_QUANTITY", qty_good: 2, qty_scrap: 1 });
      await this.#read(shift, `/events/v1?order_no=${order_no}&operation_no=${operation_no}&limit=20`);
      await this.#report(shift, { ...operation, action_type: "STOP" });
    }
  }

  async #read(shift: Shift, path: string): Promise<void> {
    await this.#send(shift, "GET", path, 200);
  }

  /** Reports under an id and a key, and again until it is taken: each answer that is no 201 is a failure all the same. */
  async #report(shift: Shift, report: Record<string, unknown>): Promise<void> {
    const id = crypto.randomUUID();
    for (let attempt = 1; attempt <= 20; attempt++) {
      shift.writes++;
      if (await this.#send(shift, "POST", "/events/v1", 201, { id, ...report }, id)) {
        this.#acknowledged.push(id);
        return;
      }
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }

  async #send(
    shift: Shift,
    method: string,
    path: string,
    expected: number,
    body?: unknown,
    key?: string,
  ): Promise<boolean> {
    const began = performance.now();
    try {
      const response = await fetch(`${this.functionsUrl}${path}`, {
        method,
        headers: {
          ...this.account.headers,
          "content-type": "application/json",
          ...(key === undefined ? {} : { "idempotency-key": key }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      if (response.status === expected) return true;
      shift.failures.push(`${response.status} ${method} ${path}: ${text.slice(0, 300)}`);
    } catch (error) {
      shift.failures.push(`0 ${method} ${path}: ${error}`);
    } finally {
      shift.latencies_ms.push(performance.now() - began);
    }
    return false;
  }
}

/** Signs operators up, each with a workplace and operations of their own. */
export async function hireOperators(
  stack: Pick<DurableStack, "supabaseUrl" | "publishableKey" | "secretKey" | "functionsUrl">,
  count: number,
): Promise<Operator[]> {
  const asServer = { apikey: stack.secretKey, "content-type": "application/json" };
  const name = crypto.randomUUID().slice(0, 8);
  const operators: Operator[] = [];
  for (let index = 0; index < count; index++) {
    const workplace_name = `Place ${index} of ${name}`;
    const operations = Array.from({ length: operationsEach }, (_, i) => ({
      order_no: `H-${name}-${index}`,
      asset_id: 1,
      operation_no: String(10 * (i + 1)).padStart(4, "0"),
      workplace_name,
    }));
    const account = await signUp(stack, `operator-${index}-${name}@example.com`);
    for (const operation of operations) {
      await must(fetch(`${stack.functionsUrl}/operations/v1`, {
        method: "POST",
        headers: asServer,
        body: JSON.stringify({ ...operation, status: "RELEASED" }),
      }));
    }
    await must(fetch(`${stack.functionsUrl}/profiles/v1/${account.user_id}`, {
      method: "PATCH",
      headers: asServer,
      body: JSON.stringify({ workplace_access: [workplace_name] }),
    }));
    operators.push(new Operator(stack.functionsUrl, account, operations));
  }
  return operators;
}

async function must(asked: Promise<Response>): Promise<void> {
  const response = await asked;
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
}

/** Lets all of them work for a time. */
export async function workShift(operators: Operator[], seconds: number): Promise<Shift> {
  const shift: Shift = { latencies_ms: [], failures: [], writes: 0 };
  const ends = performance.now() + seconds * 1000;
  await Promise.all(operators.map((operator) => operator.work(shift, () => performance.now() >= ends)));
  return shift;
}
