/**
 * Turns the errors of zod into one problem with all of them, up to a limit.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { pointerTo } from "./json_pointer.ts";
import { maxErrors } from "./json_scan.ts";
import { type FieldError, Problem } from "./problems.ts";

/** Longest text that a message quotes, in characters. */
const maxQuoted = 100;

const kinds: Record<string, string> = {
  number: "a number",
  int: "a whole number",
  string: "a string",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
};

const units: Record<string, string> = { string: " characters", array: " elements" };

/** Returns the message for the rule that a value breaks, for schemas without a message of their own. */
z.config({
  customError: (issue) => {
    switch (issue.code) {
      case "invalid_type":
        return issue.input === undefined ? "is missing" : `must be ${kinds[issue.expected] ?? issue.expected}`;
      case "too_small":
        return sizeMessage(issue.origin, issue.inclusive === false ? "more than" : "at least", issue.minimum);
      case "too_big":
        return sizeMessage(issue.origin, issue.inclusive === false ? "less than" : "at most", issue.maximum);
      case "invalid_value":
        return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
      case "invalid_format":
        return `must be a valid ${issue.format === "guid" ? "UUID" : issue.format}`;
    }
  },
});

const sizeMessage = (origin: string, bound: string, limit: number | bigint) =>
  `must ${units[origin] === undefined ? "be" : "have"} ${bound} ${limit}${units[origin] ?? ""}`;

/** One error of zod, as far as it is reported. */
export interface Issue {
  code: string;
  path: readonly PropertyKey[];
  message: string;
  keys?: readonly string[];
}

/** Result of the validation of one part of a request. */
interface ValidationResult {
  success: boolean;
  target: string;
  /** The part as it was sent. */
  data?: unknown;
  error?: { issues: readonly Issue[] };
}

const parts: Record<string, FieldError["in"]> = { json: "body", query: "query", param: "path", header: "header" };

/** Raises `validation_failed` unless the part of the request is valid. */
export function rejectInvalid({ success, target, error, data }: ValidationResult): void {
  if (!success && error !== undefined) throw invalidInput(error.issues, parts[target] ?? "body", data);
}

/**
 * Returns the `validation_failed` of a request or of one of its rows.
 *
 * @param input The value that the client sent, to quote the invalid parts.
 */
export function invalidInput(issues: readonly Issue[], part: FieldError["in"], input?: unknown): Problem {
  const errors: FieldError[] = [];
  for (const issue of issues) {
    if (errors.length === maxErrors) break;
    errors.push(...errorsOf(issue, part, input, maxErrors - errors.length));
  }
  return new Problem("validation_failed", `The ${part} has invalid values`, { errors });
}

/** Returns the `validation_failed` of one value. */
export function invalidValue(part: FieldError["in"], pointer: string, message: string, code: string): Problem {
  return new Problem("validation_failed", message, { errors: [{ in: part, pointer, message, code }] });
}

function errorsOf(
  { code, path, message, keys = [] }: Issue,
  part: FieldError["in"],
  input: unknown,
  limit: number,
): FieldError[] {
  if (code !== "unrecognized_keys") {
    const value = message.startsWith("must ") ? quoted(valueAt(input, path)) : undefined;
    const said = value === undefined ? message : `${message}, not ${value}`;
    return [{ in: part, pointer: pointerTo(path), message: said, code: code === "custom" ? "invalid_value" : code }];
  }
  return keys.slice(0, limit).map((key) => ({
    in: part,
    pointer: pointerTo([...path, key]),
    message: "is not a field of this request",
    code,
  }));
}

/** Returns the value at the path. A parameter that may be repeated is a text when it stands alone. */
function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const name of path) {
    if (typeof value !== "object" || value === null) return value;
    value = Reflect.get(value, name);
  }
  return value;
}

/** Quotes a value as JSON writes it; undefined for arrays, objects and missing values. */
function quoted(value: unknown): string | undefined {
  if (typeof value === "string") {
    const characters = [...value.slice(0, 2 * (maxQuoted + 1))];
    const text = characters.slice(0, maxQuoted).join("").toWellFormed();
    return JSON.stringify(characters.length > maxQuoted ? `${text}...` : text);
  }
  return typeof value === "object" || value === undefined ? undefined : String(value);
}
