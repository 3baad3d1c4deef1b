/** `supabase functions deploy` sends everything that the functions need; a server of the test's own takes it. */
import { pathToFileURL } from "node:url";
import { loadConfig } from "../platform/config.ts";
import { packages } from "../../supabase/functions/docs/packages.ts";
import { takeDocsAssets } from "../commands/docs_assets.ts";
import { inProject, projectRoot } from "../system/paths.ts";
import { supabaseCli } from "../commands/supabase_cli.ts";
import { projectRef, startManagementApi, type Upload } from "./management_api.ts";
import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";

/** Largest bundle that Supabase takes. */
const maxBundle_bytes = 20 * 1024 * 1024;

/** Deploys all functions to a model of Supabase's management API. */
async function deploy(): Promise<Map<string, Upload>> {
  await using api = await startManagementApi();
  await supabaseCli(["functions", "deploy", "--use-api", `--remote=${projectRef}`, "--yes"], { env: api.env });
  return api.uploads;
}

/** The files of this checkout that a function imports, itself included. */
async function modulesOf(name: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", inProject("supabase", "functions", name, "index.ts")],
    cwd: projectRoot,
  }).output();
  const { modules }: { modules: { specifier: string }[] } = JSON.parse(new TextDecoder().decode(stdout));
  const root = `${pathToFileURL(projectRoot).href}/`;
  return modules.map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith(root) && !specifier.includes("/node_modules/"))
    .map((specifier) => specifier.slice(root.length));
}

Deno.test("supabase functions deploy: sends each function with all that it imports, within Supabase's limit", async () => {
  await takeDocsAssets();
  const uploads = await deploy();
  const { functions } = await loadConfig(inProject("supabase", "config.toml"));
  assertEquals([...uploads.keys()].sort(), [...functions.keys()].sort());
  for (const [name, { verifyJwt, files }] of uploads) {
    const missing = (await modulesOf(name)).filter((path) => !files.has(path));
    assertEquals(missing, [], `${name} would not start`);
    assert(files.has("import_map.json"), `${name} has no import map`);
    assertEquals(verifyJwt, false, `${name} would refuse the secret key`);
    const size_bytes = files.values().reduce((sum, size) => sum + size, 0);
    assert(size_bytes < maxBundle_bytes, `${name} has ${size_bytes} bytes`);
  }

  const pages = [
    ...[...Deno.readDirSync(inProject("supabase", "functions", "docs", "static"))].map(({ name }) => `static/${name}`),
    ...packages.flatMap(({ files }) => Object.values<string>(files)).map((name) => `assets/${name}`),
  ];
  const sent = uploads.get("docs")?.files;
  assertEquals(pages.filter((path) => !sent?.has(`supabase/functions/docs/${path}`)), [], "docs would have no pages");
});
