/** The faults of `deno task reliability`, in small numbers. */
import { assert } from "../support/harness.ts";

Deno.test({
  name: "reliability --short: loses and repeats no event when connections, the database or the stack are killed",
  // it needs processes to kill, which a deployed project does not have
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const script = new URL("../../../../reliability/reliability.ts", import.meta.url);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", script.href, "--short"],
      env: { STACK_DATABASE_URL: "", NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert(success, said);
    console.log(new TextDecoder().decode(stdout));
  },
});
