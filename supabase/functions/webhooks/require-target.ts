import { Problem } from "../_shared/problems.ts";
import { addressOf, checkUrl, RefusedTarget, type Resolve, targetRules, UnknownHost } from "./target.ts";

/** As long as the database keeps it. */
const maxUrl_characters = 2048;

/** A name whose servers do not answer may do so when something is sent. */
const lookUp_ms = 4_000;

/**
 * The URL of an endpoint in its normal form. A name without an address passes: it may get one, and each send checks
 * again.
 *
 * @throws {Problem} `validation_failed`
 */
export async function requireTarget(text: string, rules = targetRules(), resolve?: Resolve): Promise<string> {
  try {
    const url = checkUrl(text, rules);
    if (url.href.length > maxUrl_characters) throw new RefusedTarget("is too long with its characters escaped");
    await Promise.race([addressOf(url, rules, resolve), pause(lookUp_ms)]);
    return url.href;
  } catch (error) {
    if (error instanceof UnknownHost) return new URL(text).href;
    if (!(error instanceof RefusedTarget)) throw error;
    throw new Problem("validation_failed", `Not valid in the body: /url ${error.reason}`, {
      errors: [{ in: "body", pointer: "/url", message: error.reason, code: "refused_url" }],
    });
  }
}

const pause = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));
