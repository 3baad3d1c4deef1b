/**
 * The same access straight at the Data API, past the functions: every table and every SQL function with every
 * credential, hostile arguments, and the roles of PostgreSQL themselves.
 */
import type postgres from "postgres";
import {
  type Answer,
  assert,
  assertEquals,
  assertMatch,
  dataApi,
  type JsonObject,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  report,
  server,
  unique,
} from "../support/harness.ts";
import { type Cast, type Member, newCast, row } from "../support/cast.ts";
import { newPerson } from "../support/terminals.ts";
import { newEndpoint } from "../support/webhook_receiver.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { aSpan, type Downtime, opened, signal } from "../support/stops.ts";
import { type FeedEnd, feedEnd } from "../support/feed_end.ts";

let cast: Promise<Cast> | undefined;
const theCast = () => cast ??= newCast();

const needsDatabase = hasDatabase ? "" : " (needs DATABASE_URL)";

/** Something of each table, at the workplace of the cast. */
interface Subject {
  operation: Operation;
  /** The number that runs refer to. */
  operationId: number;
  event: string;
  /** End of the feed before the event. */
  end: FeedEnd;
  colleague: string;
  /** An ended downtime, and its span. */
  downtime: Downtime;
  /** The change with which the machine of the workplace began to signal. */
  signal: { id: string; occurred_at: string };
  /** Address of the colleague. */
  email: string;
  name: string;
  /** Id and name of a person at terminals of the workplace. */
  person: string;
  personName: string;
  /** A webhook endpoint to which no event goes, when it was made, and its ping. */
  endpoint: string;
  createdAt: string;
  delivery: string;
}

/** A URL that receives nothing. */
const quietUrl = "https://hooks.example.com/mes";

const asServer = dataApi(server);

/** Each subject starts a second earlier than the one before, so that it stands first in the queue of its workplace. */
let start = Date.UTC(2020, 0, 1);

/** First signals of machines, by their workplaces: it is repeated and never changed. */
const signals = new Map<string, Promise<Subject["signal"]>>();

async function firstSignal(workplace: string): Promise<Subject["signal"]> {
  const first = { id: crypto.randomUUID(), occurred_at: new Date(Date.now() - 60_000).toISOString() };
  const { status, text } = await signal(workplace, "IDLE", first.occurred_at, { id: first.id });
  assertEquals(status, 201, text);
  return first;
}

async function newSubject({ here }: Cast): Promise<Subject> {
  const operation = await newOperation({ workplace_name: here });
  const end = await feedEnd();
  const started = await report(server, operation, "START", { occurred_at: new Date(start -= 1000).toISOString() });
  assertEquals(started.status, 201, started.text);
  const { body: [found] } = await asServer.get<{ id: number }[]>("/rest/v1/mes_operations", {
    query: { select: "id", order_no: `eq.${operation.order_no}` },
  });
  assert(found);
  const { id: colleague, email } = await newUser({ role: "operator", workplaces: [here] });
  const name = unique("R");
  assertEquals((await server.post("/reason-codes/v1", { kind: "STOP", code: name })).status, 201);
  assertEquals((await server.post("/workplaces/v1", { name })).status, 201);
  const pattern = { weekdays: [1], start_time: "06:00", end_time: "14:00", valid_from: "2026-01-01" };
  const calendar = { name, time_zone: "UTC", shifts: [{ shift_code: name, ...pattern }] };
  assertEquals((await server.post("/calendars/v1", calendar)).status, 201);
  const exceptions = [{ date: "2026-12-25", kind: "CLOSED", note: name }];
  assertEquals((await server.post(`/calendars/v1/${name}/exceptions`, { exceptions })).status, 200);
  const downtime = await opened(here, aSpan());
  if (!signals.has(here)) signals.set(here, firstSignal(here));
  const { id: endpoint, created_at } = await newEndpoint({ url: quietUrl, workplace_names: [newWorkplace()] });
  const ping = await server.post<{ id: string }>(`/webhooks/v1/endpoints/${endpoint}/test`);
  assertEquals(ping.status, 202, ping.text);
  const { id: person, display_name: personName } = await newPerson([here], { pin: null });
  return {
    ...{ person, personName },
    ...{ operation, operationId: found.id, event: started.body.id, end, colleague, email, name },
    ...{ endpoint, createdAt: created_at, delivery: ping.body.id, downtime },
    signal: await (signals.get(here) ?? firstSignal(here)),
  };
}

interface Table {
  /** `seen` or `none` of the subject's row, or the status of a refusal. */
  select: string;
  /** Filter that only the subject's row meets. */
  filter: (subject: Subject) => string;
  /** A row that could be inserted, were it allowed. */
  insert: (subject: Subject) => Record<string, unknown>;
  /** A change that would be made, were it allowed. */
  update: Record<string, unknown>;
}

const tables: Record<string, Table> = {
  mes_operations: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ operation }) => `order_no=eq.${operation.order_no}`,
    insert: ({ operation }) => ({
      order_no: unique("O"),
      operation_no: "0010",
      asset_id: 1,
      workplace_name: operation.workplace_name,
    }),
    update: { qty_processed: 7 },
  },
  operation_events: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ event }) => `id=eq.${event}`,
    insert: ({ operationId, operation: { order_no, operation_no, asset_id, workplace_name } }) => ({
      ...{ operation_id: operationId, order_no, operation_no, asset_id, workplace_name },
      ...{ op_seq: 2, action_type: "STOP", status_after: "ON_HOLD", occurred_at: new Date().toISOString() },
    }),
    update: { note: "x" },
  },
  operation_runs: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ operationId }) => `operation_id=eq.${operationId}`,
    insert: ({ operationId, event }) => ({
      ...{ operation_id: operationId, run_no: 2, phase: "SETUP", start_event_id: event, end_event_id: event },
      ...{ started_at: "2020-01-01T00:00:00Z", ended_at: "2020-01-01T00:00:00Z" },
    }),
    update: { started_at: "2020-01-01T00:00:00Z" },
  },
  downtimes: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ downtime }) => `id=eq.${downtime.id}`,
    insert: ({ downtime: { workplace_name } }) => ({
      ...{ id: crypto.randomUUID(), workplace_name, category: "PLANNED", source: "OPERATOR" },
      ...{ started_at: "2020-01-01T00:00:00Z", ended_at: "2020-01-01T00:00:00Z" },
    }),
    update: { category: "PLANNED" },
  },
  downtime_events: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ downtime }) => `downtime_id=eq.${downtime.id}&seq=eq.1`,
    insert: ({ downtime: { id, workplace_name } }) => ({
      ...{ id: crypto.randomUUID(), downtime_id: id, seq: 9, action_type: "DOWNTIME_END", workplace_name },
      ...{ occurred_at: "2020-01-01T00:00:00Z", category: "PLANNED", source: "OPERATOR" },
    }),
    update: { note: "x" },
  },
  workplace_state_events: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ signal }) => `id=eq.${signal.id}`,
    insert: ({ downtime: { workplace_name } }) => ({
      ...{ workplace_name, seq: 9, state: "RUNNING", occurred_at: "2020-01-01T00:00:00Z" },
    }),
    update: { state: "DOWN" },
  },
  workplace_states: {
    select: "401 401 none none seen seen seen none seen none seen seen seen",
    filter: ({ signal }) => `event_id=eq.${signal.id}`,
    insert: ({ downtime: { workplace_name }, signal }) => ({
      ...{ workplace_name, span_no: 9, state: "RUNNING", event_id: signal.id, heard_at: "2020-01-01T00:00:00Z" },
      ...{ started_at: "2020-01-01T00:00:00Z", ended_at: "2020-01-01T00:00:00Z" },
    }),
    update: { state: "DOWN" },
  },
  profiles: {
    select: "401 401 none none none none none none seen none seen seen seen",
    filter: ({ colleague }) => `id=eq.${colleague}`,
    insert: () => ({ id: crypto.randomUUID(), role: "admin" }),
    update: { role: "admin" },
  },
  workplaces: {
    select: "401 401 none none seen seen seen seen seen seen seen seen seen",
    filter: ({ name }) => `name=eq.${name}`,
    insert: () => ({ name: newWorkplace() }),
    update: { capacity: 7 },
  },
  reason_codes: {
    select: "401 401 none none seen seen seen seen seen seen seen seen seen",
    filter: ({ name }) => `kind=eq.STOP&code=eq.${name}`,
    insert: () => ({ kind: "STOP", code: unique("R") }),
    update: { active: false },
  },
};

for (
  const [name, calendar_name, row, update] of [
    ["calendars", "name", { time_zone: "UTC" }, { time_zone: "Europe/Amsterdam" }],
    [
      "calendar_shifts",
      "calendar_name",
      { shift_code: "LATE", weekdays: "{6}", start_time: "14:00", end_time: "22:00", valid_from: "2026-01-01" },
      { end_time: "23:00" },
    ],
    ["calendar_exceptions", "calendar_name", { on_date: "2026-12-26", kind: "CLOSED" }, { note: "x" }],
  ] as const
) {
  tables[name] = {
    select: "401 401 none none seen seen seen seen seen seen seen seen seen",
    filter: ({ name }) => `${calendar_name}=eq.${name}`,
    insert: ({ name: of }) => ({ ...row, [calendar_name]: name === "calendars" ? unique("Calendar") : of }),
    update,
  };
}

/** No credential writes a table, the secret key included. */
const write = "401 401 403 403 403 403 403 403 403 403 403 403 403";

interface SqlFunction {
  cells: string;
  args: (subject: Subject, cast: Cast) => Record<string, unknown>;
  /** For `seen`: whether the answer shows the subject; it has its order number unless said otherwise. */
  shows?: (answer: Answer<unknown>, subject: Subject) => boolean;
}

/** The window of a report. */
const aWeek = { from_at: "2026-11-16T00:00:00Z", to_at: "2026-11-23T00:00:00Z" };
const keyOf = ({ operation: { order_no, asset_id, operation_no } }: Subject) => ({ order_no, asset_id, operation_no });
const reportOf = ({ operation: { order_no, operation_no, workplace_name } }: Subject, action_type = "STOP") => (
  { action_type, order_no, operation_no, workplace_name }
);
const hasOrder = ({ text }: Answer<unknown>, { operation }: Subject) => text.includes(operation.order_no);
const hasName = ({ text }: Answer<unknown>, { name }: Subject) => text.includes(name);
const hasEndpoint = ({ text }: Answer<unknown>, { endpoint }: Subject) => text.includes(endpoint);
const randomDigest = () => crypto.getRandomValues(new Uint8Array(32)).toHex();
/** A UUID that is a little less. */
const before = (uuid: string) => `${uuid.slice(0, 24)}000000000000`;
const hasItems = ({ body }: Answer<unknown>) => (body as { body: unknown[] }).body.length > 0;
const isAccepted = ({ body }: Answer<unknown>) =>
  (body as { body: { problem: unknown }[] }).body.every(({ problem }) => problem === null);

// deno-fmt-ignore
const functions: Record<string, SqlFunction> = {
  // -------------------- no token, publishable, no profile, newcomer, readonly, machine, operator, o. elsewhere, supervisor, s. elsewhere, manager, admin, secret
  get_operation:        { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: keyOf },
  list_operations:      { cells: "401 401 none none seen seen seen none seen none seen seen seen", args: ({ operation }) => ({ order_no: operation.order_no }), shows: hasOrder },
  list_all_runs:        { cells: "401 401 none none seen seen seen none seen none seen seen seen", args: ({ operation }) => ({ workplace_names: [operation.workplace_name], take: 500 }), shows: hasOrder },
  list_runs:            { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: keyOf },
  create_operation:     { cells: "401 401 403  403  403  403  403  403  200  403  200  200  200 ",
    args: (_, { here }) => ({ operation: { order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name: here } }) },
  update_operation:     { cells: "401 401 404  404  403  403  403  404  200  404  200  200  200 ", args: (subject) => ({ ...keyOf(subject), patch: { qty_desired: 60 } }) },
  update_operations:    { cells: "401 401 403  403  403  403  403  403  seen none seen seen seen",
    args: ({ operation }) => ({ filter: { order_no: operation.order_no }, patch: { qty_desired: 60 }, is_dry_run: false }), shows: hasItems },
  import_operations:    { cells: "401 401 403  403  403  403  403  403  seen none seen seen seen",
    args: (subject) => ({ rows: [{ ...keyOf(subject), index: 0, timestamp_ms: new Date().toISOString() }] }), shows: isAccepted },
  transition_operation: { cells: "401 401 404  404  403  200  200  404  200  404  200  200  200 ", args: (subject) => ({ ...keyOf(subject), transition: { action: "STOP" } }) },
  delete_operation:     { cells: "401 401 404  404  403  403  403  404  422  404  422  422  422 ", args: keyOf },
  get_event:            { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: ({ event }) => ({ id: event }) },
  list_events:          { cells: "401 401 none none seen seen seen none seen none seen seen seen", args: ({ operation }) => ({ order_no: operation.order_no }), shows: hasOrder },
  report_event:         { cells: "401 401 404  404  403  200  200  404  200  404  200  200  200 ", args: (subject) => ({ report: reportOf(subject) }) },
  report_events:        { cells: "401 401 403  403  403  seen seen none seen none seen seen seen", args: (subject) => ({ reports: [reportOf(subject)] }), shows: isAccepted },
  get_downtime:         { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: ({ downtime }) => ({ id: downtime.id }) },
  list_downtimes:       { cells: "401 401 none none seen seen seen none seen none seen seen seen",
    args: ({ downtime: { started_at, ended_at } }) => ({ from_at: started_at, to_at: ended_at }), shows: ({ text }, { downtime }) => text.includes(downtime.id) },
  report_downtime:      { cells: "401 401 404  404  403  200  200  404  200  404  200  200  200 ",
    args: ({ downtime }) => ({ report: { action_type: "DOWNTIME_CANCEL", downtime_id: downtime.id, note: "No" } }) },
  report_machine_state: { cells: "401 401 404  404  403  200  403  404  403  404  403  200  200 ",
    args: ({ signal: { occurred_at } }, { here }) => ({ name: here, signal: { state: "IDLE", occurred_at } }) },
  get_profile:          { cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", args: ({ colleague }) => ({ id: colleague }) },
  get_own_profile:      { cells: "401 401 404  200  200  200  200  200  200  200  200  200  403 ", args: () => ({}) },
  list_profiles:        { cells: "401 401 none none none none none none seen none seen seen seen",
    args: ({ email, colleague }) => ({ after_email: email.slice(0, -1), after_id: colleague, take: 1 }), shows: ({ text }, { colleague }) => text.includes(colleague) },
  create_profile:       { cells: "401 401 403  403  403  403  403  403  403  403  403  409  409 ", args: ({ colleague }) => ({ profile: { id: colleague, role: "admin" } }) },
  update_profile:       { cells: "401 401 404  404  404  404  404  404  403  404  403  200  200 ", args: ({ colleague }) => ({ id: colleague, patch: { role: "admin" } }) },
  delete_profile:       { cells: "401 401 404  404  404  404  404  404  403  404  403  204  204 ", args: ({ colleague }) => ({ id: colleague }) },
  forget_profile:       { cells: "401 401 404  404  404  404  404  404  403  404  403  200  200 ", args: ({ colleague }) => ({ id: colleague }) },
  get_person:           { cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", args: ({ person }) => ({ id: person }) },
  list_people:          { cells: "401 401 none none none none none none seen none seen seen seen", args: ({ personName }) => ({ q: personName }), shows: ({ text }, { person }) => text.includes(person) },
  create_person:        { cells: "401 401 403  403  403  403  403  403  200  403  200  200  200 ", args: (_, { here }) => ({ person: { display_name: "Anna", workplace_access: [here] } }) },
  update_person:        { cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", args: ({ person }) => ({ id: person, patch: { display_name: "Ben" } }) },
  delete_person:        { cells: "401 401 404  404  404  404  404  404  204  404  204  204  204 ", args: ({ person }) => ({ id: person }) },
  pseudonymise_person:  { cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", args: ({ person }) => ({ id: person }) },
  sign_in_person:       { cells: "401 401 403  403  403  200  403  403  403  403  403  403  403 ", args: () => ({ credentials: { badge_code: randomDigest() }, token_digest: randomDigest() }) },
  sign_out_person:      { cells: "401 401 404  404  404  404  404  404  404  404  404  404  404 ", args: () => ({}) },
  get_acting_person:    { cells: "401 401 404  404  404  404  404  404  404  404  404  404  404 ", args: () => ({}) },
  get_workplace:        { cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", args: ({ name }) => ({ name }) },
  list_workplaces:      { cells: "401 401 none none seen seen seen seen seen seen seen seen seen", args: ({ name }) => ({ after_name: name.slice(0, -1), take: 1 }), shows: hasName },
  list_queue:           { cells: "401 401 404  404  seen seen seen none seen none seen seen seen", args: (_, { here }) => ({ name: here, take: 500 }), shows: hasOrder },
  create_workplace:     { cells: "401 401 403  403  403  403  403  403  403  403  200  200  200 ", args: () => ({ workplace: { name: newWorkplace() } }) },
  update_workplace:     { cells: "401 401 404  404  403  403  403  403  403  403  200  200  200 ", args: ({ name }) => ({ name, patch: { capacity: 7 } }) },
  delete_workplace:     { cells: "401 401 404  404  403  403  403  403  403  403  204  204  204 ", args: ({ name }) => ({ name }) },
  get_reason_code:      { cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", args: ({ name }) => ({ kind: "STOP", code: name }) },
  list_reason_codes:    { cells: "401 401 none none seen seen seen seen seen seen seen seen seen",
    args: ({ name }) => ({ after_kind: "STOP", after_code: name.slice(0, -1), take: 1 }), shows: hasName },
  create_reason_code:   { cells: "401 401 403  403  403  403  403  403  403  403  200  200  200 ", args: () => ({ reason_code: { kind: "STOP", code: unique("R") } }) },
  update_reason_code:   { cells: "401 401 404  404  403  403  403  403  403  403  200  200  200 ", args: ({ name }) => ({ kind: "STOP", code: name, patch: { active: false } }) },
  delete_reason_code:   { cells: "401 401 404  404  403  403  403  403  403  403  204  204  204 ", args: ({ name }) => ({ kind: "STOP", code: name }) },

  report_oee:           { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here], ...aWeek }) },
  report_timeline:      { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_name: here, ...aWeek }) },
  report_losses:        { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here], ...aWeek }) },
  report_scrap:         { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here], ...aWeek }) },
  report_operations:    { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here], ...aWeek }) },
  report_summary:       { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here] }) },

  report_board:         { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here] }) },
  describe_caller:      { cells: "401 401 200  200  200  200  200  200  200  200  200  200  200 ", args: () => ({}) },
  floor_now:            { cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", args: (_, { here }) => ({ workplace_names: [here] }) },
  get_operation_history: { cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", args: keyOf },
  find_problems:        { cells: "401 401 200  200  200  200  200  200  200  200  200  200  200 ", args: () => ({ take: 1 }) },

  get_calendar:         { cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", args: ({ name }) => ({ name }) },
  list_calendars:       { cells: "401 401 none none seen seen seen seen seen seen seen seen seen", args: ({ name }) => ({ after_name: name.slice(0, -1), take: 1 }), shows: hasName },
  list_shifts:          { cells: "401 401 404  404  seen seen seen seen seen seen seen seen seen",
    args: ({ name }) => ({ name, from_at: "2026-11-01T00:00:00Z", to_at: "2026-12-01T00:00:00Z" }), shows: hasName },
  list_calendar_exceptions: { cells: "401 401 404 404 seen seen seen seen seen seen seen seen seen", args: ({ name }) => ({ name }), shows: hasName },
  create_calendar:      { cells: "401 401 403  403  403  403  403  403  403  403  200  200  200 ", args: () => ({ calendar: { name: unique("Calendar"), time_zone: "UTC" } }) },
  update_calendar:      { cells: "401 401 404  404  403  403  403  403  403  403  200  200  200 ", args: ({ name }) => ({ name, patch: { time_zone: "Europe/Amsterdam" } }) },
  delete_calendar:      { cells: "401 401 404  404  403  403  403  403  403  403  204  204  204 ", args: ({ name }) => ({ name }) },
  put_calendar_exceptions: { cells: "401 401 404 404 403 403 403 403 403 403 200 200 200",
    args: ({ name }) => ({ name, exceptions: [{ date: "2026-12-26", kind: "CLOSED" }] }) },
  delete_calendar_exception: { cells: "401 401 404 404 403 403 403 403 403 403 204 204 204", args: ({ name }) => ({ name, on_date: "2026-12-25" }) },

  read_feed:            { cells: "401 401 none none seen seen seen none seen none seen seen seen", args: ({ operation, end }) => ({ ...end, order_no: operation.order_no }), shows: hasOrder },
  feed_head:            { cells: "401 401 403  403  403  403  403  403  403  403  403  403  200 ", args: () => ({}) },
  prune_feed:           { cells: "401 401 403  403  403  403  403  403  403  403  403  200  200 ", args: () => ({}) },
  take_stream_place:    { cells: "401 401 403  403  403  403  403  403  403  403  403  403  seen", args: ({ colleague }) => ({ place: crypto.randomUUID(), holder: colleague, most: 10, given_up: [] }), shows: ({ text }, { colleague }) => text.includes(colleague) },
  hold_stream_places:   { cells: "401 401 403  403  403  403  403  403  403  403  403  403  seen", args: ({ colleague }) => ({ places: [crypto.randomUUID()], holders: [colleague], given_up: [] }), shows: ({ text }, { colleague }) => text.includes(colleague) },
  create_stream_ticket: { cells: "401 401 403  403  200  200  200  200  200  200  200  200  200 ", args: () => ({ digest: randomDigest(), filter: {} }) },
  use_stream_ticket:    { cells: "401 401 403  403  403  403  403  403  403  403  403  403  200 ", args: () => ({ digest: randomDigest() }) },

  list_webhook_endpoints:  { cells: "401 401 403 403 403 403 403 403 403 403 seen seen seen",
    // the answer tells milliseconds only: those of other subjects made within it come before
    args: ({ createdAt, endpoint }) => ({ after_created_at: createdAt, after_id: before(endpoint), take: 50 }), shows: hasEndpoint },
  get_webhook_endpoint:    { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ endpoint }) => ({ endpoint_id: endpoint }) },
  create_webhook_endpoint: { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200",
    args: () => ({ endpoint: { url: quietUrl, enabled: false } }) },
  update_webhook_endpoint: { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ endpoint }) => ({ endpoint_id: endpoint, patch: { enabled: false } }) },
  delete_webhook_endpoint: { cells: "401 401 403 403 403 403 403 403 403 403 204 204 204", args: ({ endpoint }) => ({ endpoint_id: endpoint }) },
  rotate_webhook_secret:   { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ endpoint }) => ({ endpoint_id: endpoint }) },
  test_webhook_endpoint:   { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ endpoint }) => ({ endpoint_id: endpoint }) },
  list_webhook_deliveries: { cells: "401 401 403 403 403 403 403 403 403 403 seen seen seen", args: ({ endpoint }) => ({ endpoint_id: endpoint }), shows: hasEndpoint },
  get_webhook_delivery:    { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ delivery }) => ({ delivery_id: delivery }) },
  replay_webhook_delivery: { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ delivery }) => ({ delivery_id: delivery }) },
  replay_webhook_events:   { cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", args: ({ endpoint }) => ({ endpoint_id: endpoint }) },
  // claims none, so that no delivery waits for a dispatcher that does not exist
  claim_deliveries:        { cells: "401 401 403 403 403 403 403 403 403 403 403 403 200", args: () => ({ take: 0 }) },
  settle_delivery:         { cells: "401 401 403 403 403 403 403 403 403 403 403 403 200",
    args: ({ delivery }) => ({ delivery_id: delivery, lease_token: crypto.randomUUID(), duration_ms: 1, url: quietUrl, status: 200 }) },

  create_api_key:       { cells: "401 401 403  403  403  403  403  403  403  403  403  200  403 ",
    args: () => ({ key: { id: crypto.randomUUID(), name: unique("Key"), scopes: ["events:read"] }, digest: randomDigest() }) },
  list_api_keys:        { cells: "401 401 403  403  403  403  403  403  403  403  403  200  403 ", args: () => ({}) },
  get_api_key:          { cells: "401 401 403  403  403  403  403  403  403  403  403  404  403 ", args: () => ({ key_id: crypto.randomUUID() }) },
  update_api_key:       { cells: "401 401 403  403  403  403  403  403  403  403  403  404  403 ", args: () => ({ key_id: crypto.randomUUID(), patch: { role: "manager" } }) },
  rotate_api_key:       { cells: "401 401 403  403  403  403  403  403  403  403  403  404  403 ", args: () => ({ key_id: crypto.randomUUID(), digest: randomDigest() }) },
  revoke_api_key:       { cells: "401 401 403  403  403  403  403  403  403  403  403  404  403 ", args: () => ({ key_id: crypto.randomUUID() }) },
  // who may would be told that there is no such group
  create_board_ticket:  { cells: "401 401 403  403  403  403  403  403  422  422  422  422  403 ",
    args: () => ({ ticket: { id: crypto.randomUUID(), name: "Television", workplace_group: unique("Group") }, digest: randomDigest() }) },
  list_board_tickets:   { cells: "401 401 403  403  403  403  403  403  200  200  200  200  403 ", args: () => ({}) },
  revoke_board_ticket:  { cells: "401 401 403  403  403  403  403  403  404  404  404  404  403 ", args: () => ({ ticket_id: crypto.randomUUID() }) },
  // for API keys only: see tests/keys
  admit_key:            { cells: "401 401 403  403  403  403  403  403  403  403  403  403  403 ", args: () => ({}) },
  admit_key_stream:     { cells: "401 401 403  403  403  403  403  403  403  403  403  403  403 ", args: () => ({}) },
  note_key_use:         { cells: "401 401 403  403  403  403  403  403  403  403  403  403  204 ", args: () => ({ key_ids: [crypto.randomUUID()] }) },

  health:               { cells: "401 401 403  403  403  403  403  403  403  403  403  403  200 ", args: () => ({}) },
  settle_rates:         { cells: "401 401 403  403  403  403  403  403  403  403  403  403  seen", args: ({ colleague }) => ({ counted: [{ caller: `user:${colleague}`, class: "reads", units: 1 }] }), shows: ({ text }, { colleague }) => text.includes(colleague) },
  set_rate_limits:      { cells: "401 401 403  403  403  403  403  403  403  403  403  403  200 ", args: () => ({ limits: {} }) },
  require_second_factor: { cells: "401 401 403  403  403  403  403  403  403  403  403  403  200 ", args: () => ({ is_required: false }) },
};

/** Names of functions that change nothing; an endpoint of webhooks is gone after its test, so each test has its own. */
const isReading =
  /^(describe|find|get|list|read)_(?!webhook)|^report_(oee|timeline|losses|scrap|operations|summary|board)$|^(feed_head|floor_now|health)$/;

/** The subject's rows of all tables, without what is not the subject's doing. */
async function state(subject: Subject): Promise<string> {
  const answers = await Promise.all(
    Object.entries(tables).map(([name, { filter }]) => asServer.get(`/rest/v1/${name}?${filter(subject)}`)),
  );
  assertEquals(answers.filter(({ status }) => status !== 200), []);
  return answers.map(({ text }) => text).join("\n");
}

let unchanged: Promise<Subject> | undefined;

/** The one subject of all calls that change nothing. */
const unchangedSubject = () => unchanged ??= theCast().then(newSubject);

/** Outcomes of calls that change nothing, one for each member of the cast. */
async function outcomesUnchanged(
  run: (member: Member, subject: Subject) => Promise<string>,
): Promise<Record<string, string>> {
  const { members } = await theCast();
  const subject = await unchangedSubject();
  const before = await state(subject);
  const entries = await Promise.all(members.map(async (member) => [member.name, await run(member, subject)]));
  assertEquals(await state(subject), before);
  return Object.fromEntries(entries);
}

Deno.test("Data API: every table and every SQL function of the exposed schema has a row here", async () => {
  let names: { tables: string[]; functions: string[] };
  if (hasDatabase) {
    names = { tables: [], functions: [] };
    await withDatabase(async (sql) => {
      const relations = await sql<{ relname: string }[]>`
        select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')`;
      const routines = await sql<{ proname: string }[]>`
        select proname from pg_proc where pronamespace = 'public'::regnamespace`;
      names = { tables: relations.map(({ relname }) => relname), functions: routines.map(({ proname }) => proname) };
    });
  } else {
    const { body } = await asServer.get<{ paths: Record<string, unknown> }>("/rest/v1/");
    const paths = Object.keys(body.paths).map((path) => path.slice(1)).filter((path) => path !== "");
    const isFunction = (path: string) => path.startsWith("rpc/");
    names = {
      tables: paths.filter((path) => !isFunction(path)),
      functions: paths.filter(isFunction).map((path) => path.slice(4)),
    };
  }
  assertEquals(names.tables.toSorted(), Object.keys(tables).toSorted());
  assertEquals(names.functions.toSorted(), Object.keys(functions).toSorted());
});

for (const [name, { select, filter, insert, update }] of Object.entries(tables)) {
  Deno.test(`Data API: ${name} shows each credential what is its to see`, async () => {
    const actual = await outcomesUnchanged(async ({ client }, subject) => {
      const { status, body } = await dataApi(client).get<unknown>(`/rest/v1/${name}?${filter(subject)}`);
      return status !== 200 ? String(status) : Array.isArray(body) && body.length === 1 ? "seen" : "none";
    });
    assertEquals(actual, row(select));
  });

  const allRows = `${
    ["operation_runs", "workplace_states"].includes(name) ? "started_at" : "created_at"
  }=gte.1970-01-01`;
  const attempts: Record<string, (member: Member, subject: Subject) => Promise<Answer>> = {
    insert: ({ client }, subject) => dataApi(client).post(`/rest/v1/${name}`, insert(subject)),
    "insert or update": ({ client }, subject) =>
      dataApi(client).post(`/rest/v1/${name}`, insert(subject), { headers: { prefer: "resolution=merge-duplicates" } }),
    update: ({ client }, subject) => dataApi(client).patch(`/rest/v1/${name}?${filter(subject)}`, update),
    "update of all rows": ({ client }) => dataApi(client).patch(`/rest/v1/${name}?${allRows}`, update),
    "update of no row": ({ client }) =>
      dataApi(client).patch(`/rest/v1/${name}?${allRows.replace("gte", "lt")}`, update),
    delete: ({ client }, subject) => dataApi(client).delete(`/rest/v1/${name}?${filter(subject)}`),
    "delete of all rows": ({ client }) => dataApi(client).delete(`/rest/v1/${name}?${allRows}`),
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    Deno.test(`Data API: ${what} at ${name} is refused to everybody and changes nothing`, async () => {
      const statuses = await outcomesUnchanged(async (member, subject) =>
        String((await attempt(member, subject)).status)
      );
      assertEquals(statuses, row(write));
    });
  }
}

for (const [name, { cells, args, shows }] of Object.entries(functions)) {
  const expected = row(cells);
  Deno.test(`Data API: ${name} does for each credential what is its to do`, async () => {
    const cast = await theCast();
    const call = async (member: Member, subject: Subject) => {
      const answer = await dataApi(member.client).post<unknown>(`/rest/v1/rpc/${name}`, args(subject, cast));
      if (answer.status !== 200 || !["seen", "none"].includes(expected[member.name]) || shows === undefined) {
        return String(answer.status);
      }
      return shows(answer, subject) ? "seen" : "none";
    };
    const mayChange = ({ name: who }: Member) =>
      !isReading.test(name) && ["200", "204", "seen"].includes(expected[who]);
    const unchanged = await unchangedSubject();
    const before = await state(unchanged);
    const entries = await Promise.all(cast.members.map(async (member) => [
      member.name,
      await call(member, mayChange(member) ? await newSubject(cast) : unchanged),
    ]));
    assertEquals(await state(unchanged), before);
    assertEquals(Object.fromEntries(entries), expected);
  });
}

Deno.test("Data API: exposes no other schema", async () => {
  const { members } = await theCast();
  for (const { name, client } of members) {
    const api = dataApi(client);
    for (const schema of ["app", "auth", "pg_catalog", "information_schema", "supabase_migrations", "extensions"]) {
      const attempts = await Promise.all([
        api.get("/rest/v1/idempotency_keys", { headers: { "accept-profile": schema } }),
        api.get("/rest/v1/users", { headers: { "accept-profile": schema } }),
        api.post("/rest/v1/transitions", { action: "X" }, { headers: { "content-profile": schema } }),
        api.post("/rest/v1/rpc/current_caller", {}, { headers: { "content-profile": schema } }),
      ]);
      for (const { status, text } of attempts) {
        assertEquals(status, name === "no token" ? 401 : 406, `${name}, ${schema}: ${text}`);
      }
    }
    for (
      const path of [
        "idempotency_keys",
        "app.idempotency_keys",
        "rpc/current_caller",
        "rpc/app.current_caller",
        "rpc/pg_sleep",
        "rpc/set_config",
      ]
    ) {
      const { status } = path.startsWith("rpc/")
        ? await api.post(`/rest/v1/${path}`, {})
        : await api.get(`/rest/v1/${path}`);
      assertEquals(status, name === "no token" ? 401 : 404, `${name}: ${path}`);
    }
  }
});

Deno.test("Data API: ignores members of a JSON argument that the caller may not set", async () => {
  const { here, members } = await theCast();
  const supervisor = members.find(({ name }) => name === "supervisor");
  assert(supervisor);
  const api = dataApi(supervisor.client);
  const forged = {
    ...{
      id: 1,
      version: 99,
      last_op_seq: 99,
      op_seq: 99,
      created_at: "2001-01-01T00:00:00Z",
      updated_at: "2001-01-01T00:00:00Z",
    },
    ...{
      created_by: members.find(({ name }) => name === "admin")?.id,
      source_conflict: true,
      hold_kind: "BLOCKED",
      running_phase: "SETUP",
    },
    ...{ running_since: "2001-01-01T00:00:00Z", qty_good: 7, unlogged_setup_min: 7, activity_description_folded: "x" },
  };
  const order_no = unique("O");
  const keyed = { order_no, asset_id: 1, operation_no: "0010" };
  const read = async () => {
    const { body: [operation] } = await asServer.get<JsonObject[]>(`/rest/v1/mes_operations?order_no=eq.${order_no}`);
    assert(operation);
    return operation;
  };

  const created = await api.post("/rest/v1/rpc/create_operation", {
    operation: { ...forged, ...keyed, workplace_name: here },
  });
  assertEquals(created.status, 200, created.text);
  const operation = await read();
  for (const [field, value] of Object.entries(forged)) {
    assert(operation[field] !== value, `create_operation took ${field}`);
  }
  assertEquals([operation.version, operation.created_by, operation.last_op_seq, operation.qty_good], [
    1,
    supervisor.id ?? "",
    0,
    0,
  ]);

  const renamed = { order_no: unique("O"), asset_id: 2, operation_no: "0020" };
  const updated = await api.post("/rest/v1/rpc/update_operation", {
    ...keyed,
    patch: { ...forged, ...renamed, qty_desired: 9 },
  });
  assertEquals(updated.status, 200, updated.text);
  assertEquals({ ...await read(), updated_at: "" }, { ...operation, updated_at: "", version: 2, qty_desired: 9 });

  const reported = await api.post<{ body: JsonObject }>("/rest/v1/rpc/report_event", {
    report: {
      ...{
        ...keyed,
        workplace_name: here,
        action_type: "RELEASE",
        status: "FINISHED",
        status_before: "FINISHED",
        status_after: "FINISHED",
      },
      ...{
        op_seq: 99,
        created_at: "2001-01-01T00:00:00Z",
        operation_id: 1,
        digest: "\\x00",
        report_digest: "\\x00",
        changes: { a: 1 },
      },
      ...{
        webhook_success: true,
        webhook_response: "x",
        error_message: "x",
        pos: 1,
        reason_kind: "STOP",
        actual_start_at: "2001-01-01T00:00:00Z",
      },
    },
  });
  assertEquals(reported.status, 200, reported.text);
  const {
    op_seq,
    status_before,
    status_after,
    changes,
    webhook_success,
    webhook_response,
    error_message,
    user_id,
    created_at,
  } = reported.body.body;
  assertEquals(
    [op_seq, status_before, status_after, changes, webhook_success, webhook_response, error_message, user_id],
    [1, "PLANNED", "RELEASED", null, false, null, null, supervisor.id],
  );
  assert(String(created_at) > "2001-01-02");
  assertEquals((await read()).actual_start_at, null);
});

/** Values that the functions reject and that a direct call can send. */
const hostileValues: unknown[] = [
  ...[
    null,
    true,
    -1,
    1.5,
    2 ** 31,
    1e300,
    "",
    "NaN",
    "infinity",
    "\0",
    "\ud800",
    "'; drop table public.profiles; --",
    "{1,2}",
  ],
  ...["0000-01-01T00:00:00Z", "294277-01-01T00:00:00Z", "*", [], {}, [null], crypto.randomUUID(), "x".repeat(100_000)],
  // not compressible, so larger than what an index takes
  Array.from(crypto.getRandomValues(new Uint8Array(8_000)), (byte) => byte.toString(16)).join(""),
];

/** The functions that take JSON, the members they know, and the other arguments of the call. */
function hostileTargets(
  subject: Subject,
  here: string,
): { name: string; argument: string; base: JsonObject; more: JsonObject; members: string[] }[] {
  const plan =
    "reference_url activity_code activity_description workplace_name workplace_group qty_desired overrun_tolerance_pct " +
    "planned_start_at planned_end_at t_target_processing_min timestamp_ms change_type";
  const execution = "status qty_processed qty_scrap actual_start_at actual_end_at t_actual_setup_min t_actual_lead_min";
  const fields = (names: string) => names.split(" ");
  const key = keyOf(subject);
  return [
    {
      name: "create_operation",
      argument: "operation",
      base: { ...key, order_no: unique("O"), workplace_name: here },
      more: {},
      members: fields(`order_no asset_id operation_no ${plan} ${execution}`),
    },
    {
      name: "update_operation",
      argument: "patch",
      base: {},
      more: key,
      members: fields(`${plan} ${execution} reason_code note`),
    },
    {
      name: "update_operations",
      argument: "filter",
      base: { order_no: key.order_no },
      more: { patch: { note: "x" }, is_dry_run: false },
      members: fields(
        "statuses workplace_names workplace_group activity_code planned_start_after has_remaining_qty open_longer_than_h q",
      ),
    },
    {
      name: "transition_operation",
      argument: "transition",
      base: { action: "STOP" },
      more: key,
      members: fields("action reason_code note occurred_at dry_run"),
    },
    ...["REPORT_QUANTITY", "CORRECT"].map((action) => ({
      name: "report_event",
      argument: "report",
      base: reportOf(subject, action),
      more: {},
      members: fields(
        "id action_type order_no operation_no workplace_name asset_id occurred_at phase qty_good qty_scrap reason_code note " +
          "reverses_event_id operation_data user_id user_email dry_run actual_start_at t_actual_setup_min",
      ),
    })),
    {
      name: "report_event",
      argument: "idempotency",
      base: { key: unique("k"), method: "POST", route: "/", fingerprint: randomDigest() },
      more: { report: reportOf(subject) },
      members: fields("key method route fingerprint request_id"),
    },
    {
      name: "update_profile",
      argument: "patch",
      base: {},
      more: { id: subject.colleague },
      members: fields("email full_name role workplace_access id version"),
    },
    {
      name: "create_profile",
      argument: "profile",
      base: {},
      more: {},
      members: fields("id email role workplace_access"),
    },
    {
      name: "update_workplace",
      argument: "patch",
      base: {},
      more: { name: subject.name },
      members: fields("name workplace_group capacity active micro_stop_s signal_timeout_s version"),
    },
    {
      name: "create_workplace",
      argument: "workplace",
      base: { name: newWorkplace() },
      more: {},
      members: fields("name workplace_group capacity active"),
    },
    {
      name: "create_reason_code",
      argument: "reason_code",
      base: { kind: "STOP", code: unique("R") },
      more: {},
      members: fields("kind code description active category parent loss"),
    },
    ...["DOWNTIME_START", "DOWNTIME_SPLIT", "DOWNTIME_CLASSIFY"].map((action_type) => ({
      name: "report_downtime",
      argument: "report",
      base: { action_type, workplace_name: here, downtime_id: subject.downtime.id },
      more: {},
      members: fields(
        "id action_type workplace_name downtime_id occurred_at ended_at at category reason_code note stop_runs digest " +
          "source split_from state_event_id user_id reporter_id ends_at",
      ),
    })),
    {
      name: "report_machine_state",
      argument: "signal",
      base: { state: "DOWN" },
      more: { name: subject.name },
      members: fields("state occurred_at id"),
    },
    { name: "list_downtimes", argument: "from_at", base: {}, more: {}, members: [] },
    { name: "import_operations", argument: "rows", base: {}, more: {}, members: [] },
    {
      name: "create_calendar",
      argument: "calendar",
      base: { name: unique("Calendar"), time_zone: "UTC" },
      more: {},
      members: fields("name time_zone shifts"),
    },
    {
      name: "update_calendar",
      argument: "patch",
      base: {},
      more: { name: subject.name },
      members: fields("time_zone shifts"),
    },
    {
      name: "update_calendar",
      argument: "patch",
      base: { shifts: [{ shift_code: "X" }] },
      more: { name: subject.name },
      members: [],
    },
    { name: "put_calendar_exceptions", argument: "exceptions", base: {}, more: { name: subject.name }, members: [] },
    {
      name: "list_shifts",
      argument: "from_at",
      base: {},
      more: { name: subject.name, to_at: "2026-01-01Z" },
      members: [],
    },
    ...["from_at", "by_keys", "attribution", "time_zone", "workplace_names"].map((argument) => (
      { name: "report_oee", argument, base: {}, more: { workplace_names: [here], ...aWeek }, members: [] }
    )),
    ...["shift_date", "shift_code"].map((argument) => (
      {
        name: "report_losses",
        argument,
        base: {},
        more: { workplace_names: [here], shift_date: "2026-11-20", shift_code: "EARLY" },
        members: [],
      }
    )),
    { name: "report_timeline", argument: "workplace_name", base: {}, more: aWeek, members: [] },
    { name: "report_operations", argument: "take", base: {}, more: { workplace_names: [here], ...aWeek }, members: [] },
    { name: "report_events", argument: "reports", base: {}, more: {}, members: [] },
    { name: "list_operations", argument: "take", base: {}, more: {}, members: [] },
    {
      name: "list_events",
      argument: "before_created_at",
      base: {},
      more: { before_id: crypto.randomUUID() },
      members: [],
    },
    {
      name: "list_all_runs",
      argument: "from_at",
      base: {},
      more: { after_started_at: "2026-01-01T00:00:00Z", after_operation_id: 1, after_run_no: 1 },
      members: [],
    },
    { name: "list_profiles", argument: "skip", base: {}, more: {}, members: [] },
    { name: "list_workplaces", argument: "take", base: {}, more: {}, members: [] },
    { name: "get_event", argument: "id", base: {}, more: {}, members: [] },
  ];
}

/** Callers and functions: the secret key calls only those that reject a supervisor. */
const senders: Record<"supervisor" | "secret key", (name: string) => boolean> = {
  supervisor: () => true,
  "secret key": (name) =>
    /profile|create_workplace|update_workplace|reason_code|import|machine_state|calendar/.test(name),
};

for (const who of ["supervisor", "secret key"] as const) {
  Deno.test(`Data API: hostile arguments of ${who} are refused or harmless, never an error of ours, and reach nobody else's data`, async () => {
    const cast = await theCast();
    const member = cast.members.find(({ name }) => name === who);
    assert(member);
    const api = dataApi(member.client);
    const mine = await newSubject(cast);
    const others = await newSubject({ ...cast, here: newWorkplace() });
    const before = await state(others);
    const targets = hostileTargets(mine, cast.here).filter(({ name }) => senders[who](name));
    const calls = targets.flatMap(({ name, argument, base, more, members }) => [
      ...hostileValues.map((value) => ({ name, args: { ...more, [argument]: value } })),
      ...members.flatMap((member) =>
        hostileValues.map((value) => ({ name, args: { ...more, [argument]: { ...base, [member]: value } } }))
      ),
    ]);
    assert(calls.length > 400);
    const failures: string[] = [];
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let call = calls.pop(); call !== undefined; call = calls.pop()) {
        const { status, text } = await api.post(`/rest/v1/rpc/${call.name}`, call.args);
        if (status >= 500) {
          failures.push(`${call.name} ${JSON.stringify(call.args).slice(0, 300)}: ${status} ${text.slice(0, 300)}`);
        }
      }
    }));
    assertEquals(failures, []);
    assertEquals(await state(others), before);
    // what they left can be read: no value is stored that the contract does not know
    for (const path of [operationPath(mine.operation), `/events/v1?order_no=${mine.operation.order_no}&limit=500`]) {
      assertMatch(String((await server.get(path)).status), /200|404/);
    }
  });
}

Deno.test("Data API: returns at most 500 rows of a list, whatever the caller asks for", async () => {
  const lists = ["operations", "events", "all_runs", "profiles", "workplaces", "reason_codes", "downtimes"];
  for (const name of lists.map((list) => `list_${list}`)) {
    for (const take of [1_000_000, null]) {
      const { status, body, text } = await asServer.post<{ items: unknown[] }>(`/rest/v1/rpc/${name}`, { take });
      assertEquals(status, 200, text);
      assert(body.items.length <= 500, `${name}: ${body.items.length}`);
    }
  }
  const reports = Array.from({ length: 1_001 }, () => ({}));
  assertEquals((await asServer.post("/rest/v1/rpc/report_events", { reports })).status, 422);
  assertEquals((await asServer.post("/rest/v1/rpc/import_operations", { rows: reports })).status, 422);
});

/** Runs `attempt` as the Data API would for this caller, and undoes it. Returns the SQLSTATE, or what it returned. */
async function asRole<Result>(
  sql: postgres.Sql,
  role: string,
  user: string | undefined,
  grants: string[],
  attempt: (sql: postgres.TransactionSql) => Promise<Result>,
): Promise<Result | string> {
  const undone = new Error("undone");
  let result: Result | string = "nothing";
  try {
    await sql.begin(async (transaction) => {
      for (const grant of grants) await transaction.unsafe(grant);
      const claims = JSON.stringify({ role, ...(user === undefined ? {} : { sub: user }) });
      await transaction`select set_config('request.jwt.claims', ${claims}, true), set_config('role', ${role}, true)`;
      result = await attempt(transaction);
      throw undone;
    });
  } catch (error) {
    if (error === undone) return result;
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
  return result;
}

/** SQLSTATE of a statement that waited too long for a lock. */
const lockNotAvailable = "55P03";

const grantEverything = ["grant all on all tables in schema public to anon, authenticated, service_role"];

Deno.test({
  name: `PostgreSQL: no role of the Data API writes a table, even with all grants${needsDatabase}`,
  ignore: !hasDatabase,
  async fn() {
    const { here, members } = await theCast();
    const admin = members.find(({ name }) => name === "admin");
    const subject = await newSubject({ here, elsewhere: here, members });
    const before = await state(subject);
    const literal = (value: unknown) => `'${String(value)}'`;
    await withDatabase(async (sql) => {
      for (const [name, { filter, insert, update }] of Object.entries(tables)) {
        const where = filter(subject).split("&").map((term) => term.replace(/=eq\.(.*)/, " = '$1'")).join(" and ");
        const values = insert(subject);
        const set = Object.entries(update).map(([field, value]) => `${field} = ${literal(value)}`).join(", ");
        const columns = Object.keys(values).join(", ");
        const statements = [
          `insert into public.${name} (${columns}) values (${Object.values(values).map(literal).join(", ")})`,
          `insert into public.${name} (${columns}) values (${
            Object.values(values).map(literal).join(", ")
          }) on conflict do nothing`,
          `update public.${name} set ${set} where ${where}`,
          `update public.${name} set ${set} where false`,
          `delete from public.${name} where ${where}`,
          `merge into public.${name} t using (select 1) on ${
            where.replace(/(\w+) =/g, "t.$1 =")
          } when matched then delete`,
          `truncate public.${name} cascade`,
          `alter table public.${name} disable trigger all`,
          `alter table public.${name} disable row level security`,
        ];
        for (const statement of statements) {
          for (const [role, user] of [["anon"], ["authenticated", admin?.id], ["service_role"]] as const) {
            for (const grants of [[], grantEverything]) {
              const attempt = () =>
                asRole(sql, role, user, grants, async (transaction) => {
                  // shorter than deadlock_timeout: truncate locks whole tables, and must not end what other tests do
                  await transaction`set local lock_timeout = '200ms'`;
                  await transaction.unsafe(statement);
                  return "done";
                });
              let code = await attempt();
              while (code === lockNotAvailable) code = await attempt();
              assertMatch(code, grants.length === 0 ? /^42501$/ : /^(42501|PT403)$/, `${role}: ${statement}`);
            }
          }
        }
      }
    });
    assertEquals(await state(subject), before);
  },
});

Deno.test({
  name: `PostgreSQL: the log of events is append-only for the owner of the tables, too${needsDatabase}`,
  ignore: !hasDatabase,
  async fn() {
    const subject = await newSubject(await theCast());
    await withDatabase(async (sql) => {
      const attempt = (statement: string) =>
        asRole(sql, "postgres", undefined, [], (run) => run.unsafe(statement).then(({ count }) => count));
      const where = `where id = '${subject.event}'`;
      assertEquals(await attempt(`delete from public.operation_events ${where}`), "PT403");
      assertEquals(await attempt("truncate public.operation_events cascade"), "PT403");
      for (
        const set of [
          `user_id = '${subject.colleague}'`,
          "occurred_at = now()",
          "qty_good = 1",
          "note = 'x'",
          "op_seq = 9",
          "created_at = now()",
          "report_digest = null, reporter_id = null",
        ]
      ) {
        assertEquals(await attempt(`update public.operation_events set ${set} ${where}`), "PT403", set);
      }
    });
  },
});

Deno.test({
  name: `PostgreSQL: row security shows each role what the Data API shows it, whatever the grants say${needsDatabase}`,
  ignore: !hasDatabase,
  async fn() {
    const cast = await theCast();
    const subject = await newSubject(cast);
    await withDatabase(async (sql) => {
      for (const [name, { select, filter }] of Object.entries(tables)) {
        const where = filter(subject).split("&").map((term) => term.replace(/=eq\.(.*)/, " = '$1'")).join(" and ");
        const count = async ({ name: credential, id }: Member, grants: string[]) => {
          const role = id !== undefined ? "authenticated" : credential === "secret key" ? "service_role" : "anon";
          const seen = await asRole(
            sql,
            role,
            id,
            grants,
            async (run) => (await run.unsafe(`select from public.${name} where ${where}`)).count,
          );
          return seen === 1 ? "seen" : seen === 0 ? "none" : seen;
        };
        for (const member of cast.members) {
          const cell = row(select)[member.name];
          assertEquals(await count(member, []), cell === "401" ? "42501" : cell, `${name}, ${member.name}`);
          assertEquals(
            await count(member, grantEverything),
            cell === "401" ? "none" : cell,
            `${name}, ${member.name}, all grants`,
          );
        }
      }
    });
  },
});

Deno.test({
  name: `PostgreSQL: functions reject the caller when execution was granted by mistake${needsDatabase}`,
  ignore: !hasDatabase,
  async fn() {
    const cast = await theCast();
    const subject = await newSubject(cast);
    const before = await state(subject);
    await withDatabase(async (sql) => {
      for (const [name, { args }] of Object.entries(functions)) {
        if (name === "health") continue;
        const given = Object.entries(args(subject, cast));
        const call = `select public.${name}(${
          given.map(([argument, value], index) =>
            `${argument} => $${index + 1}${typeof value === "object" ? "::text::jsonb" : ""}`
          ).join(", ")
        }) as answer`;
        const values = given.map(([, value]) =>
          typeof value === "object" ? JSON.stringify(value) : value as string | number | boolean
        );
        const grants = [
          ...grantEverything,
          "grant usage on schema app to anon",
          "grant execute on all functions in schema public to anon",
          "grant execute on function app.current_caller, app.sees_all_workplaces, app.own_workplaces, app.refuse, app.refuse_missing to anon",
        ];
        const answer = await asRole(
          sql,
          "anon",
          subject.colleague,
          grants,
          async (run) => JSON.stringify(await run.unsafe(call, values)),
        );
        // reads find nothing, commands are refused
        assert(
          /^(PT40[34]|42501)$/.test(answer) ||
            !answer.includes(subject.operation.order_no) && !answer.includes(subject.name),
          `${name}: ${answer}`,
        );
      }
    });
    assertEquals(await state(subject), before);
  },
});

Deno.test({
  name:
    `PostgreSQL: every table has row security and its guard, every function of the owner a fixed search path, and the private schema no grants of tables${needsDatabase}`,
  ignore: !hasDatabase,
  async fn() {
    await withDatabase(async (sql) => {
      const open = await sql`
        select c.oid::regclass::text as name from pg_class c
        where c.relnamespace in ('public'::regnamespace, 'app'::regnamespace) and c.relkind in ('r', 'p') and not c.relrowsecurity`;
      assertEquals([...open], []);
      const unguarded = await sql`
        select c.relname from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not exists (
          select from pg_trigger t
          where t.tgrelid = c.oid and t.tgfoid = 'app.refuse_direct_write'::regproc and t.tgenabled = 'O'
            and t.tgtype & 62 = 62 -- before insert, update, delete, truncate
        )`;
      assertEquals([...unguarded], []);
      const writers = await sql`
        select policyname from pg_policies where schemaname in ('public', 'app') and (cmd <> 'SELECT' or roles <> '{authenticated}')`;
      assertEquals([...writers], []);
      const unbound = await sql`
        select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'app'::regnamespace) and p.prosecdef
          and not coalesce(p.proconfig @> array['search_path=""'], false)`;
      assertEquals([...unbound], []);
      const granted = await sql`
        select c.oid::regclass::text as name, role from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) role
        where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
          and has_table_privilege(role, c.oid, 'select, insert, update, delete, truncate, references, trigger')`;
      assertEquals([...granted], []);
      const writable = await sql`
        select c.relname, role from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) role
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
          and has_table_privilege(role, c.oid, 'insert, update, delete, truncate, references, trigger')`;
      assertEquals([...writable], []);
      const countable = await sql`
        select c.relname, role from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) role
        where c.relnamespace in ('public'::regnamespace, 'app'::regnamespace) and c.relkind = 'S'
          and has_sequence_privilege(role, c.oid, 'usage, select, update')`;
      assertEquals([...countable], []);
      const anonymous = await sql`
        select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'app'::regnamespace) and has_function_privilege('anon', p.oid, 'execute')
        order by name`;
      // the Data API calls the second one first in each request, whatever the caller's role; that one calls the first
      assertEquals(anonymous.map(({ name }) => name), ["app.act_for(text)", "app.before_request()"]);
    });
  },
});
