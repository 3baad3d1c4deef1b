import { dirname, join, resolve } from "node:path";
import { encodeHex } from "@std/encoding/hex.js";
import { messageOf, StackFailure } from "../system/failure.ts";
import { inProject, projectRoot } from "../system/paths.ts";
import { canReach, databaseUser, type SystemUser } from "../system/system_user.ts";

/** The folder of one stack: its keys, its database, and the lock that says it is in use. */
export interface DataFolder {
  /** Absolute path. */
  path: string;
  keysFile: string;
  /** PostgreSQL's own data directory. */
  databaseDir: string;
  databaseLog: string;
  /** The account that owns the database files and runs the server; undefined = the current one. */
  user: SystemUser | undefined;
  /** Records for other commands which stack uses the folder. */
  announce(url: string): Promise<void>;
  /** Gives the folder back, and removes it when it was temporary. */
  release(): Promise<void>;
}

/** The stack that holds a data folder, as far as its file names it. */
export interface FolderHolder {
  pid: number;
  url: string;
}

async function defaultPath(user: SystemUser | undefined): Promise<string> {
  const path = inProject("supabase", ".temp", "data");
  if (user === undefined || await canReach(user, inProject("supabase"))) return path;
  // As root, in a checkout that the database's account cannot enter (/root, say): a folder of this checkout's own.
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(projectRoot));
  return `/var/tmp/mes-operations-api-${encodeHex(digest).slice(0, 12)}`;
}

/** Default data folder of a command. */
export async function resolveDataPath(dataDir: string | undefined): Promise<string> {
  return dataDir === undefined ? await defaultPath(await databaseUser()) : resolve(dataDir);
}

/** Returns the process that uses the data folder now; undefined when none does. */
export async function folderHolder(path: string): Promise<FolderHolder | undefined> {
  try {
    using lock = await Deno.open(join(path, "lock"), { read: true, write: true });
    if (await lock.tryLock(true)) return undefined;
    const text = await Deno.readTextFile(join(path, "lock"));
    const [pid = "0", url = ""] = text.split("\n");
    return { pid: Number(pid), url };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function createFolder(path: string, user: SystemUser | undefined): Promise<void> {
  try {
    // The database's account may traverse the folder; no other account may list or read it.
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.mkdir(path, { recursive: true, mode: user ? 0o711 : 0o700 });
    const probe = join(path, `.write-test-${crypto.randomUUID()}`);
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
    for await (const _ of Deno.readDir(path)) break;
  } catch (error) {
    throw new StackFailure(
      `Cannot use the data folder ${path}: ${messageOf(error)}. Choose one you may write to with --data-dir.`,
    );
  }
  if (user && !await canReach(user, path)) {
    throw new StackFailure(
      `Cannot use the data folder ${path}: PostgreSQL does not run as root, and its account "${user.name}" may not ` +
        `enter ${dirname(path)} or a folder above. Choose another folder with --data-dir.`,
    );
  }
}

/** Opens the data folder for one stack, or fails with its holder. The lock ends with the process in every case. */
export async function openDataFolder(options: { dataDir?: string; ephemeral?: boolean }): Promise<DataFolder> {
  const user = await databaseUser();
  const path = options.ephemeral
    ? await Deno.makeTempDir({ prefix: "mes-stack-" })
    : await resolveDataPath(options.dataDir);
  if (options.ephemeral && user) await Deno.chmod(path, 0o711);
  await createFolder(path, user);

  const lockPath = join(path, "lock");
  const lock = await Deno.open(lockPath, { create: true, write: true, read: true, mode: 0o600 });
  if (!await lock.tryLock(true)) {
    const holder = await folderHolder(path);
    lock.close();
    throw new StackFailure(
      `The data folder ${path} is in use by a stack that is running${
        holder?.url ? ` at ${holder.url} (process ${holder.pid})` : ""
      }. Stop that one first, or choose another folder with --data-dir.`,
    );
  }
  return {
    path,
    keysFile: join(path, "keys.json"),
    databaseDir: join(path, "postgres"),
    databaseLog: join(path, "postgres.log"),
    user,
    announce: (url) => Deno.writeTextFile(lockPath, `${Deno.pid}\n${url}\n`),
    async release() {
      lock.close();
      if (options.ephemeral) await Deno.remove(path, { recursive: true });
    },
  };
}
