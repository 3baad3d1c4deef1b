/**
 * What a function costs beside its one call of the database: requests per second of GET one operation, and of a bare
 * Hono handler that makes one `fetch` to the same canned Data API. Part of `deno task bench`; alone:
 * `deno run -A bench/function.ts [rounds]`.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { SignJWT } from "jose";
import { edgeDeno, edgeFlags } from "../local/functions/edge_deno.ts";
import { generateKeys, keySet, signingKeyId } from "../local/platform/keys.ts";
import { inProject } from "../local/system/paths.ts";
import contract from "../docs/openapi.json" with { type: "json" };
import { Constants } from "../supabase/functions/_shared/database.types.ts";
import { serveAnswers } from "./canned_data_api.ts";
import { median } from "./median.ts";
import { table } from "./table.ts";

/** Requests per second. */
export interface FunctionFigures {
  function: number;
  bare: number;
  /** The middle of the rounds' ratios. */
  ratio: number;
  /** Share of a request's processor time that its limits take: the middle of the rounds. */
  limits: number;
}

/** An operation of the contract's examples. */
const operation = JSON.stringify({
  ...Object.fromEntries(
    Object.entries(contract.components.schemas.Operation.properties).map(([name, property]) => [
      name,
      "example" in property ? property.example : null,
    ]),
  ),
  allowed_actions: Constants.public.Enums.action.map((action) => ({ action, allowed: false, blocked_by: "forbidden" })),
});

/** Measures all in an isolate of the functions' Deno, rounds in turn, with an access token as of a user. */
export async function measureFunction(rounds: number, clients = 16): Promise<FunctionFigures> {
  const keys = generateKeys();
  const dataApi = serveAnswers({ get_operation: operation });
  const url = `http://127.0.0.1:${dataApi.addr.port}`;
  const token = await new SignJWT({
    role: "authenticated",
    email: "bench@example.com",
    session_id: crypto.randomUUID(),
  })
    .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: signingKeyId })
    .setSubject(crypto.randomUUID()).setAudience("authenticated").setIssuer(`${url}/auth/v1`)
    .setIssuedAt().setExpirationTime("1h")
    .sign(new TextEncoder().encode(keys.jwtSecret));
  const plan = { path: "/operations/v1/403860-001/1/0010", token, clients, rounds, duration_ms: 1_000 };
  const isolate = new Deno.Command(await edgeDeno(), {
    args: [...edgeFlags, inProject("bench", "function_isolate.ts"), JSON.stringify(plan)],
    env: {
      SUPABASE_URL: url,
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
      SUPABASE_JWKS: keySet(keys.jwtSecret),
    },
    stdout: "piped",
  }).spawn();
  const measured: Record<"function" | "unlimited" | "bare", { perSecond: number; cpuMs: number }>[] = [];
  for await (const line of isolate.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
    measured.push(JSON.parse(String(line)));
  }
  const { success } = await isolate.status;
  await dataApi.shutdown();
  if (!success) throw new Error("The isolate failed, see above");
  return {
    function: median(measured.map((round) => round.function.perSecond)),
    bare: median(measured.map(({ bare }) => bare.perSecond)),
    ratio: median(measured.map((round) => round.function.perSecond / round.bare.perSecond)),
    limits: median(measured.map((round) => 1 - round.unlimited.cpuMs / round.function.cpuMs)),
  };
}

/** The figures as a table. */
export function functionTable(figures: FunctionFigures): string {
  return table([{
    "GET one operation, canned Data API": "function",
    "requests/s": Math.round(figures.function),
    "bare handler requests/s": Math.round(figures.bare),
    "of the bare handler": figures.ratio.toFixed(2),
    "at least": "0.60",
    "limits take": `${(figures.limits * 100).toFixed(1)} %`,
    "at most": "5 %",
  }]);
}

if (import.meta.main) {
  console.log(functionTable(await measureFunction(Number(Deno.args[0] ?? 5))));
}
