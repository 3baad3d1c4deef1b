/** Memory of processes and size of folders. */
import { descendants } from "../local/tests/testing.ts";
import { join } from "node:path";

/** The processes of a stack that requests pass through. */
export interface StackProcesses {
  /** Gateway, Data API and Auth API. */
  gateway: number;
  functions: number;
}

async function ps(...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("ps", { args, stdout: "piped", stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

/** Finds the processes of the stack that `pid` is. */
export async function stackProcesses(pid: number): Promise<StackProcesses> {
  const children = await descendants(pid);
  const lines = (await ps("-A", "-o", "pid=,args=")).split("\n").filter((line) => line.includes("functions_host.ts"));
  const functions = lines.map((line) => Number.parseInt(line)).find((pid) => children.includes(pid));
  if (functions === undefined) throw new Error(`Process ${pid} has no functions`);
  return { gateway: pid, functions };
}

/** Returns the size of a file or a folder on the disk, without folders of these names. */
export async function bytesOf(path: string, without: string[] = []): Promise<number> {
  try {
    const { isDirectory, blocks, size } = await Deno.lstat(path);
    if (!isDirectory) return blocks === null ? size : blocks * 512;
    const sizes: number[] = [];
    for await (const { name } of Deno.readDir(path)) {
      if (!without.includes(name)) sizes.push(await bytesOf(join(path, name), without));
    }
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  } catch (error) {
    // a file of the database may go while its folder is read
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
