/**
 * What zod found wrong, as the problem that the client gets: all of it at once.
 *
 * @module
 */
import { escapePointer, maxErrors } from "./body.ts";
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
  const errors = issues.flatMap((issue): FieldError[] => {
    const isUnknown = issue.code === "unrecognized_keys";
    const paths = isUnknown ? issue.keys?.map((key) => [...issue.path, key]) ?? [] : [issue.path];
    return paths.map((path) => ({
      in: where,
      pointer: path.map((step) => `/${escapePointer(step)}`).join(""),
      message: isUnknown ? "is not a field of this request" : issue.message,
      code: issue.code,
    }));
  }).slice(0, maxErrors);
  const named = errors.map(({ pointer }) => pointer || "the value").join(", ");
  return new Problem("validation_failed", `Not valid in the ${where}: ${named}`, { errors });
}
