/** Functions that answer CSV, called without a socket; started by csv.ts. */
const { paths, answers, key } = JSON.parse(Deno.args[0] ?? "{}");
const log = console.log;
console.log = () => {};
const { default: operations } = await import("../supabase/functions/operations/index.ts");
const { default: events } = await import("../supabase/functions/events/index.ts");
const { default: reports } = await import("../supabase/functions/reports/index.ts");

/** Processor time of all threads of this process, in milliseconds: Linux counts it in hundredths of a second. */
async function cpuMs(): Promise<number> {
  const fields = (await Deno.readTextFile("/proc/self/stat")).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function answer(path: string): Promise<string> {
  const { fetch } = path.startsWith("/events") ? events : path.startsWith("/reports") ? reports : operations;
  const response = await fetch(new Request(`http://127.0.0.1${path}`, { headers: { apikey: key } }));
  const text = await response.text();
  if (response.status !== 200) throw new Error(text);
  return text;
}

for (const [name, path] of Object.entries<string>(paths)) {
  for (let warm = 0; warm < 2; warm++) await answer(path);
  const [startMs, began] = [await cpuMs(), performance.now()];
  let rows = 0;
  let bytes = 0;
  let rss = 0;
  for (let nth = 0; nth < answers; nth++) {
    const text = await answer(path);
    rows += text.split("\r\n").length - 2;
    bytes += text.length;
    rss = Math.max(rss, Deno.memoryUsage().rss);
  }
  const spentMs = await cpuMs() - startMs;
  log(JSON.stringify({
    "CSV, canned Data API": name,
    "rows per answer": rows / answers,
    "KB per answer": Math.round(bytes / answers / 1_000),
    "CPU ms per answer": Math.round(spentMs / answers),
    "rows per CPU s": Math.round(rows / spentMs * 1_000),
    "rows per s": Math.round(rows / (performance.now() - began) * 1_000),
    "RSS MB": Math.round(rss / 1e6),
  }));
}
Deno.exit(0);
