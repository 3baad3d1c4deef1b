import { invalidValue } from "../../_shared/validation.ts";
import { addressOf, checkUrl, RefusedTarget, type Resolve, targetRules, UnknownHost } from "../sending/target.ts";

/** Longest URL that the database stores. */
const maxUrlLength = 2048;

/** Longest time for the lookup: a name server that does not answer now may answer when a message is sent. */
const maxLookupMs = 4_000;

/**
 * Returns the URL of an endpoint in its normal form. A name without an address passes, because it may get one: each send
 * checks it again.
 *
 * @throws {Problem} `validation_failed`
 */
export async function requireTarget(text: string, rules = targetRules(), resolve?: Resolve): Promise<string> {
  try {
    const url = checkUrl(text, rules);
    if (url.href.length > maxUrlLength) throw new RefusedTarget("is too long with its characters escaped");
    await Promise.race([addressOf(url, rules, resolve), pause(maxLookupMs)]);
    return url.href;
  } catch (error) {
    if (error instanceof UnknownHost) return new URL(text).href;
    if (!(error instanceof RefusedTarget)) throw error;
    throw invalidValue("body", "/url", error.reason, "refused_url");
  }
}

const pause = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));
