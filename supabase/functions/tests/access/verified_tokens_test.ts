import { assertEquals } from "../support/assertions.ts";
import { keepSession, knownSession } from "../../_shared/verified_tokens.ts";

const sessionOf = (user_id: string, ends_at = Date.now() + 60_000) => ({ user_id, ends_at });

Deno.test("verified tokens: a token is known until it expires", () => {
  keepSession("current", sessionOf("anna"));
  keepSession("expired", sessionOf("anna", Date.now() - 1));
  assertEquals(knownSession("current")?.user_id, "anna");
  assertEquals(knownSession("expired"), undefined);
  assertEquals(knownSession("never seen"), undefined);
});

Deno.test("verified tokens: a token is verified again when its key is no longer trusted", () => {
  keepSession("of a fetched key", sessionOf("anna"), 0);
  assertEquals(knownSession("of a fetched key"), undefined);
});

Deno.test("verified tokens: the oldest token goes when there are 1,000", () => {
  keepSession("oldest", sessionOf("anna"));
  for (let n = 0; n < 1_000; n++) keepSession(`token ${n}`, sessionOf(`user ${n}`));
  assertEquals(knownSession("oldest"), undefined);
  assertEquals(knownSession("token 999")?.user_id, "user 999");
});
