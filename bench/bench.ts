/** `deno task bench`: the figures of this machine, as tables and in bench/results.json. See README.md. */
import { parseArgs } from "node:util";
import { inProject } from "../local/system/paths.ts";
import { measureBulk } from "./bulk.ts";
import { startDurableStack } from "./durable_stack.ts";
import { Generator } from "./generator.ts";
import { signUpSupervisor } from "./plant.ts";
import { measureRequests } from "./requests.ts";
import { countLines, measureFunctions } from "./sizes.ts";
import { functionTable, measureFunction } from "./function.ts";
import { measureSql, sqlTable } from "./sql.ts";
import { table } from "./table.ts";
import { showHelp } from "../local/system/help.ts";

showHelp(`Usage: deno task bench [options]

  --clients <numbers>   clients at once (default 1,16,64)
  --rounds <number>     rounds of each measurement (default 3)
  --duration <ms>       time of one round (default 1000)
  --no-sizes            leave out the sizes of the functions
  --help                this text`);

const { values: options } = parseArgs({
  options: {
    clients: { type: "string", default: "1,16,64" },
    rounds: { type: "string", default: "3" },
    duration: { type: "string", default: "1000" },
    "no-sizes": { type: "boolean", default: false },
  },
});

const progress = (text: string) => console.error(`  ${text}`);

const fixed = (value: number) => value.toFixed(value < 10 ? 1 : 0);

/** Function and Data API side by side. */
function requestTable(figures: Awaited<ReturnType<typeof measureRequests>>): string {
  return table(
    figures.filter(({ way }) => way === "function").map((through) => {
      const straight = figures.find(({ endpoint, clients, way }) =>
        way === "data api" && endpoint === through.endpoint && clients === through.clients
      );
      return {
        endpoint: through.endpoint,
        clients: through.clients,
        "requests/s": Math.round(through.requests_per_s),
        "p50 ms": fixed(through.p50_ms),
        "p99 ms": fixed(through.p99_ms),
        "Data API requests/s": straight && Math.round(straight.requests_per_s),
        "Data API p50 ms": straight && fixed(straight.p50_ms),
        "Data API p99 ms": straight && fixed(straight.p99_ms),
      };
    }),
  );
}

const began = performance.now();
const result: Record<string, unknown> = {
  at: new Date().toISOString(),
  machine: {
    cpus: navigator.hardwareConcurrency,
    os: Deno.build.os,
    arch: Deno.build.arch,
    load: Deno.loadavg(),
    deno: Deno.version.deno,
  },
};

progress("stack");
const stack = await startDurableStack();
const generator = new Generator();
try {
  const headers = await signUpSupervisor(stack);
  const requests = await measureRequests(stack, generator, headers, {
    clients: options.clients.split(",").map(Number),
    rounds: Number(options.rounds),
    duration_ms: Number(options.duration),
  }, progress);
  result.requests = requests;
  console.log(`\n${requestTable(requests)}\n`);

  progress("batches and imports");
  const bulk = await measureBulk(stack, headers, { rounds: Number(options.rounds), calls: 3 });
  result.bulk = bulk;
  console.log(`\n${
    table(bulk.map(({ what, way, per_s, share_of_limit }) => ({
      "1,000 to a call": what,
      way,
      "per s": Math.round(per_s),
      "of the raw insert": share_of_limit === undefined ? "" : `${Math.round(share_of_limit * 100)} %`,
    })))
  }\n`);

  progress("in the database");
  const inDatabase = await measureSql(stack.databaseUrl, Number(options.rounds) * 2 + 1);
  result.in_database = inDatabase;
  console.log(`\n${sqlTable(inDatabase)}\n`);
} finally {
  await generator.end();
  await stack.stop();
}

progress("a function and a bare handler");
const functionCost = await measureFunction(Number(options.rounds));
result.function = functionCost;
console.log(`\n${functionTable(functionCost)}\n`);

if (!options["no-sizes"]) {
  progress("functions");
  const functions = await measureFunctions();
  result.functions = functions;
  console.log(`\n${
    table(functions.map(({ name, modules, graph_KiB, bundle_KiB, import_ms }) => ({
      function: name,
      modules,
      "modules KiB": Math.round(graph_KiB),
      "bundle KiB": Math.round(bundle_KiB),
      "cold import ms": Math.round(import_ms),
    })))
  }\n`);
  const lines = await countLines();
  result.lines = lines;
  console.log(`\n${table(lines.map(({ folder, files, lines }) => ({ folder, files, lines })))}\n`);
}

await Deno.writeTextFile(inProject("bench", "results.json"), `${JSON.stringify(result, null, 2)}\n`);
console.error(`${Math.round((performance.now() - began) / 1000)} s; all figures are in bench/results.json`);
