/**
 * Headers that the frame of every function sets: the document declares them with each answer.
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
};

/** Returns the headers of the frame in an answer of this status. */
function headersOfFrame(status: string): JsonObject {
  const names = ["X-Request-Id"];
  if (status === "401") names.push("WWW-Authenticate");
  if (status === "503") names.push("Retry-After");
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** Adds the headers of the frame to an answer of the document. */
export function withFrameHeaders(response: Json, status: string): Json {
  if (!isObject(response)) return response;
  const { description = "", headers, ...rest } = response;
  return { description, headers: { ...isObject(headers) ? headers : {}, ...headersOfFrame(status) }, ...rest };
}
