import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { connect } from "../postgres/bootstrap.ts";
import { holdsWithin } from "../system/poll.ts";
import { call, withStack } from "./testing.ts";
import { project } from "./testing_project.ts";

Deno.test("outage: the database stopped under load is answered 503, and served again within 5 s of its return", async () => {
  await withStack(project, async (stack) => {
    const seen = new Map<number, number>();
    const ever = new Set<number>();
    let slowest = 0;
    let isOver = false;
    const count = async (name: string) => {
      const started = performance.now();
      const { status } = await call(`${stack.url}/rest/v1/rpc/count_up`, {
        headers: { apikey: stack.keys.secretKey },
        body: { p_name: name, p_by: 1 },
      });
      seen.set(status, (seen.get(status) ?? 0) + 1);
      ever.add(status);
      slowest = Math.max(slowest, performance.now() - started);
      return status;
    };
    const load = Promise.all(
      Array.from({ length: 32 }, async (_, index) => {
        for (let turn = 0; !isOver; turn++) await count(`${index}-${turn}`);
      }),
    );
    const answered = (status: number, times: number) => holdsWithin(5000, () => (seen.get(status) ?? 0) >= times);
    for (let outage = 1; outage <= 2; outage++) {
      seen.clear();
      assert(await answered(200, 50), "no normal service before the outage");
      await stack.database.stop();
      assert(await answered(503, 50), `no 503 while the database is away: ${JSON.stringify([...seen])}`);
      await stack.database.start();
      seen.clear();
      assert(await answered(200, 50), `no normal service within 5 s: ${JSON.stringify([...seen])}`);
    }
    seen.clear();
    const sql = connect(stack.databaseUrl.replace("postgres:", "supabase_admin:"));
    for (let kill = 0; kill < 20; kill++) {
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator' limit 5`;
    }
    await sql.end();
    seen.clear();
    assert(await answered(200, 50), `no normal service after connections were cut: ${JSON.stringify([...seen])}`);
    isOver = true;
    await load;
    // Every connection of the pool works again, more callers than it has connections.
    const last = await Promise.all(Array.from({ length: 64 }, (_, index) => count(`last-${index}`)));
    assertEquals(last.filter((status) => status !== 200), []);
    assertEquals([...ever].sort(), [200, 503]);
    assert(slowest < 10_000, `a request took ${slowest} ms`);
  });
});
