/** Downtimes at a shared terminal: they name the person who acts, whose workplaces bound what may be done. */
import type { Downtime, DowntimeEvent } from "../../_shared/downtime.ts";
import type { ActingPerson, PseudonymisedPerson } from "../../people/schemas.ts";
import { assert, assertEquals, assertProblem, type Client, dataApi, env, newUser, server } from "../support/harness.ts";
import { newKey } from "../support/api_keys.ts";
import { at, minutesAgo, pick } from "../support/floor.ts";
import { openEvents } from "../support/stream_client.ts";
import { aWorkplace, command, downtimesOf, open, opened, signal } from "../support/stops.ts";
import { type Colleague, newPerson, newTerminal, signIn } from "../support/terminals.ts";
import { dispatch, newEndpoint, Receiver, until } from "../support/webhook_receiver.ts";

const named = ({ id, display_name }: Colleague) => ({ id, display_name });
const who = (downtime: Downtime) => pick(downtime, "source", "user_id", "user_email", "person");

/** Events of downtimes after a place in the feed. */
async function feedAfter(client: Client, after: string): Promise<DowntimeEvent[]> {
  const found: DowntimeEvent[] = [];
  for (;;) {
    const { status, body, text } = await client.get<{ downtime_events: DowntimeEvent[]; next_cursor: string }>(
      "/events/v1/feed",
      {
        query: { after, include: "downtimes", limit: 500 },
      },
    );
    assertEquals(status, 200, text);
    found.push(...body.downtime_events);
    if (body.next_cursor === after) return found;
    after = body.next_cursor;
  }
}

for (const kind of ["an API key", "a user of role machine"] as const) {
  Deno.test(`Downtimes at a terminal with ${kind}: lists, feed, stream and webhooks name the person, until they are pseudonymised`, async () => {
    await using receiver = new Receiver();
    const here = await aWorkplace();
    const scopes = ["people:act", "downtimes:report", "events:report", "events:read"];
    const terminal = kind === "an API key"
      ? await newKey({ role: "machine", workplaces: [here], scopes })
      : await newTerminal([here]);
    const user_id = kind === "an API key" ? null : terminal.id;
    const [anna, ben] = [await newPerson([here]), await newPerson(["*"])];
    const [annas, bens] = [await signIn(terminal.client, anna), await signIn(terminal.client, ben)];
    const reader = await newUser({ role: "operator", workplaces: [here] });
    const endpoint = await newEndpoint({ url: receiver.url, workplace_names: [here], downtimes: true });
    const stream = await openEvents({
      ...{ base: env.functionsUrl, credential: reader.client.credential, query: { include: "downtimes" } },
    });
    try {
      const began = (await stream.next())?.cursor ?? "";
      const headers = { "Idempotency-Key": crypto.randomUUID() };
      const body = { workplace_name: here, occurred_at: at("08:00") };
      const stored = await annas.post<Downtime>("/downtimes/v1", body, { headers });
      assertEquals(stored.status, 201, stored.text);
      const downtime = stored.body;
      assertEquals(who(downtime), { source: "OPERATOR", user_id, user_email: null, person: named(anna) });
      // the one who opened it, also when another one ends it
      const ended = await command(downtime, "end", { occurred_at: at("08:10") }, bens);
      assertEquals([ended.status, ended.body.person], [200, named(anna)], ended.text);
      const later = await command(downtime, "split", { at: at("08:05") }, bens);
      assertEquals([later.status, later.body.person], [201, named(ben)], later.text);
      const nobodys = await opened(here, { occurred_at: at("09:00"), ended_at: at("09:05") }, terminal.client);
      assertEquals(pick(nobodys, "source", "user_id", "person"), { source: "MACHINE", user_id, person: null });
      assertEquals((await downtimesOf(here)).map(({ person }) => person), [named(anna), named(ben), null]);

      const batch = await annas.post<{ results: { status: number }[] }>("/events/v1/batch", {
        events: [{
          action_type: "DOWNTIME_START",
          workplace_name: here,
          occurred_at: at("10:00"),
          ended_at: at("10:01"),
        }],
      });
      assertEquals(batch.body.results.map(({ status }) => status), [201], batch.text);
      const events = [
        named(anna),
        named(ben),
        named(ben),
        named(ben),
        named(ben),
        null,
        null,
        named(anna),
        named(anna),
      ];
      const feed = await feedAfter(reader.client, began);
      assertEquals(feed.map(({ person }) => person), events);
      const streamed: unknown[] = [];
      while (streamed.length < events.length) {
        const message = await stream.next();
        assert(message !== undefined);
        if (message.type === "downtime") streamed.push(message.event.person);
      }
      assertEquals(streamed, events);
      await until("all have arrived", async () => {
        await dispatch(endpoint.id);
        return receiver.received.length >= events.length;
      });
      const sent = receiver.received.map(({ body }) => JSON.parse(body).data);
      for (const { event, downtime } of sent) {
        assertEquals(event.person, feed.find(({ id }) => id === event.id)?.person);
        assert("person" in downtime);
      }

      // machine states, too: what DOWN opens is of the machine, and names who acted
      assertEquals((await signal(here, "DOWN", minutesAgo(1), {}, bens)).status, 201);
      const [stopped] = await downtimesOf(here, { open: true });
      assertEquals(stopped && who(stopped), { source: "MACHINE", user_id, user_email: null, person: named(ben) });

      const me = await bens.get<ActingPerson>("/people/v1/me");
      assertEquals(me.body.downtime_actions.length, 5, me.text);

      assertProblem(await server.delete(`/people/v1/${anna.id}`), 409, "in_use");
      const forgotten = await server.post<PseudonymisedPerson>(`/people/v1/${anna.id}/pseudonymise`);
      assertEquals([forgotten.status, forgotten.body.events], [200, 3], forgotten.text);
      const nameless = { id: anna.id, display_name: null };
      assertEquals((await downtimesOf(here))[0]?.person, nameless);
      assertEquals((await feedAfter(reader.client, began))[0]?.person, nameless);
      const again = await terminal.client.post<Downtime>("/downtimes/v1", body, { headers });
      assertEquals([again.status, again.body.person], [201, nameless], again.text);
      assert(!again.text.includes(anna.display_name), again.text);
      assertProblem(await open(here, {}, annas), 401, "unauthenticated");
    } finally {
      await stream.leave();
    }
  });
}

Deno.test("Downtimes at a terminal: the workplaces of the person bound what may be done", async () => {
  const [here, there] = [await aWorkplace(), await aWorkplace()];
  const terminal = await newTerminal([here, there]);
  const annas = await signIn(terminal.client, await newPerson([here]));
  const downtime = await opened(there, { occurred_at: at("08:00") }, terminal.client);
  assertProblem(await open(there, {}, annas), 404, "not_found");
  assertProblem(await command(downtime, "end", {}, annas), 404, "not_found");
  assertProblem(await annas.get(`/downtimes/v1/${downtime.id}`), 404, "not_found");
  assertProblem(await signal(there, "DOWN", undefined, {}, annas), 404, "not_found");
  assertEquals(await downtimesOf(there, {}, annas), []);
  const [item] = (await annas.post<{ results: { status: number }[] }>("/events/v1/batch", {
    events: [{ action_type: "DOWNTIME_END", workplace_name: there }],
  })).body.results;
  assertEquals(item?.status, 404);
  assertEquals((await opened(here, {}, annas)).workplace_name, here);
});

Deno.test("Data API: report_downtime takes no person, user or reporter from its caller", async () => {
  const here = await aWorkplace();
  const terminal = await newTerminal([here]);
  const { id: person_id } = await newPerson([here]);
  const foreign = { person_id, user_id: person_id, reporter_id: 1, source: "SYSTEM" };
  const { status, body, text } = await dataApi(terminal.client).post<{ body: Downtime }>(
    "/rest/v1/rpc/report_downtime",
    {
      report: { action_type: "DOWNTIME_START", workplace_name: here, ...foreign },
    },
  );
  assertEquals(status, 200, text);
  const { id: user_id, email: user_email } = terminal;
  assertEquals(who(body.body), { source: "MACHINE", user_id, user_email, person: null });
});
