/** States of machines: spans without gaps, micro stops, silence, and the downtime that follows from them. */
import fc from "fast-check";
import { assert, assertEquals, assertProblem, env, newUser } from "../support/harness.ts";
import { at, minutesAgo, pick, withSql } from "../support/floor.ts";
import { compareWithEvents, told } from "../../../../local/postgres/comparison.ts";
import { race, tally } from "../support/racing.ts";
import {
  aDowntimeReason,
  aWorkplace,
  command,
  type Downtime,
  downtimesOf,
  opened,
  signal,
  signalled,
  workplaceNow,
} from "../support/stops.ts";

const span = ({ started_at, ended_at }: Downtime) => [started_at, ended_at];
const spansOf = async (workplace: string) => (await downtimesOf(workplace)).map(span);

Deno.test("POST /workplaces/v1/{name}/state: DOWN without a micro stop opens a downtime at once, and RUNNING ends it", async () => {
  const workplace = await aWorkplace();
  assertEquals((await workplaceNow(workplace)).machine_state, null);
  await signalled(workplace, ["RUNNING", at("06:00")]);
  const down = await signal(workplace, "DOWN", at("07:00"));
  assertEquals(down.status, 201, down.text);
  assertEquals(down.body.machine_state, { state: "DOWN", since: at("07:00"), heard_at: at("07:00") });
  const [downtime] = await downtimesOf(workplace);
  assert(downtime);
  assertEquals(pick(downtime, "status", "started_at", "category", "reason_code", "source"), {
    status: "OPEN",
    started_at: at("07:00"),
    category: "UNPLANNED",
    reason_code: null,
    source: "MACHINE",
  });
  assertEquals(down.body.stopped_by?.downtime_id, downtime.id);
  assertEquals((await signal(workplace, "DOWN", at("07:10"))).status, 200);
  await signalled(workplace, ["RUNNING", at("07:20")]);
  assertEquals(await spansOf(workplace), [[at("07:00"), at("07:20")]]);
  assertEquals((await workplaceNow(workplace)).stopped_by, null);
});

Deno.test("POST /workplaces/v1/{name}/state: a micro stop is no downtime, and one that lasts longer is from its begin", async () => {
  const workplace = await aWorkplace({ micro_stop_s: 120 });
  await signalled(
    workplace,
    ["RUNNING", at("06:00")],
    // three of 40 s, one of exactly 120 s
    ["DOWN", at("06:30")],
    ["RUNNING", at("06:30:40")],
    ["DOWN", at("06:40")],
    ["IDLE", at("06:40:40")],
    ["DOWN", at("06:50")],
    ["SETUP", at("06:50:40")],
    ["DOWN", at("06:55")],
    ["RUNNING", at("06:57")],
    // found out when it is over
    ["DOWN", at("07:00")],
    ["RUNNING", at("07:20")],
    // found out while it lasts
    ["DOWN", at("08:00")],
    ["DOWN", at("08:02")],
  );
  assertEquals(await spansOf(workplace), [[at("07:00"), at("07:20")]]);
  await signalled(workplace, ["DOWN", at("08:02:00.001")]);
  assertEquals(await spansOf(workplace), [[at("07:00"), at("07:20")], [at("08:00"), null]]);
  await signalled(workplace, ["DOWN", at("08:10")], ["IDLE", at("08:30")]);
  assertEquals(await spansOf(workplace), [[at("07:00"), at("07:20")], [at("08:00"), at("08:30")]]);
});

Deno.test("GET /workplaces/v1/{name}: names a machine that is DOWN for longer than a micro stop before its next signal", async () => {
  const workplace = await aWorkplace({ micro_stop_s: 120 });
  const since = minutesAgo(10);
  await signalled(workplace, ["DOWN", since]);
  assertEquals(await downtimesOf(workplace), []);
  assertEquals((await workplaceNow(workplace)).stopped_by, {
    downtime_id: null,
    category: "UNPLANNED",
    reason_code: null,
    since,
    source: "MACHINE",
  });
  const brief = await aWorkplace({ micro_stop_s: 3600 });
  await signalled(brief, ["DOWN", since]);
  assertEquals((await workplaceNow(brief)).stopped_by, null);
});

Deno.test("GET /workplaces/v1/{name}: the state is UNKNOWN after signal_timeout_s without a signal, and known without a limit", async () => {
  const workplace = await aWorkplace({ signal_timeout_s: 300 });
  const [started, heard] = [minutesAgo(30), minutesAgo(20)];
  await signalled(workplace, ["RUNNING", started], ["RUNNING", heard]);
  const silentSince = new Date(Date.parse(heard) + 300_000).toISOString();
  assertEquals((await workplaceNow(workplace)).machine_state, {
    state: "UNKNOWN",
    since: silentSince,
    heard_at: heard,
  });
  const patient = await aWorkplace();
  await signalled(patient, ["RUNNING", started]);
  assertEquals((await workplaceNow(patient)).machine_state?.state, "RUNNING");
  // what was silence is a span of its own once a signal comes
  await signalled(workplace, ["RUNNING", minutesAgo(1)]);
  assertEquals((await workplaceNow(workplace)).machine_state?.state, "RUNNING");
});

Deno.test("POST /workplaces/v1/{name}/state: silence ends a downtime where the signals ended, and DOWN after it is another one", async () => {
  const workplace = await aWorkplace({ signal_timeout_s: 60 });
  await signalled(workplace, ["DOWN", at("07:00")], ["DOWN", at("07:00:50")]);
  await signalled(workplace, ["DOWN", at("08:00")]);
  assertEquals(await spansOf(workplace), [[at("07:00"), at("07:01:50")], [at("08:00"), null]]);
  await signalled(workplace, ["UNKNOWN", at("08:00:30")]);
  assertEquals((await spansOf(workplace)).at(-1), [at("08:00"), at("08:00:30")]);
  assertEquals((await workplaceNow(workplace)).machine_state?.state, "UNKNOWN");
});

Deno.test("POST /workplaces/v1/{name}/state: fills only what no downtime covers, and leaves what people have reported", async () => {
  const reason_code = await aDowntimeReason({ category: "PLANNED" });
  const workplace = await aWorkplace({ micro_stop_s: 60 });
  await signalled(workplace, ["DOWN", at("07:00")]);
  await opened(workplace, { occurred_at: at("07:10"), ended_at: at("07:20"), reason_code });
  await signalled(workplace, ["DOWN", at("07:30")]);
  assertEquals(await spansOf(workplace), [
    [at("07:00"), at("07:10")],
    [at("07:10"), at("07:20")],
    [at("07:20"), null],
  ]);
  // the operator ends the machine's downtime; the machine is DOWN on
  const last = (await downtimesOf(workplace)).at(-1);
  assert(last);
  await command(last, "end", { occurred_at: at("07:40") });
  await signalled(workplace, ["RUNNING", at("07:50")]);
  assertEquals((await spansOf(workplace)).slice(2), [[at("07:20"), at("07:40")], [at("07:40"), at("07:50")]]);
  // an operator's open downtime is theirs to end
  const cleaning = await opened(workplace, { occurred_at: at("08:00"), reason_code });
  await signalled(workplace, ["DOWN", at("08:05")], ["RUNNING", at("08:30")]);
  assertEquals((await downtimesOf(workplace)).at(-1)?.id, cleaning.id);
  assertEquals((await downtimesOf(workplace, { open: true })).length, 1);
});

Deno.test("POST /workplaces/v1/{name}/state: a cancelled downtime stays cancelled while the same DOWN lasts", async () => {
  const workplace = await aWorkplace();
  await signalled(workplace, ["DOWN", at("07:00")]);
  const [downtime] = await downtimesOf(workplace);
  assert(downtime);
  await command(downtime, "cancel", { note: "Emergency stop was tested" });
  await signalled(workplace, ["DOWN", at("07:05")]);
  assertEquals((await workplaceNow(workplace)).stopped_by, null);
  await signalled(workplace, ["RUNNING", at("07:10")], ["DOWN", at("07:30")], ["RUNNING", at("07:31")]);
  assertEquals(await spansOf(workplace), [[at("07:30"), at("07:31")]]);
});

Deno.test("POST /workplaces/v1/{name}/state: both parts of a split machine downtime end with the state", async () => {
  const workplace = await aWorkplace();
  await signalled(workplace, ["DOWN", at("07:00")]);
  const [downtime] = await downtimesOf(workplace);
  assert(downtime);
  await command(downtime, "split", { at: at("07:10") });
  await signalled(workplace, ["RUNNING", at("07:30")]);
  assertEquals(await spansOf(workplace), [[at("07:00"), at("07:10")], [at("07:10"), at("07:30")]]);
  assertEquals((await downtimesOf(workplace)).map(({ source }) => source), ["MACHINE", "MACHINE"]);
});

Deno.test("POST /workplaces/v1/{name}/state: the same id is the same signal; an earlier time is refused unless it says nothing new", async () => {
  const workplace = await aWorkplace();
  const { client } = await newUser({ role: "machine", workplaces: [workplace] });
  const id = crypto.randomUUID();
  const answers = await race(8, () => signal(workplace, "DOWN", at("07:00"), { id }, client));
  assertEquals(tally(answers.map(({ status }) => status)), { 200: 7, 201: 1 });
  assertProblem(await signal(workplace, "DOWN", at("07:01"), { id }, client), 409, "idempotency_conflict");
  assertEquals((await signal(workplace, "RUNNING", at("08:00"), {}, client)).status, 201);
  assertEquals((await signal(workplace, "DOWN", at("07:30"), {}, client)).status, 200);
  const late = assertProblem(await signal(workplace, "IDLE", at("07:30"), {}, client), 409, "out_of_order");
  assertEquals(late.last_occurred_at, at("08:00"));
  assertProblem(await signal(workplace, "IDLE", minutesAgo(-5), {}, client), 422, "validation_failed");
  assertProblem(await signal(workplace, "IDLE", minutesAgo(40 * 24 * 60), {}, client), 422, "too_old");
  assertEquals(await spansOf(workplace), [[at("07:00"), at("08:00")]]);
});

Deno.test("POST /workplaces/v1/{name}/state: 16 machines that signal at once leave one state and at most one open downtime", async () => {
  const workplace = await aWorkplace();
  const states = ["DOWN", "RUNNING", "IDLE", "DOWN"];
  const answers = await race(16, (racer) => signal(workplace, states[racer % 4] ?? "", undefined));
  assertEquals(answers.filter(({ status }) => status !== 200 && status !== 201).map(({ text }) => text), []);
  assert((await downtimesOf(workplace, { open: true })).length <= 1);
});

Deno.test({
  name: "rebuild: downtimes and machine states are what their events say, and a difference is named",
  ignore: env.databaseUrl === undefined,
  async fn() {
    const workplace = await aWorkplace({ micro_stop_s: 10, signal_timeout_s: 600 });
    await signalled(
      workplace,
      ["RUNNING", at("06:00")],
      ["DOWN", at("06:05")],
      ["RUNNING", at("06:06")],
      ["IDLE", at("07:00")],
      ["DOWN", at("07:05")],
      ["DOWN", at("07:09")],
    );
    const last = (await downtimesOf(workplace)).at(-1);
    assert(last);
    await command(last, "split", { at: at("07:06") });
    await command(last, "cancel", { note: "No" });
    const mine = async () => {
      const comparison = await compareWithEvents(env.databaseUrl ?? "");
      assert(comparison.downtimes !== undefined && comparison.downtimes >= 2);
      assert(comparison.states !== undefined && comparison.states >= 6);
      const divergences = comparison.divergences.filter(({ operation }) =>
        operation === `downtime ${last.id}` || operation.endsWith(` of ${workplace}`)
      );
      return { ...comparison, divergences };
    };
    assertEquals((await mine()).divergences, []);
    const tamper = (seconds: number) =>
      withSql(async (sql) => {
        await sql`update public.downtimes set started_at = started_at - ${`${seconds} s`}::interval
          where id = ${last.id}`;
        await sql`update public.workplace_states set state = ${seconds > 0 ? "SETUP" : "RUNNING"}
          where workplace_name = ${workplace} and span_no = 1`;
      });
    await tamper(1);
    try {
      const comparison = await mine();
      assertEquals(comparison.divergences.map(({ operation, fields }) => [operation, Object.keys(fields)]), [
        [`downtime ${last.id}`, ["started_at"]],
        [`state 1 of ${workplace}`, ["state"]],
      ]);
      assert(told(comparison).includes("machine states differ from their events"));
    } finally {
      await tamper(-1);
    }
    assertEquals((await mine()).divergences, []);
  },
});

/** Downtimes that follow from signals of one machine, in seconds; null = open. */
function expectedDowntimes(
  signals: { state: string; at: number }[],
  micro_stop_s: number,
  timeout: number,
): [from: number, to: number | null][] {
  const downtimes: [number, number | null][] = [];
  let span: { state: string; from: number; heard: number } | undefined;
  const isDowntime = (from: number, to: number) => micro_stop_s === 0 || to - from > micro_stop_s;
  for (const { state, at } of signals) {
    const end = span !== undefined && span.state !== "UNKNOWN" ? Math.min(at, span.heard + timeout) : at;
    if (span !== undefined && end === at && span.state === state) {
      span.heard = at;
      continue;
    }
    if (span?.state === "DOWN" && isDowntime(span.from, end)) downtimes.push([span.from, end]);
    span = { state, from: at, heard: at };
  }
  if (span?.state === "DOWN" && isDowntime(span.from, span.heard)) downtimes.push([span.from, null]);
  return downtimes;
}

Deno.test("POST /workplaces/v1/{name}/state: any signals in order give the downtimes that DOWN and silence say", async () => {
  const signals = fc.array(
    fc.record({
      state: fc.constantFrom("RUNNING", "IDLE", "DOWN", "DOWN", "SETUP", "UNKNOWN"),
      later_s: fc.constantFrom(1, 30, 60, 61, 120, 600),
    }),
    { minLength: 1, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(
      signals,
      fc.constantFrom(0, 60, 121),
      fc.constantFrom(90, 100_000),
      async (steps, micro_stop_s, timeout) => {
        const unlimited = timeout > 86_400;
        const workplace = await aWorkplace({ micro_stop_s, signal_timeout_s: unlimited ? null : timeout });
        const start = Date.parse(at("01:00"));
        let clock = 0;
        const sent = steps.map(({ state, later_s }) => ({ state, at: clock += later_s }));
        const instant = (seconds: number) => new Date(start + 1_000 * seconds).toISOString();
        await signalled(workplace, ...sent.map((one): [string, string] => [one.state, instant(one.at)]));
        assertEquals(
          await spansOf(workplace),
          expectedDowntimes(sent, micro_stop_s, timeout).map(([from, to]) => [
            instant(from),
            to === null ? null : instant(to),
          ]),
        );
      },
    ),
    // every run sends some ten requests: a counterexample is printed as it is, not shrunk
    { numRuns: 40, endOnFailure: true },
  );
});
