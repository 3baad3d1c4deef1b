/**
 * `deno run -A bench/board.ts`: what the board page costs the browser of a television, by Chromium's own metrics: a board
 * of 50 workplaces, followed by a ticket, while 20 events a second are reported. Exit code 1 when a bar is missed.
 */
import { parseArgs } from "node:util";
import { showHelp } from "../local/system/help.ts";
import { startDurableStack } from "./durable_stack.ts";

showHelp(`Usage: deno run -A bench/board.ts [options]

  --minutes <number>     how long (default 10)
  --workplaces <number>  workplaces of the board (default 50)
  --events <number>      events per second (default 20)
  --help                 this text`);

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    workplaces: { type: "string", default: "50" },
    events: { type: "string", default: "20" },
  },
});
const [minutes, places, perSecond] = [Number(options.minutes), Number(options.workplaces), Number(options.events)];

/** Largest part of a core that the page may use. */
const mostShare = 0.2;
/** The heap at the end may be so much larger than after the second minute: by then all is there that is shown. */
const mostGrowth = 1.1;

const group = "Board";
const stack = await startDurableStack("kept");
let isGood = true;
try {
  const ask = async <Body>(method: string, path: string, body: unknown, headers: Record<string, string>) => {
    const response = await fetch(`${stack.functionsUrl}${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
    return JSON.parse(text) as Body;
  };
  const server = { apikey: stack.secretKey };
  const inMinutes = (count: number) => new Date(Date.now() + count * 60_000).toISOString();
  await ask("POST", "/calendars/v1", {
    name: "Day",
    time_zone: "UTC",
    shifts: [{
      ...{ shift_code: "DAY", weekdays: [1, 2, 3, 4, 5, 6, 7], start_time: "00:00", end_time: "00:00" },
      valid_from: "2026-01-01",
    }],
  }, server);

  // ten operations at each workplace: the first runs
  const names = Array.from({ length: places }, (_, n) => `Workplace ${String(n + 1).padStart(2, "0")}`);
  const started: { order_no: string; operation_no: string; workplace_name: string }[] = [];
  for (const [n, workplace_name] of names.entries()) {
    await ask("POST", "/workplaces/v1", { name: workplace_name, workplace_group: group, calendar_name: "Day" }, server);
    const keys = Array.from({ length: 10 }, (_, i) => ({ order_no: `${4000 + n}-${i}`, operation_no: "0010" }));
    await ask(
      "POST",
      "/operations/v1/import",
      keys.map((key, i) => ({
        ...{ ...key, asset_id: n + 1, workplace_name, activity_description: "Cut sheet 3 mm", status: "RELEASED" },
        ...{ qty_desired: 100_000, t_target_processing_min: 600, timestamp_ms: inMinutes(-60), change_type: "INSERT" },
        ...{ planned_start_at: inMinutes(i * 60 - 120), planned_end_at: inMinutes(i * 60 - 60) },
      })),
      server,
    );
    const [first] = keys;
    if (first) started.push({ ...first, workplace_name });
  }
  for (const operation of started) await ask("POST", "/events/v1", { action_type: "START", ...operation }, server);

  // the ticket of an admin
  const signUp = await fetch(`${stack.supabaseUrl}/auth/v1/signup`, {
    method: "POST",
    headers: { apikey: stack.publishableKey, "content-type": "application/json" },
    body: JSON.stringify({ email: "bench@example.com", password: crypto.randomUUID() }),
  });
  const { user, access_token }: { user: { id: string }; access_token: string } = await signUp.json();
  await ask("PATCH", `/profiles/v1/${user.id}`, { role: "admin" }, server);
  const { ticket } = await ask<{ ticket: string }>("POST", "/boards/v1", { name: "Bench", workplace_group: group }, {
    authorization: `Bearer ${access_token}`,
  });

  // the support of the browser tests reads where the stack is
  const { supabaseUrl, functionsUrl, publishableKey, secretKey } = stack;
  for (
    const [name, value] of Object.entries({
      SUPABASE_URL: supabaseUrl,
      FUNCTIONS_URL: functionsUrl,
      SUPABASE_PUBLISHABLE_KEY: publishableKey,
      SUPABASE_SECRET_KEY: secretKey,
    })
  ) Deno.env.set(name, value);
  const { launchBrowser } = await import("../supabase/functions/tests/support/browser.ts");
  const browser = await launchBrowser();
  const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
  await page.goto(`${supabaseUrl}/board.html#ticket=${ticket}`);
  await page.getByRole("article").nth(places - 1).waitFor();
  const devTools = await page.context().newCDPSession(page);
  // time of the thread, which a busy machine does not stretch
  await devTools.send("Performance.enable", { timeDomain: "threadTicks" });
  await devTools.send("HeapProfiler.enable");
  const metrics = async () => {
    await devTools.send("HeapProfiler.collectGarbage");
    const { metrics } = await devTools.send("Performance.getMetrics");
    const value = (name: string) => metrics.find((one) => one.name === name)?.value ?? NaN;
    return {
      atMs: performance.now(),
      thread_s: value("TaskDuration"),
      process_s: value("ProcessTime"),
      heap: value("JSHeapUsedSize"),
      nodes: value("Nodes"),
    };
  };

  let reported = 0;
  let isOver = false;
  /** Reports that wait for their answer: a busy machine gets fewer, and not a queue. */
  const waiting = new Set<Promise<void>>();
  const reporting = (async () => {
    const began = performance.now();
    while (!isOver) {
      while (waiting.size >= perSecond) await Promise.race(waiting);
      const operation = started[reported % started.length];
      // every tenth event changes the state of its workplace: a stop, and the next time a start
      const isTurn = Math.floor(reported / started.length) % 10 === 9;
      const isStop = Math.floor(reported / started.length) % 20 === 9;
      const event = isTurn
        ? { action_type: isStop ? "STOP" : "START" }
        : { action_type: "REPORT_QUANTITY", qty_good: 1 };
      const sent = ask("POST", "/events/v1", { ...operation, ...event }, server)
        .then(() => {}, (error) => console.error(String(error)))
        .finally(() => waiting.delete(sent));
      waiting.add(sent);
      reported++;
      const dueMs = began + 1000 * reported / perSecond;
      await new Promise((done) => setTimeout(done, Math.max(0, dueMs - performance.now())));
    }
  })();

  console.log("minute  main thread   process   heap MiB   nodes   events/s");
  let before = await metrics();
  let [eventsBefore, firstHeap, worst] = [0, 0, 0];
  for (let minute = 1; minute <= minutes; minute++) {
    await new Promise((done) => setTimeout(done, 60_000));
    const now = await metrics();
    const wallS = (now.atMs - before.atMs) / 1000;
    const share = (now.thread_s - before.thread_s) / wallS;
    const percent = (part: number) => `${(100 * part).toFixed(1)} %`.padStart(9);
    console.log(
      [
        String(minute).padStart(6),
        percent(share).padStart(12),
        percent((now.process_s - before.process_s) / wallS),
        (now.heap / 1_048_576).toFixed(2).padStart(10),
        String(now.nodes).padStart(7),
        ((reported - eventsBefore) / wallS).toFixed(1).padStart(10),
      ].join(" "),
    );
    if (minute <= 2) firstHeap = now.heap;
    worst = Math.max(worst, share);
    isGood &&= share < mostShare;
    if (minute === minutes) isGood &&= now.heap <= firstHeap * mostGrowth;
    [before, eventsBefore] = [now, reported];
  }
  isOver = true;
  await reporting;
  await browser.close();
  console.log(
    `worst minute ${(100 * worst).toFixed(1)} % of a core (below ${100 * mostShare} %); heap ${
      (100 * before.heap / firstHeap - 100).toFixed(1)
    } % above that of the second minute (at most ${Math.round(100 * mostGrowth - 100)} %)`,
  );
} finally {
  await stack.stop();
}
if (!isGood) Deno.exit(1);
