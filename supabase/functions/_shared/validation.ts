/**
 * What zod found wrong, as the problem that the client gets: all of it at once, up to a limit.
 *
 * @module
 */
import { maxErrors, namesOf, pointerTo } from "./json.ts";
import { type FieldError, Problem } from "./problems.ts";

/** What zod says of one wrong value, as far as it is told. */
export interface Issue {
  code: string;
  path: readonly PropertyKey[];
  message: string;
  keys?: readonly string[];
}

/** The `validation_failed` of a request or of one of its rows. */
export function invalidInput(issues: readonly Issue[], where: FieldError["in"]): Problem {
  const errors: FieldError[] = [];
  for (const issue of issues) {
    if (errors.length === maxErrors) break;
    errors.push(...errorsOf(issue, where, maxErrors - errors.length));
  }
  return new Problem("validation_failed", `Not valid in the ${where}: ${namesOf(errors)}`, { errors });
}

function errorsOf({ code, path, message, keys = [] }: Issue, where: FieldError["in"], limit: number): FieldError[] {
  if (code !== "unrecognized_keys") return [{ in: where, pointer: pointerTo(path), message, code }];
  return keys.slice(0, limit).map((key) => ({
    in: where,
    pointer: pointerTo([...path, key]),
    message: "is not a field of this request",
    code,
  }));
}
