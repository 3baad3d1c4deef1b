/** Which of the addresses in a request's headers is the client's, and that a forged one gains nothing. */
import { addressSource, clientAddress } from "../../_shared/client_address.ts";
import { assertEquals, assertProblem, env } from "../support/harness.ts";
import { newKey } from "../support/api_keys.ts";

const sourceOf = (variables: Record<string, string>) => addressSource((name) => variables[name]);

// deno-fmt-ignore
const cases: [name: string, variables: Record<string, string>, headers: Record<string, string>, address: string][] = [
  ["one proxy", {}, { "x-forwarded-for": "203.0.113.7" }, "203.0.113.7"],
  ["a forged list before the proxy's entry", {}, { "x-forwarded-for": "10.0.0.1, 192.0.2.1,203.0.113.7" }, "203.0.113.7"],
  ["two proxies", { CLIENT_ADDRESS_HOPS: "2" }, { "x-forwarded-for": "10.0.0.1, 203.0.113.7, 172.16.0.1" }, "203.0.113.7"],
  ["fewer entries than proxies", { CLIENT_ADDRESS_HOPS: "3" }, { "x-forwarded-for": "10.0.0.1" }, ""],
  ["no header", {}, {}, ""],
  ["another header", { CLIENT_ADDRESS_HEADER: "X-Real-IP" }, { "x-real-ip": "2001:db8::7", "x-forwarded-for": "10.0.0.1" }, "2001:db8::7"],
  ["the header of Cloudflare without Cloudflare", {}, { "cf-connecting-ip": "10.0.0.1", "x-forwarded-for": "203.0.113.7" }, "203.0.113.7"],
  ["Supabase's platform", { SUPABASE_URL: "https://abcdefghijklmnopqrst.supabase.co" },
    { "cf-connecting-ip": "203.0.113.7", "x-forwarded-for": "10.0.0.1, 203.0.113.7, 172.16.0.1" }, "203.0.113.7"],
  ["a project whose name looks like the platform's", { SUPABASE_URL: "https://x.supabase.co.example.com" },
    { "cf-connecting-ip": "10.0.0.1", "x-forwarded-for": "203.0.113.7" }, "203.0.113.7"],
];

for (const [name, variables, headers, address] of cases) {
  Deno.test(`client address: ${name}`, () => {
    assertEquals(clientAddress(new Headers(headers), sourceOf(variables)), address);
  });
}

/** Headers by which a client may say that it is somewhere else. */
const forgeries = [
  "x-forwarded-for",
  "cf-connecting-ip",
  "x-real-ip",
  "forwarded",
  "true-client-ip",
  "x-mes-client",
  "x-client-ip",
];

Deno.test({
  name: "keys: allowed_cidrs are judged on the address that the platform has seen, whatever headers the client sends",
  // a project elsewhere sees another address
  ignore: !/^http:\/\/(127\.0\.0\.1|localhost)[:/]/.test(env.functionsUrl),
  async fn() {
    const there = await newKey({ scopes: ["operations:read"], allowed_cidrs: ["203.0.113.0/24"] });
    const here = await newKey({ scopes: ["operations:read"], allowed_cidrs: ["127.0.0.0/8"] });
    const read = (client: typeof there.client, headers = {}) => client.get("/operations/v1?limit=1", { headers });
    assertProblem(await read(there.client), 403, "forbidden");
    assertEquals((await read(here.client)).status, 200);
    for (const header of forgeries) {
      const forged = { [header]: header === "forwarded" ? "for=203.0.113.7" : "203.0.113.7" };
      assertProblem(await read(there.client, forged), 403, "forbidden");
      assertEquals((await read(here.client, forged)).status, 200, header);
    }
  },
});

Deno.test("keys: a list of networks takes addresses and both families, and refuses what is none", async () => {
  const { client } = await newKey({ allowed_cidrs: ["0.0.0.0/0", "::/0"] });
  assertEquals((await client.get("/operations/v1?limit=1")).status, 200);
});
