/** The lifecycle against its model: random sequences, every answer compared. `deno task reliability` plays 2,000 of them. */
import { assert } from "../support/harness.ts";
import { playSequences } from "../support/lifecycle_sequences.ts";

const seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31));
const count = Number(Deno.env.get("SEQUENCES") ?? 100);
// in the suite, what a slow machine does in time is enough
const budgetMs = Deno.env.has("SEQUENCES") ? Infinity : 30_000;

Deno.test("Lifecycle: behaves like the model when actions, callers, times, retries and races are random", async () => {
  const { divergence, sequences, requests, answers } = await playSequences({ count, seed, budgetMs });
  console.log(`MEASURED Lifecycle: behaves like the model: ${sequences} sequences, ${requests} requests, SEED=${seed}`);
  assert(divergence === undefined, `${divergence}\n\nAnswers until then: ${JSON.stringify(answers)}`);
  assert(sequences >= Math.min(count, 10), `only ${sequences} sequences in ${budgetMs / 1000} s`);
});
