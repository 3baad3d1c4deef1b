/**
 * `deno task mcp:conformance` runs the official conformance suite of the Model Context Protocol against the function `mcp`
 * of a stack of its own, for both revisions that it serves. Every check that fails has to be expected, and every one that
 * is expected to fail has to.
 */
import { join } from "node:path";
import { startStack } from "../../local/stack.ts";
import { runCommand, StackFailure } from "../../local/system/failure.ts";
import { showHelp } from "../../local/system/help.ts";
import { expectedOf } from "./expected.ts";

showHelp(`Usage: deno task mcp:conformance

Runs the official conformance suite of the Model Context Protocol against a stack of its own, and
shows which checks pass and which are expected to fail, with the reason. The suite comes from npm.`);

const suite = "npm:@modelcontextprotocol/conformance@0.2.0-alpha.12";

interface Check {
  id: string;
  status: "SUCCESS" | "FAILURE" | "WARNING" | "INFO" | "SKIPPED";
  errorMessage?: string;
}

/** Starts a door that adds a credential: the suite itself sends none. */
function openDoor(url: string, token: string): { url: string; close: () => Promise<void> } {
  const door = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const headers = new Headers(request.headers);
    headers.set("authorization", `Bearer ${token}`);
    const body = request.body === null ? undefined : await request.arrayBuffer();
    return await fetch(url, { method: request.method, headers, body });
  });
  return { url: `http://localhost:${door.addr.port}/mcp`, close: () => door.shutdown() };
}

/** Runs the scenarios that a revision requires. Returns the checks of each. */
async function runSuite(url: string, revision: string): Promise<Map<string, Check[]>> {
  const folder = await Deno.makeTempDir({ prefix: "mes-conformance-" });
  try {
    // its packages are no packages of this project
    await Deno.writeTextFile(join(folder, "package.json"), "{}");
    const { stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--node-modules-dir=auto", suite],
        ...["server", "--url", url, "--requirements", revision, "-o", "results"],
      ],
      cwd: folder,
      stdin: "null",
    }).output();
    const checks = new Map<string, Check[]>();
    const results = join(folder, "results");
    for await (const { name } of Deno.readDir(results)) {
      const [, scenario = ""] = /^server-(.+)-\d{4}-\d\d-\d\dT/.exec(name) ?? [];
      checks.set(scenario, JSON.parse(await Deno.readTextFile(join(results, name, "checks.json"))));
    }
    if (checks.size === 0) throw new StackFailure(`The suite did not run: ${new TextDecoder().decode(stderr)}`);
    return checks;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Compares the checks of a revision with what is expected. Returns what is not. */
function judge(revision: string, scenarios: Map<string, Check[]>): string[] {
  const expected = expectedOf(revision);
  const met = new Set<string>();
  const surprises: string[] = [];
  let passed = 0;
  for (const [scenario, checks] of scenarios) {
    // an extension that the protocol leaves to the server
    if (scenario.startsWith("tasks-")) continue;
    for (const { id, status, errorMessage } of checks) {
      if (status === "SUCCESS") passed++;
      if (status !== "FAILURE") continue;
      const name = [`${scenario}:${id}`, scenario].find((name) => expected.has(name));
      if (name === undefined) surprises.push(`${revision} ${scenario}:${id}: ${errorMessage ?? "failed"}`);
      else met.add(name);
    }
  }
  console.log(`${revision}: ${passed} checks passed; expected to fail:`);
  for (const [name, reason] of expected) {
    if (met.has(name)) console.log(`  ${name}: ${reason}`);
    else surprises.push(`${revision} ${name} is expected to fail and did not`);
  }
  return surprises;
}

async function conformance(): Promise<void> {
  const stack = await startStack({ ephemeral: true, onFunctionLog: () => {} });
  try {
    const { url, keys } = stack;
    const signedIn = await fetch(`${url}/auth/v1/token?grant_type=password`, {
      method: "POST",
      headers: { apikey: keys.publishableKey, "content-type": "application/json" },
      body: JSON.stringify({ email: "manager@demo.local", password: keys.demoPassword }),
    });
    const { access_token } = await signedIn.json();
    const door = openDoor(`${url}/functions/v1/mcp/v1`, access_token);
    const surprises: string[] = [];
    for (const revision of ["2026-07-28", "2025-11-25"]) {
      surprises.push(...judge(revision, await runSuite(door.url, revision)));
    }
    await door.close();
    if (surprises.length > 0) throw new StackFailure(surprises.join("\n"));
  } finally {
    await stack.stop();
  }
}

await runCommand(conformance);
