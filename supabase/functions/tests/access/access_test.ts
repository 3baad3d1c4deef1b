/**
 * The one table of credentials x endpoints x expected answers, through the functions. What is refused changes nothing;
 * what is hidden cannot be told from what does not exist.
 */
import openapi from "../../../../docs/openapi.json" with { type: "json" };
import {
  type Answer,
  assert,
  assertEquals,
  assertProblem,
  type Client,
  env,
  newOperation,
  newUser,
  newWorkplace,
  type Operation,
  operationPath,
  type ProblemBody,
  report,
  type ReportedEvent,
  server,
  unique,
} from "../support/harness.ts";
import { newKey, newTicket } from "../support/api_keys.ts";
import { type Cast, credentials, type Member, newCast, row } from "../support/cast.ts";
import { newPerson } from "../support/terminals.ts";
import { aDowntimeReason, aSpan, opened, signal } from "../support/stops.ts";
import { readEvents, streamHeaders, streamUrl } from "../support/stream_client.ts";
import { Version2Client } from "../support/version2_client.ts";
import { deliveriesOf, dispatch, newEndpoint, Receiver, until } from "../support/webhook_receiver.ts";

let cast: Promise<Cast> | undefined;
/** One cast for the whole table, because its creation costs more than a row. No test changes its users. */
const theCast = () => cast ??= newCast();

/** Subject of a call: new for each call, because an allowed call changes it. */
interface Subject {
  operation: Operation;
  /** The first event of the operation, when it has one. */
  event?: ReportedEvent;
  /** A user who works here, for endpoints of profiles; the endpoint of a webhook delivery; what a downtime needs. */
  colleague: string;
  /** Name of a workplace, code of a reason, id of a downtime, of a webhook endpoint or delivery, cursor of the feed. */
  name: string;
  /** Badge of a person, whose id is the name. */
  badge?: string;
  /** An operation that was started later, where those are who do not see the other one. */
  later?: Operation;
  /** Reads by the secret key whose answers must not change when the call is rejected. */
  watched: string[];
}

interface Row {
  operationId: string;
  what?: string;
  /** One cell for each credential: a status; or `seen` / `none` for 200 with or without the subject in it. */
  cells: string;
  subject: (cast: Cast, member: Member) => Promise<Subject>;
  call: (subject: Subject, member: Member, cast: Cast) => Promise<Answer<unknown>>;
  /** For `seen`: whether the answer shows the subject. */
  shows?: (answer: Answer<unknown>, subject: Subject) => boolean;
}

const eventsOf = (operation: Operation) => `/events/v1?limit=500&order_no=${operation.order_no}`;

/** An operation at the workplace of the cast, after these reports. */
const anOperation = (
  overrides: Partial<Operation> = {},
  ...reports: [Parameters<typeof report>[2], Record<string, unknown>?][]
) =>
async ({ here }: Cast): Promise<Subject> => {
  const operation = await newOperation({ workplace_name: here, ...overrides });
  let event: ReportedEvent | undefined;
  for (const [action, more] of reports) {
    const answer = await report(server, operation, action, more);
    assertEquals(answer.status, 201, answer.text);
    event ??= answer.body;
  }
  return { operation, event, colleague: "", name: "", watched: [operationPath(operation), eventsOf(operation)] };
};

/** The key of an operation that does not exist yet. */
const noOperation = async (cast: Cast): Promise<Subject> => {
  const operation = { ...await somewhere(cast), order_no: unique("O"), workplace_name: cast.here };
  return { operation, colleague: "", name: "", watched: [operationPath(operation), eventsOf(operation)] };
};

/** For calls that concern no operation: any will do. */
let anywhere: Promise<Operation> | undefined;
const somewhere = ({ here }: Cast) => anywhere ??= newOperation({ workplace_name: here });

const aColleague = (hasProfile = true) => async (cast: Cast): Promise<Subject> => {
  const { id } = await newUser({ role: "operator", workplaces: [cast.here] });
  if (!hasProfile) assertEquals((await server.delete(`/profiles/v1/${id}`)).status, 204);
  return { operation: await somewhere(cast), colleague: id, name: "", watched: [`/profiles/v1/${id}`] };
};

const myself = async (cast: Cast, member: Member): Promise<Subject> => {
  const subject = await aColleague()(cast);
  return { ...subject, watched: [own(subject, member)] };
};

const aWorkplace = (exists = true) => async (cast: Cast): Promise<Subject> => {
  const name = newWorkplace();
  if (exists) assertEquals((await server.post("/workplaces/v1", { name, workplace_group: name })).status, 201);
  return { operation: await somewhere(cast), colleague: "", name, watched: [`/workplaces/v1/${name}`] };
};

/** A person who signs in by badge alone. */
const aPerson = (isAlsoElsewhere = false) => async (cast: Cast): Promise<Subject> => {
  const workplaces = isAlsoElsewhere ? [cast.here, cast.elsewhere] : [cast.here];
  const { id: name, badge_code: badge } = await newPerson(workplaces, { pin: null });
  return { operation: await somewhere(cast), colleague: "", name, badge, watched: [`/people/v1/${name}`] };
};

const aReason = (exists = true) => async (cast: Cast): Promise<Subject> => {
  const name = unique("R");
  if (exists) assertEquals((await server.post("/reason-codes/v1", { kind: "STOP", code: name })).status, 201);
  return { operation: await somewhere(cast), colleague: "", name, watched: [`/reason-codes/v1/STOP/${name}`] };
};

const aCalendar = (exists = true) => async (cast: Cast): Promise<Subject> => {
  const name = unique("Calendar");
  if (exists) {
    const exceptions = [{ date: "2026-12-25", kind: "CLOSED" }];
    assertEquals((await server.post("/calendars/v1", { name, time_zone: "UTC" })).status, 201);
    assertEquals((await server.post(`/calendars/v1/${name}/exceptions`, { exceptions })).status, 200);
  }
  const path = `/calendars/v1/${name}`;
  return { operation: await somewhere(cast), colleague: "", name, watched: [path, `${path}/exceptions`] };
};

/** A downtime that has ended, and a reason for it. */
const aDowntime = async (cast: Cast): Promise<Subject> => {
  const { id } = await opened(cast.here, aSpan());
  return {
    operation: await somewhere(cast),
    colleague: await aDowntimeReason(),
    name: id,
    watched: [`/downtimes/v1/${id}`],
  };
};

/** A span that is free. */
const noDowntime = async (cast: Cast): Promise<Subject> => {
  const { occurred_at, ended_at } = aSpan();
  const watched = [`/downtimes/v1?workplace_name=${cast.here}&from=${occurred_at}&to=${ended_at}`];
  return { operation: await somewhere(cast), colleague: ended_at, name: occurred_at, watched };
};

/** A machine that has signalled. */
const aMachine = async (cast: Cast): Promise<Subject> => {
  assertEquals((await signal(cast.here, "IDLE")).status <= 201, true);
  return { operation: await somewhere(cast), colleague: "", name: "", watched: [] };
};

/** The window of a report. */
const aWeek = { from: "2026-11-16T00:00:00Z", to: "2026-11-23T00:00:00Z" };

/** Creates an endpoint that gets no event. */
const quietEndpoint = async () => {
  const { id } = await newEndpoint({ url: "https://hooks.example.com/mes", workplace_names: [newWorkplace()] });
  return id;
};

const noEndpoint = async (cast: Cast): Promise<Subject> => (
  { operation: await somewhere(cast), colleague: "", name: "", watched: [] }
);

const anEndpoint = async (cast: Cast): Promise<Subject> => {
  const name = await quietEndpoint();
  const watched = [`/webhooks/v1/endpoints/${name}`, `/webhooks/v1/deliveries?endpoint_id=${name}`];
  return { operation: await somewhere(cast), colleague: "", name, watched };
};

/** An API key that works here; its profile shows every change of it. */
const aKey = async (cast: Cast): Promise<Subject> => {
  const { id } = await newKey({ role: "machine", workplaces: [cast.here], scopes: ["events:report"] });
  return { operation: await somewhere(cast), colleague: "", name: id, watched: [`/profiles/v1/${id}`] };
};

/** The workplace of the cast, alone in a group of its name. */
const aGroup = async (cast: Cast): Promise<Subject> => {
  const { here } = cast;
  assertEquals((await server.patch(`/workplaces/v1/${here}`, { workplace_group: here })).status, 200);
  return { operation: await somewhere(cast), colleague: "", name: here, watched: [] };
};

/** A board ticket of that group; its profile shows whether it exists. */
const aTicket = async (cast: Cast): Promise<Subject> => {
  const subject = await aGroup(cast);
  const { id } = await newTicket(subject.name);
  return { ...subject, name: id, watched: [`/profiles/v1/${id}`] };
};

let ticket: Promise<Subject> | undefined;
/** One for all calls that do not end it, because a group has few. */
const theTicket = (cast: Cast) => ticket ??= aTicket(cast);

/** A ping that has arrived, so that no dispatcher changes it. */
const aDelivery = async (cast: Cast): Promise<Subject> => {
  await using receiver = new Receiver();
  const { id } = await newEndpoint({ url: receiver.url, workplace_names: [newWorkplace()] });
  assertEquals((await server.post(`/webhooks/v1/endpoints/${id}/test`)).status, 202);
  await until("the ping has arrived", async () => {
    await dispatch(id);
    return (await deliveriesOf(id))[0]?.status === "delivered";
  });
  const name = (await deliveriesOf(id))[0]?.id ?? "";
  return { operation: await somewhere(cast), colleague: id, name, watched: [`/webhooks/v1/deliveries/${name}`] };
};

/** A cursor of the feed, then a start here, then one elsewhere. */
const aStretch = async (cast: Cast): Promise<Subject> => {
  const operation = await newOperation({ workplace_name: cast.here });
  const later = await newOperation({ workplace_name: cast.elsewhere });
  // its own ready message has the end of the feed
  const stream = await openedEvents(server);
  const ready = await stream.next();
  await stream.leave();
  assertEquals(ready?.type, "ready");
  for (const one of [operation, later]) assertEquals((await report(server, one, "START")).status, 201);
  return { operation, later, colleague: "", name: ready?.cursor ?? "", watched: [] };
};

const fetchEvents = (client: Client, query = {}) => {
  const options = { base: env.functionsUrl, credential: client.credential, query };
  const abort = new AbortController();
  return fetch(streamUrl("events", options), { headers: streamHeaders(options), signal: abort.signal })
    .then((response) => ({ response, abort }));
};
const openedEvents = async (client: Client) => {
  const { response, abort } = await fetchEvents(client);
  assertEquals(response.status, 200);
  return readEvents(response, abort);
};

/** Returns the messages of a stream, up to the start that its reader sees. */
async function told({ operation, later, name }: Subject, member: Member): Promise<Answer<unknown>> {
  const { response, abort } = await fetchEvents(member.client, { after: name });
  const { status, headers } = response;
  if (status !== 200) {
    const text = await response.text();
    return { status, headers, text, body: JSON.parse(text) };
  }
  const stream = readEvents(response, abort);
  const body: Record<string, unknown>[] = [];
  const ends = [operation.order_no, later?.order_no];
  for (let message = await stream.next(); message !== undefined; message = await stream.next()) {
    if (message.type === "event") body.push({ ...message.event });
    if (message.type === "event" && ends.includes(message.event.order_no)) break;
  }
  await stream.leave();
  return { status, headers, text: "", body };
}

const rows = (answer: Answer<unknown>) => answer.body as Record<string, unknown>[];
const hasOrder = (answer: Answer<unknown>, { operation }: Subject) =>
  rows(answer).some(({ order_no }) => order_no === operation.order_no);
const hasLine = (answer: Answer<unknown>, { operation }: Subject) => answer.text.includes(operation.order_no);
const hasResults = (answer: Answer<unknown>) => (answer.body as { results: unknown[] }).results.length > 0;

/** All pages of a list as one answer: shared projects have more rows than a page. */
async function allPages(client: Client, path: string): Promise<Answer<unknown>> {
  const first = await client.get<unknown[]>(path, { query: { limit: 500 } });
  if (first.status !== 200) return first;
  const items = [...first.body];
  for (let page = first; page.headers.has("link");) {
    const next = /<\/functions\/v1([^>]*)>/.exec(page.headers.get("link") ?? "")?.[1];
    page = await client.get<unknown[]>(next ?? "");
    assertEquals(page.status, 200, page.text);
    items.push(...page.body);
  }
  return { ...first, body: items };
}

const reportOf = ({ operation }: Subject, member: Member, action: Parameters<typeof report>[2], more = {}) =>
  report<unknown>(member.client, operation, action, more);
const patchOf = ({ operation }: Subject, member: Member, patch: Record<string, unknown>) =>
  member.client.patch<unknown>(operationPath(operation), patch);
const newer = () => new Date().toISOString();
const importRow = ({ operation: { order_no, asset_id, operation_no } }: Subject, more: Record<string, unknown>) => [
  { order_no, asset_id, operation_no, timestamp_ms: newer(), ...more },
];
/** The member's own profile; the colleague's, for what has none. */
const own = ({ colleague }: Subject, { id }: Member) => `/profiles/v1/${id ?? colleague}`;

// deno-fmt-ignore
const table: Row[] = [
  // ------------------------------------------------------------- no token, publishable, no profile, newcomer, readonly, machine, operator, o. elsewhere, supervisor, s. elsewhere, manager, admin, secret
  { operationId: "listOperations",      cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: anOperation(), shows: hasOrder,
    call: ({ operation }, { client }) => client.get(`/operations/v1?order_no=${operation.order_no}`) },
  { operationId: "listOperations", what: "sorted",
    cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: anOperation(), shows: hasOrder,
    call: ({ operation }, { client }) => client.get(`/operations/v1?order_no=${operation.order_no}&sort=-planned_start_at`) },
  { operationId: "listOperations", what: "CSV",
    cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: anOperation(), shows: hasLine,
    call: ({ operation }, { client }) => client.get(`/operations/v1?order_no=${operation.order_no}&format=csv`) },
  { operationId: "getOperation",        cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", subject: anOperation(),
    call: ({ operation }, { client }) => client.get(operationPath(operation)) },
  { operationId: "getOperation", what: "without a workplace",
    cells: "401 401 404 404 404 404 404 404 404 404 200 200 200", subject: anOperation({ workplace_name: null }),
    call: ({ operation }, { client }) => client.get(operationPath(operation)) },
  { operationId: "createOperation", what: "here",
    cells: "401 401 403 403 403 403 403 403 201 403 201 201 201", subject: noOperation,
    call: ({ operation: { order_no, workplace_name } }, { client }) =>
      client.post("/operations/v1", { order_no, asset_id: 1, operation_no: "0010", workplace_name }) },
  { operationId: "createOperation", what: "at a workplace of nobody",
    cells: "401 401 403 403 403 403 403 403 403 403 201 201 201", subject: noOperation,
    call: ({ operation: { order_no } }, { client }) =>
      client.post("/operations/v1", { order_no, asset_id: 1, operation_no: "0010", workplace_name: newWorkplace() }) },
  { operationId: "createOperation", what: "without a workplace",
    cells: "401 401 403 403 403 403 403 403 403 403 201 201 201", subject: noOperation,
    call: ({ operation: { order_no } }, { client }) =>
      client.post("/operations/v1", { order_no, asset_id: 1, operation_no: "0010" }) },
  { operationId: "updateOperation", what: "plan",
    cells: "401 401 404 404 403 403 403 404 200 404 200 200 200", subject: anOperation(),
    call: (subject, member) => patchOf(subject, member, { qty_desired: 60 }) },
  { operationId: "updateOperation", what: "start",
    cells: "401 401 404 404 403 200 200 404 200 404 200 200 200", subject: anOperation(),
    call: (subject, member) => patchOf(subject, member, { status: "IN_PROGRESS" }) },
  { operationId: "updateOperation", what: "release",
    cells: "401 401 404 404 403 403 403 404 200 404 200 200 200", subject: anOperation({ status: "PLANNED" }),
    call: (subject, member) => patchOf(subject, member, { status: "RELEASED" }) },
  { operationId: "updateOperation", what: "hold",
    cells: "401 401 404 404 403 403 403 404 200 404 200 200 200", subject: anOperation(),
    call: (subject, member) => patchOf(subject, member, { status: "ON_HOLD" }) },
  { operationId: "updateOperation", what: "cancel",
    cells: "401 401 404 404 403 403 403 404 200 404 200 200 200", subject: anOperation(),
    call: (subject, member) => patchOf(subject, member, { status: "CANCELLED" }) },
  { operationId: "updateOperation", what: "more pieces",
    cells: "401 401 404 404 403 200 200 404 200 404 200 200 200", subject: anOperation({}, ["START"]),
    call: (subject, member) => patchOf(subject, member, { qty_processed: 5 }) },
  { operationId: "updateOperation", what: "fewer pieces, a correction",
    cells: "401 401 404 404 403 403 403 404 200 404 200 200 200", subject: anOperation({}, ["START"], ["REPORT_QUANTITY", { qty_good: 5 }]),
    call: (subject, member) => patchOf(subject, member, { qty_processed: 3 }) },
  { operationId: "updateOperation", what: "start plus a field of the plan",
    cells: "401 401 404 404 403 403 403 404 200 404 200 200 200", subject: anOperation(),
    call: (subject, member) => patchOf(subject, member, { status: "IN_PROGRESS", workplace_group: "Laser" }) },
  { operationId: "updateOperation", what: "away to the other workplace",
    cells: "401 401 404 404 403 403 403 404 403 404 200 200 200", subject: anOperation(),
    call: (subject, member, { elsewhere }) => patchOf(subject, member, { workplace_name: elsewhere }) },
  { operationId: "updateOperation", what: "away to no workplace",
    cells: "401 401 404 404 403 403 403 404 403 404 200 200 200", subject: anOperation(),
    call: (subject, member) => patchOf(subject, member, { workplace_name: null }) },
  { operationId: "updateOperations",
    cells: "401 401 403 403 403 403 403 403 seen none seen seen seen", subject: anOperation(), shows: hasResults,
    call: ({ operation: { order_no } }, { client }) =>
      client.patch("/operations/v1", { filter: { order_no }, patch: { qty_desired: 60 }, dry_run: false }) },
  { operationId: "updateOperations", what: "away to the other workplace",
    cells: "401 401 403 403 403 403 403 403 207 none seen seen seen", subject: anOperation(), shows: hasResults,
    call: ({ operation: { order_no } }, { client }, { elsewhere }) =>
      client.patch("/operations/v1", { filter: { order_no }, patch: { workplace_name: elsewhere }, dry_run: false }) },
  { operationId: "importOperations", what: "a known operation",
    cells: "401 401 403 403 403 403 403 403 200 207 200 200 200", subject: anOperation(),
    call: (subject, { client }) => client.post("/operations/v1/import", importRow(subject, { qty_desired: 60 })) },
  { operationId: "importOperations", what: "older than what is known",
    cells: "401 401 403 403 403 403 403 403 200 207 200 200 200", subject: anOperation({ timestamp_ms: newer() }),
    call: (subject, { client }) =>
      client.post("/operations/v1/import", importRow(subject, { timestamp_ms: "1999-01-01T00:00:00Z" })) },
  { operationId: "importOperations", what: "a deletion",
    cells: "401 401 403 403 403 403 403 403 200 207 200 200 200", subject: anOperation(),
    call: (subject, { client }) => client.post("/operations/v1/import", importRow(subject, { change_type: "DELETE" })) },
  { operationId: "importOperations", what: "a new operation here",
    cells: "401 401 403 403 403 403 403 403 200 207 200 200 200", subject: noOperation,
    call: (subject, { client }) =>
      client.post("/operations/v1/import", importRow(subject, { workplace_name: subject.operation.workplace_name })) },
  { operationId: "importOperations", what: "the withdrawal of a release",
    cells: "401 401 403 403 403 403 403 403 200 207 200 200 200", subject: anOperation(),
    call: (subject, { client }) => client.post("/operations/v1/import", importRow(subject, { status: "PLANNED" })) },
  { operationId: "importOperations", what: "a takeover",
    cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", subject: noOperation,
    call: (subject, { client }) =>
      client.post("/operations/v1/import?mode=takeover", importRow(subject, { workplace_name: subject.operation.workplace_name })) },
  { operationId: "deleteOperation",     cells: "401 401 404  404  403  403  403  404  204  404  204  204  204 ", subject: anOperation(),
    call: ({ operation }, { client }) => client.delete(operationPath(operation)) },
  { operationId: "listRuns",            cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", subject: anOperation({}, ["START"], ["STOP"]),
    call: ({ operation }, { client }) => client.get(`${operationPath(operation)}/runs`) },
  { operationId: "listAllRuns",         cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: anOperation({}, ["START"], ["STOP"]), shows: hasOrder,
    call: ({ event }, { client }) => client.get(`/operations/v1/runs?limit=500&from=${event?.occurred_at}`) },
  { operationId: "transitionOperation", what: "START",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: anOperation(),
    call: ({ operation }, { client }) => client.post(`${operationPath(operation)}/transitions`, { action: "START" }) },
  { operationId: "transitionOperation", what: "CANCEL",
    cells: "401 401 404 404 403 403 403 404 201 404 201 201 201", subject: anOperation(),
    call: ({ operation }, { client }) =>
      client.post(`${operationPath(operation)}/transitions`, { action: "CANCEL", reason_code: "UNSPECIFIED" }) },
  { operationId: "transitionOperation", what: "dry run",
    cells: "401 401 404 404 403 200 200 404 200 404 200 200 200", subject: anOperation(),
    call: ({ operation }, { client }) =>
      client.post(`${operationPath(operation)}/transitions`, { action: "START", dry_run: true }) },

  { operationId: "reportEvent", what: "START",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: anOperation(),
    call: (subject, member) => reportOf(subject, member, "START") },
  { operationId: "reportEvent", what: "START, dry run",
    cells: "401 401 404 404 403 200 200 404 200 404 200 200 200", subject: anOperation(),
    call: (subject, member) => reportOf(subject, member, "START", { dry_run: true }) },
  { operationId: "reportEvent", what: "START in the name of somebody",
    cells: "401 401 404 404 403 403 403 404 403 404 403 403 201", subject: anOperation(),
    call: (subject, member, { members }) =>
      reportOf(subject, member, "START", { user_id: members.find(({ id }) => id !== undefined && id !== member.id)?.id }) },
  { operationId: "reportEvent", what: "STOP",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "STOP") },
  { operationId: "reportEvent", what: "REPORT_QUANTITY",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "REPORT_QUANTITY", { qty_good: 1 }) },
  { operationId: "reportEvent", what: "COMPLETE",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "COMPLETE") },
  { operationId: "reportEvent", what: "FINISH",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "FINISH", { reason_code: "UNSPECIFIED" }) },
  { operationId: "reportEvent", what: "REVERSE before the end",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201",
    subject: async (cast) => withQuantity(await anOperation({}, ["START"])(cast)),
    call: (subject, member) => reportOf(subject, member, "REVERSE", { reverses_event_id: subject.event?.id }) },
  { operationId: "reportEvent", what: "REVERSE after the end",
    cells: "401 401 404 404 403 403 403 404 201 404 201 201 201",
    subject: async (cast) => finished(await withQuantity(await anOperation({}, ["START"])(cast))),
    call: (subject, member) => reportOf(subject, member, "REVERSE", { reverses_event_id: subject.event?.id }) },
  { operationId: "reportEvent", what: "RELEASE",
    cells: "401 401 404 404 403 403 403 404 201 404 201 201 201", subject: anOperation({ status: "PLANNED" }),
    call: (subject, member) => reportOf(subject, member, "RELEASE") },
  { operationId: "reportEvent", what: "HOLD",
    cells: "401 401 404 404 403 403 403 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "HOLD", { reason_code: "UNSPECIFIED" }) },
  { operationId: "reportEvent", what: "CANCEL",
    cells: "401 401 404 404 403 403 403 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "CANCEL", { reason_code: "UNSPECIFIED" }) },
  { operationId: "reportEvent", what: "CORRECT",
    cells: "401 401 404 404 403 403 403 404 201 404 201 201 201", subject: anOperation({}, ["START"]),
    call: (subject, member) => reportOf(subject, member, "CORRECT", { qty_good: 3 }) },
  { operationId: "reportEvents",
    cells: "401 401 403 403 403 201 201 207 201 207 201 201 201", subject: anOperation(),
    call: ({ operation: { order_no, operation_no, workplace_name } }, { client }) =>
      client.post("/events/v1/batch", { events: [{ action_type: "START", order_no, operation_no, workplace_name }] }) },
  { operationId: "reportEvents", what: "atomic",
    cells: "401 401 403 403 403 201 201 404 201 404 201 201 201", subject: anOperation(),
    call: ({ operation: { order_no, operation_no, workplace_name } }, { client }) =>
      client.post("/events/v1/batch", { events: [{ action_type: "START", order_no, operation_no, workplace_name }], atomic: true }) },
  { operationId: "listEvents",          cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: anOperation({}, ["START"]), shows: hasOrder,
    call: ({ operation }, { client }) => client.get(`/events/v1?order_no=${operation.order_no}`) },
  { operationId: "listEventsByWorkplace", cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: anOperation({}, ["START"]), shows: hasOrder,
    call: ({ operation }, { client }) => client.get(`/events/v1/workplace/${operation.workplace_name}?limit=500`) },
  { operationId: "getEvent",            cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", subject: anOperation({}, ["START"]),
    call: ({ event }, { client }) => client.get(`/events/v1/${event?.id}`) },

  { operationId: "listProfiles",        cells: "401 401 none none none none none none seen none seen seen seen", subject: aColleague(),
    shows: (answer, { colleague }) => rows(answer).some(({ id }) => id === colleague),
    call: (_subject, { client }) => allPages(client, "/profiles/v1") },
  { operationId: "getProfile", what: "of a colleague",
    cells: "401 401 404 404 404 404 404 404 200 404 200 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.get(`/profiles/v1/${colleague}`) },
  { operationId: "getProfile", what: "one's own",
    cells: "401 401 404 200 200 200 200 200 200 200 200 200 200", subject: myself,
    call: (subject, member) => member.client.get(own(subject, member)) },
  { operationId: "getOwnProfile",
    cells: "401 401 404 200 200 200 200 200 200 200 200 200 403", subject: myself,
    call: (_subject, { client }) => client.get("/profiles/v1/me") },
  { operationId: "listProfiles", what: "by prefix",
    cells: "401 401 none none none none none none seen none seen seen seen", subject: aColleague(),
    shows: (answer, { colleague }) => rows(answer).some(({ id }) => id === colleague),
    call: (_subject, { client }) => allPages(client, "/profiles/v1?q=user") },
  { operationId: "createProfile",
    cells: "401 401 403 403 403 403 403 403 403 403 403 201 201", subject: aColleague(false),
    call: ({ colleague }, { client }) => client.post("/profiles/v1", { id: colleague }) },
  { operationId: "updateProfile", what: "role of a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 403 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.patch(`/profiles/v1/${colleague}`, { role: "readonly" }) },
  { operationId: "updateProfile", what: "workplaces of a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 200 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.patch(`/profiles/v1/${colleague}`, { workplace_access: ["*"] }) },
  { operationId: "updateProfile", what: "workplaces and role of a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 403 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.patch(`/profiles/v1/${colleague}`, { workplace_access: ["*"], role: "admin" }) },
  { operationId: "updateProfile", what: "name of a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 403 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.patch(`/profiles/v1/${colleague}`, { full_name: "Mallory" }) },
  { operationId: "updateProfile", what: "email of a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 403 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.patch(`/profiles/v1/${colleague}`, { email: "mallory@example.com" }) },
  { operationId: "updateProfile", what: "one's own name",
    cells: "401 401 404 200 200 200 200 200 200 200 200 200 200", subject: myself,
    call: (subject, member) => member.client.patch(own(subject, member), { full_name: "Somebody" }) },
  { operationId: "updateProfile", what: "one's own role",
    cells: "401 401 404 403 403 403 403 403 403 403 403 200 200", subject: myself,
    call: (subject, member) => member.client.patch(own(subject, member), { role: "admin" }) },
  { operationId: "updateProfile", what: "one's own workplaces",
    cells: "401 401 404 403 403 403 403 403 403 403 200 200 200", subject: myself,
    call: (subject, member) => member.client.patch(own(subject, member), { workplace_access: [] }) },
  { operationId: "deleteProfile", what: "of a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 403 204 204", subject: aColleague(),
    call: ({ colleague }, { client }) => client.delete(`/profiles/v1/${colleague}`) },
  { operationId: "forgetPerson", what: "a colleague",
    cells: "401 401 404 404 404 404 404 404 403 404 403 200 200", subject: aColleague(),
    call: ({ colleague }, { client }) => client.post(`/profiles/v1/${colleague}/forget`) },
  { operationId: "forgetPerson", what: "somebody who is missing",
    cells: "401 401 404 404 404 404 404 404 404 404 404 404 404", subject: noEndpoint,
    call: (_subject, { client }) => client.post(`/profiles/v1/${crypto.randomUUID()}/forget`) },

  { operationId: "listPeople",          cells: "401 401 none none none none none none seen none seen seen seen", subject: aPerson(),
    shows: (answer, { name }) => rows(answer).some(({ id }) => id === name),
    call: (_subject, { client }) => allPages(client, "/people/v1") },
  { operationId: "getPerson",           cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", subject: aPerson(),
    call: ({ name }, { client }) => client.get(`/people/v1/${name}`) },
  { operationId: "createPerson",        cells: "401 401 403  403  403  403  403  403  201  403  201  201  201 ", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.post("/people/v1", { display_name: "Anna", workplace_access: [here] }) },
  { operationId: "createPerson", what: "for all workplaces",
    cells: "401 401 403 403 403 403 403 403 403 403 201 201 201", subject: noEndpoint,
    call: (_subject, { client }) => client.post("/people/v1", { display_name: "Anna", workplace_access: ["*"] }) },
  { operationId: "updatePerson",        cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", subject: aPerson(),
    call: ({ name }, { client }) => client.patch(`/people/v1/${name}`, { display_name: "Ben" }) },
  { operationId: "updatePerson", what: "of several workplaces",
    cells: "401 401 404 404 404 404 404 404 403 403 200 200 200", subject: aPerson(true),
    call: ({ name }, { client }) => client.patch(`/people/v1/${name}`, { display_name: "Mallory" }) },
  { operationId: "deletePerson",        cells: "401 401 404  404  404  404  404  404  204  404  204  204  204 ", subject: aPerson(),
    call: ({ name }, { client }) => client.delete(`/people/v1/${name}`) },
  { operationId: "pseudonymisePerson",  cells: "401 401 404  404  404  404  404  404  200  404  200  200  200 ", subject: aPerson(),
    call: ({ name }, { client }) => client.post(`/people/v1/${name}/pseudonymise`) },
  { operationId: "signInPerson",        cells: "401 401 403  403  403  201  403  403  403  403  403  403  403 ", subject: aPerson(),
    call: ({ badge }, { client }) => client.post("/people/v1/sign-in", { badge_code: badge }) },
  { operationId: "signOutPerson", what: "nobody",
    cells: "401 401 404 404 404 404 404 404 404 404 404 404 404", subject: noEndpoint,
    call: (_subject, { client }) => client.post("/people/v1/sign-out") },
  { operationId: "getActingPerson", what: "nobody",
    cells: "401 401 404 404 404 404 404 404 404 404 404 404 404", subject: noEndpoint,
    call: (_subject, { client }) => client.get("/people/v1/me") },

  { operationId: "listWorkplaces",      cells: "401 401 none none seen seen seen seen seen seen seen seen seen", subject: aWorkplace(),
    shows: (answer) => rows(answer).length === 1,
    call: ({ name }, { client }) => client.get(`/workplaces/v1?workplace_group=${name}`) },
  { operationId: "getWorkplace",        cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", subject: aWorkplace(),
    call: ({ name }, { client }) => client.get(`/workplaces/v1/${name}`) },
  { operationId: "getWorkplace", what: "with what runs there",
    cells: "401 401 404 404 seen seen seen none seen none seen seen seen", subject: anOperation({}, ["START"]),
    shows: ({ body }, { operation }) =>
      (body as { running_operations: Operation[] }).running_operations.some(({ order_no }) => order_no === operation.order_no),
    call: ({ operation }, { client }) => client.get(`/workplaces/v1/${operation.workplace_name}`) },
  { operationId: "listQueue",           cells: "401 401 404  404  seen seen seen none seen none seen seen seen", subject: anOperation({ planned_start_at: "1970-01-01T00:00:00.000Z" }), shows: hasOrder,
    call: ({ operation }, { client }) => client.get(`/workplaces/v1/${operation.workplace_name}/queue?limit=500`) },
  { operationId: "createWorkplace",     cells: "401 401 403  403  403  403  403  403  403  403  201  201  201 ", subject: aWorkplace(false),
    call: ({ name }, { client }) => client.post("/workplaces/v1", { name }) },
  { operationId: "updateWorkplace",     cells: "401 401 404  404  403  403  403  403  403  403  200  200  200 ", subject: aWorkplace(),
    call: ({ name }, { client }) => client.patch(`/workplaces/v1/${name}`, { capacity: 7 }) },
  { operationId: "deleteWorkplace",     cells: "401 401 404  404  403  403  403  403  403  403  204  204  204 ", subject: aWorkplace(),
    call: ({ name }, { client }) => client.delete(`/workplaces/v1/${name}`) },

  { operationId: "reportMachineState",  cells: "401 401 404  404  403  200  403  404  403  404  403  200  200 ", subject: aMachine,
    call: ({ operation }, { client }) => signal<unknown>(operation.workplace_name ?? "", "IDLE", undefined, {}, client) },

  { operationId: "listDowntimes",       cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: aDowntime,
    shows: (answer, { name }) => rows(answer).some(({ id }) => id === name),
    call: ({ operation }, { client }) => allPages(client, `/downtimes/v1?workplace_name=${operation.workplace_name}`) },
  { operationId: "getDowntime",         cells: "401 401 404  404  200  200  200  404  200  404  200  200  200 ", subject: aDowntime,
    call: ({ name }, { client }) => client.get(`/downtimes/v1/${name}`) },
  { operationId: "openDowntime",        cells: "401 401 404  404  403  201  201  404  201  404  201  201  201 ", subject: noDowntime,
    call: ({ operation: { workplace_name }, name: occurred_at, colleague: ended_at }, { client }) =>
      client.post("/downtimes/v1", { workplace_name, occurred_at, ended_at }) },
  { operationId: "endDowntime", what: "that has ended",
    cells: "401 401 404 404 403 422 422 404 422 404 422 422 422", subject: aDowntime,
    call: ({ name }, { client }) => client.post(`/downtimes/v1/${name}/end`, {}) },
  { operationId: "classifyDowntime",    cells: "401 401 404  404  403  200  200  404  200  404  200  200  200 ", subject: aDowntime,
    call: ({ name, colleague: reason_code }, { client }) => client.post(`/downtimes/v1/${name}/classify`, { reason_code }) },
  { operationId: "splitDowntime",
    cells: "401 401 404 404 403 201 201 404 201 404 201 201 201", subject: aDowntime,
    call: async ({ name }, { client }) => {
      const { body } = await server.get<{ started_at: string }>(`/downtimes/v1/${name}`);
      const at = new Date(Date.parse(body.started_at) + 1_000).toISOString();
      return client.post(`/downtimes/v1/${name}/split`, { at });
    } },
  { operationId: "cancelDowntime",      cells: "401 401 404  404  403  200  200  404  200  404  200  200  200 ", subject: aDowntime,
    call: ({ name }, { client }) => client.post(`/downtimes/v1/${name}/cancel`, { note: "No" }) },

  { operationId: "listReasonCodes",     cells: "401 401 none none seen seen seen seen seen seen seen seen seen", subject: aReason(),
    shows: (answer, { name }) => rows(answer).some(({ code }) => code === name),
    call: (_subject, { client }) => allPages(client, "/reason-codes/v1?kind=STOP") },
  { operationId: "getReasonCode",       cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", subject: aReason(),
    call: ({ name }, { client }) => client.get(`/reason-codes/v1/STOP/${name}`) },
  { operationId: "createReasonCode",    cells: "401 401 403  403  403  403  403  403  403  403  201  201  201 ", subject: aReason(false),
    call: ({ name }, { client }) => client.post("/reason-codes/v1", { kind: "STOP", code: name }) },
  { operationId: "updateReasonCode",    cells: "401 401 404  404  403  403  403  403  403  403  200  200  200 ", subject: aReason(),
    call: ({ name }, { client }) => client.patch(`/reason-codes/v1/STOP/${name}`, { active: false }) },
  { operationId: "deleteReasonCode",    cells: "401 401 404  404  403  403  403  403  403  403  204  204  204 ", subject: aReason(),
    call: ({ name }, { client }) => client.delete(`/reason-codes/v1/STOP/${name}`) },

  { operationId: "listCalendars",       cells: "401 401 none none seen seen seen seen seen seen seen seen seen", subject: aCalendar(),
    shows: (answer, { name }) => rows(answer).some((calendar) => calendar.name === name),
    call: (_subject, { client }) => allPages(client, "/calendars/v1") },
  { operationId: "getCalendar",         cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", subject: aCalendar(),
    call: ({ name }, { client }) => client.get(`/calendars/v1/${name}`) },
  { operationId: "listShifts",          cells: "401 401 404  404  200  200  200  200  200  200  200  200  200 ", subject: aCalendar(),
    call: ({ name }, { client }) => client.get(`/calendars/v1/${name}/shifts?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z`) },
  { operationId: "listCalendarExceptions", cells: "401 401 404 404 seen seen seen seen seen seen seen seen seen", subject: aCalendar(),
    shows: (answer) => rows(answer).some(({ date }) => date === "2026-12-25"),
    call: ({ name }, { client }) => client.get(`/calendars/v1/${name}/exceptions`) },
  { operationId: "createCalendar",      cells: "401 401 403  403  403  403  403  403  403  403  201  201  201 ", subject: aCalendar(false),
    call: ({ name }, { client }) => client.post("/calendars/v1", { name, time_zone: "UTC" }) },
  { operationId: "updateCalendar",      cells: "401 401 404  404  403  403  403  403  403  403  200  200  200 ", subject: aCalendar(),
    call: ({ name }, { client }) => client.patch(`/calendars/v1/${name}`, { time_zone: "Europe/Amsterdam" }) },
  { operationId: "deleteCalendar",      cells: "401 401 404  404  403  403  403  403  403  403  204  204  204 ", subject: aCalendar(),
    call: ({ name }, { client }) => client.delete(`/calendars/v1/${name}`) },
  { operationId: "storeCalendarExceptions", cells: "401 401 404 404 403 403 403 403 403 403 200 200 200", subject: aCalendar(),
    call: ({ name }, { client }) =>
      client.post(`/calendars/v1/${name}/exceptions`, { exceptions: [{ date: "2026-12-26", kind: "CLOSED" }] }) },
  { operationId: "putCalendarException", cells: "401 401 404 404 403 403 403 403 403 403 200 200 200", subject: aCalendar(),
    call: ({ name }, { client }) => client.put(`/calendars/v1/${name}/exceptions/2026-12-25`, { kind: "CLOSED", note: "x" }) },
  { operationId: "deleteCalendarException", cells: "401 401 404 404 403 403 403 403 403 403 204 204 204", subject: aCalendar(),
    call: ({ name }, { client }) => client.delete(`/calendars/v1/${name}/exceptions/2026-12-25`) },

  { operationId: "reportOee",
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/oee", { query: { workplace_name: here, ...aWeek } }) },
  { operationId: "reportTimeline", 
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/timeline", { query: { workplace_name: here, ...aWeek } }) },
  { operationId: "reportLosses", 
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/losses", { query: { workplace_name: here, ...aWeek } }) },
  { operationId: "reportScrap", 
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/scrap", { query: { workplace_name: here, ...aWeek } }) },
  { operationId: "reportOperations", 
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/operations", { query: { workplace_name: here, ...aWeek } }) },
  { operationId: "reportSummary", 
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/summary", { query: { workplace_name: here } }) },
  { operationId: "reportBoard", 
    cells: "401 401 404 404 200 200 200 404 200 404 200 200 200", subject: noEndpoint,
    call: (_subject, { client }, { here }) => client.get("/reports/v1/board", { query: { workplace_name: here } }) },

  { operationId: "createBoardTicket",   cells: "401 401 403 403 403 403 403 403 201 403 201 201 403", subject: aGroup,
    call: ({ name }, { client }) => client.post("/boards/v1", { name: "Television", workplace_group: name }) },
  { operationId: "listBoardTickets",    cells: "401 401 403 403 403 403 403 403 seen none seen seen 403", subject: theTicket,
    shows: (answer, { name }) => rows(answer).some(({ id }) => id === name),
    call: (_subject, { client }, { here }) => client.get("/boards/v1", { query: { workplace_group: here } }) },
  { operationId: "revokeBoardTicket",   cells: "401 401 403 403 403 403 403 403 204 404 204 204 403", subject: aTicket,
    call: ({ name }, { client }) => client.delete(`/boards/v1/${name}`) },
  { operationId: "getKey", what: "of a board ticket",
    cells: "401 401 403 403 403 403 403 403 403 403 403 404 403", subject: theTicket,
    call: ({ name }, { client }) => client.get(`/keys/v1/${name}`) },
  { operationId: "updateKey", what: "of a board ticket",
    cells: "401 401 403 403 403 403 403 403 403 403 403 404 403", subject: theTicket,
    call: ({ name }, { client }) => client.patch(`/keys/v1/${name}`, { scopes: ["events:report"] }) },
  { operationId: "rotateKey", what: "of a board ticket",
    cells: "401 401 403 403 403 403 403 403 403 403 403 404 403", subject: theTicket,
    call: ({ name }, { client }) => client.post(`/keys/v1/${name}/rotate`, {}) },
  { operationId: "revokeKey", what: "of a board ticket",
    cells: "401 401 403 403 403 403 403 403 403 403 403 404 403", subject: theTicket,
    call: ({ name }, { client }) => client.delete(`/keys/v1/${name}`) },

  { operationId: "readFeed",            cells: "401 401 none none seen seen seen none seen none seen seen seen", subject: aStretch,
    shows: ({ body }, { operation }) =>
      (body as { events: ReportedEvent[] }).events.some(({ order_no }) => order_no === operation.order_no),
    // waits, since what is committed beside it may hold an event back for a moment
    call: ({ operation, name }, { client }) =>
      client.get("/events/v1/feed", { query: { after: name, order_no: operation.order_no, wait: 2 } }) },
  { operationId: "streamEvents",        cells: "401 401 403  403  seen seen seen none seen none seen seen seen", subject: aStretch, shows: hasOrder,
    call: told },
  { operationId: "createStreamTicket",  cells: "401 401 403  403  201  201  201  201  201  201  201  201  201 ", subject: noEndpoint,
    call: (_subject, { client }) => client.post("/stream/v1/tickets", {}) },

  { operationId: "listWebhookEndpoints", cells: "401 401 403 403 403 403 403 403 403 403 seen seen seen", subject: anEndpoint,
    shows: (answer, { name }) => rows(answer).some(({ id }) => id === name),
    call: (_subject, { client }) => allPages(client, "/webhooks/v1/endpoints") },
  { operationId: "createWebhookEndpoint", cells: "401 401 403 403 403 403 403 403 403 403 201 201 201", subject: noEndpoint,
    call: (_subject, { client }) =>
      client.post("/webhooks/v1/endpoints", { url: "https://hooks.example.com/mes", enabled: false }) },
  { operationId: "getWebhookEndpoint",  cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", subject: anEndpoint,
    call: ({ name }, { client }) => client.get(`/webhooks/v1/endpoints/${name}`) },
  { operationId: "getWebhookEndpoint", what: "that is missing",
    cells: "401 401 403 403 403 403 403 403 403 403 404 404 404", subject: noEndpoint,
    call: (_subject, { client }) => client.get(`/webhooks/v1/endpoints/${crypto.randomUUID()}`) },
  { operationId: "updateWebhookEndpoint", cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", subject: anEndpoint,
    call: ({ name }, { client }) => client.patch(`/webhooks/v1/endpoints/${name}`, { enabled: false }) },
  { operationId: "deleteWebhookEndpoint", cells: "401 401 403 403 403 403 403 403 403 403 204 204 204", subject: anEndpoint,
    call: ({ name }, { client }) => client.delete(`/webhooks/v1/endpoints/${name}`) },
  { operationId: "rotateWebhookSecret", cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", subject: anEndpoint,
    call: ({ name }, { client }) => client.post(`/webhooks/v1/endpoints/${name}/rotate`, {}) },
  { operationId: "testWebhookEndpoint", cells: "401 401 403 403 403 403 403 403 403 403 202 202 202", subject: anEndpoint,
    call: ({ name }, { client }) => client.post(`/webhooks/v1/endpoints/${name}/test`) },
  { operationId: "replayWebhookEvents", cells: "401 401 403 403 403 403 403 403 403 403 202 202 202", subject: anEndpoint,
    call: ({ name }, { client }) => client.post(`/webhooks/v1/endpoints/${name}/replay`, {}) },
  { operationId: "listWebhookDeliveries", cells: "401 401 403 403 403 403 403 403 403 403 seen seen seen", subject: aDelivery,
    shows: (answer, { name }) => rows(answer).some(({ id }) => id === name),
    call: ({ colleague: endpoint_id }, { client }) => client.get("/webhooks/v1/deliveries", { query: { endpoint_id } }) },
  { operationId: "getWebhookDelivery",  cells: "401 401 403 403 403 403 403 403 403 403 200 200 200", subject: aDelivery,
    call: ({ name }, { client }) => client.get(`/webhooks/v1/deliveries/${name}`) },
  { operationId: "replayWebhookDelivery", cells: "401 401 403 403 403 403 403 403 403 403 202 202 202", subject: aDelivery,
    call: ({ name }, { client }) => client.post(`/webhooks/v1/deliveries/${name}/replay`) },
  { operationId: "listKeys",            cells: "401 401 403 403 403 403 403 403 403 403 403 200 403", subject: noEndpoint,
    call: (_subject, { client }) => client.get("/keys/v1") },
  { operationId: "createKey",           cells: "401 401 403 403 403 403 403 403 403 403 403 201 403", subject: noEndpoint,
    call: (_subject, { client }) => client.post("/keys/v1", { name: unique("Key"), role: "machine", scopes: ["events:report"] }) },
  { operationId: "getKey",              cells: "401 401 403 403 403 403 403 403 403 403 403 200 403", subject: aKey,
    call: ({ name }, { client }) => client.get(`/keys/v1/${name}`) },
  { operationId: "getKey", what: "that is missing",
    cells: "401 401 403 403 403 403 403 403 403 403 403 404 403", subject: noEndpoint,
    call: (_subject, { client }) => client.get(`/keys/v1/${crypto.randomUUID()}`) },
  { operationId: "updateKey",           cells: "401 401 403 403 403 403 403 403 403 403 403 200 403", subject: aKey,
    call: ({ name }, { client }) => client.patch(`/keys/v1/${name}`, { role: "manager" }) },
  { operationId: "rotateKey",           cells: "401 401 403 403 403 403 403 403 403 403 403 200 403", subject: aKey,
    call: ({ name }, { client }) => client.post(`/keys/v1/${name}/rotate`, {}) },
  { operationId: "revokeKey",           cells: "401 401 403 403 403 403 403 403 403 403 403 204 403", subject: aKey,
    call: ({ name }, { client }) => client.delete(`/keys/v1/${name}`) },
  { operationId: "updateProfile", what: "of a key",
    cells: "401 401 404 404 404 404 404 404 403 404 403 403 403", subject: aKey,
    call: ({ name }, { client }) => client.patch(`/profiles/v1/${name}`, { role: "readonly" }) },
  { operationId: "deleteProfile", what: "of a key",
    cells: "401 401 404 404 404 404 404 404 403 404 403 403 403", subject: aKey,
    call: ({ name }, { client }) => client.delete(`/profiles/v1/${name}`) },
  { operationId: "forgetPerson", what: "the profile of a key",
    cells: "401 401 404 404 404 404 404 404 403 404 403 403 403", subject: aKey,
    call: ({ name }, { client }) => client.post(`/profiles/v1/${name}/forget`) },
  { operationId: "dispatchWebhooks",    cells: "401 401 403 403 403 403 403 403 403 403 403 403 200", subject: noEndpoint,
    call: (_subject, { client }) => client.post(`/webhooks/v1/dispatch?endpoint_id=${crypto.randomUUID()}`) },
];

/** The subject with five good pieces reported; they are its event. */
async function withQuantity(subject: Subject): Promise<Subject> {
  const { status, body, text } = await report(server, subject.operation, "REPORT_QUANTITY", { qty_good: 5 });
  assertEquals(status, 201, text);
  return { ...subject, event: body };
}

async function finished(subject: Subject): Promise<Subject> {
  const { status, text } = await report(server, subject.operation, "FINISH", { reason_code: "UNSPECIFIED" });
  assertEquals(status, 201, text);
  return subject;
}

/** Endpoints that need a credential. */
const endpoints = Object.values(openapi.paths).flatMap((path) => Object.entries(path))
  .filter(([, { security }]) => security.length > 0);
const documented = endpoints.map(([, { operationId }]) => operationId);
/** Those of them that change nothing. */
const reading = new Set(endpoints.flatMap(([method, { operationId }]) => method === "get" ? [operationId] : []));

/** The table, with each row once more for version 2 of its endpoint. */
const rowsOfVersions: Row[] = table.flatMap((row) => {
  const version2 = `${row.operationId}V2`;
  return !documented.includes(version2) ? [row] : [row, {
    ...row,
    operationId: version2,
    call: (subject, member, cast) =>
      row.call(subject, { ...member, client: new Version2Client(member.client.credential) }, cast),
  }];
});

/** Reads the watched resources, without values that grow by themselves while an operation runs. */
async function state({ watched }: Subject): Promise<string[]> {
  return await Promise.all(watched.map(async (path) => {
    const { status, body } = await server.get<unknown>(path);
    if (status === 404) return "404";
    return JSON.stringify(body, (name, value) => /^t_actual_(setup|processing)_min$/.test(name) ? undefined : value);
  }));
}

for (const { operationId, what, cells, subject: make, call, shows } of rowsOfVersions) {
  const expected = row(cells);
  Deno.test(`Access: ${operationId}${what ? `, ${what}` : ""}: as the table says, and what is refused changes nothing`, async () => {
    const cast = await theCast();
    const outcomeOf = async (member: Member, subject: Subject) => {
      const answer = await call(subject, member, cast);
      const isShown = answer.status === 200 && ["seen", "none"].includes(expected[member.name]) && shows !== undefined
        ? shows(answer, subject)
        : undefined;
      return [
        isShown === undefined ? String(answer.status) : isShown ? "seen" : "none",
        answer.status === 401 ? answer.headers.get("www-authenticate") : "",
      ];
    };
    const wanted = Object.fromEntries(
      credentials.map((name) => [name, [expected[name], expected[name] === "401" ? "Bearer" : ""]]),
    );
    const [first] = cast.members;
    if (reading.has(operationId) && first !== undefined) {
      // nobody changes anything: one subject does for all
      const subject = await make(cast, first);
      const before = await state(subject);
      const outcomes = await Promise.all(
        cast.members.map(async (member) => [member.name, await outcomeOf(member, subject)] as const),
      );
      assertEquals([Object.fromEntries(outcomes), await state(subject)], [wanted, before]);
      return;
    }
    const outcomes = await Promise.all(cast.members.map(async (member) => {
      const subject = await make(cast, member);
      const before = await state(subject);
      const outcome = await outcomeOf(member, subject);
      const isDone = expected[member.name] === "seen" || /^20[0124]$/.test(expected[member.name]);
      if (!isDone) assertEquals(await state(subject), before, `changed by ${member.name}`);
      return [member.name, outcome] as const;
    }));
    assertEquals(Object.fromEntries(outcomes), wanted);
  });
}

Deno.test("Access: every endpoint that needs a credential has a row in the table", () => {
  const tested = [...new Set(rowsOfVersions.map(({ operationId }) => operationId))];
  assertEquals(tested.toSorted(), documented.toSorted());
});

Deno.test("Access: the roots of the functions and their health need no credential, and tell nothing more to those who have one", async () => {
  const { members } = await theCast();
  for (
    const path of [
      "/operations",
      "/events/health",
      "/profiles",
      "/workplaces/health",
      "/reason-codes",
      "/calendars",
      "/reports",
      "/downtimes/health",
      "/stream",
      "/keys",
      "/webhooks/health",
    ]
  ) {
    const answers = await Promise.all(members.map(({ client }) => client.get(path)));
    assertEquals(new Set(answers.map(({ status }) => status)), new Set([200]));
    assertEquals(new Set(answers.map(({ text }) => text)).size, 1, path);
  }
});

/** The problem without what differs from request to request. */
function comparable(answer: Answer<unknown>): { status: number; headers: string[]; body: Partial<ProblemBody> } {
  const { instance: _, ...body } = answer.body as ProblemBody;
  return {
    status: answer.status,
    headers: [...answer.headers.keys()].filter((name) => name !== "date").toSorted(),
    body,
  };
}

Deno.test("Access: answers hidden and missing resources with the same words", async () => {
  const cast = await theCast();
  const subject = await anOperation({}, ["START"], ["REPORT_QUANTITY", { qty_good: 1 }])(cast);
  const { colleague } = await aColleague()(cast);
  const { name: reason } = await aReason()(cast);
  const hidden = {
    ...{ operation: subject.operation, event: subject.event?.id, profile: colleague },
    ...{ workplace: cast.here, reason, downtime: (await aDowntime(cast)).name },
  };
  const missing: typeof hidden = {
    operation: { ...hidden.operation, order_no: unique("O") },
    event: crypto.randomUUID(),
    profile: crypto.randomUUID(),
    workplace: newWorkplace(),
    reason: unique("R"),
    downtime: crypto.randomUUID(),
  };
  const requests: ((client: Client, of: typeof hidden) => Promise<Answer<unknown>>)[] = [
    (client, { operation }) => client.get(operationPath(operation)),
    (client, { operation }) =>
      client.request("HEAD", operationPath(operation)).then((answer) => ({ ...answer, body: {} })),
    (client, { operation }) => client.get(operationPath(operation), { headers: { "if-none-match": '"1", "2", "3"' } }),
    (client, { operation }) => client.get(`${operationPath(operation)}/runs`),
    (client, { operation }) => client.patch(operationPath(operation), { qty_desired: 7 }),
    (client, { operation }) => client.patch(operationPath(operation), { qty_processed: 2_000_000 }),
    (client, { operation }) =>
      client.patch(operationPath(operation), { status: "PLANNED" }, { headers: { "if-match": '"1"' } }),
    (client, { operation }) => client.delete(operationPath(operation)),
    (client, { operation }) => client.delete(operationPath(operation), { headers: { "if-match": '"999"' } }),
    (client, { operation }) => client.post(`${operationPath(operation)}/transitions`, { action: "STOP" }),
    (client, { operation }) => client.post(`${operationPath(operation)}/transitions`, { action: "START" }),
    (client, { operation }) => report(client, operation, "STOP"),
    (client, { operation }) => report(client, operation, "START"),
    (client, { operation }) => report(client, { ...operation, workplace_name: cast.elsewhere }, "STOP"),
    (client, { operation }) => report(client, { ...operation, workplace_name: newWorkplace() }, "STOP"),
    (client, { event }) => client.get(`/events/v1/${event}`),
    (client, { downtime }) => client.get(`/downtimes/v1/${downtime}`),
    (client, { downtime }) => client.post(`/downtimes/v1/${downtime}/end`, {}),
    (client, { downtime }) => client.post(`/downtimes/v1/${downtime}/cancel`, { note: "No" }),
    (client, { workplace }) => client.post("/downtimes/v1", { workplace_name: workplace }),
    (client, { workplace }) => client.post(`/workplaces/v1/${workplace}/state`, { state: "DOWN" }),
    (client, { profile }) => client.get(`/profiles/v1/${profile}`),
    (client, { profile }) => client.patch(`/profiles/v1/${profile}`, { full_name: "X" }),
    (client, { profile }) =>
      client.patch(`/profiles/v1/${profile}`, { role: "admin" }, { headers: { "if-match": '"999"' } }),
    (client, { profile }) => client.delete(`/profiles/v1/${profile}`),
  ];
  // A user with a workplace sees all workplaces and reason codes.
  const plant: typeof requests = [
    (client, { workplace }) => client.get(`/workplaces/v1/${workplace}`),
    (client, { workplace }) => client.get(`/workplaces/v1/${workplace}/queue`),
    (client, { workplace }) => client.patch(`/workplaces/v1/${workplace}`, { capacity: 1 }),
    (client, { workplace }) => client.delete(`/workplaces/v1/${workplace}`),
    (client, { reason }) => client.get(`/reason-codes/v1/STOP/${reason}`),
    (client, { reason }) => client.patch(`/reason-codes/v1/STOP/${reason}`, { active: false }),
    (client, { reason }) => client.delete(`/reason-codes/v1/STOP/${reason}`),
  ];
  for (const name of ["operator elsewhere", "supervisor elsewhere", "no profile", "newcomer"] as const) {
    const client = cast.members.find((member) => member.name === name)?.client;
    assert(client);
    const seesPlant = name !== "no profile" && name !== "newcomer";
    for (const request of seesPlant ? requests : [...requests, ...plant]) {
      const [one, other] = await Promise.all([request(client, hidden), request(client, missing)]);
      assertEquals(one.status, 404, `${name}: ${request}: ${one.text}`);
      assertEquals(comparable(one), comparable(other), `${name}: ${request}`);
    }
  }
});

Deno.test("Access: a 403 does not reveal whether the resource exists", async () => {
  const cast = await theCast();
  const client = cast.members.find(({ name }) => name === "operator elsewhere")?.client;
  assert(client);
  const { operation } = await anOperation()(cast);
  const { order_no, asset_id, operation_no } = operation;
  const create = (order_no: string, workplace_name: string) =>
    client.post("/operations/v1", { order_no, asset_id, operation_no, workplace_name });
  const { colleague } = await aColleague()(cast);
  const pairs = [
    [await create(order_no, cast.here), await create(unique("O"), cast.here)],
    [await create(unique("O"), cast.here), await create(unique("O"), newWorkplace())],
    [
      await client.post("/profiles/v1", { id: colleague }),
      await client.post("/profiles/v1", { id: crypto.randomUUID() }),
    ],
    [
      await client.patch("/operations/v1", { filter: { order_no }, patch: { qty_desired: 1 } }),
      await client.patch("/operations/v1", { filter: { order_no: unique("O") }, patch: { qty_desired: 1 } }),
    ],
  ] as const;
  for (const [one, other] of pairs) {
    assertProblem(one, 403, "forbidden");
    assertEquals(comparable(one), comparable(other));
  }
});
