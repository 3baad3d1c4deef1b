import { Problem, problemBody, type ProblemCode, problemTable } from "../supabase/functions/_shared/problems.ts";

/** Request id of the examples. */
export const exampleRequestId = "0b7e1c9a-2f64-4f0e-9a53-6a8f0a4a3f11";

/** The problem of a code, as the examples of the documents show it. */
export function exampleOf(code: ProblemCode) {
  const { detail, ...more } = problemTable[code].example;
  return problemBody(new Problem(code, detail, more), exampleRequestId);
}

/** docs/errors.md: one section per machine code. */
export function errorsPage(): string {
  const codes = Object.keys(problemTable) as ProblemCode[];
  const rows = codes.map((code) => {
    const { status, title } = problemTable[code];
    return `| ${status} | [\`${code}\`](#${code}) | ${title} |`;
  });
  const sections = codes.map((code) => {
    const { status, title, explanation } = problemTable[code];
    return `## ${code}\n\n**${status}: ${title}.** ${explanation}\n\n` +
      `\`\`\`json\n${JSON.stringify(exampleOf(code), null, 2)}\n\`\`\``;
  });
  return [
    "<!-- Written by `deno task openapi` from supabase/functions/_shared/problems.ts: change it there. -->",
    "# Errors",
    "Every error is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). `code` is for " +
    "programs and does not change; `title` and `detail` are for people; `instance` is the request id, as in the header " +
    "`X-Request-Id` and in the log; `type` leads to the page of the code. Further members depend on the code. A " +
    "refused request has changed nothing.",
    ["| status | code | title |", "| --- | --- | --- |", ...rows].join("\n"),
    ...sections,
  ].join("\n\n") + "\n";
}
