/** Clients of npm's generators compile, and call the API; ../../supabase/functions/tests/docs/client_test.ts has openapi-typescript. */
import { join } from "node:path";
import { assertEquals, env, newOperation } from "../../supabase/functions/tests/support/harness.ts";
import { generators, npmGenerators } from "./generators.ts";
import { command, generate } from "./run.ts";

/** Programs as users would write them: each starts an operation twice, and reads it in version 2. */
const programs = {
  heyApi: `
import { listOperationsV2, reportEvent, type ReportEventData } from "./client/index.ts";
import { client } from "./client/client.gen.ts";

const [baseUrl = "", apikey = "", order_no = "", workplace_name = ""] = Deno.args;
client.setConfig({ baseUrl, headers: { apikey } });
const body: ReportEventData["body"] = { action_type: "START", order_no, operation_no: "0010", workplace_name };

const first = await reportEvent({ body });
if (first.error) throw new Error(first.error.code);
const second = await reportEvent({ body });
const { data: list } = await listOperationsV2({ query: { order_no } });
const stop = list?.items[0]?._links.STOP?.method;
console.log(JSON.stringify([first.data.operation.status, second.error?.code, list?.page.next_cursor, stop]));
`,
  orval: `
import { listOperationsV2, reportEvent, type StartReport } from "./client.ts";
import { settings } from "./call.ts";

const [baseUrl = "", apikey = "", order_no = "", workplace_name = ""] = Deno.args;
settings.baseUrl = baseUrl;
settings.headers.apikey = apikey;
const body: StartReport = { action_type: "START", order_no, operation_no: "0010", workplace_name };

const first = await reportEvent(body);
if (first.status !== 201) throw new Error(JSON.stringify(first));
const second = await reportEvent(body);
const list = await listOperationsV2({ order_no });
if (list.status !== 200) throw new Error(JSON.stringify(list));
const { items: [operation], page: { next_cursor } } = list.data;
const code = second.status === 409 ? second.data.code : second.status;
console.log(JSON.stringify([first.data.operation.status, code, next_cursor, operation?._links.STOP?.method]));
`,
};

for (const [id, program] of Object.entries(programs)) {
  const generator = npmGenerators[id as keyof typeof programs];
  Deno.test(`${generator.name}: its client compiles, and reports an event`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "mes-client-" });
    try {
      await generate(generator, folder);
      await Deno.writeTextFile(join(folder, "program.ts"), program);
      const { order_no, workplace_name } = await newOperation();
      const said = await command(
        folder,
        Deno.execPath(),
        ...["run", "--check", "--allow-net", "--no-config", "--no-lock", "--unstable-sloppy-imports", "program.ts"],
        ...[env.functionsUrl, env.secretKey, order_no, String(workplace_name)],
      );
      assertEquals(JSON.parse(said), ["IN_PROGRESS", "already_running", null, "POST"]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("docs/clients.md: names each generator at the version that is tried", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/clients.md", import.meta.url));
  const rows = [...page.matchAll(/^\| (\S+) +\| (\d\S*) +\| (\w+) /gm)].map(([, ...cells]) => cells);
  assertEquals(rows, generators.map(({ name, version, language }) => [name, version, language]));
});

Deno.test("openapi-typescript: is tried at the version of import_map.json", async () => {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("../../import_map.json", import.meta.url)));
  const { name, version } = npmGenerators.openapiTypescript;
  assertEquals(imports[name], `npm:${name}@${version}`);
});

Deno.test("docs/openapi.json: each enum, and each object that can be null, has a name of its own", async () => {
  const document = JSON.parse(await Deno.readTextFile(new URL("../../docs/openapi.json", import.meta.url)));
  const unnamed: string[] = [];
  const visit = (node: unknown, place: string): void => {
    if (typeof node !== "object" || node === null) return;
    const isComponent = /^\/components\/schemas\/\w+$/.test(place);
    const { enum: values, type } = node as { enum?: unknown; type?: unknown };
    const isNullable = Array.isArray(type) && type.includes("object");
    if (!isComponent && Array.isArray(values) || isNullable) unnamed.push(place);
    for (const [member, value] of Object.entries(node)) {
      if (!/^(example|examples|default|const)$/.test(member)) visit(value, `${place}/${member}`);
    }
  };
  visit(document, "");
  assertEquals(unnamed, []);
});
