import settings from "../../deno.json" with { type: "json" };

/** The flags of Deno in `deno task start`: tests and benchmarks run the stack with the memory that people give it. */
export const startFlags: readonly string[] = settings.tasks.start.command.split(" ").filter((word) =>
  word.startsWith("--v8-flags")
);
