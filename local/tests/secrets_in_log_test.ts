/** The search for credentials in logs finds each kind, and nothing in the lines that the functions write. */
import { assertEquals } from "../../supabase/functions/tests/support/assertions.ts";
import { newApiKey } from "../../supabase/functions/_shared/api_keys.ts";
import { secretsIn } from "../system/secrets_in_log.ts";

const id = "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c";
const { key, digest } = newApiKey(id);
const line = {
  id: crypto.randomUUID(),
  method: "POST",
  route: "/events/v1",
  status: 201,
  ms: 8.3,
  role: "api_key",
  key: id,
};

// deno-fmt-ignore
const lines: [line: string, kinds: string[]][] = [
  [JSON.stringify(line), []],
  [JSON.stringify({ ...line, error: `Cannot read ${key}` }), ["API key"]],
  [`GET /operations/v1?apikey=${key.slice(0, 60)}`, ["API key"]],
  [`x-mes-key: ${id}.${digest}`, ["digest of a secret"]],
  ["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", ["token"]],
  ["apikey sb_secret_0123456789abcdef", ["secret key"]],
  ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ["webhook secret"]],
  [`x-acting-for: act_${"3q2-7wTT".repeat(6).slice(0, 43)}`, ["acting token"]],
  [`{"badge_code":"badge-0123456789ab","pin":"271828123456"}`, ["badge of a test", "PIN of a test"]],
  ["authorization: Bearer 0123456789abcdef0123", ["header of a credential"]],
  ["password is hunter2hunter2", ["password"]],
  ["The database cannot answer now: try again with the same Idempotency-Key", []],
];

for (const [text, kinds] of lines) {
  Deno.test(`log: ${kinds.length === 0 ? "finds nothing" : `finds a ${kinds.join(", ")}`} in ${text.slice(0, 40)}`, () => {
    const found = secretsIn(`first\n${text}\n`, { password: "hunter2hunter2", empty: "" });
    assertEquals(found, kinds.map((kind) => ({ line: 2, kind })));
  });
}
