import { assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { call, withStack } from "./testing.ts";

/** Answers after a while with how many requests of this kind it has in progress. */
const counting = `
const inProgress = new Map();
export default {
  async fetch(request) {
    const kind = new URL(request.url).searchParams.get("kind");
    const count = (inProgress.get(kind) ?? 0) + 1;
    inProgress.set(kind, count);
    await new Promise((resume) => setTimeout(resume, 100));
    inProgress.set(kind, inProgress.get(kind) - 1);
    return Response.json({ count });
  },
};`;

Deno.test("gateway: one caller has 4 requests in progress, servers as many as they like, when 20 come at once", async () => {
  const config = 'project_id = "test"\n[functions.counting]\nverify_jwt = false\n';
  await withStack({ "config.toml": config, "functions/counting/index.ts": counting }, async ({ url, keys }) => {
    const most = async (kind: string, headers: Record<string, string>) => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => call(`${url}/functions/v1/counting?kind=${kind}`, { headers })),
      );
      assertEquals(answers.map(({ status }) => status), Array(20).fill(200));
      return Math.max(...answers.map(({ json }) => Number(json?.count)));
    };
    const forged = { authorization: "Bearer a.b.c" };
    assertEquals(
      await Promise.all([
        most("nobody", {}),
        most("server", { apikey: keys.secretKey }),
      ]),
      [4, 20],
    );
    assertEquals(await most("forger", forged), 4);
  });
});
