/**
 * `deno run -A bench/bodies.ts [requests]`: what a body of 1 MiB costs the isolate of a function, in CPU time, by what
 * is in it and where it is sent. Linux only: the time is read from /proc.
 */
import { startStack } from "../local/stack.ts";
import { startIsolate } from "./isolate.ts";

const [requests = 30] = Deno.args.filter((arg) => /^\d+$/.test(arg)).map(Number);
const size_bytes = 1024 * 1024;
/** Unit of the times in /proc. */
const ticksPerSecond = 100;

const fill = (element: string, size = size_bytes - 2) =>
  `[${Array(Math.floor(size / (element.length + 1))).fill(element).join(",")}]`;
/** Arrays of arrays, each about as long as the API takes it. */
const arrays = (element: string) => fill(fill(element, Math.min(size_bytes - 4, 9_999 * (element.length + 1))));

/** As many reports as a batch takes, which fill 1 MiB together. */
function reports(): string {
  const report = (n: number, padding: number) => ({
    action_type: "REPORT_QUANTITY",
    id: crypto.randomUUID(),
    order_no: `O-${n}`,
    operation_no: "0010",
    workplace_name: "TruLaser 5060 (L76)",
    occurred_at: "2026-11-20T08:15:00Z",
    qty_good: 1,
    operation_data: { program: "P-4711", values: Array(padding).fill(1) },
  });
  return JSON.stringify({ events: Array.from({ length: 1_000 }, (_, n) => report(n, 370)) });
}

const array = fill("1");
const cases: [what: string, path: string, body: string][] = [
  ["[1,1,...] to no URL", "/operations/v1/a/b", array],
  ["[1,1,...] without a credential", "/operations/v1?anonymous", array],
  ["[1,1,...]", "/operations/v1", array],
  ["arrays of 10,000 numbers", "/operations/v1", arrays("1")],
  ["nested objects", "/operations/v1", fill(`${'{"a":'.repeat(30)}1${"}".repeat(30)}`)],
  ["small objects", "/operations/v1", arrays('{"a":1}')],
  ["short texts", "/operations/v1", arrays('"ab"')],
  ["one long text", "/operations/v1", JSON.stringify({ note: "x".repeat(size_bytes - 20) })],
  ["1,000 reports", "/events/v1/batch", reports()],
];

const stack = await startStack({ ephemeral: true, seed: false, onFunctionLog: () => {} });
const { isolate, base } = await startIsolate("bodies_isolate.ts", stack);

async function cpu_ms(): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${isolate.pid}/stat`);
  // the second field may have spaces in it
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1_000 / ticksPerSecond;
}

async function send(path: string, body: string): Promise<number> {
  const isAnonymous = path.endsWith("?anonymous");
  const response = await fetch(`${base}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(isAnonymous ? {} : { apikey: stack.keys.secretKey }) },
    body,
  });
  await response.body?.cancel();
  return response.status;
}

try {
  console.log("| body of 1 MiB | status | first, ms | later, CPU ms |");
  console.log("| --- | ---: | ---: | ---: |");
  for (const [what, path, body] of cases) {
    const started = performance.now();
    const status = await send(path, body);
    const first_ms = performance.now() - started;
    for (let n = 0; n < 5; n++) await send(path, body);
    const before_ms = await cpu_ms();
    for (let n = 0; n < requests; n++) await send(path, body);
    const each_ms = (await cpu_ms() - before_ms) / requests;
    console.log(`| ${what} | ${status} | ${first_ms.toFixed(0)} | ${each_ms.toFixed(1)} |`);
  }
} finally {
  isolate.kill();
  await stack.stop();
}
Deno.exit(0);
