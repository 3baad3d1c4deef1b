/**
 * Versions that end, in the OpenAPI document: their endpoints are deprecated, and declare what the answers say about it.
 *
 * @module
 */
import { problemTable } from "../supabase/functions/_shared/problems.ts";
import { isEnding, type Version, versionOfPath } from "../supabase/functions/_shared/versions.ts";
import { isObject, type JsonObject } from "./json.ts";

const deprecationHeader: JsonObject = {
  description: "When the version was or will be deprecated (RFC 9745): seconds since 1970 after @.",
  required: true,
  example: "@1861920000",
  schema: { type: "string", pattern: "^@\\d+$" },
};

const sunsetHeader: JsonObject = {
  description: "When the version ends (RFC 8594). From then on it answers 410.",
  required: true,
  example: "Tue, 01 Jan 2030 00:00:00 GMT",
  schema: { type: "string" },
};

/**
 * Marks the paths of versions that end, and leaves out those of versions that have ended.
 *
 * @param table The versions, if not those of the functions.
 */
export function markEndings(paths: JsonObject, table?: readonly Version[]): JsonObject {
  return Object.fromEntries(
    Object.entries(paths).flatMap(([path, methods]) => {
      const version = versionOfPath(path, table);
      if (version === undefined || !isEnding(version) || !isObject(methods)) return [[path, methods]];
      if (version.status === "sunset") return [];
      const headers = {
        Deprecation: deprecationHeader,
        ...version.sunsetAt === undefined ? {} : { Sunset: sunsetHeader },
      };
      return [[path, mapObjects(methods, (endpoint) => deprecated(endpoint, headers))]];
    }),
  );
}

function deprecated({ responses, ...endpoint }: JsonObject, headers: JsonObject): JsonObject {
  if (!isObject(responses)) return { ...endpoint, deprecated: true };
  const all = "Sunset" in headers ? { ...responses, 410: withGone(responses["410"]) } : responses;
  return {
    ...endpoint,
    deprecated: true,
    responses: mapObjects(all, (response) => ({
      ...response,
      headers: { ...isObject(response.headers) ? response.headers : {}, ...headers },
    })),
  };
}

/** Returns the answer after the end, together with what the endpoint answers by the same status. */
function withGone(response: JsonObject[string] | undefined): JsonObject {
  const { description, headers, content } = isObject(response) ? response : {};
  const mediaType = isObject(content) ? content["application/problem+json"] : undefined;
  const { examples } = isObject(mediaType) ? mediaType : {};
  const gone = `\`version_gone\`: ${problemTable.version_gone.title}`;
  return {
    description: typeof description === "string" ? `${description}; ${gone}` : gone,
    headers: headers ?? { "X-Request-Id": { $ref: "#/components/headers/X-Request-Id" } },
    content: {
      "application/problem+json": {
        schema: { $ref: "#/components/schemas/Problem" },
        examples: {
          ...isObject(examples) ? examples : {},
          version_gone: { $ref: "#/components/examples/version_gone" },
        },
      },
    },
  };
}

function mapObjects(object: JsonObject, change: (value: JsonObject) => JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([member, value]) => [member, isObject(value) ? change(value) : value]),
  );
}
