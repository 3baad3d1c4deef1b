/**
 * The Deno that functions run in. Supabase's Edge Runtime is compatible with Deno 2.1, which has fewer features than the
 * Deno of the tasks: code that needs them would fail on Supabase at the first request.
 */
import { join } from "node:path";
import { messageOf, StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";

/** https://github.com/supabase/edge-runtime says which one; later ones are not planned there. */
const version = "2.1.4";

/** Beside the other packages, and not one of them: `deno install` wants those of all platforms at once. */
const folder = inProject("node_modules", `.edge-deno-${version}`);

/**
 * Functions see the import map and the installed packages, and nothing of deno.json, as on Supabase. Nothing is asked
 * of a registry: their environment is not the user's, so that the user's proxy and certificates would be missing.
 */
export const edgeFlags: readonly string[] = [
  "run",
  "--allow-all",
  "--quiet",
  "--no-config",
  "--no-lock",
  "--node-modules-dir=manual",
  `--import-map=${inProject("import_map.json")}`,
];

/**
 * The program: `EDGE_DENO`, or that of the npm package `deno`, which the npm client fetches once.
 *
 * @param tell Gets a message before a step that takes long.
 */
export async function edgeDeno(tell: (line: string) => void = () => {}): Promise<string> {
  const own = Deno.env.get("EDGE_DENO");
  if (own) return own;
  const present = await programIn(folder);
  if (present !== undefined) return present;
  tell(`Deno ${version}, which is what Supabase runs functions in`);
  await install();
  const installed = await programIn(folder);
  if (installed !== undefined) return installed;
  throw new StackFailure(
    `There is no Deno ${version} for ${Deno.build.target}: set EDGE_DENO to the path of another to run functions in it.`,
  );
}

/** The package of this platform is the one that npm installed. */
async function programIn(folder: string): Promise<string | undefined> {
  const packages = join(folder, "node_modules", "@deno");
  try {
    for await (const { name } of Deno.readDir(packages)) {
      const program = join(packages, name, Deno.build.os === "windows" ? "deno.exe" : "deno");
      if (await Deno.stat(program).then(({ isFile }) => isFile, () => false)) return program;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function install(): Promise<void> {
  await Deno.mkdir(inProject("node_modules"), { recursive: true });
  // several starts may do the same at once: the folder appears whole
  const draft = await Deno.makeTempDir({ dir: inProject("node_modules"), prefix: ".edge-deno-" });
  try {
    await Deno.chmod(draft, 0o755).catch(() => {});
    const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
    const { success, stderr } = await new Deno.Command(npm, {
      args: ["install", `deno@${version}`, "--prefix", draft, "--ignore-scripts", "--no-audit", "--no-fund"],
      cwd: draft,
      stdout: "null",
      stderr: "piped",
    }).output().catch((error) => {
      throw new StackFailure(`Cannot run npm, which brings the functions' Deno ${version}: ${messageOf(error)}`);
    });
    if (!success) {
      const said = new TextDecoder().decode(stderr).split("\n").filter((line) => line.startsWith("npm error"));
      throw new StackFailure(
        `npm did not bring deno@${version}, which functions run in (EDGE_DENO=<path> uses another): ${
          said.slice(0, 2).join(" ")
        }`,
      );
    }
    await Deno.rename(draft, folder).catch(async (error) => {
      if (await programIn(folder) === undefined) throw error;
    });
  } finally {
    await Deno.remove(draft, { recursive: true }).catch(() => {});
  }
}
