import process from "node:process";
import { join } from "node:path";
import { StackFailure } from "../system/failure.ts";
import { holdsWithin } from "../system/poll.ts";

function isAlive(pid: number): boolean {
  try {
    // Signal 0 only asks whether the process is there.
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function commandLine(pid: number): Promise<string> {
  if (Deno.build.os === "linux") {
    try {
      return (await Deno.readTextFile(`/proc/${pid}/cmdline`)).replaceAll("\0", " ");
    } catch {
      return "";
    }
  }
  const ps = await new Deno.Command("ps", { args: ["-o", "command=", "-p", String(pid)] }).output();
  return new TextDecoder().decode(ps.stdout);
}

/**
 * Ends the server that an earlier stack left behind when it was killed. PostgreSQL's pid file names it; since the
 * system gives numbers again, it is only ended when its command line says that it serves this very data directory.
 */
export async function endOrphan(databaseDir: string): Promise<void> {
  // There, a server that is left over keeps its files locked, and the new one says so.
  if (Deno.build.os === "windows") return;
  let pid: number;
  try {
    pid = Number((await Deno.readTextFile(join(databaseDir, "postmaster.pid"))).split("\n")[0]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const isOurs = async () => isAlive(pid) && (await commandLine(pid)).includes(`-D ${databaseDir} `);
  if (!await isOurs()) return;
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    Deno.kill(pid, signal);
    if (await holdsWithin(3000, async () => !await isOurs())) return;
  }
  throw new StackFailure(`A PostgreSQL server left from an earlier start (process ${pid}) does not end: end it first.`);
}
