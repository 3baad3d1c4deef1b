import { delay } from "@std/async/delay.js";
import type { ItemResult } from "../../supabase/functions/_shared/batch.ts";
import { readRetryAfterMs } from "../../supabase/functions/_shared/retry_after.ts";
import { messageOf } from "../../local/system/failure.ts";
import { credentialOf } from "../project.ts";
import { ImportFailure } from "./failure.ts";
import type { ImportOptions } from "./options.ts";

/** The server answers within 10 s; what takes longer is lost. */
const answerTimeout_ms = 60_000;
const firstPause_ms = 500;
const longestPause_ms = 30_000;

/** Sends chunks, again and again while the server is away. */
export interface ImportApi {
  /**
   * One result per row sent.
   *
   * @param body Rows in the format of the import.
   * @param idempotencyKey The same for the same chunk, so that a repeated one has the first answer.
   * @throws {ImportFailure} when sending it again cannot help.
   */
  send(body: string, idempotencyKey: string): Promise<ItemResult[]>;
}

/** Answer without results. */
interface Refusal {
  status: number;
  code: string;
  detail: string;
  retryAfter_ms: number | undefined;
}

/**
 * The import endpoint of a project.
 *
 * @param options Where, with which key, how patiently.
 * @param signal Ends a request and the pauses between two.
 * @param onWait Called with the reason and the duration of the wait before a retry.
 */
export function importApi(
  options: Pick<
    ImportOptions,
    "functionsUrl" | "key" | "mode" | "isDryRun" | "unknownWorkplaces" | "decimal" | "format" | "patience_s"
  >,
  signal: AbortSignal,
  onWait: (reason: string, pause_ms: number) => void,
): ImportApi {
  const query = new URLSearchParams({
    mode: options.mode,
    dry_run: String(options.isDryRun),
    unknown_workplaces: options.unknownWorkplaces,
    ...options.decimal === undefined ? {} : { decimal: options.decimal },
  });
  const url = `${options.functionsUrl}/operations/v1/import?${query}`;
  const credential = credentialOf(options.key);
  const contentType = options.format === "csv" ? "text/csv" : "application/x-ndjson";

  async function sendOnce(body: string, idempotencyKey: string): Promise<ItemResult[] | Refusal> {
    const response = await fetch(url, {
      method: "POST",
      headers: { ...credential, "content-type": contentType, "idempotency-key": idempotencyKey },
      body,
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeout_ms)]),
    });
    const text = await response.text();
    const answer = parsed(text);
    if ((response.status === 200 || response.status === 207) && Array.isArray(answer.results)) return answer.results;
    return {
      status: response.status,
      code: typeof answer.code === "string" ? answer.code : "",
      detail: typeof answer.detail === "string" ? answer.detail : text.slice(0, 200) || response.statusText,
      retryAfter_ms: readRetryAfterMs(response.headers.get("retry-after")),
    };
  }

  return {
    async send(body, idempotencyKey) {
      const givenUpAt = performance.now() + options.patience_s * 1000;
      for (let attempt = 0;; attempt++) {
        let answer: ItemResult[] | Refusal;
        try {
          answer = await sendOnce(body, idempotencyKey);
        } catch (error) {
          signal.throwIfAborted();
          answer = {
            status: 0,
            code: "",
            detail: `No answer from ${options.functionsUrl}: ${messageOf(error)}`,
            retryAfter_ms: undefined,
          };
        }
        if (Array.isArray(answer)) return answer;
        if (!isTemporary(answer)) throw new ImportFailure(sentenceOf(answer, options));
        const backoff_ms = Math.min(firstPause_ms * 2 ** attempt, longestPause_ms) * (0.75 + Math.random() / 2);
        const pause_ms = Math.max(backoff_ms, answer.retryAfter_ms ?? 0);
        if (performance.now() + pause_ms > givenUpAt) {
          throw new ImportFailure(`Gave up after ${options.patience_s} s. ${sentenceOf(answer, options)}`);
        }
        onWait(answer.detail, pause_ms);
        await delay(pause_ms, { signal });
      }
    },
  };
}

/** Returns true when a retry of the same request may succeed. */
function isTemporary({ status, code }: Refusal): boolean {
  return status === 0 || status === 408 || status === 429 || status >= 500 && code !== "internal_error" ||
    code === "idempotency_conflict";
}

function sentenceOf({ status, code, detail }: Refusal, options: { functionsUrl: string; mode: string }): string {
  switch (status) {
    case 0:
      return detail;
    case 401:
      return `The key is not valid at ${options.functionsUrl} (any more): give the project's secret key, or a new access token.`;
    case 403:
      return `The key may not import with mode ${options.mode}: ${detail}.`;
    case 404:
      return `There is no import at ${options.functionsUrl}: is the URL that of the project, and are its functions deployed?`;
    default:
      return `${options.functionsUrl} answered ${status}${code ? ` ${code}` : ""}: ${detail}`;
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
