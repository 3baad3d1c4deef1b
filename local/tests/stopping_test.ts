import {
  assert,
  assertEquals,
  assertLess,
  assertStringIncludes,
} from "../../supabase/functions/tests/support/assertions.ts";
import { join } from "node:path";
import { holdsWithin } from "../system/poll.ts";
import { copyCheckout, startAndWait } from "./testing.ts";

/** Waits in the way that the path says; asks the database at the end, as every function of the project does. */
const slow = `
const streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
const encode = (text: string) => new TextEncoder().encode(text);
addEventListener("beforeunload", (event) => {
  const { reason } = (event as CustomEvent<{ reason: string }>).detail;
  for (const stream of streams) {
    stream.enqueue(encode("data: close " + reason + "\\n\\n"));
    stream.close();
  }
});
function stream(isPolite: boolean): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encode("data: open\\n\\n"));
      if (isPolite) streams.add(controller);
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}
export default { async fetch(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/slow/stream") return stream(true);
  if (pathname === "/slow/stubborn") return stream(false);
  console.log("in flight");
  await new Promise((done) => setTimeout(done, pathname === "/slow/for-ever" ? 60_000 : 1500));
  const url = Deno.env.get("SUPABASE_URL") + "/rest/v1/rpc/work";
  const { default: apikey } = JSON.parse(Deno.env.get("SUPABASE_SECRET_KEYS")!);
  const { status } = await fetch(url, { method: "POST", headers: { apikey, "content-type": "application/json" }, body: "{}" });
  return Response.json({ database: status });
} };`;

async function withSlowStack(
  run: (stack: Awaited<ReturnType<typeof startAndWait>>, url: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mes-stopping-" });
  try {
    await copyCheckout(folder);
    await Deno.remove(join(folder, "supabase"), { recursive: true });
    for (const part of ["functions/slow", "migrations"]) {
      await Deno.mkdir(join(folder, "supabase", part), { recursive: true });
    }
    await Deno.writeTextFile(join(folder, "supabase/config.toml"), "[functions.slow]\nverify_jwt = false\n");
    await Deno.writeTextFile(
      join(folder, "supabase/migrations/20250101000000_work.sql"),
      "create function public.work() returns integer language sql as 'select 1';",
    );
    await Deno.writeTextFile(join(folder, "supabase/functions/slow/index.ts"), slow);
    const stack = await startAndWait(["--ephemeral", "--no-seed"], {
      root: folder,
      denoFlags: ["--node-modules-dir=manual"],
    });
    try {
      await run(stack, `${stack.settings.SUPABASE_URL}/functions/v1/slow`);
    } finally {
      try {
        stack.process.kill("SIGKILL");
      } catch {
        // It has ended, as it should.
      }
      await stack.process.status;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const isWindows = Deno.build.os === "windows";

Deno.test({
  name: "stop: requests in flight are answered, new ones are refused, streams end with their reason when SIGTERM comes",
  ignore: isWindows,
  fn: () =>
    withSlowStack(async (stack, url) => {
      const stream = await fetch(`${url}/stream`);
      const stubborn = await fetch(`${url}/stubborn`);
      const inFlight = fetch(url).then(async (answer) => ({ status: answer.status, body: await answer.json() }));
      const told = stream.text();
      const cut = stubborn.text().then(() => "ended", () => "cut");
      assert(await holdsWithin(5000, () => stack.output().includes("in flight")));

      const sent = performance.now();
      stack.process.kill("SIGTERM");
      assert(await holdsWithin(1000, () => stack.output().includes("Stopping.")));
      const refused = async () => {
        const answer = await fetch(`${url}/new`);
        await answer.body?.cancel();
        return [answer.status, answer.headers.get("retry-after")];
      };
      assert(await holdsWithin(1000, async () => (await refused())[0] === 503));
      assertEquals(await refused(), [503, "2"]);
      assertEquals(await inFlight, { status: 200, body: { database: 200 } });
      assertStringIncludes(await told, "data: close termination");
      await stack.process.status;
      assert(["ended", "cut"].includes(await cut));
      assertLess(performance.now() - sent, 4500, "the streams held it up");
    }),
});

Deno.test({
  name: "stop: a request that does not finish is given up when SIGTERM came 5 s ago",
  ignore: isWindows,
  fn: () =>
    withSlowStack(async (stack, url) => {
      const inFlight = fetch(`${url}/for-ever`).then((answer) => answer.body?.cancel(), () => {});
      assert(await holdsWithin(5000, () => stack.output().includes("in flight")));
      const sent = performance.now();
      stack.process.kill("SIGTERM");
      await stack.process.status;
      const took = performance.now() - sent;
      assert(took > 4500 && took < 10_000, `it took ${took} ms`);
      await inFlight;
    }),
});
