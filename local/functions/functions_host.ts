/**
 * The process that runs the Edge Functions, started by functions.ts: imports each function once and serves it under
 * the path that it sees on Supabase, `/<function>/...`. Says its port in one line on stdout. A line on stdin says that the
 * end is near; the process ends when stdin does, so that it never outlives the stack.
 */
import { messageOf } from "../system/failure.ts";
import { delay, holdsWithin } from "../system/poll.ts";

/** Time limit of requests in flight. */
const finishMs = 5000;
/** Time limit of streams, after the request to end. */
const streamEndMs = 500;
/** An unwanted body is read for as long as this; the gateway bounds its size and its pace. */
const maxUnreadMs = 60_000;

type Handler = (request: Request) => Response | Promise<Response>;

function handlerOf(module: unknown): Handler {
  const main: unknown = typeof module === "object" && module !== null ? Reflect.get(module, "default") : undefined;
  const fetch: unknown = typeof main === "object" && main !== null ? Reflect.get(main, "fetch") : undefined;
  if (typeof fetch !== "function") throw new TypeError("it does not `export default { fetch }`");
  return (request) => Reflect.apply(fetch, main, [request]);
}

async function load([name, url]: [string, string]): Promise<[string, Handler]> {
  try {
    return [name, handlerOf(await import(url))];
  } catch (error) {
    const reason = error instanceof Error ? error.stack ?? error.message : String(error);
    console.error(`Function "${name}" cannot be started, the others can: ${reason}`);
    return [name, () =>
      Response.json({ code: "BOOT_ERROR", message: "Worker failed to boot (please check logs)" }, {
        status: 503,
        headers: { "sb-error-code": "BOOT_ERROR" },
      })];
  }
}

/** Reads what is left of a body: closing the connection of a client that still sends loses the answer. */
async function discardRest(request: Request): Promise<void> {
  if (request.method === "GET" || request.body === null || request.bodyUsed || request.body.locked) return;
  // a client that asks first does not send what is rejected
  if (request.headers.get("expect")?.toLowerCase() === "100-continue") return;
  await request.body.pipeTo(new WritableStream(), { signal: AbortSignal.timeout(maxUnreadMs) }).catch(() => {});
}

// On Supabase, an uncaught exception ends the isolate of one function. Here all functions share a process, so the
// exception is logged and the other functions continue.
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  console.error("Unhandled rejection in a function:", event.reason);
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  console.error("Uncaught exception in a function:", event.error);
});

const modules: [string, string][] = JSON.parse(Deno.args[0] ?? "[]");
const handlers = new Map(await Promise.all(modules.map(load)));

let inFlight = 0;

const server = Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`listening ${port}`),
  onError(error) {
    console.error("A function did not answer:", messageOf(error), error);
    return Response.json({ code: "WORKER_ERROR", message: "Function exited due to an error (please check logs)" }, {
      status: 500,
    });
  },
}, async (request) => {
  inFlight++;
  try {
    return await answer(request);
  } finally {
    await discardRest(request);
    inFlight--;
  }
});

async function answer(request: Request): Promise<Response> {
  const start = request.url.indexOf("/", 8) + 1;
  const name = request.url.slice(start).split(/[/?#]/, 1)[0] ?? "";
  const handler = handlers.get(decodeURIComponent(name));
  if (!handler) {
    return Response.json({ code: "NOT_FOUND", message: "Requested function was not found" }, { status: 404 });
  }
  return await handler(request);
}

let isTold = false;

/** Event by which Supabase's runtime announces the end of an isolate: streams close with their reason. */
function tellFunctions(): void {
  if (!isTold) dispatchEvent(new CustomEvent("beforeunload", { detail: { reason: "termination" } }));
  isTold = true;
}

for await (const _ of Deno.stdin.readable) tellFunctions();
tellFunctions();
const shutDown = server.shutdown();
await holdsWithin(finishMs, () => inFlight === 0);
await Promise.race([shutDown, delay(streamEndMs)]);
Deno.exit(0);
