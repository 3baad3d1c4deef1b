import { dirname } from "node:path";
import { StackFailure } from "./failure.ts";

/** An account of the operating system. */
export interface SystemUser {
  name: string;
  uid: number;
  gid: number;
}

/**
 * The account that runs PostgreSQL, which refuses to run as root: `postgres` where it exists, else `nobody`.
 * Undefined when the current account is not root and runs it itself.
 */
export async function databaseUser(): Promise<SystemUser | undefined> {
  if (Deno.build.os === "windows" || Deno.uid() !== 0) return undefined;
  const accounts = (await Deno.readTextFile("/etc/passwd")).split("\n").map((line) => line.split(":"));
  for (const wanted of ["postgres", "nobody"]) {
    const account = accounts.find(([name]) => name === wanted);
    if (account) return { name: wanted, uid: Number(account[2]), gid: Number(account[3]) };
  }
  throw new StackFailure(
    'PostgreSQL does not run as root, and there is no account "postgres" or "nobody" to run it: ' +
      "create one (useradd postgres) or start as another user.",
  );
}

/** Returns true when `user` may enter every folder from the root to `path`. */
export async function canReach(user: SystemUser, path: string): Promise<boolean> {
  for (let folder = path;; folder = dirname(folder)) {
    const { mode, uid, gid } = await Deno.stat(folder);
    const execute = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if (((mode ?? 0) & execute) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}
