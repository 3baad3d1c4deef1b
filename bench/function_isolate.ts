/** A function and a bare handler in one isolate, in turn, each called without a socket; started by function.ts. */
import { Hono } from "hono";

const { path, token, clients, rounds, duration_ms } = JSON.parse(Deno.args[0] ?? "{}");
const log = console.log;
console.log = () => {};
const { default: { fetch: answer } } = await import("../supabase/functions/operations/index.ts");

const bare = new Hono().get("*", async (c) => {
  const response = await fetch(`${Deno.env.get("SUPABASE_URL")}/rest/v1/rpc/get_operation`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: c.req.header("authorization") ?? "" },
    body: "{}",
  });
  return c.json(await response.json(), 200);
});

type Handler = (request: Request) => Response | Promise<Response>;

/** Requests per second of clients that send their next request when they have the answer to the last one. */
async function perSecond(handler: Handler): Promise<number> {
  const began = performance.now();
  let count = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() - began < duration_ms) {
      const response = await handler(
        new Request(`http://127.0.0.1${path}`, { headers: { authorization: `Bearer ${token}` } }),
      );
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
      await response.text();
      count++;
    }
  }));
  return count / (performance.now() - began) * 1_000;
}

const handlers: [string, Handler][] = [["function", answer], ["bare", (request) => bare.fetch(request)]];
for (const [, handler] of handlers) await perSecond(handler);
for (let round = 0; round < rounds; round++) {
  log(JSON.stringify(Object.fromEntries(
    await handlers.reduce<Promise<[string, number][]>>(
      async (before, [name, handler]) => [...await before, [name, await perSecond(handler)]],
      Promise.resolve([]),
    ),
  )));
}
Deno.exit(0);
