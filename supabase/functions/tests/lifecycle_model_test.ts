/** The lifecycle against its model: random sequences, every answer compared. `deno task assurance` plays 2,000 of them. */
import { assert } from "./harness.ts";
import { playSequences } from "./lifecycle_sequences.ts";

Deno.test("lifecycle: random sequences of actions, callers, times, retries and races do as the model says", async () => {
  const seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31));
  const count = Number(Deno.env.get("SEQUENCES") ?? 100);
  const { divergence, sequences, requests } = await playSequences({ count, seed, budget_ms: 30_000 });
  console.log(`${sequences} sequences, ${requests} requests, SEED=${seed}`);
  assert(divergence === undefined, divergence);
  assert(sequences >= Math.min(count, 20), `only ${sequences} sequences in 30 s`);
});
