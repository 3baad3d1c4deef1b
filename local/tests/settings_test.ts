import { assertEquals, assertStringIncludes, assertThrows } from "../../supabase/functions/tests/support/assertions.ts";
import { parseConfig } from "../platform/config.ts";
import { StackFailure } from "../system/failure.ts";
import { readJunitReport } from "../commands/junit.ts";
import { generateKeys, keySet } from "../platform/keys.ts";
import { parseStartOptions } from "../commands/options.ts";
import { inProject } from "../system/paths.ts";

Deno.test("options: without any, the port is Supabase's and the data is kept", () => {
  const options = parseStartOptions([]);
  assertEquals(options, {
    port: 54321,
    dataDir: undefined,
    ephemeral: false,
    envFile: undefined,
    seed: true,
    simulation: undefined,
  });
});

Deno.test("options: each is read", () => {
  const options = parseStartOptions(["--port=0", "--data-dir", "/data", "--no-seed", "--settings", "e", "--simulate"]);
  const simulation = { speed: 60, seed: 1 };
  assertEquals(options, { port: 0, dataDir: "/data", ephemeral: false, envFile: "e", seed: false, simulation });
  assertEquals(parseStartOptions(["--simulate=2.5", "--simulate-seed", "7"])?.simulation, { speed: 2.5, seed: 7 });
  assertEquals(parseStartOptions(["--ephemeral"])?.ephemeral, true);
  assertEquals(parseStartOptions(["--help"]), undefined);
});

for (
  const args of [
    ["--port", "65536"],
    ["--port", "-1"],
    ["--port", "x"],
    ["--ephemeral", "--data-dir", "d"],
    ["more"],
    ["--simulate=61"],
    ["--simulate=0"],
    ["--simulate=x"],
    ["--simulate", "--simulate-seed", "x"],
  ]
) {
  Deno.test(`options: ${args.join(" ")} is refused`, () => {
    assertThrows(() => parseStartOptions(args), StackFailure);
  });
}

Deno.test("config: what config.toml leaves out has the Supabase CLI's default", () => {
  const config = parseConfig("[functions.a]\n[functions.b]\nverify_jwt = false\nenabled = false\n");
  assertEquals([config.schemas, config.maxRows, config.jwtExpiry], [["public"], 1000, 3600]);
  assertEquals(config.functions.get("a"), { enabled: true, verifyJwt: true, entrypoint: undefined });
  assertEquals(config.functions.get("b"), { enabled: false, verifyJwt: false, entrypoint: undefined });
});

Deno.test("config: every function of the project has the project's import map and checks credentials itself", async () => {
  const text = await Deno.readTextFile(inProject("supabase", "config.toml"));
  const { functions } = parseConfig(text);
  for await (const { name, isDirectory } of Deno.readDir(inProject("supabase", "functions"))) {
    if (!isDirectory || name.startsWith("_") || name === "tests") continue;
    assertEquals(functions.get(name)?.verifyJwt, false, `[functions.${name}] verify_jwt = false is missing`);
    const section = text.split(`[functions.${name}]`)[1]?.split("\n[")[0] ?? "";
    assertStringIncludes(section, 'import_map = "../import_map.json"');
  }
});

Deno.test("keys: each set is new, the key set carries the secret as JWK", () => {
  const [one, other] = [generateKeys(), generateKeys()];
  for (const name of ["jwtSecret", "publishableKey", "secretKey", "databasePassword", "demoPassword"] as const) {
    assertEquals(one[name] === other[name], false, name);
  }
  assertEquals(JSON.parse(keySet("secret")), { keys: [{ kty: "oct", kid: "local", alg: "HS256", k: "c2VjcmV0" }] });
});

Deno.test("junit: passed, failed and ignored tests and steps are counted, whatever their names and output say", () => {
  const counts = readJunitReport(`<testsuites><testsuite>
    <testcase name="plain" line="1">
    </testcase>
    <testcase name="skipped &amp; &lt;b&gt;"><skipped/></testcase>
    <testcase name="bad"><failure message="x &lt;/testcase&gt;">Error: &lt;skipped/&gt;</failure></testcase>
    <testcase name="parent &gt; step" />
  </testsuite></testsuites>`);
  assertEquals(counts, { passed: 2, failed: 1, ignored: ["skipped & <b>"] });
});
