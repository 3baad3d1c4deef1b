/** The stream function alone in a process, as Supabase runs it, and its memory; started by stream.ts. */
const log = console.log;
console.log = () => {};
const { default: { fetch } } = await import("../supabase/functions/stream/index.ts");
Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: ({ port }) => log(String(port)) },
  (request) => request.url.endsWith("/memory") ? Response.json(Deno.memoryUsage()) : fetch(request),
);
