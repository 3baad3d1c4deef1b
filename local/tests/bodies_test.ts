import { assertEquals, assertLess } from "../../supabase/functions/tests/support/assertions.ts";
import { call, endBy, residentBytes, startAndWait, withStack } from "./testing.ts";
import { project, signUp } from "./testing_project.ts";

const mebibyte = 1024 * 1024;

/** Functions that answer early: before the body, amid the body, and after it. */
const uploads = {
  ...project,
  "config.toml": `${project["config.toml"]}\n[functions.upload]\nverify_jwt = false\n`,
  "functions/upload/index.ts": `export default { async fetch(request: Request) {
    const token = request.headers.get("authorization");
    if (token === "Bearer bad") return Response.json({ code: "unauthenticated" }, { status: 401 });
    if (token === "Bearer half") {
      const reader = request.body!.getReader();
      await reader.read();
      await reader.cancel();
      return Response.json({ code: "too_large" }, { status: 413 });
    }
    return Response.json({ size: (await request.bytes?.() ?? new Uint8Array(await request.arrayBuffer())).length });
  } };`,
};

/** A body of `mebibytes` that says nothing of its size. */
function chunked(mebibytes: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = mebibytes * 16;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(mebibyte / 16).fill(32));
      else controller.close();
    },
  });
}

async function outcome(answer: Promise<Response>): Promise<string> {
  try {
    const response = await answer;
    await response.body?.cancel();
    return String(response.status);
  } catch (error) {
    return String(error);
  }
}

/** Counts what is said, by what it is. */
class Tally {
  readonly counts: Record<string, number> = {};
  add(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

Deno.test("gateway: no valid request fails when 20 clients upload with a bad token", async () => {
  await withStack(uploads, async (stack) => {
    const url = `${stack.url}/functions/v1/upload`;
    const body = new Uint8Array(300_000).fill(32);
    const [uploaded, answered] = [new Tally(), new Tally()];
    let left = 500;
    const uploading = Array.from({ length: 20 }, async (_, index) => {
      // Some functions stop amid the body: their own client may be disconnected, and no other.
      const authorization = index % 5 === 0 ? "Bearer half" : "Bearer bad";
      while (left > 0) {
        const status = await outcome(fetch(url, { method: "POST", headers: { authorization }, body }));
        if (authorization === "Bearer bad") uploaded.add(status);
      }
    });
    const asking = Array.from({ length: 10 }, async () => {
      while (left-- > 0) {
        const small = { method: "POST", body: "x".repeat(left) };
        answered.add(await outcome(fetch(url, left % 2 === 0 ? small : {})));
      }
    });
    await Promise.all([...uploading, ...asking]);
    assertEquals(answered.counts, { "200": 500 });
    assertEquals(Object.keys(uploaded.counts), ["401"], JSON.stringify(uploaded.counts));
  });
});

Deno.test("gateway: a body is limited to 20 MiB when it is sent to a function", async (t) => {
  await withStack(uploads, async (stack) => {
    const url = `${stack.url}/functions/v1/upload`;
    await t.step("19 MiB in chunks arrive whole", async () => {
      const answer = await fetch(url, { method: "POST", body: chunked(19) });
      assertEquals(await answer.json(), { size: 19 * mebibyte });
    });
    await t.step("40 MiB in chunks are 413", async () => {
      const answer = await fetch(url, { method: "POST", body: chunked(40) });
      assertEquals([answer.status, (await answer.json()).code], [413, "BODY_TOO_LARGE"]);
    });
    await t.step("40 MiB in one piece are 413 before they are read", async () => {
      const answer = await fetch(url, { method: "POST", body: new Uint8Array(40 * mebibyte) });
      assertEquals([answer.status, (await answer.json()).code], [413, "BODY_TOO_LARGE"]);
    });
  });
});

Deno.test("gateway: a user's large body is read when clients that never finish theirs hold their connections", async () => {
  await withStack(uploads, async (stack) => {
    const url = `${stack.url}/functions/v1/upload`;
    const user = await signUp(stack);
    let isAnswered = false;
    let drops = 0;
    const areSlow = Promise.withResolvers<void>();
    // each sends enough to need a turn, and then a little now and then
    const slow = Array.from({ length: 4 }, async () => {
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        start: (controller) => controller.enqueue(new Uint8Array(mebibyte / 2)),
        async pull(controller) {
          await new Promise((resume) => setTimeout(resume, 100));
          if (isAnswered) return controller.close();
          controller.enqueue(new Uint8Array(1));
          if (++drops === 40) areSlow.resolve();
        },
      });
      return await outcome(fetch(url, { method: "POST", body }));
    });
    await areSlow.promise;
    try {
      const body = new Uint8Array(mebibyte);
      const init = { method: "POST", headers: user.headers, body, signal: AbortSignal.timeout(4000) };
      assertEquals(await (await fetch(url, init)).json(), { size: mebibyte });
    } finally {
      isAnswered = true;
    }
    assertEquals(await Promise.all(slow), Array(4).fill("200"));
  });
});

Deno.test("Data API: a body is limited to 2 MiB when a user calls a function of the database", async (t) => {
  const migration = "create function public.name_all(names text[]) returns integer language sql as " +
    "'select cardinality(names)';";
  await withStack({ ...project, "migrations/20250102000000_name_all.sql": migration }, async (stack) => {
    const user = await signUp(stack);
    const url = `${stack.url}/rest/v1/rpc/count_up`;
    const headers = { ...user.headers, "content-type": "application/json" };
    const padded = (bytes: number) => `{"p_name": "padded"}`.padEnd(bytes, " ");
    const status = async (body: BodyInit) => await outcome(fetch(url, { method: "POST", headers, body }));

    await t.step("2 MiB are taken, a byte more is 413, declared or not", async () => {
      assertEquals(await status(padded(2 * mebibyte)), "200");
      assertEquals(await status(padded(2 * mebibyte + 1)), "413");
      assertEquals(await status(new Blob([padded(2 * mebibyte)]).stream()), "200");
      assertEquals(await status(new Blob([padded(2 * mebibyte + 1)]).stream()), "413");
      assertEquals(await status(chunked(40)), "413");
    });
    await t.step("the answer has the form of PostgREST's errors", async () => {
      const answer = await call(url, { headers: user.headers, body: { p_name: "x".repeat(3 * mebibyte) } });
      const { code, details, hint, message } = answer.json ?? {};
      assertEquals([answer.status, code, details, hint], [413, "BODY_TOO_LARGE", null, null]);
      assertEquals(message, `The body is larger than ${2 * mebibyte} bytes`);
    });
    await t.step("the Auth API refuses alike", async () => {
      const signup = `${stack.url}/auth/v1/signup`;
      assertEquals(await outcome(fetch(signup, { method: "POST", headers, body: padded(3 * mebibyte) })), "413");
    });
    await t.step("an argument of more than 10,000 elements is 413", async () => {
      const named = async (count: number) =>
        await call(url.replace("count_up", "name_all"), {
          headers: user.headers,
          body: { names: Array(count).fill("a") },
        });
      assertEquals((await named(10_000)).text, "10000");
      const refused = await named(10_001);
      assertEquals([refused.status, refused.json?.code], [413, "TOO_MANY_ELEMENTS"]);
    });
    await t.step("rows for a table are limited to 64 KiB", async () => {
      const rows = (count: number) =>
        call(`${stack.url}/rest/v1/lists`, {
          headers: { apikey: stack.keys.secretKey },
          body: Array.from({ length: count }, (_, id) => ({ id })),
        });
      assertEquals((await rows(1000)).status, 201);
      assertEquals((await rows(100_000)).status, 413);
    });
  });
});

Deno.test("Data API: ten arrays of 600,000 names leave memory flat and other callers served when sent at once", async () => {
  const stack = await startAndWait(["--ephemeral", "--no-seed"]);
  try {
    const { SUPABASE_URL = "", SUPABASE_PUBLISHABLE_KEY: apikey = "" } = stack.settings;
    const { json } = await call(`${SUPABASE_URL}/auth/v1/signup`, {
      headers: { apikey },
      body: { email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() },
    });
    const headers = { apikey, authorization: `Bearer ${json?.access_token}`, "content-type": "application/json" };
    const url = `${SUPABASE_URL}/rest/v1/rpc/list_operations`;
    const names = Array.from({ length: 600_000 }, (_, index) => `name-${index}`);
    const body = new TextEncoder().encode(JSON.stringify({ workplace_names: names }));
    const ask = () => call(url, { headers, body: { workplace_names: ["beside"] } });
    assertEquals((await ask()).status, 200);

    const before = await residentBytes(stack.process.pid);
    const started = performance.now();
    const attacks = Array.from({ length: 10 }, () => outcome(fetch(url, { method: "POST", headers, body })));
    assertEquals((await ask()).status, 200);
    assertEquals(await Promise.all(attacks), Array(10).fill("413"));
    assertLess(performance.now() - started, 10_000);
    assertLess(await residentBytes(stack.process.pid) - before, 100 * mebibyte);
  } finally {
    await endBy("SIGTERM", stack);
  }
});
