/** Prints how a task is used and ends the process, when `--help` asks for it: before the task does anything. */
export function showHelp(usage: string): void {
  if (!Deno.args.includes("--help")) return;
  console.log(usage);
  Deno.exit(0);
}
