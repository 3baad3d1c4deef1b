/** Lists: filters, order, pages, cursors, counts. Every test has a workplace of its own, so it knows every row. */
import { sign } from "hono/jwt";
import {
  type Answer,
  assert,
  assertEquals,
  assertExists,
  assertGreaterOrEqual,
  assertProblem,
  type Client,
  newOperation,
  newUser,
  newWorkplace,
  nextPage,
  type Operation,
  type OperationEvent,
  operationPath,
  type Profile,
  report,
  type RequestOptions,
  server,
  unique,
} from "../support/harness.ts";

type Query = NonNullable<RequestOptions["query"]>;

/** Order numbers of the operations that the filters give, in the list's order. */
async function orders(query: Query, client: Client = server): Promise<string[]> {
  const { status, body, text } = await client.get<Operation[]>("/operations/v1", { query });
  assertEquals(status, 200, text);
  return body.map(({ order_no }) => order_no);
}

/** Notes of the events that the filters give, in the list's order. */
async function notes(query: Query): Promise<(string | null)[]> {
  const { status, body, text } = await server.get<OperationEvent[]>("/events/v1", { query });
  assertEquals(status, 200, text);
  return body.map(({ note }) => note);
}

/** Every page of a list, following the cursors. */
async function walk<Item>(client: Client, path: string, between?: (page: number) => Promise<void>): Promise<Item[][]> {
  const pages: Item[][] = [];
  for (let next: string | undefined = path; next !== undefined;) {
    const answer: Answer<Item[]> = await client.get<Item[]>(next);
    assertEquals(answer.status, 200, answer.text);
    pages.push(answer.body);
    assert(pages.length <= 1000, `${path} has no end`);
    next = nextPage(answer);
    if (next !== undefined) await between?.(pages.length);
  }
  return pages;
}

/** Operations at one workplace, with order numbers prefix + 000, 001, ... */
async function newOrders(count: number, overrides: Partial<Operation> = {}) {
  const workplace_name = overrides.workplace_name ?? newWorkplace();
  const prefix = unique("L");
  const order_nos = Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(3, "0")}`);
  const operations = await Promise.all(
    order_nos.map((order_no) => newOperation({ ...overrides, order_no, workplace_name })),
  );
  return { prefix, workplace_name, order_nos, operations };
}

function cursorOf(answer: Answer<unknown>): string {
  const cursor = new URL(nextPage(answer) ?? "", "http://localhost").searchParams.get("cursor");
  assertExists(cursor, "the page has no next one");
  return cursor;
}

Deno.test("GET /operations/v1: each filter alone, repeated and combined gives exactly its rows", async () => {
  const here = newWorkplace();
  const there = newWorkplace();
  const group = unique("Group");
  const activity = unique("ACT");
  const prefix = unique("F");
  const rows: Record<string, Partial<Operation>> = {
    a: { status: "PLANNED", workplace_name: here, planned_start_at: "2026-01-01T08:00:00Z" },
    b: { status: "RELEASED", workplace_name: here, planned_start_at: "2026-01-02T08:00:00Z", workplace_group: group },
    c: { status: "RELEASED", workplace_name: there, activity_code: activity, activity_description: `${prefix} Ünder` },
    d: { status: "IN_PROGRESS", workplace_name: there, workplace_group: group, qty_desired: 10, qty_processed: 10 },
    e: { status: "FINISHED", workplace_name: here, qty_desired: 10, qty_processed: 5 },
    f: { status: "PLANNED", workplace_name: here, planned_end_at: "2026-01-01T08:00:00Z", qty_desired: undefined },
    g: { status: "CANCELLED", workplace_name: there, planned_end_at: "2026-01-01T08:00:00Z" },
    h: { status: "RELEASED", workplace_name: here, planned_end_at: "2099-01-01T08:00:00Z", qty_desired: 0 },
  };
  await Promise.all(
    Object.entries(rows).map(([letter, row]) => newOperation({ ...row, order_no: `${prefix}${letter}` })),
  );

  const own = { workplace_name: [here, there] };
  const cases: [Query, string][] = [
    [own, "abcdefgh"],
    [{ workplace_name: here }, "abefh"],
    [{ workplace_name: there }, "cdg"],
    [{ workplace_name: [here, newWorkplace()] }, "abefh"],
    [{ ...own, status: "RELEASED" }, "bch"],
    [{ ...own, status: ["RELEASED", "FINISHED"] }, "bceh"],
    [{ ...own, status: ["RELEASED", "RELEASED"] }, "bch"],
    [{ ...own, status: ["CANCELLED", "FINISHED", "IN_PROGRESS", "ON_HOLD", "PLANNED", "RELEASED"] }, "abcdefgh"],
    [{ ...own, status: "ON_HOLD" }, ""],
    [{ workplace_group: group }, "bd"],
    [{ order_no: `${prefix}a` }, "a"],
    [{ order_no: prefix }, ""],
    [{ activity_code: activity }, "c"],
    [{ ...own, planned_start_after: "2026-01-01T08:00:00Z" }, "ab"],
    [{ ...own, planned_start_after: "2026-01-01T08:00:00.001Z" }, "b"],
    [{ ...own, planned_start_before: "2026-01-02T08:00:00Z" }, "a"],
    [{ ...own, planned_start_before: "2026-01-02T08:00:00.001Z" }, "ab"],
    [{ ...own, planned_start_after: "2026-01-01T10:00:00+02:00", planned_start_before: "2026-01-02T00:00:00Z" }, "a"],
    [{ ...own, planned_start_after: "2026-01-03T00:00:00Z", planned_start_before: "2026-01-01T00:00:00Z" }, ""],
    [{ ...own, has_remaining_qty: true }, "abc"],
    [{ ...own, has_remaining_qty: false }, "defgh"],
    [{ ...own, is_overdue: true }, "f"],
    [{ ...own, is_overdue: false }, "abcdegh"],
    [{ q: prefix }, "abcdefgh"],
    [{ q: `${prefix}b` }, "b"],
    [{ ...own, q: prefix.toLowerCase() }, "c"],
    [{ ...own, q: `${prefix} ünd` }, "c"],
    [{ ...own, q: `${prefix} ÜND` }, "c"],
    [{ ...own, q: "ünder" }, ""],
    [{ workplace_name: here, status: "RELEASED", workplace_group: group, q: prefix }, "b"],
    [{ workplace_name: there, status: "RELEASED", workplace_group: group }, ""],
    [{ workplace_name: here, is_overdue: true, has_remaining_qty: false }, "f"],
  ];
  for (const [query, letters] of cases) {
    const expected = [...letters].map((letter) => `${prefix}${letter}`);
    assertEquals(await orders(query), expected, JSON.stringify(query));
    // the count is that of the list
    const counted = await server.get("/operations/v1", { query: { ...query, count: "exact", limit: 1 } });
    assertEquals(counted.headers.get("x-total-count"), String(letters.length), JSON.stringify(query));
  }
});

Deno.test("GET /events/v1: each filter alone, repeated and combined gives exactly its rows", async () => {
  const user = await newUser();
  const operation = await newOperation({ asset_id: 4711 });
  const { order_no, workplace_name, operation_no } = operation;
  const beside = await newOperation({ order_no, workplace_name, operation_no, asset_id: 4712 });
  const next = await newOperation({ order_no, workplace_name, operation_no: "0020" });
  const at = (minute: number) => `2026-01-05T08:${String(minute).padStart(2, "0")}:00.000Z`;
  const steps = [
    ["a", operation, "START", { user_id: user.id }],
    ["b", operation, "REPORT_QUANTITY", { qty_good: 5 }],
    ["c", operation, "STOP", {}],
    ["d", beside, "START", {}],
    ["e", next, "START", { user_id: user.id }],
    ["f", next, "COMPLETE", {}],
  ] as const;
  for (const [index, [note, subject, action, more]] of steps.entries()) {
    const { status, text } = await report(server, subject, action, { ...more, note, occurred_at: at(index) });
    assertEquals(status, 201, text);
  }

  const cases: [Query, string][] = [
    [{ order_no }, "fedcba"],
    [{ workplace_name: workplace_name ?? "" }, "fedcba"],
    [{ order_no, operation_no: "0010" }, "dcba"],
    [{ order_no, asset_id: 4711 }, "cba"],
    [{ order_no, asset_id: 1 }, "fe"],
    [{ order_no, action_type: "START" }, "eda"],
    [{ order_no, action_type: ["START", "COMPLETE"] }, "feda"],
    [{ order_no, action_type: ["REVERSE", "CORRECT"] }, ""],
    [{ user_id: user.id }, "ea"],
    [{ user_id: user.id, operation_no: "0020" }, "e"],
    [{ user_id: crypto.randomUUID() }, ""],
    [{ order_no, occurred_after: at(3) }, "fed"],
    [{ order_no, occurred_before: at(3) }, "cba"],
    [{ order_no, occurred_after: at(1), occurred_before: at(4), action_type: ["START", "STOP"] }, "dc"],
    [{ order_no, operation_no: "0030" }, ""],
    [{ order_no: newWorkplace() }, ""],
  ];
  for (const [query, expected] of cases) {
    assertEquals((await notes(query)).join(""), expected, JSON.stringify(query));
    const counted = await server.get("/events/v1", { query: { ...query, count: "exact", limit: 1 } });
    assertEquals(counted.headers.get("x-total-count"), String(expected.length), JSON.stringify(query));
  }

  const byWorkplace = await server.get<OperationEvent[]>(
    `/events/v1/workplace/${encodeURIComponent(workplace_name ?? "")}?count=exact&limit=4`,
  );
  assertEquals(byWorkplace.body.map(({ note }) => note).join(""), "fedc");
  assertEquals(byWorkplace.headers.get("x-total-count"), "6");
});

Deno.test("GET /operations/v1: ordered by order_no, operation_no, asset_id, by code point", async () => {
  const workplace_name = newWorkplace();
  const prefix = unique("S");
  const keys: [string, string, number][] = [
    ["-1", "0010", 1],
    ["A", "0010", 2],
    ["A", "0010", 10],
    ["A", "0020", 1],
    ["A", "10", 1],
    ["B", "0010", 1],
    ["a", "0010", 1],
    ["Ä", "0010", 1],
    ["😀", "0010", 1],
  ];
  await Promise.all(
    keys.toReversed().map(([order, operation_no, asset_id]) =>
      newOperation({ order_no: `${prefix}${order}`, operation_no, asset_id, workplace_name })
    ),
  );
  const query = { workplace_name, limit: 2 };
  const pages = await walk<Operation>(server, `/operations/v1?${new URLSearchParams({ ...query, limit: "2" })}`);
  const listed = pages.flat().map((row) => [row.order_no.slice(prefix.length), row.operation_no, row.asset_id]);
  assertEquals(listed, keys);
});

Deno.test("GET /operations/v1?sort: orders by time in both directions, without a time last, equal ones by key", async () => {
  const workplaces = [newWorkplace(), newWorkplace()];
  const prefix = unique("T");
  const hours: (number | null)[] = [9, null, 7, 8, 8, null, 8, 10];
  const at = (hour: number | null) => hour === null ? null : `2026-01-05T${String(hour).padStart(2, "0")}:00:00.000Z`;
  for (const [index, hour] of hours.entries()) {
    await newOperation({
      order_no: `${prefix}${index}`,
      workplace_name: workplaces[index % 2],
      planned_start_at: at(hour),
      planned_end_at: at(hour === null ? null : hour + 2),
      status: index % 3 ? "RELEASED" : "PLANNED",
    });
  }
  // the last one that was created is not the last one that was changed
  assertEquals((await server.patch(`/operations/v1/${prefix}3/1/0010`, { qty_desired: 77 })).status, 200);
  const operator = await newUser({ workplaces });
  const sorted = (sort: string, client: Client, limit: number, more = "") =>
    walk<Operation>(client, `/operations/v1?q=${prefix}&sort=${sort}&limit=${limit}${more}`);
  const expected: Record<string, string> = {
    "order_no": "01234567",
    "-order_no": "76543210",
    "planned_start_at": "23460715",
    "-planned_start_at": "70643251",
    "planned_end_at": "23460715",
    "-planned_end_at": "70643251",
    "updated_at": "01245673",
    "-updated_at": "37654210",
  };
  for (const [sort, order] of Object.entries(expected)) {
    for (const client of [server, operator.client]) {
      for (const limit of [1, 3, 8]) {
        const pages = await sorted(sort, client, limit);
        assertEquals(pages.flat().map(({ order_no }) => order_no.slice(-1)).join(""), order, `${sort} by ${limit}`);
        assertEquals(pages.length, Math.ceil(8 / limit));
      }
    }
    const released = await sorted(sort, operator.client, 2, "&status=RELEASED&status=FINISHED");
    const letters = [...order].filter((digit) => Number(digit) % 3).join("");
    assertEquals(released.flat().map(({ order_no }) => order_no.slice(-1)).join(""), letters, sort);
    const skipped = await orders({ q: prefix, sort, skip: 6, count: "exact" });
    assertEquals(skipped.map((order_no) => order_no.slice(-1)).join(""), order.slice(6), sort);
  }
  for (const sort of ["", "qty_desired", "--order_no", "+order_no", "planned_start_at,order_no", "order_no desc"]) {
    const problem = assertProblem(await server.get("/operations/v1", { query: { sort } }), 422, "validation_failed");
    assertEquals(problem.errors?.map(({ pointer }) => pointer), ["/sort"], sort);
  }
});

Deno.test("GET /operations/v1?source_conflict: lists what the source deleted or cancelled although work had begun", async () => {
  const { workplace_name, operations, order_nos } = await newOrders(3);
  const [running, planned, untouched] = operations;
  assertExists(running);
  assertExists(planned);
  assertEquals((await report(server, running, "START")).status, 201);
  const rows = [running, planned].map(({ order_no, asset_id, operation_no }) => ({
    ...{ order_no, asset_id, operation_no },
    change_type: "DELETE",
    timestamp_ms: new Date().toISOString(),
  }));
  assertEquals((await server.post("/operations/v1/import", rows)).status, 200);
  assertEquals(await orders({ workplace_name, source_conflict: true }), [order_nos[0]]);
  assertEquals(await orders({ workplace_name, source_conflict: false }), [untouched?.order_no]);
  assertEquals(await orders({ q: order_nos[0], source_conflict: true, sort: "-updated_at" }), [order_nos[0]]);
});

Deno.test("GET /operations/v1?updated_after: lists what changed since, that instant included", async () => {
  const { workplace_name, order_nos } = await newOrders(4);
  const [first, second] = order_nos;
  const changed = [];
  // the orders are made in parallel: the changes give them a known order
  for (const order_no of order_nos.toReversed()) {
    const answer = await server.patch<Operation>(`/operations/v1/${order_no}/1/0010`, { qty_desired: 77 });
    assertEquals(answer.status, 200, answer.text);
    changed.push(answer.body.updated_at);
  }
  const [earlier = "", later = ""] = changed.slice(2);
  const hourBefore = new Date(Date.parse(earlier) - 3_600_000).toISOString();
  const after = (updated_after: string, more: Query = {}) => orders({ workplace_name, updated_after, ...more });
  assertEquals(await after(earlier), [first, second]);
  assertEquals(await after(earlier, { sort: "updated_at" }), [second, first]);
  assertEquals(await after(hourBefore, { sort: "updated_at" }), order_nos.toReversed());
  // the database has microseconds, the answer milliseconds
  const justAfter = new Date(Date.parse(later) + 1).toISOString();
  assertEquals(await after(justAfter), []);
  assertEquals(await after("2099-01-01T00:00:00Z"), []);
  const pages = await walk<Operation>(
    server,
    `/operations/v1?${new URLSearchParams({
      workplace_name,
      updated_after: hourBefore,
      sort: "-updated_at",
      limit: "3",
    })}`,
  );
  assertEquals(pages.map((page) => page.length), [3, 1]);
  assertEquals(pages.flat().slice(0, 2).map(({ order_no }) => order_no), [first, second]);
});

Deno.test("GET /workplaces/v1 and /reason-codes/v1: q gives exactly the rows that begin with it, in any case", async () => {
  const name = unique("Ölpresse");
  for (const end of ["a", "B"]) {
    assertEquals((await server.post("/workplaces/v1", { name: `${name} ${end}` })).status, 201);
  }
  const code = unique("QX");
  const description = unique("Örtlich");
  const reasons = [{ kind: "STOP", code, description: null }, { kind: "HOLD", code: unique("R"), description }];
  for (const reason of reasons) assertEquals((await server.post("/reason-codes/v1", reason)).status, 201);
  const cases: [string, string, string[]][] = [
    ["workplaces", name, [`${name} B`, `${name} a`]],
    ["workplaces", name.toUpperCase(), [`${name} B`, `${name} a`]],
    ["workplaces", `${name} A`, [`${name} a`]],
    ["workplaces", name.slice(1), []],
    ["workplaces", `${name}%`, []],
    ["reason-codes", code.toLowerCase(), [code]],
    ["reason-codes", description.toUpperCase(), [reasons[1]?.code ?? ""]],
    ["reason-codes", description.slice(1), []],
  ];
  for (const [resource, q, expected] of cases) {
    const { status, body, headers } = await server.get<{ name?: string; code?: string }[]>(`/${resource}/v1`, {
      query: { q, count: "exact" },
    });
    assertEquals(status, 200);
    assertEquals(body.map(({ name, code }) => name ?? code), expected, q);
    assertEquals(headers.get("x-total-count"), String(expected.length), q);
  }
  const first = await server.get<{ name: string }[]>("/workplaces/v1", { query: { q: name, limit: 1 } });
  const second = await server.get<{ name: string }[]>(nextPage(first) ?? "");
  assertEquals([first, second].flatMap(({ body }) => body.map(({ name }) => name)), [`${name} B`, `${name} a`]);
});

Deno.test("GET lists: limit is 1 to 500, 100 by default; skip is 0 to 10000", async () => {
  const lists = ["/operations/v1", "/events/v1", "/events/v1/workplace/Trommelen-1", "/profiles/v1"];
  for (const path of lists) {
    for (const query of ["limit=1", "limit=500", "skip=0", "skip=10000", "skip=0&limit=10"]) {
      assertEquals((await server.get(`${path}?${query}`)).status, 200, `${path}?${query}`);
    }
    const wrong = [
      "limit=0",
      "limit=501",
      "limit=-1",
      "limit=1.5",
      "limit=ten",
      "limit=",
      "limit=99999999999",
      "limit=1&limit=2",
    ];
    wrong.push("skip=-1", "skip=10001", "skip=1e3", "skip=", "skip=%201", "count=yes", "count=", "colour=red");
    for (const query of wrong) {
      const problem = assertProblem(await server.get(`${path}?${query}`), 422, "validation_failed");
      const [name] = query.split("=");
      assertEquals(problem.errors?.map((error) => `${error.in} ${error.pointer}`), [`query /${name}`], query);
    }
    const tooFar = assertProblem(await server.get(`${path}?skip=10001`), 422, "validation_failed");
    assert(tooFar.errors?.[0]?.message.includes("cursor"), "the way on is said");
  }
});

Deno.test("GET /operations/v1: limit and skip cut the list as the first service did", async () => {
  const { workplace_name, order_nos } = await newOrders(5);
  assertEquals(await orders({ workplace_name, skip: 0, limit: 2 }), order_nos.slice(0, 2));
  assertEquals(await orders({ workplace_name, skip: 2, limit: 2 }), order_nos.slice(2, 4));
  assertEquals(await orders({ workplace_name, skip: 4, limit: 2 }), order_nos.slice(4));
  assertEquals(await orders({ workplace_name, skip: 5 }), []);
  // from a skipped page the cursor goes on
  const [, second] = await walk<Operation>(
    server,
    `/operations/v1?workplace_name=${encodeURIComponent(workplace_name)}&skip=1&limit=2`,
  );
  assertEquals(second?.map(({ order_no }) => order_no), order_nos.slice(3));
});

Deno.test("GET /operations/v1: 100 rows by default, 500 at most, and a next page while there is more", async () => {
  const { workplace_name, order_nos } = await newOrders(101);
  const first = await server.get<Operation[]>("/operations/v1", { query: { workplace_name } });
  assertEquals(first.body.map(({ order_no }) => order_no), order_nos.slice(0, 100));
  const rest = await server.get<Operation[]>(nextPage(first) ?? "");
  assertEquals(rest.body.map(({ order_no }) => order_no), order_nos.slice(100));
  assertEquals(nextPage(rest), undefined);
  assertEquals((await orders({ workplace_name, limit: 500 })).length, 101);
});

Deno.test("GET /operations/v1: a page that is exactly full has a next one only when there is more", async () => {
  const { workplace_name, order_nos } = await newOrders(6);
  for (const limit of [1, 2, 3, 4, 5, 6, 7]) {
    const pages = await walk<Operation>(
      server,
      `/operations/v1?workplace_name=${encodeURIComponent(workplace_name)}&limit=${limit}`,
    );
    assertEquals(pages.length, Math.ceil(6 / limit), `limit ${limit}`);
    assertEquals(pages.flat().map(({ order_no }) => order_no), order_nos);
  }
  const nothing = await server.get("/operations/v1", { query: { workplace_name: newWorkplace() } });
  assertEquals([nothing.text, nextPage(nothing)], ["[]", undefined]);
});

Deno.test("GET /operations/v1 by cursor: rows that come and go between pages shift nothing", async () => {
  const { prefix, workplace_name, order_nos, operations } = await newOrders(12);
  const added: string[] = [];
  const deleted: string[] = [];
  const pages = await walk<Operation>(
    server,
    `/operations/v1?workplace_name=${encodeURIComponent(workplace_name)}&limit=3`,
    async (page) => {
      // before the reader, where a skip would repeat rows; and after the reader, who must receive them
      const before = `${prefix}-00${page - 1}.5`;
      const after = `${prefix}-999-${page}`;
      await Promise.all([before, after].map((order_no) => newOperation({ order_no, workplace_name })));
      added.push(after);
      // the last row that was read, which the cursor names; and a row that was not read
      const gone = [page * 3 - 1, 12 - page].map((index) => operations[index]).filter((row) => row !== undefined);
      for (const row of gone) {
        if ((await server.delete(operationPath(row))).status === 204 && order_nos.indexOf(row.order_no) >= page * 3) {
          deleted.push(row.order_no);
        }
      }
    },
  );
  const listed = pages.flat().map(({ order_no }) => order_no);
  const expected = [...order_nos.filter((order_no) => !deleted.includes(order_no)), ...added];
  assert(deleted.length > 0 && added.length > 2);
  assertEquals(listed, expected);
});

Deno.test("GET /events/v1 by cursor: newest first, every event once while new ones arrive", async () => {
  const operation = await newOperation();
  const note = (index: number) => String(index);
  assertEquals((await report(server, operation, "START", { note: note(0) })).status, 201);
  for (let index = 1; index < 11; index++) {
    await report(server, operation, "REPORT_QUANTITY", { qty_good: 1, note: note(index) });
  }
  const paths = [
    `/events/v1?order_no=${operation.order_no}&limit=4`,
    `/events/v1/workplace/${encodeURIComponent(operation.workplace_name ?? "")}?limit=4`,
  ];
  let reported = 10;
  for (const path of paths) {
    const newest = reported;
    const pages = await walk<OperationEvent>(server, path, async () => {
      await report(server, operation, "REPORT_QUANTITY", { qty_good: 1, note: note(++reported) });
    });
    const listed = pages.flat().map((event) => event.note);
    assertEquals(listed, Array.from({ length: newest + 1 }, (_, index) => note(newest - index)));
    assert(reported > newest);
  }
});

Deno.test("GET /profiles/v1 by cursor: ordered by email, every profile once", async () => {
  const workplace_name = newWorkplace();
  const supervisor = await newUser({ role: "supervisor", workplaces: [workplace_name] });
  const users = await Promise.all(Array.from({ length: 6 }, () => newUser({ workplaces: [workplace_name] })));
  await newUser({ workplaces: [newWorkplace()] });
  const emails = [supervisor, ...users].map(({ email }) => email).sort();
  for (const limit of [2, 7]) {
    const pages = await walk<Profile>(supervisor.client, `/profiles/v1?limit=${limit}`);
    assert(pages.slice(0, -1).every((page) => page.length === limit), "every page but the last is full");
    const listed = pages.flat();
    const addresses = listed.map(({ email }) => email ?? "");
    assertEquals(addresses, [...new Set(addresses)].sort());
    // users of all workplaces share this one too; some of other tests come in between
    const [wide, own] = [true, false].map((isWide) =>
      listed.filter(({ workplace_access }) => workplace_access.includes("*") === isWide)
    );
    assertEquals(own?.map(({ email }) => email), emails);
    assert(wide?.every(({ email }) => !emails.includes(email ?? "")));
  }
  const counted = await supervisor.client.get<Profile[]>("/profiles/v1?count=exact&skip=5&limit=500");
  assertEquals(counted.headers.get("x-total-count"), String(counted.body.length + 5));
});

Deno.test("GET lists by cursor: shows only visible rows when the reader has fewer workplaces", async () => {
  const { workplace_name, order_nos } = await newOrders(4);
  const { prefix } = await newOrders(4);
  const { client } = await newUser({ workplaces: [workplace_name] });
  const pages = await walk<Operation>(client, "/operations/v1?limit=3&count=exact");
  assertEquals(pages.flat().map(({ order_no }) => order_no), order_nos);
  assertEquals(await orders({ q: prefix }, client), []);
  assertEquals((await client.get("/operations/v1?count=exact&limit=1")).headers.get("x-total-count"), "4");
});

Deno.test("GET lists: count is told only when asked; estimated is a number", async () => {
  const { workplace_name } = await newOrders(3);
  for (const path of ["/operations/v1", "/events/v1"]) {
    assertEquals((await server.get(path, { query: { workplace_name } })).headers.get("x-total-count"), null);
    const estimated = await server.get(path, { query: { workplace_name, count: "estimated" } });
    const total = estimated.headers.get("x-total-count");
    assert(total !== null && /^\d+$/.test(total), `X-Total-Count is ${total}`);
  }
  const exact = await server.get("/operations/v1", { query: { workplace_name, count: "exact", limit: 1, skip: 2 } });
  assertEquals(exact.headers.get("x-total-count"), "3");
  const profiles = await server.get("/profiles/v1?count=estimated&limit=1");
  assertGreaterOrEqual(Number(profiles.headers.get("x-total-count") ?? NaN), 1);
});

Deno.test("GET lists: a cursor goes with limit and count of the reader's choice", async () => {
  const { workplace_name, order_nos } = await newOrders(5);
  const first = await server.get("/operations/v1", { query: { workplace_name, limit: 1 } });
  const cursor = cursorOf(first);
  const rest = await server.get<Operation[]>("/operations/v1", {
    query: { count: "exact", cursor, limit: 500, workplace_name, skip: 0 },
  });
  assertEquals(rest.body.map(({ order_no }) => order_no), order_nos.slice(1));
  assertEquals(rest.headers.get("x-total-count"), "5");
});

Deno.test("GET lists: answers 422 when a cursor is forged, damaged, foreign or of other filters", async () => {
  const { workplace_name, operations } = await newOrders(3);
  const [operation] = operations;
  assertExists(operation);
  for (const action of ["START", "STOP", "START"] as const) await report(server, operation, action);
  const query = { workplace_name, limit: 1 };
  const workplacePath = `/events/v1/workplace/${encodeURIComponent(workplace_name)}`;
  const ofOperations = cursorOf(await server.get("/operations/v1", { query }));
  const ofEvents = cursorOf(await server.get("/events/v1", { query }));
  const ofWorkplace = cursorOf(await server.get(workplacePath, { query: { limit: 1 } }));
  const ofProfiles = cursorOf(await server.get("/profiles/v1", { query: { limit: 1 } }));

  const [head = "", payload = "", signature = ""] = ofOperations.split(".");
  const claims = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(payload, { alphabet: "base64url" })));
  const encode = (value: unknown) =>
    new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
  const forged = {
    empty: "",
    "not a token": "page2",
    truncated: ofOperations.slice(0, -1),
    "without signature": `${head}.${payload}.`,
    "without payload": `${head}..${signature}`,
    "one letter changed": `${head}.${payload.slice(0, -2)}${payload.at(-2) === "A" ? "B" : "A"}${
      payload.at(-1)
    }.${signature}`,
    "other key": `${head}.${encode({ ...claims, key: ["0", "0", 1] })}.${signature}`,
    "other secret": await sign(claims, "another secret", "HS256"),
    "alg none": `${encode({ alg: "none", typ: "JWT" })}.${payload}.`,
    "of events": ofEvents,
    "of profiles": ofProfiles,
    "an access token": (await newUser()).token,
    "longer than any": "x".repeat(2001),
  };
  const refused = async (path: string, name: string, query: Query) => {
    const problem = assertProblem(await server.get(path, { query }), 422, "validation_failed");
    assertEquals(problem.errors?.map((error) => `${error.in} ${error.pointer}`), ["query /cursor"], name);
  };
  for (const [name, cursor] of Object.entries(forged)) await refused("/operations/v1", name, { ...query, cursor });
  await refused("/events/v1", "of operations", { ...query, cursor: ofOperations });
  await refused("/events/v1", "of the workplace's list", { ...query, cursor: ofWorkplace });
  await refused(workplacePath, "of the list with a filter", { limit: 1, cursor: ofEvents });
  await refused("/events/v1/workplace/Trommelen-1", "of another workplace", { cursor: ofWorkplace });
  await refused("/profiles/v1", "of operations", { cursor: ofOperations });

  await refused("/operations/v1", "other filter", { workplace_name: newWorkplace(), cursor: ofOperations });
  await refused("/operations/v1", "one filter more", { workplace_name, status: "RELEASED", cursor: ofOperations });
  await refused("/operations/v1", "no filter", { cursor: ofOperations });
  await refused("/operations/v1", "another sort", { workplace_name, sort: "planned_start_at", cursor: ofOperations });
  const ofSorted = cursorOf(await server.get("/operations/v1", { query: { ...query, sort: "updated_at" } }));
  await refused("/operations/v1", "the other direction", { workplace_name, sort: "-updated_at", cursor: ofSorted });
  await refused("/operations/v1", "no sort", { workplace_name, cursor: ofSorted });
  await refused("/operations/v1", "with skip", { ...query, skip: 1, cursor: ofOperations });
  assertProblem(
    await server.get(`/operations/v1?workplace_name=${workplace_name}&cursor=${ofOperations}&cursor=${ofOperations}`),
    422,
    "validation_failed",
  );
  // it was only ever the tampering
  assertEquals((await server.get("/operations/v1", { query: { ...query, cursor: ofOperations } })).status, 200);
});

/** Values that would break out of a filter expression, or act as a wildcard, if they were ever spliced into one. */
const hostile = [
  "a,status.eq.RELEASED",
  "a),or(status.eq.RELEASED",
  "*)",
  "*",
  "%",
  "_",
  "%25",
  "\\",
  "\\%",
  "'",
  "' or 'a'='a",
  '"',
  "')--",
  "$1",
  "{a,b}",
  "(1,2)",
  "null",
  "not.is.null",
  "eq.RELEASED",
  "in.(a,b)",
  "like.*",
  "a&order=status",
  "a#b",
  "a;b",
  "\u{10ffff}",
  "٪",
];

Deno.test("GET /operations/v1: finds only equal rows when filter values are hostile", async () => {
  const workplace_name = newWorkplace();
  const prefix = unique("H");
  const plain = await newOperation({ order_no: prefix, workplace_name, activity_description: "plain" });
  for (const value of hostile) {
    const order_no = `${prefix}${value}`;
    const description = `${prefix} ${value}`;
    const here = { workplace_name };
    // nothing is called so yet
    assertEquals(await orders({ ...here, order_no }), [], value);
    assertEquals(await orders({ ...here, order_no: value }), [], value);
    assertEquals(await orders({ ...here, activity_code: value }), [], value);
    assertEquals(await orders({ ...here, workplace_group: value }), [], value);
    assertEquals(await orders({ ...here, q: value }), [], value);
    assertEquals(await orders({ ...here, q: order_no }), [], value);
    // other tests have workplaces that are called like the bare value
    assertEquals(await orders({ order_no: prefix, workplace_name: [`${workplace_name}${value}`, value] }), [], value);
    const named = await newOperation({
      order_no,
      workplace_name: `${workplace_name}${value}`,
      workplace_group: order_no,
      activity_code: order_no,
      activity_description: description,
    });
    assertEquals(named.order_no, order_no);
    assertEquals((await server.get<Operation>(operationPath(named))).body.order_no, order_no);
    assertEquals(await orders({ order_no }), [order_no], value);
    assertEquals(await orders({ activity_code: order_no }), [order_no], value);
    assertEquals(await orders({ workplace_group: order_no }), [order_no], value);
    assertEquals(await orders({ workplace_name: `${workplace_name}${value}` }), [order_no], value);
    assertEquals(await orders({ workplace_name: `${workplace_name}${value}`, q: order_no }), [order_no], value);
    assertEquals(await orders({ workplace_name: `${workplace_name}${value}`, q: description }), [order_no], value);
    assertEquals((await server.delete(operationPath(named))).status, 204);
  }
  assertEquals(await orders({ workplace_name }), [plain.order_no]);
});

Deno.test("GET /operations/v1?q: a prefix is a prefix, its characters stand for themselves", async () => {
  const prefix = unique("P");
  const workplace_name = newWorkplace();
  const endings = ["%", "%x", "_", "_x", "*", ",a", "(a)", "Aa", "aA", "\\", "\u{ffff}", "\u{10ffff}", "\u{10ffff}b"];
  await Promise.all(endings.map((end) => newOperation({ order_no: `${prefix}${end}`, workplace_name })));
  for (const q of ["%", "_", "*", ",", "(", "a", "A", "\\", "\u{ffff}", "\u{10ffff}", "%x", "x", ")"]) {
    const expected = endings.filter((end) => end.startsWith(q)).map((end) => `${prefix}${end}`).sort();
    assertEquals((await orders({ q: `${prefix}${q}` })).sort(), expected, q);
  }
});

Deno.test("GET lists: answer 422 when values of typed filters are hostile", async () => {
  const typed: [path: string, parameters: string[]][] = [
    [
      "/operations/v1",
      [
        "status",
        "planned_start_after",
        "planned_start_before",
        "has_remaining_qty",
        "is_overdue",
        "has_parked",
        "limit",
        "skip",
        "count",
        "cursor",
      ],
    ],
    ["/events/v1", [
      "action_type",
      "asset_id",
      "user_id",
      "occurred_after",
      "occurred_before",
      "limit",
      "skip",
      "count",
      "cursor",
    ]],
    ["/profiles/v1", ["limit", "skip", "count", "cursor"]],
  ];
  for (const [path, parameters] of typed) {
    for (const parameter of parameters) {
      const answers = await Promise.all(
        hostile.map((value) =>
          server.get(path, { query: { [parameter]: value, ...(parameter === "limit" ? {} : { limit: 1 }) } })
        ),
      );
      for (const answer of answers) {
        const problem = assertProblem(answer, 422, "validation_failed");
        assert(problem.errors?.every(({ pointer }) => pointer.startsWith(`/${parameter}`)), answer.text);
      }
    }
  }
});

Deno.test("GET /events/v1: finds only equal rows when filter values are hostile", async () => {
  const prefix = unique("V");
  for (const value of hostile) {
    const named = { order_no: `${prefix}${value}`, operation_no: value, workplace_name: `${prefix}${value}` };
    const list = (query: Query) => notes({ ...query, limit: 500 });
    assertEquals(await list({ order_no: named.order_no }), [], value);
    assertEquals(await list({ workplace_name: named.workplace_name }), [], value);
    const operation = await newOperation(named);
    assertEquals((await report(server, operation, "START", { note: value })).status, 201);
    assertEquals(await list({ order_no: named.order_no }), [value]);
    assertEquals(await list({ workplace_name: named.workplace_name }), [value]);
    assertEquals(await list({ order_no: named.order_no, operation_no: value }), [value]);
    assertEquals(await list({ order_no: prefix, operation_no: value }), []);
    const path = `/events/v1/workplace/${encodeURIComponent(named.workplace_name)}`;
    assertEquals((await server.get<OperationEvent[]>(path)).body.map(({ note }) => note), [value]);
  }
});

Deno.test("GET lists: times that are none, and times in any offset", async () => {
  const wrong = [
    "infinity",
    "now",
    "2026-01-01",
    "2026-01-01T24:00:00Z",
    "2026-01-01T08:00:60Z",
    "2026-01-01T08:00:00",
  ];
  wrong.push("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z");
  const parameters: [string, string[]][] = [
    ["/operations/v1", ["planned_start_after", "planned_start_before"]],
    ["/events/v1", ["occurred_after", "occurred_before"]],
  ];
  for (const [path, names] of parameters) {
    for (const name of names) {
      for (const value of wrong) {
        const problem = assertProblem(await server.get(path, { query: { [name]: value } }), 422, "validation_failed");
        assertEquals(problem.errors?.map(({ pointer }) => pointer), [`/${name}`], value);
      }
    }
  }
});

Deno.test("GET /operations/v1?status: a hundred values at most", async () => {
  const many = (count: number) => ({ query: { workplace_name: Array.from({ length: count }, () => newWorkplace()) } });
  assertEquals((await server.get("/operations/v1", many(100))).status, 200);
  assertProblem(await server.get("/operations/v1", many(101)), 422, "validation_failed");
});

Deno.test("GET lists by an operator of several workplaces: all of them in one order, each item once, nothing else", async () => {
  const places = [newWorkplace(), newWorkplace(), newWorkplace()];
  const order_no = unique("O");
  const made: string[] = [];
  for (const [n, workplace_name] of [...places, ...places].entries()) {
    const operation_no = String(n + 1).padStart(2, "0");
    const operation = await newOperation({
      order_no,
      operation_no,
      workplace_name,
      status: n < 5 ? "RELEASED" : "PLANNED",
    });
    if (workplace_name !== places[2]) made.push(operation_no);
    if (n < 5) assertEquals((await report(server, operation, "START")).status, 201);
  }
  // a workplace that is named twice is one workplace
  const { client } = await newUser({ workplaces: [places[0] ?? "", places[1] ?? "", places[0] ?? ""] });
  const all = async (path: string) => {
    const seen: string[] = [];
    for (let next: string | undefined = path; next !== undefined;) {
      const page: Answer<{ operation_no: string }[]> = await client.get<{ operation_no: string }[]>(next);
      assertEquals(page.status, 200, page.text);
      seen.push(...page.body.map(({ operation_no }) => operation_no));
      next = nextPage(page);
    }
    return seen;
  };
  const running = made.filter((operation_no) => operation_no < "06");
  assertEquals(await all(`/operations/v1?order_no=${order_no}&limit=1`), made);
  const statuses = "status=IN_PROGRESS&status=FINISHED&status=IN_PROGRESS";
  assertEquals(await all(`/operations/v1?order_no=${order_no}&limit=2&${statuses}`), running);
  assertEquals(await all(`/operations/v1?workplace_name=${places[2]}`), []);
  assertEquals(await all(`/events/v1?order_no=${order_no}&limit=1`), running.toReversed());
  const actions = "action_type=START&action_type=STOP&action_type=START";
  assertEquals(await all(`/events/v1?order_no=${order_no}&limit=2&${actions}`), running.toReversed());
  assertEquals(await all(`/events/v1?workplace_name=${places[2]}`), []);
});

Deno.test("GET /events/v1 by when it happened: also what was heard hours later", async () => {
  const operation = await newOperation();
  const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
  for (const [action, hours] of [["START", 9], ["REPORT_QUANTITY", 7], ["STOP", 5], ["START", 0.5]] as const) {
    assertEquals((await report(server, operation, action, { occurred_at: ago(hours) })).status, 201);
  }
  const within = async (query: Record<string, string>) => {
    const listed = await server.get<OperationEvent[]>("/events/v1", {
      query: { order_no: operation.order_no, ...query },
    });
    assertEquals(listed.status, 200, listed.text);
    return listed.body.map(({ op_seq }) => op_seq);
  };
  assertEquals(await within({ occurred_before: ago(6) }), [2, 1]);
  assertEquals(await within({ occurred_after: ago(8), occurred_before: ago(1) }), [3, 2]);
  assertEquals(await within({ occurred_after: ago(6) }), [4, 3]);
  assertEquals(await within({ occurred_before: ago(0.1) }), [4, 3, 2, 1]);
  const counted = await server.get<OperationEvent[]>("/events/v1", {
    query: { order_no: operation.order_no, occurred_after: ago(8), occurred_before: ago(1), count: "exact" },
  });
  assertEquals(counted.headers.get("x-total-count"), "2");
});
