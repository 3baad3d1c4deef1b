/** A function with and without limits and a bare handler in one isolate, in turn, each called without a socket; started by function.ts. */
import { Hono } from "hono";

const { path, token, clients, rounds, duration_ms } = JSON.parse(Deno.args[0] ?? "{}");
const log = console.log;
console.log = () => {};
const { default: { fetch: answer } } = await import("../supabase/functions/operations/index.ts");
const { rateLimits } = await import("../supabase/functions/_shared/rate_limit_settings.ts");

const bare = new Hono().get("*", async (c) => {
  const response = await fetch(`${Deno.env.get("SUPABASE_URL")}/rest/v1/rpc/get_operation`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: c.req.header("authorization") ?? "" },
    body: "{}",
  });
  return c.json(await response.json(), 200);
});

type Handler = (request: Request) => Response | Promise<Response>;

/** What a round measured. */
interface Round {
  perSecond: number;
  /** Processor time of a request, which other programs of the machine disturb less. */
  cpuMs: number;
}

/** Processor time of this process, in ticks of 10 ms; the time itself where the system does not tell it. */
function cpuMs(): number {
  try {
    const fields = Deno.readTextFileSync("/proc/self/stat").split(") ").at(-1)?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return performance.now();
  }
}

/** Requests per second of clients that send their next request when they have the answer to the last one. */
async function measure(handler: Handler): Promise<Round> {
  const began = performance.now();
  const beganCpuMs = cpuMs();
  let count = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() - began < duration_ms) {
      const response = await handler(
        new Request(`http://127.0.0.1${path}`, {
          headers: { authorization: `Bearer ${token}`, "x-forwarded-for": "192.0.2.7" },
        }),
      );
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
      await response.text();
      count++;
    }
  }));
  return { perSecond: count / (performance.now() - began) * 1_000, cpuMs: (cpuMs() - beganCpuMs) / count };
}

const handlers: [string, Handler][] = [
  ["function", (request) => withLimits(true, request)],
  ["unlimited", (request) => withLimits(false, request)],
  ["bare", (request) => bare.fetch(request)],
];

function withLimits(areOn: boolean, request: Request): Response | Promise<Response> {
  rateLimits.areOn = areOn;
  return answer(request);
}

for (const [, handler] of handlers) await measure(handler);
for (let round = 0; round < rounds; round++) {
  log(JSON.stringify(Object.fromEntries(
    // in either order, because one that runs first after another kind of code is slower
    await (round % 2 === 0 ? handlers : handlers.toReversed()).reduce<Promise<[string, Round][]>>(
      async (before, [name, handler]) => [...await before, [name, await measure(handler)]],
      Promise.resolve([]),
    ),
  )));
}
Deno.exit(0);
