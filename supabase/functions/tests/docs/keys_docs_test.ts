/** docs/keys.md: its commands create a key and use it, and its table has every scope. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Constants } from "../../_shared/database.types.ts";
import { assertEquals, assertStringIncludes } from "../support/assertions.ts";
import { env, newUser, newWorkplace } from "../support/harness.ts";

const page = await Deno.readTextFile(fileURLToPath(new URL("../../../../docs/keys.md", import.meta.url)));

Deno.test({
  name: "docs/keys.md: the commands of a gateway's first boot create its key and show what it is",
  ignore: Deno.build.os === "windows",
  async fn() {
    const admin = await newUser({ role: "admin" });
    const workplace = newWorkplace();
    const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text)
      .join("\n")
      .replaceAll("admin@demo.local", admin.email)
      .replaceAll("TruLaser 5060 (L76)", workplace);
    const folder = await Deno.makeTempDir({ prefix: "mes-gateway-" });
    try {
      const { success, stdout, stderr } = await new Deno.Command("sh", {
        args: ["-euc", commands],
        cwd: folder,
        env: {
          SUPABASE_URL: env.supabaseUrl,
          FUNCTIONS_URL: env.functionsUrl,
          SUPABASE_PUBLISHABLE_KEY: env.publishableKey,
          DEMO_PASSWORD: admin.password,
        },
      }).output();
      const said = new TextDecoder().decode(stdout);
      assertEquals(success, true, new TextDecoder().decode(stderr));
      assertStringIncludes(said, '"kind":"integration"');
      assertStringIncludes(said, workplace);
      const { mode } = await Deno.stat(join(folder, "gateway.env"));
      assertEquals((mode ?? 0) & 0o777, 0o600);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("docs/keys.md: the table has every scope", () => {
  const rows = [...page.matchAll(/^\| `([a-z]+:[a-z]+)`/gm)].map(([, scope]) => scope);
  assertEquals(rows.toSorted(), [...Constants.public.Enums.scope].toSorted());
});
