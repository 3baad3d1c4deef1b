import { delay } from "@std/async/delay.js";
import { readRetryAfterMs } from "../../supabase/functions/_shared/retry_after.ts";
import { messageOf } from "../../local/system/failure.ts";
import { ToolFailure } from "../failure.ts";
import { credentialOf, type Project } from "../project.ts";

const answerTimeout_ms = 150_000;
const firstPause_ms = 500;
const longestPause_ms = 30_000;

/** A part of the list. */
export interface Part {
  bytes: Uint8Array<ArrayBuffer>;
  /** Path and query of the next part, below the functions; undefined = this was the last one. */
  next: string | undefined;
}

interface Refusal {
  status: number;
  code: string;
  detail: string;
  retryAfter_ms?: number | undefined;
}

/**
 * Returns the reader of a list, which tries again while the server is away.
 *
 * @param signal Ends a request and the pauses between two.
 * @param onWait Called with the reason and the duration of the wait before a retry.
 */
export function partReader(
  { functionsUrl, key, patience_s }: Project & { patience_s: number },
  signal: AbortSignal,
  onWait: (reason: string, pause_ms: number) => void,
): (path: string) => Promise<Part> {
  async function readOnce(path: string): Promise<Part | Refusal> {
    try {
      const response = await fetch(`${functionsUrl}${path}`, {
        headers: { ...credentialOf(key), accept: "text/csv, application/problem+json" },
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeout_ms)]),
      });
      const bytes = await response.bytes();
      if (response.status === 200 && response.headers.get("content-type")?.startsWith("text/csv")) {
        return { bytes, next: nextOf(response.headers.get("link")) };
      }
      const problem = problemOf(new TextDecoder().decode(bytes));
      const retryAfter_ms = readRetryAfterMs(response.headers.get("retry-after"));
      return { status: response.status, retryAfter_ms, ...problem };
    } catch (error) {
      signal.throwIfAborted();
      return { status: 0, code: "", detail: `No answer from ${functionsUrl}: ${messageOf(error)}` };
    }
  }

  return async (path) => {
    const givenUpAt = performance.now() + patience_s * 1000;
    for (let attempt = 0;; attempt++) {
      const answer = await readOnce(path);
      if ("bytes" in answer) return answer;
      if (!isTemporary(answer)) throw new ToolFailure(sentenceOf(answer, functionsUrl));
      const backoff_ms = Math.min(firstPause_ms * 2 ** attempt, longestPause_ms) * (0.75 + Math.random() / 2);
      const pause_ms = Math.max(backoff_ms, answer.retryAfter_ms ?? 0);
      if (performance.now() + pause_ms > givenUpAt) {
        throw new ToolFailure(`Gave up after ${patience_s} s. ${sentenceOf(answer, functionsUrl)}`);
      }
      onWait(answer.detail, pause_ms);
      await delay(pause_ms, { signal });
    }
  };
}

/** Returns the path of `Link: </functions/v1/...>; rel="next"`, which is relative to the API's origin. */
function nextOf(link: string | null): string | undefined {
  return /<\/functions\/v1([^>]*)>; rel="next"/.exec(link ?? "")?.[1];
}

/** Returns true when a retry of the same request may succeed. */
function isTemporary({ status, code }: Refusal): boolean {
  return status === 0 || status === 408 || status === 429 || status >= 500 && code !== "internal_error";
}

function problemOf(text: string): Pick<Refusal, "code" | "detail"> {
  try {
    const { code, detail } = JSON.parse(text);
    return { code: String(code), detail: String(detail) };
  } catch {
    return { code: "", detail: text.slice(0, 200) };
  }
}

function sentenceOf({ status, code, detail }: Refusal, functionsUrl: string): string {
  if (status === 0) return detail;
  if (status === 401) {
    return `The key is not valid at ${functionsUrl} (any more): give the project's secret key, or a new access token.`;
  }
  return `${functionsUrl} answered ${status}${code ? ` ${code}` : ""}: ${detail}`;
}
