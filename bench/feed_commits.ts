/**
 * `deno run -A bench/feed_commits.ts [seconds]`: what the feed's position costs. 16 connections report quantities, each
 * on an operation of its own, as fast as they can: without the trigger that draws the position, with it, and with one
 * that draws under a single exclusive lock instead (decision 0011), on a database that writes its log to disk and on one
 * that does not. A batch of 1,000 shows how long it keeps others waiting.
 */
import postgres from "postgres";
import { startStack } from "../local/stack.ts";

const connections = 16;
const seconds = Number(Deno.args[0] ?? 5);

function reportOf(order_no: string) {
  return { action_type: "REPORT_QUANTITY", order_no, operation_no: "0010", workplace_name: "Bench", qty_good: 1 };
}

async function createOperation(sql: postgres.Sql, order_no: string): Promise<void> {
  const operation = { order_no, asset_id: 1, operation_no: "0010", workplace_name: "Bench", status: "RELEASED" };
  await sql.begin(async (tx) => {
    await tx`set local role service_role`;
    await tx`select public.create_operation(${JSON.stringify(operation)}::text::jsonb)`;
    const start = { action_type: "START", order_no, operation_no: "0010", workplace_name: "Bench" };
    await tx`select public.report_event(${JSON.stringify(start)}::text::jsonb)`;
  });
}

interface Sample {
  perSecond: number;
  p50_ms: number;
  p99_ms: number;
}

async function commits(pool: postgres.Sql[], orders: string[], until: () => boolean): Promise<Sample> {
  const took: number[] = [];
  const began = performance.now();
  await Promise.all(pool.map(async (sql, index) => {
    const report = JSON.stringify(reportOf(orders[index] ?? ""));
    while (!until()) {
      const sent = performance.now();
      await sql`select public.report_event(${report}::text::jsonb)`;
      took.push(performance.now() - sent);
    }
  }));
  const perSecond = Math.round(took.length / (performance.now() - began) * 1_000);
  took.sort((a, b) => a - b);
  const at = (share: number) => Math.round((took[Math.floor(took.length * share)] ?? 0) * 10) / 10;
  return { perSecond, p50_ms: at(0.5), p99_ms: at(0.99) };
}

/** The obvious way to draw in the order of commits, to compare with. */
const exclusiveTrigger = `
  create function app.draw_position_exclusively() returns trigger language plpgsql security definer set search_path = '' as $$
  begin
    perform pg_advisory_xact_lock(7206);
    insert into app.feed (event_id, workplace_name, action_type, order_no)
    values (new.id, new.workplace_name, new.action_type, new.order_no);
    return null;
  end $$;
  create constraint trigger operation_events_draw_position_exclusively after insert on public.operation_events
    deferrable initially deferred for each row execute function app.draw_position_exclusively();`;

const ways: Record<string, string | undefined> = {
  "without position": undefined,
  "with position": "operation_events_draw_position",
  "with position, exclusive lock": "operation_events_draw_position_exclusively",
};

const forTime = () => {
  const end = performance.now() + seconds * 1_000;
  return () => performance.now() > end;
};

for (const durable of [true, false]) {
  const dataDir = durable ? await Deno.makeTempDir({ dir: "/var/tmp", prefix: "mes-bench-" }) : undefined;
  if (dataDir) await Deno.chmod(dataDir, 0o755);
  const stack = await startStack({ ephemeral: !durable, dataDir, seed: false, onFunctionLog: () => {} });
  const owner = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} });
  const orders = Array.from({ length: connections }, (_, index) => `B-${index}`);
  for (const order of [...orders, "B-batch"]) await createOperation(owner, order);
  const pool = orders.map(() =>
    postgres(stack.databaseUrl, { max: 1, onnotice: () => {}, connection: { role: "service_role" } })
  );
  const label = durable ? "with fsync" : "without fsync";
  await owner.unsafe(exclusiveTrigger);
  const use = async (used: string | undefined) => {
    for (const trigger of Object.values(ways)) {
      if (trigger === undefined) continue;
      const state = trigger === used ? "enable" : "disable";
      await owner.unsafe(`alter table public.operation_events ${state} trigger ${trigger}`);
    }
  };
  await use(ways["with position"]);
  await commits(pool, orders, forTime());
  for (const round of [1, 2, 3]) {
    for (const [way, trigger] of Object.entries(ways)) {
      await use(trigger);
      console.log(`${label}, ${way}, round ${round}:`, JSON.stringify(await commits(pool, orders, forTime())));
    }
  }
  await use(ways["with position"]);
  let isOver = false;
  const batch = JSON.stringify(Array.from({ length: 1_000 }, () => reportOf("B-batch")));
  const during = commits(pool, orders, () => isOver);
  const lone = postgres(stack.databaseUrl, { max: 1, onnotice: () => {}, connection: { role: "service_role" } });
  const batches: number[] = [];
  for (let round = 0; round < 5; round++) {
    const sent = performance.now();
    await lone`select public.report_events(${batch}::text::jsonb, false, null)`;
    batches.push(Math.round(performance.now() - sent));
  }
  isOver = true;
  console.log(`${label}, beside batches of 1,000 (${batches.join(", ")} ms):`, JSON.stringify(await during));
  await Promise.all([owner, lone, ...pool].map((sql) => sql.end()));
  await stack.stop();
  if (dataDir) await Deno.remove(dataDir, { recursive: true });
}
Deno.exit(0);
