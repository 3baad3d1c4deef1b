/**
 * Random sequences of what happens on a shop floor, sent to the API and to the model of the lifecycle: reports,
 * transitions, PATCHes, batches, repeated requests and pairs at the same time, by callers of all roles, at all kinds of times. Every
 * answer, the operation in it and at the end the whole log and all runs must be what the model says.
 *
 * @module
 */
import fc from "fast-check";
import {
  type Answer,
  assertEquals,
  type Client,
  type Json,
  type JsonObject,
  newUser,
  type OperationEvent,
  operationPath,
  type OperationWithActions,
  type ReportedEvent,
  server,
  unique,
} from "./harness.ts";
import {
  act,
  type Action,
  actions,
  blockedBy,
  type Operation,
  type Phase,
  type Plant,
  Refusal,
  type Report,
  type Room,
  type Status,
  statusOf,
} from "./lifecycle_model.ts";
import { change, type Patch } from "./patch_model.ts";

const ranks = { server: 4, manager: 3, supervisor: 2, operator: 1, machine: 1, readonly: 0, stranger: 1 };
type Caller = keyof typeof ranks;

/** Scene of a series of sequences: a workplace and the people who work there. */
interface Floor {
  workplace: string;
  capacity?: number;
  clients: Record<Caller, Client>;
}

async function newFloor(capacity?: number): Promise<Floor> {
  const workplace = unique("W");
  const made = await server.post("/workplaces/v1", { name: workplace, capacity: capacity ?? null });
  assertEquals(made.status, 201, made.text);
  const user = async (role: Exclude<Caller, "server" | "stranger">, place = workplace) =>
    (await newUser({ role, workplaces: [place] })).client;
  const [manager, supervisor, operator, machine, readonly, stranger] = await Promise.all([
    user("manager", "elsewhere"),
    user("supervisor"),
    user("operator"),
    user("machine"),
    user("readonly"),
    user("operator", "elsewhere"),
  ]);
  return { workplace, capacity, clients: { server, manager, supervisor, operator, machine, readonly, stranger } };
}

// Values of the generator. Times are minutes from the end of the operation's timeline, so that they make sense.

interface Happening {
  caller: Caller;
  which: number;
  isTransition: boolean;
  action: Action;
  /** Take the so-manieth of the actions that the lifecycle has now instead: most of what is drawn blindly is refused. */
  plausible?: number;
  when?: number;
  phase?: Phase;
  good?: number;
  scrap?: number;
  reason: "none" | "right" | "wrong";
  hasId: boolean;
  reverses: number;
  start?: number;
  end?: number;
  hasKey: boolean;
  isDryRun: boolean;
}
interface Restatement {
  caller: Caller;
  which: number;
  status?: Status;
  processed?: number;
  scrap?: number;
  desired?: number;
  start?: number;
  end?: number;
  reason: "none" | "right" | "wrong";
  match: "none" | "current" | "stale";
  hasKey: boolean;
}
type Single = { report: Happening } | { patch: Restatement } | { again: number; isChanged: boolean };
interface Batch {
  batch: Happening[];
  caller: Caller;
  isAtomic: boolean;
  hasKey: boolean;
}
type Command =
  | Single
  | Batch
  | { pair: [Single, Single | "twin"] };

const maybe = <Value>(arbitrary: fc.Arbitrary<Value>, freq = 2) => fc.option(arbitrary, { nil: undefined, freq });
const caller = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Caller>("operator") },
  { weight: 5, arbitrary: fc.constant<Caller>("supervisor") },
  { weight: 4, arbitrary: fc.constantFrom<Caller>("server", "manager", "machine") },
  { weight: 1, arbitrary: fc.constantFrom<Caller>("readonly", "stranger") },
);
const which = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) });
const minutes = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 6 }) },
  { weight: 2, arbitrary: fc.integer({ min: -6, max: -1 }) },
);
const reason = fc.oneof(
  { weight: 8, arbitrary: fc.constant<"right">("right") },
  { weight: 3, arbitrary: fc.constant<"none">("none") },
  { weight: 1, arbitrary: fc.constant<"wrong">("wrong") },
);
const offsetsMs: Record<number, number> = { 7: 30_000, 8: 120_000, 9: -32 * 24 * 3_600_000 };
const rarely = fc.integer({ min: 0, max: 11 }).map((n) => n === 11);
const action = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Action>("START") },
  { weight: 6, arbitrary: fc.constant<Action>("REPORT_QUANTITY") },
  { weight: 9, arbitrary: fc.constantFrom<Action>("STOP", "COMPLETE", "FINISH") },
  { weight: 4, arbitrary: fc.constantFrom<Action>("REVERSE", "CORRECT") },
  { weight: 4, arbitrary: fc.constantFrom<Action>("RELEASE", "HOLD", "CANCEL") },
);
const happening: fc.Arbitrary<Happening> = fc.record({
  caller,
  which,
  isTransition: rarely,
  action,
  plausible: maybe(fc.nat(7), 3),
  // 7, 8 and 9 stand for half a minute and two minutes from now, and for 32 days ago
  when: maybe(fc.oneof({ weight: 9, arbitrary: minutes }, { weight: 1, arbitrary: fc.constantFrom(7, 8, 9) }), 3),
  phase: maybe(fc.constantFrom<Phase>("SETUP", "PROCESSING"), 1),
  good: maybe(fc.nat(30)),
  scrap: maybe(fc.nat(4), 1),
  reason,
  hasId: fc.boolean(),
  reverses: fc.nat(3),
  start: maybe(minutes, 1),
  end: maybe(minutes, 1),
  hasKey: fc.boolean(),
  isDryRun: rarely,
});
const restatement: fc.Arbitrary<Restatement> = fc.record({
  caller,
  which,
  status: maybe(
    fc.constantFrom<Status>("PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED", "CANCELLED"),
    3,
  ),
  processed: maybe(fc.integer({ min: -4, max: 20 }), 1),
  scrap: maybe(fc.nat(4), 1),
  desired: maybe(fc.integer({ min: 0, max: 40 }), 1).map((value) =>
    value !== undefined && value % 3 ? undefined : value
  ),
  start: maybe(minutes, 1),
  end: maybe(minutes, 1),
  reason,
  match: fc.constantFrom<"none" | "current" | "stale">("none", "none", "current", "stale"),
  hasKey: fc.boolean(),
});
const single: fc.Arbitrary<Single> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ report: happening }) },
  { weight: 4, arbitrary: fc.record({ patch: restatement }) },
  { weight: 2, arbitrary: fc.record({ again: fc.nat(4), isChanged: rarely }) },
);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 10, arbitrary: single },
  {
    weight: 1,
    arbitrary: fc.record({
      batch: fc.array(happening, { minLength: 1, maxLength: 5 }),
      caller,
      isAtomic: fc.boolean(),
      hasKey: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      pair: fc.tuple(
        single,
        fc.oneof({ weight: 3, arbitrary: single }, { weight: 1, arbitrary: fc.constant("twin" as const) }),
      ),
    }),
  },
);

/** One sequence: two operations of one order, and what is done to them. */
export interface Sequence {
  isReleased: boolean;
  desired?: number;
  tolerance: number;
  commands: Command[];
}
const sequence: fc.Arbitrary<Sequence> = fc.record({
  isReleased: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
  desired: maybe(fc.integer({ min: 1, max: 40 }), 4),
  tolerance: fc.constantFrom(0, 0, 10),
  commands: fc.array(command, { minLength: 1, maxLength: 14, size: "max" }),
});

// Requests, and the model's answers.

type Task = { which: number; report: Report; content: string };
interface Request {
  caller: Caller;
  method: "POST" | "PATCH";
  route: "event" | "transition" | "patch" | "batch";
  path: string;
  body: JsonObject;
  key?: string;
  match?: number;
  which: number;
  tasks: Task[];
  patch: Patch;
  isDryRun: boolean;
  isAtomic: boolean;
}

interface World {
  plant: Plant;
  /** Stored answers by caller, route and key. */
  keys: Map<string, { request: string; answer: string }>;
  /** Events that clients named. */
  ids: Map<string, { caller: Caller; content: string; which: number; seq: number }>;
}

interface Expected {
  status: number;
  code?: string;
  /** Of a batch. */
  items?: { status: number; code?: string }[];
  /** The answer, byte for byte. */
  replay?: string;
  /** The operation that is answered, and the number of the event in it. */
  which?: number;
  seq?: number;
  /** The world afterwards; of a dry run, what the answer shows. */
  world: World;
  shown?: Plant;
}

type Clocks = (which: number, seq: number) => number;

function expect(world: World, request: Request, clocks: Clocks): Expected {
  try {
    const scope = `${request.caller} ${request.route} ${request.key}`;
    const stored = request.key === undefined ? undefined : world.keys.get(scope);
    if (stored && stored.request !== identity(request)) throw new Refusal(422, "idempotency_key_reused");
    if (stored) return { status: 200, world, replay: stored.answer };
    return expectFresh(world, request, clocks);
  } catch (error) {
    if (error instanceof Refusal) return { status: error.status, code: error.code, world };
    throw error;
  }
}

const identity = ({ path, body }: Request) => JSON.stringify([path, body]);

function expectFresh(world: World, request: Request, clocks: Clocks): Expected {
  const { caller, route, which, tasks } = request;
  const rank = ranks[caller];
  const hidden = caller === "stranger";
  if (route === "batch") {
    if (rank < 1) throw new Refusal(403, "forbidden");
    return expectBatch(world, request, clocks);
  }
  if (hidden) throw new Refusal(404, "not_found");
  if (route === "patch") {
    const { version } = world.plant.operations[which]!;
    if (request.match !== undefined && request.match !== version) throw new Refusal(412, "stale_version");
    const plant = change(world.plant, which, rank, request.patch, (seq) => clocks(which, seq));
    return { status: 200, which, world: { ...world, plant } };
  }
  const task = tasks[0]!;
  if (route === "transition") {
    const plant = act(world.plant, which, rank, task.report, (seq) => clocks(which, seq));
    const seq = plant.operations[which]!.log.length;
    if (request.isDryRun) return { status: 200, which, seq, world, shown: plant };
    return { status: 201, which, seq, world: { ...world, plant } };
  }
  return { ...expectTask(world, request, task, clocks), which };
}

/** @param denied Operations whose STARTs find no room, from the task with this number on. */
function expectBatch(world: World, request: Request, clocks: Clocks, denied = new Map<number, number>()): Expected {
  let after = world;
  /** Operations that the batch leaves running, by the number of the task that started them. */
  const started = new Map<number, number>();
  const items = request.tasks.map((task, index) => {
    const isRunning = (plant: Plant) => plant.operations[task.which]!.state === "IN_PROGRESS";
    const room = request.isDryRun ? "now" : (denied.get(task.which) ?? Infinity) <= index ? "none" : "later";
    try {
      const { status, world } = expectTask(after, request, task, clocks, room);
      if (!isRunning(world.plant)) started.delete(task.which);
      else if (!isRunning(after.plant)) started.set(task.which, index);
      after = world;
      return { status };
    } catch (error) {
      if (request.isAtomic || !(error instanceof Refusal)) throw error;
      return { status: error.status, code: error.code };
    }
  });
  // room is counted when the batch is through, and given in the order of the STARTs
  const { capacity = Infinity, operations } = after.plant;
  const others = operations.filter(({ state }, which) => state === "IN_PROGRESS" && !started.has(which)).length;
  const inOrder = [...started].toSorted(([, a], [, b]) => a - b);
  const left = inOrder.slice(Math.max(0, capacity - others));
  if (left.length > 0 && request.isAtomic) throw new Refusal(409, "workplace_busy");
  if (left.length > 0) return expectBatch(world, request, clocks, new Map([...denied, ...left]));
  const all = (status: number) => items.every((item) => item.status === status);
  return { status: all(201) ? 201 : all(200) ? 200 : 207, items, world: after };
}

function expectTask(
  world: World,
  request: Request,
  { which, report, content }: Task,
  clocks: Clocks,
  room?: Room,
): Expected {
  const rank = ranks[request.caller];
  if (request.caller === "stranger") throw new Refusal(404, "not_found");
  if (rank < 1) throw new Refusal(403, "forbidden");
  const known = report.id === undefined ? undefined : world.ids.get(report.id);
  if (known) {
    if (known.content !== content || known.caller !== request.caller) throw new Refusal(409, "idempotency_conflict");
    return { status: 200, seq: known.seq, world };
  }
  const plant = act(world.plant, which, rank, report, (seq) => clocks(which, seq), room);
  const seq = plant.operations[which]!.log.length;
  if (request.isDryRun) return { status: 200, seq, world, shown: plant };
  const ids = new Map(world.ids);
  if (report.id !== undefined) ids.set(report.id, { caller: request.caller, content, which, seq });
  return { status: 201, seq, world: { ...world, plant, ids } };
}

const iso = (time?: number) => time === undefined ? null : new Date(time).toISOString();
const isoOrNothing = (time?: number) => time === undefined ? undefined : new Date(time).toISOString();
/** A duration in thousandths of a minute, as the API counts. */
const thousandths = (duration_ms: number) => Math.round(duration_ms / 60);
const minutesOf = (runs: Operation["runs"], phase: Phase) =>
  runs.filter((run) => run.phase === phase).reduce((sum, { from, to = from }) => sum + thousandths(to - from), 0);

/** The operation as the API shows it; the minutes of the open run go on and are left out. */
function shown(operation: Operation) {
  const { runs, good, scrap, start, end } = operation;
  const status = statusOf(operation);
  const open = runs.find(({ to }) => to === undefined)?.phase;
  const counted = (minutes: number | null) => minutes === null ? null : Math.round(minutes * 1000);
  const spent = (phase: Phase) => open === phase ? "goes on" : start === undefined ? null : minutesOf(runs, phase);
  return {
    compare: {
      status,
      hold_kind: status !== "ON_HOLD" ? null : operation.state === "PAUSED" ? "PAUSED" : "BLOCKED",
      hold_reason_code: operation.reason ?? null,
      qty_desired: operation.desired ?? null,
      qty_good: good,
      qty_scrap: scrap,
      qty_processed: good + scrap,
      actual_start_at: iso(start),
      actual_end_at: iso(end),
      version: operation.version,
      t_actual_setup_min: spent("SETUP"),
      t_actual_processing_min: spent("PROCESSING"),
      t_actual_lead_min: start === undefined || end === undefined ? null : thousandths(end - start),
    },
    of: (answered: OperationWithActions) => ({
      status: answered.status,
      hold_kind: answered.hold_kind,
      hold_reason_code: answered.hold_reason_code,
      qty_desired: answered.qty_desired,
      qty_good: answered.qty_good,
      qty_scrap: answered.qty_scrap,
      qty_processed: answered.qty_processed,
      actual_start_at: answered.actual_start_at,
      actual_end_at: answered.actual_end_at,
      version: answered.version,
      t_actual_setup_min: open === "SETUP" ? "goes on" : counted(answered.t_actual_setup_min),
      t_actual_processing_min: open === "PROCESSING" ? "goes on" : counted(answered.t_actual_processing_min),
      t_actual_lead_min: counted(answered.t_actual_lead_min),
    }),
  };
}

function logOf({ log }: Operation) {
  return log.map(({ action, at, good, scrap, before, after, reason, phase }, index) => ({
    op_seq: index + 1,
    action_type: action,
    occurred_at: new Date(at).toISOString(),
    qty_good: good,
    qty_scrap: scrap,
    status_before: before,
    status_after: after,
    reason_code: reason ?? null,
    phase: action === "START" ? phase ?? "PROCESSING" : null,
  }));
}

function logOfAnswer(events: OperationEvent[]) {
  return events.map((event) => ({
    op_seq: event.op_seq,
    action_type: event.action_type,
    occurred_at: event.occurred_at,
    qty_good: event.qty_good,
    qty_scrap: event.qty_scrap,
    status_before: event.status_before,
    status_after: event.status_after,
    reason_code: event.reason_code,
    phase: event.phase,
  })).sort((a, b) => a.op_seq - b.op_seq);
}

/** One sequence as it runs. */
class Run {
  readonly order = unique("O");
  readonly began = Date.now();
  readonly sent: Request[] = [];
  readonly transcript: string[] = [];
  readonly ids: string[] = [];
  readonly answers: string[] = [];
  world: World;

  constructor(readonly floor: Floor, readonly sequence: Sequence) {
    const { isReleased, desired, tolerance } = sequence;
    const operation = (): Operation => ({
      state: isReleased ? "RELEASED" : "PLANNED",
      desired,
      tolerance,
      good: 0,
      scrap: 0,
      runs: [],
      log: [],
      version: 1,
    });
    this.world = {
      plant: { capacity: floor.capacity, operations: [operation(), operation()] },
      keys: new Map(),
      ids: new Map(),
    };
  }

  async play(): Promise<void> {
    const { isReleased, desired, tolerance, commands } = this.sequence;
    const bodies: JsonObject[] = [0, 1].map((which) => ({
      ...this.key(which),
      workplace_name: this.floor.workplace,
      status: isReleased ? "RELEASED" : "PLANNED",
      overrun_tolerance_pct: tolerance,
      ...(desired === undefined ? {} : { qty_desired: desired }),
    }));
    await Promise.all(bodies.map(async (body) => {
      const made = await server.post("/operations/v1", body);
      assertEquals(made.status, 201, made.text);
      this.transcript.push(this.curl("server", "POST", "/operations/v1", body));
    }));
    try {
      for (const command of commands) await this.do(command);
      await this.compareEverything();
    } finally {
      await this.leaveNothingRunning();
    }
  }

  key(which: number) {
    return { order_no: this.order, asset_id: 1, operation_no: which === 0 ? "0010" : "0020" };
  }

  async do(command: Command): Promise<void> {
    if ("pair" in command) return await this.doPair(command.pair);
    const request = "batch" in command ? this.batch(command) : this.resolve(command);
    if (request === undefined) return;
    this.sent.push(request);
    this.transcript.push(this.curlOf(request));
    const [answer] = await this.send(request);
    const clocks = await this.clocks(request, answer);
    const expected = expect(this.world, request, clocks);
    this.compare(request, answer, expected, true);
    this.take(request, answer, expected);
  }

  async doPair([first, second]: [Single, Single | "twin"]): Promise<void> {
    const one = this.resolve(first);
    if (one === undefined) return;
    const other = second === "twin" ? structuredClone(one) : this.resolve(second);
    if (other === undefined) return;
    const requests = [one, other] as const;
    this.sent.push(...requests);
    this.transcript.push(`${requests.map((request) => `${this.curlOf(request)} &`).join("\n")}\nwait`);
    const answers = await Promise.all(requests.map((request) => this.send(request)));
    const events = await this.events();
    const clocks = this.clocksOf(events, Math.max(...answers.map(([, received]) => received)));
    const failures: unknown[] = [];
    for (const order of [[0, 1], [1, 0]] as const) {
      const before = this.world;
      try {
        for (const index of order) {
          const [request, answer] = [requests[index], answers[index]![0]];
          const inFlight = request.key !== undefined && request.key === requests[1 - index]!.key &&
            request.route === requests[1 - index]!.route && codeOf(answer) === "idempotency_conflict";
          if (inFlight) continue;
          const expected = expect(this.world, request, clocks);
          this.compare(request, answer, expected, false);
          this.take(request, answer, expected);
        }
        this.compareLogs(events);
        return;
      } catch (error) {
        this.world = before;
        failures.push(error);
      }
    }
    throw new Error(`Neither order explains the answers of a pair:\n${failures.map(String).join("\nor\n")}`);
  }

  async send(request: Request): Promise<[Answer, number]> {
    const headers: Record<string, string> = {};
    if (request.key !== undefined) headers["idempotency-key"] = request.key;
    if (request.match !== undefined) headers["if-match"] = `"${request.match}"`;
    const { method, path, body } = request;
    const answer = await this.floor.clients[request.caller].request(method, path, { body, headers });
    this.answers.push(`${request.route} ${codeOf(answer) ?? answer.status}`);
    return [answer, Date.now()];
  }

  /** When the server heard of the events that the answer tells about. */
  async clocks(request: Request, answer: Answer): Promise<Clocks> {
    const received = Date.now();
    const { op_seq, occurred_at, created_at } = answer.body;
    if (answer.status >= 400 || request.route === "patch" || request.route === "batch") {
      return this.clocksOf(answer.status < 400 ? await this.events() : [], received);
    }
    const heard = heardAt({ occurred_at: String(occurred_at), created_at: String(created_at) });
    return (which, seq) => which === request.which && seq === op_seq ? heard : received;
  }

  clocksOf(events: OperationEvent[], received: number): Clocks {
    return (which, seq) => {
      const event = events.find((event) => event.operation_no === this.key(which).operation_no && event.op_seq === seq);
      return event ? heardAt(event) : received;
    };
  }

  async events(): Promise<OperationEvent[]> {
    const { body } = await server.get<OperationEvent[]>("/events/v1", { query: { order_no: this.order, limit: 500 } });
    return body;
  }

  take({ caller, route, key, ...request }: Request, answer: Answer, expected: Expected): void {
    this.world = expected.world;
    const isStored = answer.status === (route === "patch" ? 200 : 201) || route === "batch" && answer.status < 400;
    if (key === undefined || expected.replay !== undefined || !isStored) return;
    const keys = new Map(this.world.keys);
    keys.set(`${caller} ${route} ${key}`, {
      request: identity({ caller, route, key, ...request }),
      answer: answer.text,
    });
    this.world = { ...this.world, keys };
  }

  compare(request: Request, answer: Answer, expected: Expected, isAlone: boolean): void {
    if (expected.replay !== undefined) {
      assertEquals(answer.headers.get("idempotency-replayed"), "true", "not marked as a replay");
      assertEquals(answer.text, expected.replay, "a replay must be the first answer");
      return;
    }
    const said = { status: answer.status, code: codeOf(answer) };
    assertEquals(said, { status: expected.status, code: expected.code }, answer.text);
    if (expected.items) {
      const { results } = answer.body as { results?: { status: number; problem: { code: string } | null }[] };
      const items = results?.map(({ status, problem }) => ({ status, code: problem?.code }));
      assertEquals(items, expected.items.map(({ status, code }) => ({ status, code })));
    }
    if (expected.which === undefined || !isAlone || expected.status >= 400) return;
    const plant = expected.shown ?? expected.world.plant;
    const operation = plant.operations[expected.which]!;
    const event: { operation?: JsonObject } = answer.body;
    const answered = (request.route === "patch" ? answer.body : event.operation) as OperationWithActions | undefined;
    const { compare, of } = shown(operation);
    assertEquals(answered && of(answered), compare);
    const rank = ranks[request.caller];
    assertEquals(
      answered?.allowed_actions.map(({ action, blocked_by }) => [action, blocked_by]),
      actions.map((action) => [action, blockedBy(plant, expected.which!, rank, action) ?? null]),
      "allowed_actions",
    );
    if (expected.seq !== undefined) {
      assertEquals(logOfAnswer([answer.body as ReportedEvent])[0], logOf(operation)[expected.seq - 1]);
    }
  }

  compareLogs(events: OperationEvent[]): void {
    for (const [which, operation] of this.world.plant.operations.entries()) {
      const own = events.filter(({ operation_no }) => operation_no === this.key(which).operation_no);
      assertEquals(logOfAnswer(own), logOf(operation), "the log");
    }
  }

  async compareEverything(): Promise<void> {
    const events = await this.events();
    this.compareLogs(events);
    for (const [which, operation] of this.world.plant.operations.entries()) {
      const path = operationPath(this.key(which));
      const [read, runs] = await Promise.all([
        server.get<OperationWithActions>(path),
        server.get<{ phase: Phase; started_at: string; ended_at: string | null }[]>(`${path}/runs`),
      ]);
      const { compare, of } = shown(operation);
      assertEquals(of(read.body), compare, "the operation as it is read");
      const own = events.filter(({ operation_no }) => operation_no === this.key(which).operation_no);
      const sumOf = (delta: "delta_good" | "delta_scrap") => own.reduce((sum, event) => sum + event[delta], 0);
      assertEquals(
        [sumOf("delta_good"), sumOf("delta_scrap")],
        [read.body.qty_good, read.body.qty_scrap],
        "the sums of the events",
      );
      assertEquals(
        runs.body.map(({ phase, started_at, ended_at }) => ({ phase, started_at, ended_at })),
        operation.runs.map(({ phase, from, to }) => ({ phase, started_at: iso(from) ?? "", ended_at: iso(to) })),
        "the runs",
      );
    }
  }

  /** The next sequence has the workplace for itself. */
  async leaveNothingRunning(): Promise<void> {
    await Promise.all(
      [0, 1].map((which) =>
        server.post(`${operationPath(this.key(which))}/transitions`, { action: "CANCEL", reason_code: "UNSPECIFIED" })
      ),
    );
  }

  // From what the generator drew to what is sent.

  resolve(single: Single): Request | undefined {
    if ("report" in single) return this.report(single.report, this.world.plant);
    if ("patch" in single) return this.patch(single.patch);
    const before = this.sent.at(-1 - single.again);
    if (before === undefined) return undefined;
    const again = structuredClone(before);
    if (single.isChanged && again.route !== "batch") {
      again.body.note = "Changed";
      for (const task of again.tasks) task.content += "Changed";
    }
    return again;
  }

  at(operation: Operation, minutes: number): number {
    const { start, end, runs } = operation;
    const last = Math.max(start ?? 0, end ?? 0, ...runs.map(({ from, to = from }) => Math.max(from, to)));
    return (last || this.began - 180 * 60_000) + minutes * 60_000;
  }

  report(drawn: Happening, plant: Plant): Request | undefined {
    const { caller, which, plausible = 0 } = drawn;
    const operation = plant.operations[which]!;
    const possible = drawn.plausible === undefined
      ? []
      : actions.filter((action) => action !== "CANCEL" && blockedBy(plant, which, 2, action) === undefined);
    const action = possible[plausible % possible.length] ?? drawn.action;
    const isTransition = drawn.isTransition && action !== "REPORT_QUANTITY" && action !== "REVERSE" &&
      action !== "CORRECT";
    const { when } = drawn;
    const at = when === undefined
      ? undefined
      : when > 6
      ? Date.now() + (offsetsMs[when] ?? 0)
      : this.at(operation, when);
    const report: Report = { action, at };
    if (action === "START" && !isTransition) report.phase = drawn.phase;
    const kind = kindOf[action];
    if (kind) report.reason = reasonOf(kind, drawn.reason);
    if (!isTransition && (kind === "SCRAP" || action === "COMPLETE" || action === "REVERSE" || action === "CORRECT")) {
      // corrections go both ways
      report.good = drawn.good !== undefined && action === "CORRECT" ? drawn.good - 15 : drawn.good;
      report.scrap = drawn.scrap !== undefined && action === "CORRECT" ? drawn.scrap - 2 : drawn.scrap;
    }
    if (action === "CORRECT") {
      if (drawn.start !== undefined) report.start = (operation.start ?? this.began) + (drawn.start - 3) * 60_000;
      if (drawn.end !== undefined) report.end = this.at(operation, drawn.end - 3);
    }
    if (action === "REVERSE") {
      report.reverses = this.ids.at(-1 - drawn.reverses) ?? crypto.randomUUID();
    }
    if (drawn.hasId && !isTransition) {
      report.id = crypto.randomUUID();
      if (action === "REPORT_QUANTITY" || action === "COMPLETE") this.ids.push(report.id);
    }
    const reason_code = report.reason;
    const common = { occurred_at: isoOrNothing(at), reason_code, ...(drawn.isDryRun ? { dry_run: true } : {}) };
    const content = {
      phase: report.phase,
      qty_good: report.good,
      qty_scrap: report.scrap,
      id: report.id,
      reverses_event_id: report.reverses,
      actual_start_at: isoOrNothing(report.start),
      actual_end_at: isoOrNothing(report.end),
    };
    const body = isTransition
      ? { action, ...common }
      : { action_type: action, ...this.key(which), workplace_name: this.floor.workplace, ...common, ...content };
    const text = JSON.stringify(body);
    return {
      caller,
      method: "POST",
      route: isTransition ? "transition" : "event",
      path: isTransition ? `${operationPath(this.key(which))}/transitions` : "/events/v1",
      body: JSON.parse(text),
      key: drawn.hasKey ? crypto.randomUUID() : undefined,
      which,
      tasks: [{ which, report, content: text }],
      patch: {},
      isDryRun: drawn.isDryRun,
      isAtomic: false,
    };
  }

  batch({ batch, caller, isAtomic, hasKey }: Batch): Request {
    let plant = this.world.plant;
    const events: Json[] = [];
    const tasks: Task[] = [];
    for (const drawn of batch) {
      const request = this.report({ ...drawn, isTransition: false, isDryRun: false }, plant);
      if (request === undefined) continue;
      events.push(request.body);
      tasks.push(...request.tasks);
      try {
        plant = act(plant, request.which, ranks[caller], request.tasks[0]!.report, () => Date.now());
      } catch {
        // refused: the next one follows what was before
      }
    }
    return {
      caller,
      method: "POST",
      route: "batch",
      path: "/events/v1/batch",
      body: { events, atomic: isAtomic },
      key: hasKey ? crypto.randomUUID() : undefined,
      which: 0,
      tasks,
      patch: {},
      isDryRun: false,
      isAtomic,
    };
  }

  patch(drawn: Restatement): Request {
    const { caller, which, status, desired } = drawn;
    const operation = this.world.plant.operations[which]!;
    const patch: Patch = { status, desired };
    if (drawn.processed !== undefined) {
      patch.processed = Math.max(operation.good + operation.scrap + drawn.processed, 0);
    }
    if (drawn.scrap !== undefined) patch.scrap = Math.max(operation.scrap + drawn.scrap - 1, 0);
    if (drawn.start !== undefined) patch.start = this.at(operation, drawn.start - 3);
    if (drawn.end !== undefined) patch.end = this.at(operation, drawn.end);
    const kind = {
      ON_HOLD: operation.state === "RELEASED" ? "HOLD" : "STOP",
      FINISHED: "SHORTFALL",
      CANCELLED: "CANCEL",
    };
    const changed = status !== undefined && status !== statusOf(operation);
    if (changed && (status === "ON_HOLD" || status === "FINISHED" || status === "CANCELLED")) {
      patch.reason = reasonOf(kind[status], drawn.reason);
    }
    // a note alone changes nothing
    if (Object.values(patch).every((value) => value === undefined)) patch.status = statusOf(operation);
    const body = {
      status: patch.status,
      qty_processed: patch.processed,
      qty_scrap: patch.scrap,
      qty_desired: patch.desired,
      actual_start_at: isoOrNothing(patch.start),
      actual_end_at: isoOrNothing(patch.end),
      reason_code: patch.reason,
      note: "PATCH",
    };
    const { version } = operation;
    return {
      caller,
      method: "PATCH",
      route: "patch",
      path: operationPath(this.key(which)),
      body: JSON.parse(JSON.stringify(body)),
      key: drawn.hasKey ? crypto.randomUUID() : undefined,
      match: drawn.match === "none" ? undefined : drawn.match === "current" ? version : version + 1,
      which,
      tasks: [],
      patch,
      isDryRun: false,
      isAtomic: false,
    };
  }

  curlOf({ caller, method, path, body, key, match }: Request): string {
    return this.curl(caller, method, path, body, [
      ...(key === undefined ? [] : [`Idempotency-Key: ${key}`]),
      ...(match === undefined ? [] : [`If-Match: "${match}"`]),
    ]);
  }

  /** A command for bash, after the lines of {@link preamble}. */
  curl(caller: Caller, method: string, path: string, body: JsonObject, headers: string[] = []): string {
    const quoted = (text: string) =>
      `'${text.replaceAll(this.order, `'$O'`).replaceAll(this.floor.workplace, `'$W'`)}'`;
    const sent = headers.map((header) => `-H '${header}' `).join("");
    return `curl -isS -X ${method} "\${${caller}[@]}" ${sent}--json ${quoted(JSON.stringify(body))} "$FUNCTIONS_URL"${
      quoted(path)
    }`;
  }

  /** The sequence as a script against the stack that was started last; ids and keys work once. */
  script(): string {
    return [...preamble(this.floor), ...this.transcript].join("\n");
  }
}

/** When the server looked at its clock: an event that states no time has that one, a moment before it was written. */
function heardAt({ occurred_at, created_at }: Pick<OperationEvent, "occurred_at" | "created_at">): number {
  const [occurred, created] = [Date.parse(occurred_at), Date.parse(created_at)];
  return created - occurred >= 0 && created - occurred < 2000 ? occurred : created;
}

function codeOf(answer: Answer): string | undefined {
  return answer.status >= 400 && typeof answer.body?.code === "string" ? answer.body.code : undefined;
}

const kindOf: Partial<Record<Action, string>> = {
  STOP: "STOP",
  REPORT_QUANTITY: "SCRAP",
  COMPLETE: "SHORTFALL",
  FINISH: "SHORTFALL",
  HOLD: "HOLD",
  CANCEL: "CANCEL",
};
const codes: Record<string, string> = {
  STOP: "BREAK",
  SCRAP: "DIMENSION",
  SHORTFALL: "MATERIAL",
  HOLD: "QUALITY",
  CANCEL: "ORDER_CANCELLED",
};

function reasonOf(kind: string, drawn: Happening["reason"]): string | undefined {
  if (drawn === "none") return undefined;
  return drawn === "right" ? codes[kind] : codes[kind === "HOLD" ? "STOP" : "HOLD"];
}

function preamble({ capacity }: Floor): string[] {
  return [
    "# bash, after `deno task start`:",
    "set -a; . supabase/.temp/local.env; set +a; O=O-$RANDOM$RANDOM; W=W-$RANDOM$RANDOM",
    `server=(-H "apikey: $SUPABASE_SECRET_KEY")`,
    `user() { local answer id; answer=$(curl -s "$SUPABASE_URL/auth/v1/signup" -H "apikey: $SUPABASE_PUBLISHABLE_KEY" --json '{"email":"u'$RANDOM$RANDOM'@example.com","password":"a-password-'$RANDOM'"}')`,
    `  id=$(grep -oE '"user":\\{"id":"[^"]+' <<< "$answer" | cut -d'"' -f6)`,
    `  curl -s -o /dev/null -X PATCH "\${server[@]}" --json '{"role":"'$1'","workplace_access":["'$2'"]}' "$FUNCTIONS_URL/profiles/v1/$id"`,
    `  echo "Authorization: Bearer $(grep -oE '"access_token":"[^"]+' <<< "$answer" | cut -d'"' -f4)"; }`,
    ...["supervisor", "operator", "machine", "readonly"].map((role) => `${role}=(-H "$(user ${role} "$W")")`),
    `manager=(-H "$(user manager elsewhere)"); stranger=(-H "$(user operator elsewhere)")`,
    `curl -isS "\${server[@]}" --json '{"name":"'$W'","capacity":${capacity ?? null}}' "$FUNCTIONS_URL/workplaces/v1"`,
  ];
}

/** Result of the sequences. */
export interface Outcome {
  sequences: number;
  requests: number;
  /** Counts by kind of request and answer. */
  answers: Record<string, number>;
  /** Of the first divergence: the seed to run it again, what differed, and the shrunk sequence as curl commands. */
  divergence?: string;
}

/**
 * Plays random sequences until one diverges from the model.
 *
 * @param options `count`: how many; `seed`: the same seed draws the same sequences; `floors`: how many at a time;
 * `budgetMs`: begin no further sequence after this time; `onSequence` is told after each.
 */
export async function playSequences(
  { count, seed, floors = 6, budgetMs = Infinity, onSequence = () => {} }: {
    count: number;
    seed: number;
    floors?: number;
    budgetMs?: number;
    onSequence?: (done: number) => void;
  },
): Promise<Outcome> {
  const began = Date.now();
  const outcome: Outcome = { sequences: 0, requests: 0, answers: {} };
  await Promise.all(Array.from({ length: floors }, async (_, index) => {
    const floor = await newFloor(index % 2 === 0 ? 1 : undefined);
    let failed: Run | undefined;
    let shrinksUntil = Infinity;
    const property = fc.asyncProperty(sequence, async (drawn) => {
      const isOver = outcome.divergence !== undefined || Date.now() - began > budgetMs;
      if (failed === undefined ? isOver : Date.now() > shrinksUntil) return;
      const run = new Run(floor, drawn);
      try {
        await run.play();
        onSequence(++outcome.sequences);
      } catch (error) {
        failed = run;
        shrinksUntil = Math.min(shrinksUntil, Date.now() + 60_000);
        throw error;
      } finally {
        outcome.requests += run.answers.length;
        for (const answer of run.answers) outcome.answers[answer] = (outcome.answers[answer] ?? 0) + 1;
      }
    });
    const numRuns = Math.floor(count / floors) + (index < count % floors ? 1 : 0);
    const result = await fc.check(property, { numRuns, seed: seed + index, endOnFailure: false });
    if (result.failed && failed !== undefined) {
      outcome.divergence = [
        `Seed ${seed}, floor ${index}, after ${result.numRuns} sequences and ${result.numShrinks} shrinks:`,
        String(result.errorInstance),
        failed.script(),
      ].join("\n\n");
    }
  }));
  return outcome;
}
