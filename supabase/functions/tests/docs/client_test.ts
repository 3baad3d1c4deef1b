/** A client generated from docs/openapi.json: its types are right, and it works. */
import openapiTS, { astToString } from "openapi-typescript";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "../support/assertions.ts";
import { env, unique } from "../support/harness.ts";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

/** A small program, as a user of the API would write it. */
const program = `
import createClient from "openapi-fetch";
import type { components, paths } from "./api.ts";

const [baseUrl = "", secretKey = "", order_no = ""] = Deno.args;
const api = createClient<paths>({ baseUrl, headers: { apikey: secretKey } });
const key = { order_no, asset_id: 1, operation_no: "0010" };
const one = "/operations/v1/{order_no}/{asset_id}/{operation_no}";

const created = await api.POST("/operations/v1", {
  body: { ...key, workplace_name: "TruLaser 5060 (L76)", status: "RELEASED", qty_desired: 50 },
});
if (created.error) throw new Error(created.error.code satisfies components["schemas"]["ProblemCode"]);
const status: components["schemas"]["Status"] = created.data.status;
const actions: { action: string; allowed: boolean }[] = created.data.allowed_actions;

const listed = await api.GET("/operations/v1", { params: { query: { order_no, status: ["RELEASED", "PLANNED"] } } });
const operations: components["schemas"]["Operation"][] = listed.data ?? [];

const patched = await api.PATCH(one, { params: { path: key }, body: { qty_desired: 60, note: "Ten more" } });
const planned_end_at: string | null | undefined = patched.data?.planned_end_at;

const reported = await api.POST("/events/v1", {
  body: { action_type: "START", order_no, operation_no: "0010", workplace_name: "TruLaser 5060 (L76)", dry_run: true },
});
const after: components["schemas"]["OperationWithActions"] | undefined = reported.data?.operation;

const two = await api.GET("/operations/v2", { params: { query: { order_no, count: "exact" } } });
const page: { next_cursor: string | null; total?: number } | undefined = two.data?.page;
const linked: components["schemas"]["LinkedOperation"] | undefined = two.data?.items[0];
const start: { method: "GET" | "POST"; href: string; schema?: string } | undefined = linked?._links.START;
const dry = await api.POST("/operations/v2/{order_no}/{asset_id}/{operation_no}/transitions", {
  params: { path: key },
  body: { action: "START", dry_run: true },
});

const removed = await api.DELETE(one, { params: { path: key } });
const gone = await api.GET(one, { params: { path: key } });

console.log(JSON.stringify({
  status,
  canStart: actions.some(({ action, allowed }) => action === "START" && allowed),
  listed: operations.map((operation) => operation.order_no),
  patched: [patched.data?.qty_desired, patched.data?.version, planned_end_at],
  after: after?.status,
  version2: [page?.total, linked?.order_no, start?.method, dry.data?.operation._links.STOP?.method],
  removed: removed.response.status,
  gone: gone.error?.code,
}));
`;

/** Uses of the API that its types must refuse, each on a line of its own. */
const mistakes = [
  `api.POST("/operations/v1", { body: { order_no: "O", asset_id: "1", operation_no: "0010" } })`,
  `api.POST("/operations/v1", { body: { asset_id: 1, operation_no: "0010" } })`,
  `api.PATCH("/operations/v1/{order_no}/{asset_id}/{operation_no}", { body: {} })`,
  `api.GET("/operations/v1", { params: { query: { status: ["DONE"] } } })`,
  `api.POST("/events/v1", { body: { action_type: "STOP", order_no: "O", operation_no: "1", workplace_name: "W", qty_good: 1 } })`,
  `api.GET("/operations/v7")`,
  `(await api.GET("/operations/v2")).data?.map(String)`,
  `(await api.GET("/operations/v1")).data?.items`,
];

async function deno(...args: string[]): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("a generated client: compiles, and creates, lists, changes and deletes an operation", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mes-client-" });
  try {
    const types = await openapiTS(new URL("../../../../docs/openapi.json", import.meta.url));
    await Deno.writeTextFile(join(folder, "api.ts"), astToString(types));
    await Deno.writeTextFile(join(folder, "program.ts"), program);
    const config = `--config=${join(root, "deno.json")}`;

    const checked = await deno("check", config, join(folder, "program.ts"));
    assert(checked.success, checked.stderr);

    const order_no = unique("O");
    const ran = await deno(
      "run",
      "--allow-net",
      config,
      join(folder, "program.ts"),
      env.functionsUrl,
      env.secretKey,
      order_no,
    );
    assert(ran.success, ran.stderr);
    assertEquals(JSON.parse(ran.stdout), {
      status: "RELEASED",
      canStart: true,
      listed: [order_no],
      patched: [60, 2, null],
      after: "IN_PROGRESS",
      version2: [1, order_no, "POST", "POST"],
      removed: 204,
      gone: "not_found",
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a generated client: does not compile with wrong fields, types, values or paths", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mes-client-" });
  try {
    const types = await openapiTS(new URL("../../../../docs/openapi.json", import.meta.url));
    await Deno.writeTextFile(join(folder, "api.ts"), astToString(types));
    const head = `import createClient from "openapi-fetch";\nimport type { paths } from "./api.ts";\n` +
      `const api = createClient<paths>({ baseUrl: "" });\n`;
    await Deno.writeTextFile(join(folder, "wrong.ts"), `${head}${mistakes.join(";\n")};\n`);
    const { success, stderr } = await deno("check", `--config=${join(root, "deno.json")}`, join(folder, "wrong.ts"));
    assertEquals(success, false);
    for (const [index, mistake] of mistakes.entries()) {
      assertMatch(stderr, new RegExp(`wrong\\.ts:${index + 4}:`), `is not refused: ${mistake}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
