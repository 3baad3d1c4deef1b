import { Problem } from "../_shared/problems.ts";
import { addressOf, checkUrl, RefusedTarget, type Resolve, targetRules, UnknownHost } from "./target.ts";

/**
 * The URL of an endpoint in its normal form. A name without an address passes: it may get one, and each send checks
 * again.
 *
 * @throws {Problem} `validation_failed`
 */
export async function requireTarget(text: string, rules = targetRules(), resolve?: Resolve): Promise<string> {
  try {
    const url = checkUrl(text, rules);
    await addressOf(url, rules, resolve);
    return url.href;
  } catch (error) {
    if (error instanceof UnknownHost) return new URL(text).href;
    if (!(error instanceof RefusedTarget)) throw error;
    throw new Problem("validation_failed", `Not valid in the body: /url ${error.reason}`, {
      errors: [{ in: "body", pointer: "/url", message: error.reason, code: "refused_url" }],
    });
  }
}
