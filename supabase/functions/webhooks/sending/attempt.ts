/**
 * One attempt to deliver a message, by Standard Webhooks 1.0.0.
 *
 * @module
 */
import { Webhook } from "standardwebhooks";
import { readRetryAfterMs } from "../../_shared/retry_after.ts";
import { post } from "./post.ts";
import { addressOf, checkUrl, RefusedTarget, type Resolve, type TargetRules, UnknownHost } from "./target.ts";

/** A claimed delivery, as `claim_deliveries` answers it. */
export interface Claimed {
  id: string;
  /** Id of the message, the same in every attempt. */
  webhook_id: string;
  lease_token: string;
  url: string;
  /** The current secret, and during a rotation the previous one. */
  secrets: string[];
  /** JSON text, sent unchanged. */
  body: string;
}

/** Result of an attempt, as `settle_delivery` takes it. */
export interface Outcome {
  duration_ms: number;
  status?: number;
  error_message?: string;
  response?: string;
  retry_after_s?: number;
}

/** Time limit of an attempt: lookup, connection, TLS and answer together. */
const timeoutMs = 15_000;

const maxResponseLength = 500;

/** Largest number of seconds that the database takes; it reduces them further. */
const maxRetryAfterS = 999_999_999;

/** Sends the message once. Never throws: an error is an outcome. */
export async function attempt(
  { url, webhook_id, secrets, body }: Omit<Claimed, "id" | "lease_token">,
  rules: TargetRules,
  resolve?: Resolve,
): Promise<Outcome> {
  const startedMs = performance.now();
  const timing = new AbortController();
  const timer = setTimeout(() => timing.abort(new Error("timed out")), timeoutMs);
  const duration = () => Math.round(performance.now() - startedMs);
  try {
    const target = checkUrl(url, rules);
    const address = await raceWithSignal(addressOf(target, rules, resolve), timing.signal);
    const { status, retryAfter, text } = await post(target, {
      address,
      connectMs: timeoutMs - duration(),
      headers: {
        "content-type": "application/json",
        "user-agent": "mes-operations-api-webhooks/1",
        ...signatureHeaders(webhook_id, secrets, body),
      },
      body,
      signal: timing.signal,
    });
    return {
      duration_ms: duration(),
      status,
      response: [...text.replaceAll("\0", "")].slice(0, maxResponseLength).join(""),
      error_message: status >= 200 && status < 300 ? undefined : errorOf(status),
      retry_after_s: toRetryAfterS(retryAfter),
    };
  } catch (error) {
    const message = timing.signal.aborted ? `No answer within ${timeoutMs / 1000} s` : messageOf(error);
    return { duration_ms: duration(), error_message: message };
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the headers that prove the sender and the time of the message: one signature for each valid secret. */
export function signatureHeaders(id: string, secrets: string[], body: string, at = new Date()): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" "),
  };
}

function errorOf(status: number): string {
  return status >= 300 && status < 400
    ? `Answered HTTP ${status}: redirects are not followed, configure the final URL`
    : `Answered HTTP ${status}`;
}

function toRetryAfterS(header: string | undefined): number | undefined {
  const retryAfterMs = readRetryAfterMs(header);
  return retryAfterMs === undefined ? undefined : Math.min(Math.ceil(retryAfterMs / 1000), maxRetryAfterS);
}

function messageOf(error: unknown): string {
  if (error instanceof RefusedTarget) return `Refused: the URL ${error.reason}`;
  if (error instanceof UnknownHost) return "The host has no address";
  return `Not sent: ${error instanceof Error ? error.message || error.name : error}`;
}

async function raceWithSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
