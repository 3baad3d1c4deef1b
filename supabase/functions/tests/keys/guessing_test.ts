/**
 * Guessed keys: each is refused at the price of one call of the database, and changes nothing. `RELIABILITY=full` sends
 * 100,000 of them.
 */
import { assert, assertEquals, env, newUser } from "../support/harness.ts";
import { newApiKey } from "../../_shared/api_keys.ts";
import { newKey } from "../support/api_keys.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";

const isFull = Deno.env.get("RELIABILITY") === "full";
const guesses = isFull ? 100_000 : 400;
const connections = 16;
/** Longest average of a refusal, with all connections busy on the machines of CI. */
const mostMs = 100;

/** Everything that a guess could change. */
const stateOf = async () => {
  let state = "";
  await withDatabase(async (sql) => {
    const [row] = await sql<{ state: string }[]>`
      select concat_ws(' ',
        (select md5(string_agg((to_jsonb(k) - 'last_used_at')::text, ' ' order by k.id)) from app.api_keys k where k.id in ${
      sql(mine)
    }),
        (select md5(string_agg(s::text, ' ' order by s.key_id, s.digest)) from app.api_key_secrets s where s.key_id in ${
      sql(mine)
    }),
        (select md5(string_agg(p::text, ' ' order by p.id)) from public.profiles p where p.id in ${sql(mine)})
      ) as state`;
    state = row?.state ?? "";
  });
  return state;
};
const mine: string[] = [];

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

Deno.test({
  name: "keys: guesses are refused, change nothing and cost a bounded time",
  ignore: !hasDatabase,
  async fn() {
    const key = await newKey();
    // both have been used, so that a guess is all that could change them now
    const used = await key.client.get("/operations/v1?limit=1");
    assertEquals(used.status, 200);
    const user = await newUser();
    mine.push(key.id, user.id);
    const before = await stateOf();
    const times: Record<string, number[]> = { "unknown id": [], "wrong secret": [], "a user's id": [] };
    const kinds: [keyof typeof times, () => string][] = [
      ["unknown id", () => crypto.randomUUID()],
      ["wrong secret", () => key.id],
      ["a user's id", () => user.id],
    ];
    const statuses = new Map<string, number>();
    let sent = 0;
    const began = performance.now();
    await Promise.all(Array.from({ length: connections }, async () => {
      while (sent < guesses) {
        const [kind, id] = kinds[sent++ % kinds.length] ?? kinds[0]!;
        const guess = newApiKey(id()).key;
        const started = performance.now();
        const response = await fetch(`${env.functionsUrl}/operations/v1?limit=1`, {
          headers: { authorization: `Bearer ${guess}` },
        });
        const { detail } = await response.json();
        times[kind]?.push(performance.now() - started);
        const answer = `${response.status} ${detail}`;
        statuses.set(answer, (statuses.get(answer) ?? 0) + 1);
      }
    }));
    const seconds = (performance.now() - began) / 1_000;
    // the same words for all: nobody learns which ids exist
    assertEquals([...statuses.keys()], ["401 The API key is not known"]);
    assertEquals(await stateOf(), before);
    assertEquals((await key.client.get("/operations/v1?limit=1")).status, 200);
    const eachMs = seconds * 1_000 / guesses;
    assert(eachMs < mostMs, `${eachMs} ms for each guess`);
    const medians = Object.entries(times).map(([kind, values]) => `${kind} ${median(values).toFixed(1)} ms`);
    console.log(
      `MEASURED keys: guesses are refused: ${guesses} in ${seconds.toFixed(0)} s, ${eachMs.toFixed(2)} ms each; ` +
        `medians: ${medians.join(", ")}`,
    );
  },
});
