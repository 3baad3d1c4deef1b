/**
 * Turns what zod found wrong into the problem that the client gets: all errors at once, up to a limit.
 *
 * @module
 */
import { maxErrors, namesOf, pointerTo } from "./json.ts";
import { type FieldError, Problem } from "./problems.ts";

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
  error?: { issues: readonly Issue[] };
}

const parts: Record<string, FieldError["in"]> = { json: "body", query: "query", param: "path", header: "header" };

/** Raises `validation_failed` unless the part of the request is valid. */
export function rejectInvalid({ success, target, error }: ValidationResult): void {
  if (!success && error !== undefined) throw invalidInput(error.issues, parts[target] ?? "body");
}

/** Returns the `validation_failed` of a request or of one of its rows. */
export function invalidInput(issues: readonly Issue[], part: FieldError["in"]): Problem {
  const errors: FieldError[] = [];
  for (const issue of issues) {
    if (errors.length === maxErrors) break;
    errors.push(...errorsOf(issue, part, maxErrors - errors.length));
  }
  return new Problem("validation_failed", `Not valid in the ${part}: ${namesOf(errors)}`, { errors });
}

/** Returns the `validation_failed` of one value. */
export function invalidValue(part: FieldError["in"], pointer: string, message: string, code: string): Problem {
  return new Problem("validation_failed", `Not valid in the ${part}: ${pointer} ${message}`, {
    errors: [{ in: part, pointer, message, code }],
  });
}

function errorsOf({ code, path, message, keys = [] }: Issue, part: FieldError["in"], limit: number): FieldError[] {
  if (code !== "unrecognized_keys") return [{ in: part, pointer: pointerTo(path), message, code }];
  return keys.slice(0, limit).map((key) => ({
    in: part,
    pointer: pointerTo([...path, key]),
    message: "is not a field of this request",
    code,
  }));
}
