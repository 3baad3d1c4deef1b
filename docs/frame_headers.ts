/**
 * Headers of answers. Those that the frame of every function sets are declared with each answer; each header is one
 * component, since code generators would make a type of each occurrence.
 *
 * @module
 */
import { exampleRequestId } from "../supabase/functions/_shared/problems.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";

export const frameHeaders: JsonObject = {
  "X-Request-Id": {
    description: "Id of the request, as in the log: the caller's own when it is usable, else a new one.",
    required: true,
    example: exampleRequestId,
    schema: { type: "string", maxLength: 128 },
  },
  "WWW-Authenticate": {
    description: "How to authenticate.",
    required: true,
    example: "Bearer",
    schema: { type: "string" },
  },
  "Retry-After": {
    description: "Seconds to wait before trying again.",
    required: true,
    example: 1,
    schema: { type: "integer", minimum: 1 },
  },
  "RateLimit-Policy": {
    description:
      "Limit of the request's class (draft-ietf-httpapi-ratelimit-headers): `q` units come back in `w` seconds.",
    example: '"reads";q=600;w=12',
    schema: { type: "string" },
  },
  "RateLimit": {
    description: "Units of the class that are left (`r`), and the seconds over which to spread them (`t`).",
    example: '"reads";r=599;t=12',
    schema: { type: "string" },
  },
};

/** Returns the headers of the frame in an answer of this status. */
function headersOfFrame(status: string): JsonObject {
  const names = ["X-Request-Id"];
  if (status === "401") names.push("WWW-Authenticate");
  if (status === "429" || status === "503") names.push("Retry-After");
  names.push("RateLimit-Policy", "RateLimit");
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/**
 * Moves headers that are equal in all answers to the components.
 *
 * @returns The components, with those of the frame.
 */
export function shareHeaders(paths: JsonObject): JsonObject {
  const answers = Object.values(paths).filter(isObject).flatMap((methods) => Object.values(methods))
    .flatMap((endpoint) => isObject(endpoint) && isObject(endpoint.responses) ? Object.values(endpoint.responses) : [])
    .flatMap((answer) => isObject(answer) && isObject(answer.headers) ? [answer.headers] : []);
  const shared: JsonObject = { ...frameHeaders };
  for (const name of new Set(answers.flatMap((headers) => Object.keys(headers)))) {
    if (name in frameHeaders) continue;
    const occurrences = answers.filter((headers) => name in headers);
    const [header] = occurrences.map((headers) => headers[name]);
    if (header === undefined || occurrences.some((other) => JSON.stringify(other[name]) !== JSON.stringify(header))) {
      continue;
    }
    shared[name] = header;
    for (const headers of occurrences) headers[name] = { $ref: `#/components/headers/${name}` };
  }
  return shared;
}

/** Adds the headers of the frame to an answer of the document. */
export function withFrameHeaders(response: Json, status: string): Json {
  if (!isObject(response)) return response;
  const { description = "", headers, ...rest } = response;
  return { description, headers: { ...isObject(headers) ? headers : {}, ...headersOfFrame(status) }, ...rest };
}
