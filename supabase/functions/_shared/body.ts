/**
 * JSON that means what it says: everything that a parser would mend, round or drop in silence is refused instead.
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import { parse } from "lossless-json";
import { type FieldError, Problem } from "./problems.ts";

/** Deepest nesting of a body. */
export const maxDepth = 32;

/**
 * Refuses JSON bodies that other readers would understand otherwise: duplicate members, numbers that a double cannot
 * hold, text that the database cannot store. The routes' own schemas judge everything else.
 *
 * @throws {Problem} `malformed_json`, `malformed_request`, `validation_failed`
 */
export const strictJson = createMiddleware(async (c, next) => {
  if (/^application\/([\w.-]+\+)?json\b/i.test(c.req.header("Content-Type") ?? "") && c.req.raw.body !== null) {
    const bytes = await c.req.arrayBuffer();
    if (bytes.byteLength > 0) checkJson(decodeUtf8(bytes));
  }
  await next();
});

function decodeUtf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("malformed_json", "The body is not UTF-8");
  }
}

/** Checks the text of a body; see {@link strictJson}. */
export function checkJson(text: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Problem("malformed_json", `The body is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  const errors = textErrors(value);
  if (errors.length > 0) {
    throw new Problem("validation_failed", `${errors.length} of the values cannot be stored`, { errors });
  }
  try {
    parse(text, undefined, exactNumber);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(
      "malformed_json",
      `The body is ambiguous JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function exactNumber(literal: string): number {
  const value = Number(literal);
  if (!Number.isFinite(value) || (/^-?\d+$/.test(literal) && !Number.isSafeInteger(value))) {
    const message = `The number ${literal.slice(0, 40)} cannot be held exactly`;
    const errors: FieldError[] = [{ in: "body", pointer: "", message, code: "inexact_number" }];
    throw new Problem("validation_failed", message, { errors });
  }
  return value;
}

/** Text anywhere in the value that is not storable; a stack instead of recursion, since the depth is not known yet. */
function textErrors(root: unknown): FieldError[] {
  const errors: FieldError[] = [];
  const check = (text: string, pointer: string) => {
    if (text.includes("\0")) {
      errors.push({ in: "body", pointer, message: "must not contain NUL", code: "nul_character" });
    }
    if (!text.isWellFormed()) {
      errors.push({ in: "body", pointer, message: "must not contain half a surrogate pair", code: "lone_surrogate" });
    }
  };
  const open: { value: unknown; pointer: string; depth: number }[] = [{ value: root, pointer: "", depth: 0 }];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const { value, pointer, depth } = node;
    if (typeof value === "string") {
      check(value, pointer);
    } else if (typeof value === "object" && value !== null) {
      if (depth === maxDepth) {
        throw new Problem("malformed_request", `The body is nested more than ${maxDepth} levels deep`);
      }
      for (const [key, child] of Object.entries(value)) {
        const childPointer = `${pointer}/${escapePointer(key)}`;
        check(key, childPointer);
        if (key === "__proto__") {
          errors.push({ in: "body", pointer: childPointer, message: "is not a usable name", code: "unusable_name" });
        }
        open.push({ value: child, pointer: childPointer, depth: depth + 1 });
      }
    }
  }
  return errors;
}

/** One step of a JSON Pointer (RFC 6901). */
export const escapePointer = (key: PropertyKey) => String(key).replaceAll("~", "~0").replaceAll("/", "~1");
