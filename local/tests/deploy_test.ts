/** `supabase functions deploy` sends everything that the functions need; a server of the test's own takes it. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { loadConfig } from "../platform/config.ts";
import { packages } from "../../supabase/functions/docs/packages.ts";
import { takeDocsAssets } from "../commands/docs_assets.ts";
import { inProject, projectRoot } from "../system/paths.ts";
import { supabaseCli } from "../commands/supabase_cli.ts";
import { assert, assertEquals } from "../../supabase/functions/tests/support/assertions.ts";

/** Largest bundle that Supabase takes. */
const maxBundle_bytes = 20 * 1024 * 1024;

interface Upload {
  verifyJwt: boolean;
  /** Paths below the checkout -> sizes in bytes. */
  files: Map<string, number>;
}

/** Deploys all functions to a server that answers as Supabase's management API does. */
async function deploy(): Promise<Map<string, Upload>> {
  const uploads = new Map<string, Upload>();
  const folder = await Deno.makeTempDir({ prefix: "mes-deploy-" });
  const api = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const slug = new URL(request.url).searchParams.get("slug");
    const isUpload = slug !== null && request.headers.get("content-type")?.startsWith("multipart/form-data");
    if (!isUpload) return Response.json(new URL(request.url).pathname.endsWith("/functions") ? [] : {});
    const form = await request.formData();
    const { verify_jwt: verifyJwt }: { verify_jwt: boolean } = JSON.parse(String(form.get("metadata")));
    const files = form.getAll("file").flatMap((file): [string, number][] =>
      file instanceof File ? [[file.name, file.size]] : []
    );
    uploads.set(slug, { verifyJwt, files: new Map(files) });
    return Response.json({ id: slug, slug, name: slug, status: "ACTIVE", version: 1 }, { status: 201 });
  });
  try {
    const url = `http://127.0.0.1:${api.addr.port}`;
    const profile = join(folder, "profile.yaml");
    const settings = { name: "test", api_url: url, dashboard_url: url, docs_url: url, project_host: "supabase.co" };
    await Deno.writeTextFile(profile, Object.entries(settings).map((setting) => `${setting.join(": ")}\n`).join(""));
    await supabaseCli(
      ["functions", "deploy", "--use-api", `--remote=${"a".repeat(20)}`, "--profile", profile, "--yes"],
      { env: { SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}` } },
    );
    return uploads;
  } finally {
    await api.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
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
