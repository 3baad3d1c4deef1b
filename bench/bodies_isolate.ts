/** Functions alone in a process, as Supabase runs them, without their log; started by bodies.ts. */
const log = console.log;
console.log = () => {};
const functions = new Map<string, (request: Request) => Response | Promise<Response>>();
for (const name of ["operations", "events"]) {
  const { default: main } = await import(`../supabase/functions/${name}/index.ts`);
  functions.set(name, main.fetch);
}
Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: ({ port }) => log(String(port)) },
  (request) => functions.get(new URL(request.url).pathname.split("/")[1] ?? "")?.(request) ?? new Response(),
);
