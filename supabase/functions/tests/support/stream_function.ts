/**
 * The function `stream` in the process of the tests, against the stack's database, with short times; and what the tests
 * of the stream share.
 *
 * @module
 */
import { keySet } from "../../../../local/platform/keys.ts";
import type { Operation } from "../../_shared/operation.ts";
import {
  assertEquals,
  assertExists,
  type Client,
  env,
  newOperation,
  newUser,
  type OperationEvent,
  report,
  server,
} from "./harness.ts";
import type { Stream, StreamMessage } from "./stream_client.ts";

export const secret = Deno.env.get("LOCAL_JWT_SECRET");

/**
 * A second secret key, which the function in this process knows; one test file opens streams with it. It follows from the
 * first, since all files of a run share the environment that it stands in.
 */
export const otherSecretKey = `${env.secretKey.slice(0, -4)}other`;

/** The function in this process, impatient; undefined where the stack's keys are not known. */
export const local = secret === undefined ? undefined : await (async () => {
  const variables = {
    SUPABASE_URL: env.supabaseUrl,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: env.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: env.secretKey, other: otherSecretKey }),
    SUPABASE_JWKS: keySet(secret),
    STREAM_HEARTBEAT_S: "0.4",
    STREAM_ACCESS_CHECK_S: "1",
    FEED_POLL_MS: "50",
  };
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  // the function's log is not what these tests are about
  console.log = () => {};
  const { settings } = await import("../../stream/settings.ts");
  const { hub } = await import("../../stream/hub.ts");
  const { default: { fetch } } = await import("../../stream/index.ts");
  const listener = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, fetch);
  listener.unref();
  return { settings, hub, fetch, base: `http://127.0.0.1:${listener.addr.port}` };
})();

export type Local = NonNullable<typeof local>;

/** A test of the function in this process. It outlives its streams by a moment, which is no leak. */
export function localTest(name: string, run: (local: Local) => Promise<void>, ignore = false): void {
  Deno.test({
    name,
    ignore: local === undefined || ignore,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      assertExists(local);
      const usual = { ...local.settings };
      try {
        await run(local);
      } finally {
        Object.assign(local.settings, usual);
      }
    },
  });
}

/** An operation at work, and a user who sees it. */
export async function floor() {
  const operation = await newOperation({ qty_desired: null });
  const workplace = operation.workplace_name ?? "";
  const user = await newUser({ workplaces: [workplace] });
  await reportEvent(operation, "START");
  return { operation, workplace, user };
}

export async function reportEvent(
  operation: Operation,
  action: OperationEvent["action_type"],
  more = {},
): Promise<string> {
  const { status, body: { id }, text } = await report(server, operation, action, more);
  assertEquals(status, 201, text);
  return id;
}

export const count = (operation: Operation, more = {}) =>
  reportEvent(operation, "REPORT_QUANTITY", { qty_good: 1, ...more });

/** A message of this type, which must be the next one. */
export async function expect<Type extends StreamMessage["type"]>(
  stream: Stream,
  type: Type,
): Promise<Extract<StreamMessage, { type: Type }>> {
  const message = await stream.next();
  assertEquals(message?.type, type, JSON.stringify(message));
  return message as Extract<StreamMessage, { type: Type }>;
}

/** The problem that opening a stream was answered with. */
export async function refusal(opening: Promise<unknown>): Promise<[status: number, code: string]> {
  const response = await opening.then(() => undefined, (error) => error);
  if (!(response instanceof Response)) throw response ?? new Error("The stream was opened");
  const { code } = await response.json();
  return [response.status, code];
}

export async function ticketOf(client: Client, filter = {}): Promise<string> {
  const { status, body, text } = await client.post<{ ticket: string; expires_at: string }>(
    "/stream/v1/tickets",
    filter,
  );
  assertEquals(status, 201, text);
  return body.ticket;
}
