/**
 * JSON that means what it says: everything that a parser would mend, round or drop in silence is refused instead.
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import { isInteger, isLosslessNumber, LosslessNumber, parse, splitNumber } from "lossless-json";
import { type FieldError, Problem } from "./problems.ts";

/** Largest body in bytes. */
export const maxBody_bytes = 1024 * 1024;

/** So much of a body that is too large is read all the same: who is cut off while he sends does not hear the answer. */
const maxRead_bytes = 16 * maxBody_bytes;

/** Deepest nesting of a body. */
export const maxDepth = 32;

/** So many wrong values are named; whoever sends more knows what to look for. */
export const maxErrors = 100;

/**
 * Refuses bodies that are too large, whether they say so or not. A body of DELETE means nothing: it is not read.
 *
 * @throws {Problem} `body_too_large`
 */
export const limitedBody = createMiddleware(async (c, next) => {
  const { body, headers, method } = c.req.raw;
  const declared = headers.has("transfer-encoding") ? Infinity : Number(headers.get("content-length") ?? Infinity);
  if (body === null || method === "DELETE" || declared <= maxBody_bytes) return await next();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size <= maxBody_bytes) chunks.push(chunk);
    if (size > maxRead_bytes) break;
  }
  if (size > maxBody_bytes) {
    throw new Problem("body_too_large", `The body is larger than ${maxBody_bytes} bytes`, { limit: maxBody_bytes });
  }
  c.req.raw = new Request(c.req.raw, { body: new Blob(chunks) });
  await next();
});

/**
 * Refuses bodies that are not declared as JSON, and JSON that other readers would understand otherwise: duplicate
 * members, numbers that a double cannot hold, text that the database cannot store. The routes' own schemas judge
 * everything else.
 *
 * @param tablesAt Path that takes NDJSON and CSV as well, and reads them itself.
 * @throws {Problem} `unsupported_media_type`, `malformed_json`, `malformed_request`, `validation_failed`
 */
export const strictJson = (tablesAt?: string) =>
  createMiddleware(async (c, next) => {
    const contentType = c.req.header("Content-Type") ?? "";
    const isTable = c.req.path === tablesAt && /^(text\/csv|application\/x-ndjson) *(;|$)/i.test(contentType);
    // a body of DELETE means nothing, so nothing is asked of it
    if (c.req.raw.body !== null && c.req.method !== "DELETE" && !isTable) {
      const bytes = await c.req.arrayBuffer();
      if (bytes.byteLength > 0) {
        if (!/^application\/json *(;|$)/i.test(contentType)) {
          throw new Problem("unsupported_media_type", "Send the body with Content-Type: application/json");
        }
        checkJson(decodeUtf8(bytes));
      }
    }
    await next();
  });

/**
 * The text of a body.
 *
 * @throws {Problem} `malformed_json`
 */
export function decodeUtf8(bytes: ArrayBuffer): string {
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
  let members = 0;
  const errors: FieldError[] = [];
  for (const node of nodesOf(value)) {
    if (node.name !== undefined) members++;
    errors.push(...textErrors(node));
    if (errors.length >= maxErrors) break;
  }
  if (errors.length === 0) {
    const exact = parseExactly(text);
    // the library lets equal duplicates pass; each member has one colon
    if (colonsOf(text) > members) {
      throw new Problem("malformed_json", "The body is ambiguous JSON: an object has two members of one name");
    }
    if (exact.hasInexactNumber) {
      for (const node of nodesOf(exact.value)) if (errors.length < maxErrors) errors.push(...numberErrors(node));
    }
  }
  if (errors.length > 0) {
    const named = errors.map(({ pointer }) => pointer || "the value").join(", ");
    throw new Problem("validation_failed", `Not valid in the body: ${named}`, { errors });
  }
}

/** The value with numbers that a double cannot hold left as they are written. */
function parseExactly(text: string): { value: unknown; hasInexactNumber: boolean } {
  let hasInexactNumber = false;
  const parseNumber = (literal: string) => {
    if (isHeldExactly(literal)) return Number(literal);
    hasInexactNumber = true;
    return new LosslessNumber(literal);
  };
  try {
    const value = parse(text, undefined, parseNumber);
    return { value, hasInexactNumber };
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Problem("malformed_json", `The body is ambiguous JSON: ${reason}`);
  }
}

/** Whether the number stays the one that is written; from the 15th digit of a fraction on nobody means it. */
function isHeldExactly(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  if (isInteger(literal)) return Number.isSafeInteger(value);
  const written = splitNumber(literal).digits;
  const held = splitNumber(String(value)).digits;
  return written === held || (held.length > 14 && written.startsWith(held.slice(0, 14)));
}

/** A value somewhere in the body; `name` when it is a member of an object. */
interface Node {
  value: unknown;
  pointer: string;
  name?: string;
}

/** All values in their order, without recursion, since the depth is not known yet. */
function* nodesOf(root: unknown): Generator<Node> {
  const open: (Node & { depth: number })[] = [{ value: root, pointer: "", depth: 0 }];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    yield node;
    const { value, pointer, depth } = node;
    if (typeof value !== "object" || value === null || isLosslessNumber(value)) continue;
    if (depth === maxDepth) {
      throw new Problem("malformed_request", `The body is nested more than ${maxDepth} levels deep`);
    }
    for (const [name, child] of Object.entries(value).reverse()) {
      const member = Array.isArray(value) ? undefined : name;
      open.push({ value: child, pointer: `${pointer}/${escapePointer(name)}`, name: member, depth: depth + 1 });
    }
  }
}

/** What in the value or its name is not storable text. */
function textErrors({ value, pointer, name }: Node): FieldError[] {
  const texts = [name, value].filter((text) => typeof text === "string");
  const errors: FieldError[] = [];
  if (texts.some((text) => text.includes("\0"))) {
    errors.push({ in: "body", pointer, message: "must not contain NUL", code: "nul_character" });
  }
  if (texts.some((text) => !text.isWellFormed())) {
    errors.push({ in: "body", pointer, message: "must not contain half a surrogate pair", code: "lone_surrogate" });
  }
  if (name === "__proto__") {
    errors.push({ in: "body", pointer, message: "is not a usable name", code: "unusable_name" });
  }
  return errors;
}

function numberErrors({ value, pointer }: Node): FieldError[] {
  if (!isLosslessNumber(value)) return [];
  const message = `the number ${value.value.slice(0, 40)} cannot be held exactly`;
  return [{ in: "body", pointer, message, code: "inexact_number" }];
}

const colonsOf = (json: string) => json.replaceAll(/"[^"\\]*(?:\\.[^"\\]*)*"/g, "").split(":").length - 1;

/** One step of a JSON Pointer (RFC 6901). */
export const escapePointer = (key: PropertyKey) => String(key).replaceAll("~", "~0").replaceAll("/", "~1");
