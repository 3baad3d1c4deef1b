/** The examples of README.md and docs/clients.md, as they stand there. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { assert, assertEquals, assertStringIncludes } from "../support/assertions.ts";
import { browserTest } from "../support/browser.ts";
import { env, newOperation, newUser, type Operation, type User } from "../support/harness.ts";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

/** Reads the one example of a language. */
async function example(file: string, language: string): Promise<string> {
  const text = await Deno.readTextFile(join(root, file));
  const [block, ...more] = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter((match) => match[1] === language);
  assert(block !== undefined && more.length === 0, `${file} must have one example in ${language}`);
  return block[2] ?? "";
}

/** A released operation, and an operator of its workplace. */
async function plant(): Promise<{ operation: Operation; operator: User }> {
  const operation = await newOperation();
  return { operation, operator: await newUser({ role: "operator", workplaces: [String(operation.workplace_name)] }) };
}

/** The example with the names of this run. */
function named(text: string, { operation, operator }: { operation: Operation; operator: User }): string {
  const names = {
    "operator@demo.local": operator.email,
    "403860-001": operation.order_no,
    "TruLaser 5060 (L76)": String(operation.workplace_name),
  };
  return Object.entries(names).reduce((changed, [from, to]) => changed.replaceAll(from, to), text);
}

async function run(program: string, args: string[], password: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd: root,
    env: {
      NO_COLOR: "1",
      SUPABASE_URL: env.supabaseUrl,
      SUPABASE_PUBLISHABLE_KEY: env.publishableKey,
      DEMO_PASSWORD: password,
    },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const hasPython = await new Deno.Command("python3", { args: ["--version"] }).output()
  .then(({ success }) => success, () => false);

const programs = [
  { file: "README.md", language: "ts", program: Deno.execPath(), ignore: false },
  { file: "docs/clients.md", language: "py", program: "python3", ignore: !hasPython },
];

for (const { file, language, program, ignore } of programs) {
  Deno.test({
    name: `${file}: the example in ${language} starts an operation, and shows the problem when it is started again`,
    ignore,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "mes-example-" });
      try {
        const people = await plant();
        const path = join(folder, `example.${language}`);
        await Deno.writeTextFile(path, named(await example(file, language), people));
        const args = language === "ts" ? ["run", "--check", "-A", `--config=${join(root, "deno.json")}`, path] : [path];
        const { password } = people.operator;
        assertStringIncludes(await run(program, args, password), "IN_PROGRESS");
        assertStringIncludes(await run(program, args, password), "already_running");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** Opens the example as a page of the stack. */
async function openExample(page: Page, change: (text: string) => string = (text) => text): Promise<Operation> {
  const people = await plant();
  const body = change(named(await example("docs/clients.md", "html"), people))
    .replaceAll("http://127.0.0.1:54321", env.supabaseUrl)
    .replace("<publishable key>", env.publishableKey)
    .replace("<password>", people.operator.password);
  const url = `${env.supabaseUrl}/clients.html`;
  await page.route(url, (route) => route.fulfill({ body, contentType: "text/html" }));
  await page.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
  await page.goto(url);
  return people.operation;
}

browserTest("docs/clients.md: the page lists operations, with supabase-js from the stack", async (page) => {
  const { order_no } = await openExample(page);
  await page.locator("li", { hasText: `${order_no}/0010` }).waitFor();
  assertEquals(await page.locator("#problem").innerText(), "");
});

browserTest("docs/clients.md: the page shows the problem when the API rejects its request", async (page) => {
  await openExample(page, (text) => text.replace("status=RELEASED", "status=DONE"));
  await page.locator("#problem", { hasText: "validation_failed" }).waitFor();
}, /status of 422/);
