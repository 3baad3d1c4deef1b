/** Batches of the documented size on operations with a long history, and reports that many webhooks wait for. */
import { connect } from "../local/postgres/bootstrap.ts";
import type { Stack } from "../local/stack.ts";
import { median } from "../bench/median.ts";
import { type Figure, tally } from "./figures.ts";
import { type Address, type Answered, must, type RunningOperation, send } from "./writer.ts";

const batchSize = 1_000;
const historyRuns = 5_000;
const step_ms = 30_000;
const day_ms = 86_400_000;

/** Makes operations that can be started. */
async function releaseOperations(address: Address, count: number): Promise<RunningOperation[]> {
  const order_no = `B-${crypto.randomUUID().slice(0, 12)}`;
  const operations = Array.from({ length: count }, (_, i) => ({
    order_no,
    asset_id: 1,
    operation_no: String(i + 1),
    workplace_name: `Workplace of ${order_no}`,
  }));
  await must(
    address,
    "POST",
    "/operations/v1/import",
    operations.map((operation) => ({
      ...operation,
      status: "RELEASED",
      timestamp_ms: "2026-01-01T00:00:00Z",
      change_type: "INSERT",
    })),
  );
  return operations;
}

/**
 * Gives operations so many runs as if they had been reported ten days ago. Written straight into the tables, since
 * reporting them takes minutes; the rebuilt row is stored, so that log and row agree.
 */
async function giveHistory({ databaseUrl }: Stack, [operation]: RunningOperation[], runs: number): Promise<void> {
  if (operation === undefined) throw new Error("There are no operations");
  const sql = connect(databaseUrl.replace("postgres:", "supabase_admin:"));
  const { order_no } = operation;
  const began = new Date(Date.now() - 10 * day_ms).toISOString();
  try {
    await sql.begin(async (sql) => {
      // neither triggers nor foreign keys
      await sql`set local session_replication_role = replica`;
      await sql`
        insert into public.operation_events (
          operation_id, op_seq, action_type, order_no, asset_id, operation_no, workplace_name, status_before, status_after,
          occurred_at, phase, created_at
        )
        select
          o.id, n, case n % 2 when 1 then 'START'::public.action else 'STOP' end, o.order_no, o.asset_id, o.operation_no, o.workplace_name,
          case when n = 1 then 'RELEASED'::public.status when n % 2 = 1 then 'ON_HOLD' else 'IN_PROGRESS' end,
          case n % 2 when 1 then 'IN_PROGRESS'::public.status else 'ON_HOLD' end,
          ${began}::timestamptz + n * ${step_ms} * interval '1 millisecond', case n % 2 when 1 then 'PROCESSING'::public.phase end,
          ${began}::timestamptz + n * ${step_ms} * interval '1 millisecond'
        from public.mes_operations o cross join generate_series(1, 2 * ${runs}::integer) n
        where o.order_no = ${order_no}`;
      await sql`
        insert into public.operation_runs (operation_id, run_no, phase, started_at, ended_at, start_event_id, end_event_id)
        select s.operation_id, (s.op_seq + 1) / 2, 'PROCESSING', s.occurred_at, e.occurred_at, s.id, e.id
        from public.operation_events s
        join public.operation_events e on e.operation_id = s.operation_id and e.op_seq = s.op_seq + 1
        where s.order_no = ${order_no} and s.action_type = 'START'`;
      await sql`select set_config('reliability.order_no', ${order_no}, true)`;
      await sql`
        do $$
        declare
          columns text := (
            select string_agg(quote_ident(a.attname), ', ') from pg_attribute a
            where a.attrelid = 'public.mes_operations'::regclass and a.attnum > 0 and not a.attisdropped
              and a.attgenerated = '' and a.attidentity = ''
          );
        begin
          execute format(
            'update public.mes_operations o set (%1$s) = (select %1$s from app.rebuild_operation(o)) where o.order_no = $1', columns)
          using current_setting('reliability.order_no');
        end
        $$`;
    });
    await sql`analyze public.operation_events, public.operation_runs`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** 1,000 reports that start and stop these operations in turn. */
function startsAndStops(operations: RunningOperation[], began_ms: number) {
  return Array.from({ length: batchSize }, (_, n) => {
    const operation = operations[Math.floor(n / 2) % operations.length];
    return {
      ...operation,
      id: crypto.randomUUID(),
      action_type: n % 2 === 0 ? "START" : "STOP",
      occurred_at: new Date(began_ms + n * step_ms).toISOString(),
    };
  });
}

async function sendBatch(address: Address, events: unknown, key: string): Promise<Answered> {
  return await send(address, "POST", "/events/v1/batch", { events }, key);
}

/** Sends a batch until it is answered by what became of it, and waits in between as long as the server says. */
async function sendUntilAnswered(address: Address, events: unknown): Promise<Answered[]> {
  const key = crypto.randomUUID();
  const answers: Answered[] = [];
  for (let attempt = 1; attempt <= 10; attempt++) {
    const answer = await sendBatch(address, events, key);
    answers.push(answer);
    if (![409, 503].includes(answer.status) || !answer.hasRetryAfter) break;
    await new Promise((resume) => setTimeout(resume, answer.retryAfter_s * 1_000));
  }
  return answers;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** Batches on one operation with a history beside batches over many, then eight on as many operations at once. */
export async function batches(stack: Stack, rounds = 3): Promise<Figure[]> {
  const address = { url: stack.url, secretKey: stack.keys.secretKey };
  const one = await releaseOperations(address, 1);
  const many = await releaseOperations(address, 100);
  const eight = await releaseOperations(address, 8);
  await giveHistory(stack, one, historyRuns);
  await giveHistory(stack, eight, historyRuns);

  const took: Record<"one" | "many", number[]> = { one: [], many: [] };
  const statuses: number[] = [];
  const began_ms = Date.now() - 5 * day_ms;
  for (let round = 0; round < rounds; round++) {
    for (const [name, operations] of [["many", many], ["one", one]] as const) {
      const events = startsAndStops(operations, began_ms + round * batchSize * step_ms);
      const answer = await sendBatch(address, events, crypto.randomUUID());
      took[name].push(answer.took_ms);
      statuses.push(answer.status);
    }
  }
  const ratio = median(took.one) / median(took.many);

  const began = performance.now();
  const all = await Promise.all(
    eight.map((operation) => sendUntilAnswered(address, startsAndStops([operation], began_ms))),
  );
  const last_ms = performance.now() - began;
  const answers = all.flat();
  const recorded = all.filter((attempts) => attempts.at(-1)?.status === 201).length;
  const slowest_ms = Math.max(...answers.map(({ took_ms }) => took_ms));
  return [
    {
      figure:
        `${batchSize} START/STOP on one operation with ${historyRuns} runs, beside ${batchSize} over 100 operations`,
      bar: "at most 1.5x, all recorded",
      measured: `${ratio.toFixed(2)}x: ${seconds(median(took.one))} beside ${seconds(median(took.many))}; ${
        tally(statuses)
      }`,
      isMet: ratio <= 1.5 && statuses.every((status) => status === 201),
    },
    {
      figure: "... eight of them at once, each on an operation of its own",
      bar: "all recorded, each answer within 10 s",
      measured: `${recorded} recorded after ${seconds(last_ms)}; ${answers.length} answers: ${
        tally(answers.map(({ status }) => status))
      }; slowest ${seconds(slowest_ms)}`,
      isMet: recorded === 8 && slowest_ms < 10_000,
    },
  ];
}

/** Compares a report that 100 endpoints receive with one that none of them receives. */
export async function manyWebhooks(stack: Stack, reports = 200): Promise<Figure> {
  const address = { url: stack.url, secretKey: stack.keys.secretKey };
  const [told] = await releaseOperations(address, 1);
  const [untold] = await releaseOperations(address, 1);
  if (told === undefined || untold === undefined) throw new Error("There are no operations");
  for (const operation of [told, untold]) {
    await must(address, "POST", "/events/v1", { ...operation, action_type: "START" });
  }
  const endpoints: string[] = [];
  const took: Record<"told" | "untold", number[]> = { told: [], untold: [] };
  try {
    for (let index = 0; index < 100; index++) {
      const url = `http://127.0.0.1:9/${index}`;
      const made = await must(address, "POST", "/webhooks/v1/endpoints", {
        url,
        workplace_names: [told.workplace_name],
      });
      endpoints.push(JSON.parse(made).id);
    }
    for (let report = 0; report < reports; report++) {
      for (const [name, operation] of [["told", told], ["untold", untold]] as const) {
        const began = performance.now();
        await must(address, "POST", "/events/v1", { ...operation, action_type: "REPORT_QUANTITY", qty_good: 1 });
        took[name].push(performance.now() - began);
      }
    }
  } finally {
    for (const id of endpoints) await must(address, "DELETE", `/webhooks/v1/endpoints/${id}`);
  }
  const ratio = median(took.told) / median(took.untold);
  return {
    figure: "A report that 100 webhook endpoints are told of, beside one that none is",
    bar: "less than 2x",
    measured: `${ratio.toFixed(2)}x: ${median(took.told).toFixed(1)} ms beside ${median(took.untold).toFixed(1)} ms`,
    isMet: ratio < 2,
  };
}
