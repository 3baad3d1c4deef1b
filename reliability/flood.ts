/** One caller over many connections, a process of its own: sends one request over and over, and prints the answers by status. */

/** What to send. */
export interface Flood {
  url: string;
  headers: Record<string, string>;
  connections: number;
  seconds: number;
}

/** Answers by status; 0 = none. */
export type Answers = Record<string, number>;

async function send({ url, headers, connections, seconds }: Flood): Promise<Answers> {
  const answers: Answers = {};
  const ends = performance.now() + seconds * 1000;
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: connections });
  await Promise.all(Array.from({ length: connections }, async () => {
    while (performance.now() < ends) {
      const status = await fetch(url, { headers, client }).then(async (response) => {
        await response.body?.cancel();
        return response.status;
      }).catch(() => 0);
      answers[status] = (answers[status] ?? 0) + 1;
    }
  }));
  return answers;
}

if (import.meta.main) {
  console.log(JSON.stringify(await send(JSON.parse(Deno.args[0] ?? "{}"))));
  Deno.exit(0);
}
