/**
 * docs/deploy.md: each line of its commands is run as the page has it, the CLI against a model of the management API,
 * curl against a stack that begins without migrations. A line that needs more than this machine is named with its reason.
 */
import { join } from "node:path";
import { inProject } from "../system/paths.ts";
import { startStack } from "../stack.ts";
import { assert, assertEquals, assertStringIncludes } from "../../supabase/functions/tests/support/assertions.ts";
import { projectRef, startManagementApi } from "./management_api.ts";
import { call, copyCheckout } from "./testing.ts";

/** Lines that cannot be run here. */
const offline: [line: RegExp, reason: string][] = [
  [/\/auth\/v1\/admin\/users/, "the embedded stack has no admin API of Auth: the test signs the user up"],
  [/\/auth\/v1\/signup/, "the embedded stack keeps its sign-up open: the test reads what was pushed to the project"],
];

/** The CLI ends so after it has sent the settings: the model does not answer with all 265 settings of Auth. */
const pushAnswer = "failed to update Auth config: SchemaError(Missing key";

/** Returns the blocks of a language. */
const blocks = (page: string, language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);

async function bash(script: string, cwd: string, env: Record<string, string>): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-euc", script],
    cwd,
    env: { SUPABASE_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stdout);
  const complaint = new TextDecoder().decode(stderr);
  const isSent = script.includes("config push") && complaint.includes(pushAnswer);
  assert(success || isSent, `${script}\n${said}\n${complaint}`);
  return said;
}

Deno.test({
  name: "docs/deploy.md: its lines deploy database, settings, secrets and functions, and make the first admin",
  // packages are lent by a symbolic link
  ignore: Deno.build.os === "windows",
  async fn(t) {
    const page = await Deno.readTextFile(inProject("docs", "deploy.md"));
    const root = await Deno.makeTempDir({ prefix: "mes-guide-" });
    await Deno.chmod(root, 0o755);
    await copyCheckout(root, ["docs", "supabase/functions", "supabase/.gitignore", ".gitignore"]);
    await bash(
      "git init -q && git add -A && git -c user.name=t -c user.email=t@example.com commit -qm guide",
      root,
      {},
    );
    const migrations = join(root, "supabase", "migrations");
    await Deno.rename(migrations, join(root, "migrations"));
    await using api = await startManagementApi();
    const stack = await startStack({
      ephemeral: true,
      seed: false,
      supabaseDir: join(root, "supabase"),
      dispatchWebhooks: false,
      onFunctionLog: () => {},
    });
    await Deno.rename(join(root, "migrations"), migrations);
    const functions = `${stack.url}/functions/v1`;
    const headers = { apikey: stack.keys.secretKey };
    let userId = "";
    const fill = (text: string) =>
      text.replaceAll("https://<ref>.supabase.co", stack.url).replaceAll("<ref>", projectRef)
        .replaceAll("<access token>", api.env.SUPABASE_ACCESS_TOKEN ?? "").replaceAll("<database password>", "secret")
        .replaceAll("<secret key>", stack.keys.secretKey).replaceAll("<user id>", userId)
        // the model has no database: the CLI is given that of the stack
        .replaceAll(/ db push --remote /g, ` db push --remote=${stack.databaseUrl}?sslmode=disable `);
    try {
      const [overrides = ""] = blocks(page, "toml");
      await Deno.writeTextFile(join(root, "supabase", "config.toml"), `\n${fill(overrides)}`, { append: true });
      const lines = blocks(page, "sh").flatMap((block) => block.trim().split("\n"));
      const exported: string[] = [];
      const answers = new Map<string, string>();
      for (const line of lines) {
        const known = offline.find(([pattern]) => pattern.test(line));
        if (line.startsWith("export ")) {
          exported.push(fill(line));
        } else if (known !== undefined) {
          await t.step({ name: `${line} (not run: ${known[1]})`, ignore: true, fn: () => {} });
        } else {
          if (line.includes("<user id>")) {
            const { json } = await call(`${stack.url}/auth/v1/signup`, {
              headers: { apikey: stack.keys.publishableKey },
              body: { email: "anna@example.com", password: "correct horse battery" },
            });
            userId = String(Object(json?.user).id);
          }
          if (line.includes("db push --remote --yes")) {
            const { status, json } = await call(`${functions}/operations/health`);
            assertEquals([status, json?.code], [503, "unavailable"], "the functions must wait for the migration");
          }
          await t.step(line, async () => {
            answers.set(line, await bash([...exported, fill(line)].join("\n"), root, api.env));
          });
        }
      }

      await t.step("the project has sign-up closed, addresses confirmed, and its own URL", () => {
        const { disable_signup, mailer_autoconfirm, site_url, max_rows } = api.settings;
        assertEquals({ disable_signup, mailer_autoconfirm, site_url, max_rows }, {
          disable_signup: true,
          mailer_autoconfirm: false,
          site_url: "https://mes.example.com",
          max_rows: 1001,
        });
      });
      await t.step("it has the secret and all functions", () => {
        assertEquals(api.secrets.get("CORS_ORIGINS"), "https://mes.example.com");
        assert(api.uploads.has("operations") && api.uploads.has("docs"));
      });
      await t.step("the functions are healthy, and the user is an admin", async () => {
        const health = [...answers].find(([line]) => line.includes("/operations/health"))?.[1] ?? "";
        assertEquals(JSON.parse(health).status, "ok");
        const { json } = await call(`${functions}/profiles/v1/${userId}`, { headers });
        assertEquals(json?.role, "admin");
      });
      await t.step("the CLI leaves nothing untracked", async () => {
        assertEquals((await bash("git status --short", root, {})).trim(), "M supabase/config.toml");
      });
      await t.step("every reason belongs to a line", () => {
        for (const [pattern] of offline) assert(lines.some((line) => pattern.test(line)), String(pattern));
        assertStringIncludes(lines.join("\n"), "functions deploy");
      });
    } finally {
      await stack.stop();
      await Deno.remove(root, { recursive: true });
    }
  },
});
