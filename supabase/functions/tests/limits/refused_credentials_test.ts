/** Refused credentials of an address: what they are counted for, and what still passes beyond the limit. */
import { newApiKey } from "../../_shared/api_keys.ts";
import { keyAdmin, newKey } from "../support/api_keys.ts";
import { hasDatabase, withDatabase } from "../support/database_connection.ts";
import { startFunctions, underTest } from "../support/functions_process.ts";
import { assert, assertEquals, assertMatch, type Client, env, newUser, newWorkplace } from "../support/harness.ts";
import { race, tally } from "../support/racing.ts";
import { limitRefused, newAddress, rateClassOf, rateHeadersOf } from "../support/rate_limits.ts";
import { newPerson, newTerminal, signIn } from "../support/terminals.ts";
import { watchFunctions } from "../support/watched_functions.ts";

const ignore = !hasDatabase || underTest.jwtSecret === undefined;

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Sends a request from an address. */
async function send(url: string, from: string, headers: Record<string, string>) {
  const response = await fetch(url, { headers: { ...headers, "x-forwarded-for": from } });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

Deno.test({
  name: "Rate limits: an address beyond its refused credentials gets 429 before a token is verified",
  ignore,
}, async (t) => {
  const [address, neighbour] = [newAddress(), newAddress()];
  await limitRefused(address, 10);
  const user = await newUser();
  const late = await newUser();
  const functions = await startFunctions(["profiles"]);
  const get = (from: string, credential: Record<string, string>) =>
    send(`${functions.url}/profiles/v1/me`, from, credential);
  try {
    await t.step("a repeated bad token counts once: a device with an old token locks nobody out", async () => {
      for (let time = 0; time < 30; time++) assertEquals((await get(address, bearer("old"))).status, 401);
      assertEquals((await get(address, bearer(user.token))).status, 200);
    });
    await t.step("guessed tokens", async () => {
      const guesses = [];
      for (let guess = 0; guess < 30; guess++) guesses.push((await get(address, bearer(`guess.${guess}.x`))).status);
      assertEquals(tally(guesses), { "401": 9, "429": 21 });
    });
    await t.step(
      "no credential, a forged front of the header, and a neighbour's host of the same network",
      async () => {
        assertEquals((await get(address, {})).status, 429);
        assertEquals((await get(`192.0.2.1, ${address}`, {})).status, 429);
        assertEquals((await get(address.replace("::1", "::2"), {})).status, 429);
      },
    );
    await t.step("a token that is not known is not verified, one that is passes, and the secret key does", async () => {
      const refused = await get(address, bearer(late.token));
      assertEquals(refused.status, 429);
      assertMatch(rateHeadersOf(refused).limit ?? "", /^"unauthenticated";r=0;t=\d+$/);
      assertEquals((await get(address, bearer(user.token))).status, 200);
      assertEquals((await get(address, { apikey: env.secretKey })).status, 403);
      assertEquals((await get(address, { apikey: "sb_secret_guess" })).status, 429);
    });
    await t.step("other addresses are not concerned", async () => {
      assertEquals((await get(neighbour, bearer(late.token))).status, 200);
      assertEquals((await get(neighbour, {})).status, 401);
    });
  } finally {
    await functions.end();
  }
});

Deno.test({
  name: "Rate limits: an address beyond its refused credentials gets 429 before the database judges an API key",
  ignore,
}, async (t) => {
  const [address, neighbour] = [newAddress(), newAddress()];
  await limitRefused(address, 5);
  const scopes = ["operations:read"];
  const [known, late] = await Promise.all([newKey({ scopes }), newKey({ scopes })]);
  const madeUp = () => newApiKey(crypto.randomUUID()).key;
  const functions = await watchFunctions(["operations"]);
  /** Sends a request, and returns its status and how often the database was asked for its key. */
  const get = async (headers: Record<string, string>, from = address) => {
    const { status } = await send(`${functions.url}/operations/v1?limit=1`, from, headers);
    return [status, functions.takeCalls().filter((call) => call.endsWith("/admit_key")).length];
  };
  try {
    await t.step("a guess costs one call, until the address is beyond its limit", async () => {
      assertEquals(await get(bearer(known.key)), [200, 1]);
      for (let guess = 0; guess < 5; guess++) assertEquals(await get(bearer(madeUp())), [401, 1]);
    });
    await t.step("a key that is made up, mistyped or not known yet costs none", async () => {
      const refused = [
        bearer(madeUp()),
        { apikey: madeUp() },
        { ...bearer(known.key), apikey: madeUp() },
        bearer(`${known.key.slice(0, -1)}-`),
        bearer(late.key),
        { apikey: late.key },
      ];
      for (const headers of refused) assertEquals(await get(headers), [429, 0], JSON.stringify(headers));
    });
    await t.step("a key that was admitted from there passes", async () => {
      assertEquals(await get(bearer(known.key)), [200, 0]);
      assertEquals(await get({ apikey: known.key }), [200, 0]);
    });
    await t.step("other addresses are not concerned", async () => {
      assertEquals(await get(bearer(late.key), neighbour), [200, 1]);
      assertEquals(await get(bearer(late.key)), [429, 0]);
    });
    await t.step("a key that was revoked passes no more", async () => {
      const { client: admin } = await keyAdmin();
      assertEquals((await admin.delete(`/keys/v1/${known.id}`)).status, 204);
      assertEquals(await get(bearer(known.key)), [401, 0]);
      assertEquals(await get(bearer(known.key)), [429, 0]);
    });
  } finally {
    await functions.end();
  }
});

const terminals: [name: string, create: (workplace: string) => Promise<{ id: string; client: Client }>][] = [
  ["a user", (workplace) => newTerminal([workplace])],
  ["an API key", (workplace) => newKey({ role: "machine", workplaces: [workplace] })],
];

for (const [name, create] of terminals) {
  Deno.test({
    name: `Rate limits: an acting token that is over locks nobody out, when the terminal is ${name}`,
    ignore,
  }, async () => {
    const here = newWorkplace();
    const terminal = await create(here);
    const [gone, idle] = await Promise.all([newPerson([here]), newPerson([here])]);
    const ended = await signIn(terminal.client, gone);
    assertEquals((await ended.post("/people/v1/sign-out")).status, 204);
    const expired = await signIn(terminal.client, idle);
    await withDatabase(async (sql) => {
      await sql`update app.acting_sessions set last_used_at = clock_timestamp() - interval '31 minutes'
        where terminal_id = ${terminal.id}`;
    });
    const address = newAddress();
    await limitRefused(address, 1);
    const functions = await startFunctions(["operations"]);
    const get = (token: string | undefined, acting?: string) =>
      send(`${functions.url}/operations/v1?limit=1`, address, {
        ...bearer(token ?? ""),
        ...(acting === undefined ? {} : { "x-acting-for": acting }),
      });
    try {
      const { token } = terminal.client.credential;
      for (const acting of [ended.token, expired.token, `act_${"A".repeat(43)}`, "act_"]) {
        // more than one credential may be refused
        for (const { status, headers, text } of await race(70, () => get(token, acting))) {
          assertEquals([status, JSON.parse(text).credential], [401, "X-Acting-For"], text);
          assert(rateClassOf({ headers }) !== "unauthenticated");
        }
        assertEquals((await get(token)).status, 200);
      }
      // nothing was counted for the address, which one more would be for
      const neighbour = await newUser();
      assertEquals((await get(neighbour.token)).status, 200);
      assertEquals((await get("guess")).status, 401);
      assertEquals((await get((await newUser()).token)).status, 429);
      // beyond the limit, too, the terminal stays known
      assertEquals((await get(token, ended.token)).status, 401);
      assertEquals((await get(token)).status, 200);
    } finally {
      await functions.end();
    }
  });
}
