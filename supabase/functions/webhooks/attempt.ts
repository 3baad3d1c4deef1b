/**
 * One attempt to deliver a message, by Standard Webhooks 1.0.0.
 *
 * @module
 */
import { Webhook } from "standardwebhooks";
import { post } from "./post.ts";
import { addressOf, checkUrl, RefusedTarget, type Resolve, type TargetRules, UnknownHost } from "./target.ts";

/** A claimed delivery, as `claim_deliveries` answers it. */
export interface Claimed {
  id: string;
  /** The same in every attempt. */
  webhook_id: string;
  lease_token: string;
  url: string;
  /** The current secret, and during a rotation the one before. */
  secrets: string[];
  /** JSON, sent as it is. */
  body: string;
}

/** What came of it, as `settle_delivery` takes it. */
export interface Outcome {
  duration_ms: number;
  status?: number;
  error_message?: string;
  response?: string;
  retry_after_s?: number;
}

/** A receiver has this long for everything: name, connection, TLS, answer. */
export const timeout_ms = 15_000;

const maxResponse = 500;

/** The database makes less of it. */
const mostRetryAfter_s = 999_999_999;

/** Sends the message once. Never throws: whatever goes wrong is the outcome. */
export async function attempt(
  { url, webhook_id, secrets, body }: Omit<Claimed, "id" | "lease_token">,
  rules: TargetRules,
  resolve?: Resolve,
): Promise<Outcome> {
  const started = performance.now();
  const timing = new AbortController();
  const timer = setTimeout(() => timing.abort(new Error("timed out")), timeout_ms);
  const duration = () => Math.round(performance.now() - started);
  try {
    const target = checkUrl(url, rules);
    const address = await inTime(addressOf(target, rules, resolve), timing.signal);
    const { status, retryAfter, text } = await post(target, {
      address,
      connect_ms: timeout_ms - duration(),
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
      response: [...text.replaceAll("\0", "")].slice(0, maxResponse).join(""),
      error_message: status >= 200 && status < 300 ? undefined : errorOf(status),
      retry_after_s: retryAfter_s(retryAfter),
    };
  } catch (error) {
    const message = timing.signal.aborted ? `No answer within ${timeout_ms / 1000} s` : messageOf(error);
    return { duration_ms: duration(), error_message: message };
  } finally {
    clearTimeout(timer);
  }
}

/** Headers that prove who sent the message and when: one signature for each valid secret. */
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

/** Seconds of a Retry-After, which may also be a date. */
export function retryAfter_s(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Math.min(Number(header), mostRetryAfter_s);
  // a date begins with its day; other texts are dates to the parser, too
  const until = /^[A-Z][a-z]{2}/.test(header) ? Date.parse(header) : NaN;
  return Number.isNaN(until) ? undefined : Math.min(Math.max(0, Math.ceil((until - now) / 1000)), mostRetryAfter_s);
}

function messageOf(error: unknown): string {
  if (error instanceof RefusedTarget) return `Refused: the URL ${error.reason}`;
  if (error instanceof UnknownHost) return "The host has no address";
  return `Not sent: ${error instanceof Error ? error.message || error.name : error}`;
}

async function inTime<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
