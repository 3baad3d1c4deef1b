/**
 * Scan of a JSON text before the parser reads it: nesting, size, names, escapes and numbers.
 *
 * One pass over the bytes builds a JSON Pointer for an invalid value only, so that the scan of a valid body costs less
 * than its parsing.
 *
 * @module
 */
import { isHeldExactly } from "./json_number.ts";
import { maxPointerLength, pointerTo } from "./json_pointer.ts";
import type { FieldError } from "./problems.ts";

/** Deepest nesting of a body. */
export const maxDepth = 32;

/** Most members of an object and elements of an array. */
export const maxElements = 10_000;

/** Most arrays and objects in all: a batch of 1,000 reports may have 50 in each. */
const maxContainers = 50_000;

/** Most invalid values that an answer names. */
export const maxErrors = 100;

const byteOf = (character: string) => character.charCodeAt(0);
const quote = byteOf('"');
const backslash = byteOf("\\");
const comma = byteOf(",");
const colon = byteOf(":");
const openBrace = byteOf("{");
const closeBrace = byteOf("}");
const openBracket = byteOf("[");
const closeBracket = byteOf("]");
const minus = byteOf("-");
const plus = byteOf("+");
const point = byteOf(".");
const zero = byteOf("0");
const nine = byteOf("9");
const letterE = byteOf("e");
const letterU = byteOf("u");
const lowerCase = 0x20;

/** The arrays and objects that are open, the outermost at 1. */
class OpenValues {
  readonly isObject = new Uint8Array(maxDepth + 1);
  /** Number of elements or members before the current one. */
  readonly index = new Int32Array(maxDepth + 1);
  /** Position of the current name. */
  readonly nameStart = new Int32Array(maxDepth + 1);
  readonly nameEnd = new Int32Array(maxDepth + 1);
  /** Hashes of the names so far, which show whether two may be equal. */
  readonly names = Array.from({ length: maxDepth + 1 }, () => new NameHashes());
}

/** The hashes of one object's names. A few hashes are compared with each other, which is faster than a set. */
class NameHashes {
  readonly #few = new Int32Array(16);
  #count = 0;
  #many: Set<number> | undefined;

  clear(): void {
    this.#count = 0;
    this.#many = undefined;
  }

  /** Adds a hash and returns whether it was there before. */
  addAgain(hash: number): boolean {
    if (this.#many !== undefined) return this.#many.size === this.#many.add(hash).size;
    const few = this.#few;
    for (let at = 0; at < this.#count; at++) if (few[at] === hash) return true;
    if (this.#count < few.length) few[this.#count++] = hash;
    else this.#many = new Set([...few, hash]);
    return false;
  }
}

/** Result of a scan. */
export interface Found {
  errors: FieldError[];
  /** Number of members of all objects, duplicates included. */
  members: number;
  /** Whether an object may have duplicate names: the parsed value shows it. */
  mayHaveDuplicates: boolean;
  isTooDeep: boolean;
  /** There are too many elements, or too many arrays and objects: the scan stopped there. */
  isTooLong: boolean;
  /** Whether each array and object that was opened was closed. */
  isClosed: boolean;
}

/**
 * Scans a JSON text once. Its result for text that is not JSON does not matter, because the parser rejects that text.
 */
export function scan(bytes: Uint8Array, text: string): Found {
  const found: Found = {
    errors: [],
    members: 0,
    mayHaveDuplicates: false,
    isTooDeep: false,
    isTooLong: false,
    isClosed: true,
  };
  const open = new OpenValues();
  const { isObject, index, nameStart, nameEnd, names } = open;
  const report = (depth: number, message: string, code: string) => {
    if (found.errors.length >= maxErrors) return;
    found.errors.push({ in: "body", pointer: pointerOf(bytes, text, open, depth), message, code });
  };
  const length = bytes.length;
  let depth = 0;
  let expectsName = false;
  let members = 0;
  let containers = 0;
  let at = 0;
  while (at < length) {
    const byte = bytes[at] ?? 0;
    if (byte === quote) {
      const start = ++at;
      let hash = 0;
      let hasEscape = false;
      for (; at < length; at++) {
        const byte = bytes[at] ?? 0;
        if (byte === quote) break;
        if (byte === backslash) {
          hasEscape = true;
          at++;
        }
        hash = (Math.imul(hash, 31) + byte) | 0;
      }
      const end = at++;
      if (depth > maxDepth) continue;
      if (expectsName) {
        nameStart[depth] = start;
        nameEnd[depth] = end;
        // one name can be escaped in many ways
        if (hasEscape || names[depth]?.addAgain(hash)) found.mayHaveDuplicates = true;
        if (isUnusableName(bytes, start, end)) report(depth, "is not a usable name", "unusable_name");
      }
      if (hasEscape) {
        const wrong = wrongEscapes(bytes, start, end);
        if (wrong & hasNul) report(depth, "must not contain NUL", "nul_character");
        if (wrong & hasLoneSurrogate) report(depth, "must not contain half a surrogate pair", "lone_surrogate");
      }
    } else if (byte === comma) {
      at++;
      if (depth < 1 || depth > maxDepth) continue;
      const isMember = isObject[depth] === 1;
      expectsName = isMember;
      const count = (index[depth] ?? 0) + 1;
      index[depth] = count;
      if (count < maxElements || found.isTooDeep) continue;
      found.isTooLong = true;
      report(depth - 1, `must have at most ${maxElements} ${isMember ? "members" : "elements"}`, "too_big");
      return found;
    } else if (byte >= zero && byte <= nine || byte === minus) {
      const start = at;
      let digits = 0;
      let value = 0;
      // the power of ten of the first digit that is not zero
      let scale = -1;
      let isAfterPoint = false;
      for (; at < length; at++) {
        const byte = bytes[at] ?? 0;
        if (byte >= zero && byte <= nine) {
          if (digits > 0 || byte !== zero) {
            digits++;
            value = value * 10 + byte - zero;
            if (!isAfterPoint) scale++;
          } else if (isAfterPoint) scale--;
        } else if (byte === point) isAfterPoint = true;
        else if (byte !== minus) break;
      }
      const isInteger = !isAfterPoint && ((bytes[at] ?? 0) | lowerCase) !== letterE;
      if (isInteger && value <= Number.MAX_SAFE_INTEGER) continue;
      at = endOfNumber(bytes, at);
      // a double holds any 15 digits within its range
      const magnitude = scale + (isInteger ? 0 : exponentOf(bytes, start, at));
      const isHeld = !isInteger && digits <= 15 && magnitude > -300 && magnitude < 308;
      if (isHeld || depth > maxDepth) continue;
      const literal = slice(bytes, text, start, at);
      if (isHeldExactly(literal)) continue;
      report(depth, `the number ${literal.slice(0, 40)} cannot be held exactly`, "inexact_number");
    } else if (byte === openBrace || byte === openBracket) {
      at++;
      depth++;
      expectsName = byte === openBrace;
      if (depth > maxDepth) {
        found.isTooDeep = true;
        continue;
      }
      if (++containers > maxContainers && !found.isTooDeep) {
        found.isTooLong = true;
        report(0, `must have at most ${maxContainers} arrays and objects in all`, "too_big");
        return found;
      }
      isObject[depth] = expectsName ? 1 : 0;
      index[depth] = 0;
      nameStart[depth] = 0;
      nameEnd[depth] = 0;
      if (expectsName) names[depth]?.clear();
    } else {
      at++;
      if (byte === closeBrace || byte === closeBracket) {
        depth--;
        expectsName = false;
      } else if (byte === colon) {
        members++;
        expectsName = false;
      }
    }
  }
  found.members = members;
  found.isClosed = depth === 0;
  return found;
}

const hasNul = 1;
const hasLoneSurrogate = 2;

/** Finds NUL and halves of surrogate pairs, which valid UTF-8 can hold only as escapes. */
function wrongEscapes(bytes: Uint8Array, start: number, end: number): number {
  let wrong = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] !== backslash) continue;
    const unit = unitAt(bytes, at);
    at++;
    if (unit < 0) continue;
    at += 4;
    if (unit === 0) wrong |= hasNul;
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = unit < 0xdc00 ? unitAt(bytes, at + 1) : -1;
    if (next >= 0xdc00 && next <= 0xdfff) at += 6;
    else wrong |= hasLoneSurrogate;
  }
  return wrong;
}

/** Returns the UTF-16 unit of the escape `\uXXXX` at this position; -1 when there is none. */
function unitAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== backslash || bytes[at + 1] !== letterU) return -1;
  let unit = 0;
  for (let digit = at + 2; digit < at + 6; digit++) {
    const byte = bytes[digit] ?? 0;
    const lower = byte | lowerCase;
    if (byte >= zero && byte <= nine) unit = unit * 16 + byte - zero;
    else if (lower >= 0x61 && lower <= 0x66) unit = unit * 16 + lower - 0x57;
    else return -1;
  }
  return unit;
}

/** Assigning to this name of an object does not create a member. */
const unusableName = [..."__proto__"].map(byteOf);

/** Returns whether a name is {@link unusableName}, escaped or not. */
function isUnusableName(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < unusableName.length) return false;
  let at = start;
  for (const expected of unusableName) {
    if (bytes[at] === expected) at++;
    else if (unitAt(bytes, at) === expected) at += 6;
    else return false;
  }
  return at === end;
}

function endOfNumber(bytes: Uint8Array, start: number): number {
  let at = start;
  for (; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    const belongs = byte >= zero && byte <= nine || byte === plus || byte === minus || (byte | lowerCase) === letterE;
    if (!belongs) break;
  }
  return at;
}

/** Returns the exponent of the number at this position; 0 when it has none. */
function exponentOf(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && ((bytes[at] ?? 0) | lowerCase) !== letterE) at++;
  let exponent = 0;
  let sign = 1;
  for (at++; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === minus) sign = -1;
    else if (byte !== plus) exponent = exponent * 10 + byte - zero;
  }
  return sign * exponent;
}

/** Returns characters of the text by the positions of their bytes. */
function slice(bytes: Uint8Array, text: string, start: number, end: number): string {
  // in ASCII, bytes and characters have the same positions
  return text.length === bytes.length ? text.slice(start, end) : new TextDecoder().decode(bytes.subarray(start, end));
}

function pointerOf(bytes: Uint8Array, text: string, open: OpenValues, depth: number): string {
  const path: PropertyKey[] = [];
  for (let level = 1; level <= depth; level++) {
    if (open.isObject[level] === 1) {
      path.push(nameAt(bytes, text, open.nameStart[level] ?? 0, open.nameEnd[level] ?? 0));
    } else path.push(open.index[level] ?? 0);
  }
  return pointerTo(path);
}

function nameAt(bytes: Uint8Array, text: string, start: number, end: number): string {
  // the pointer holds only the beginning of a long name
  const raw = slice(bytes, text, start, Math.min(end, start + 6 * maxPointerLength));
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return raw;
  }
}
