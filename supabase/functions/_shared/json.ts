/**
 * Strict JSON: rejects text that a parser would silently repair, round or drop.
 *
 * @module
 */
import { maxDepth, scan } from "./json_scan.ts";
import { type FieldError, Problem } from "./problems.ts";

/**
 * Reads the value of a JSON text.
 *
 * @param bytes The text in UTF-8.
 * @throws {Problem} `malformed_json`, `malformed_request`, `validation_failed`
 */
export function readJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes);
  const found = scan(bytes, text);
  if (found.isTooDeep) {
    if (!found.isClosed) throw new Problem("malformed_json", "The body is not JSON: an array or object has no end");
    throw new Problem("malformed_request", `The body is nested more than ${maxDepth} levels deep`);
  }
  if (found.isTooLong) throw invalidJson(found.errors);
  const value = parse(text);
  if (found.errors.length > 0) throw invalidJson(found.errors);
  if (found.mayHaveDuplicates && countMembers(value) < found.members) {
    throw new Problem("malformed_json", "The body is ambiguous JSON: an object has two members of one name");
  }
  return value;
}

/**
 * Decodes the text of a body.
 *
 * @throws {Problem} `malformed_json`
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("malformed_json", "The body is not UTF-8");
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem("malformed_json", `The body is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

function invalidJson(errors: FieldError[]): Problem {
  return new Problem("validation_failed", "The body has invalid values", { errors });
}

/** Counts the members of all objects of the value; duplicate names count once. */
function countMembers(root: unknown): number {
  let members = 0;
  const open = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== "object" || value === null) continue;
    if (!Array.isArray(value)) members += Object.keys(value).length;
    for (const child of Object.values(value)) if (typeof child === "object" && child !== null) open.push(child);
  }
  return members;
}
