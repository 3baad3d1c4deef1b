/**
 * Rewrites the output of @asteasolutions/zod-to-openapi in the plainest form of OpenAPI 3.1.
 *
 * @module
 */

import { withFrameHeaders } from "./frame_headers.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";

/** Members that say nothing of what is valid. */
const annotations = new Set(["description", "example", "default", "deprecated"]);

/**
 * The document, or a part of it, tidied.
 *
 * @param schemas The components that it refers to.
 */
export function tidy(node: Json | undefined, schemas: JsonObject): Json {
  if (Array.isArray(node)) return node.map((item) => tidy(item, schemas));
  if (!isObject(node)) return node ?? null;
  const tidied: JsonObject = {};
  for (const [member, value] of Object.entries(node)) {
    const isSample = member === "example" || member === "default";
    tidied[member] = isSample ? value : tidy(value, schemas);
  }
  if (Array.isArray(tidied.enum) && tidied.enum.length === 1 && tidied.enum[0] !== undefined) {
    // code generators name each enum, and a constant needs no name
    const { enum: [only], ...rest } = tidied;
    return { ...rest, const: only };
  }
  if (isObject(tidied.additionalProperties) && Object.keys(tidied.additionalProperties).length === 0) {
    tidied.additionalProperties = true;
  }
  if (isObject(tidied.responses)) tidied.responses = mapValues(tidied.responses, withFrameHeaders);
  if (Array.isArray(tidied.allOf)) return tidyReference(tidied, tidied.allOf);
  if (isObject(tidied.schema) && typeof tidied.required === "boolean") {
    return tidyParameter(tidied, tidied.schema, schemas);
  }
  return tidied;
}

/** A reference with something beside it: members of its own, or that it may be null. */
function tidyReference(node: JsonObject, [reference, beside, ...more]: Json[]): Json {
  if (!isObject(reference) || !isObject(beside) || reference.$ref === undefined || more.length > 0) return node;
  const { allOf: _, ...outer } = node;
  const inner = Object.fromEntries(Object.entries(beside).filter(([member]) => annotations.has(member)));
  const isNullable = Array.isArray(beside.type) && beside.type.includes("null");
  if (isNullable) return { oneOf: [reference, { type: "null" }], ...outer, ...inner };
  const isAnnotated = Object.keys(beside).every((member) => annotations.has(member));
  return isAnnotated ? { ...reference, ...outer, ...inner } : node;
}

/**
 * Parameters and headers are described beside their schema, not once more within it. Swagger UI fills fields with an
 * `example`: right for a path, wrong for a filter, which a first try is to leave empty; so that stands in the schema.
 */
function tidyParameter(node: JsonObject, stated: JsonObject, schemas: JsonObject): Json {
  const component = schemas[String(stated.$ref).split("/").at(-1) ?? ""];
  const inherited = isObject(component) ? component : {};
  const { description = inherited.description, example = inherited.example, ...schema } = stated;
  const { schema: _, name, in: place, required, ...rest } = node;
  const isOptional = place !== undefined && required === false;
  const isList = schema.type === "array" && place === "query";
  return JSON.parse(JSON.stringify({
    name,
    in: place,
    required,
    description,
    ...rest,
    ...(isList ? { style: "form", explode: true } : {}),
    ...(isOptional ? {} : { example }),
    schema: isOptional && example !== undefined ? { ...schema, examples: [example] } : schema,
  }));
}

/** Takes the example from each component that an optional parameter refers to: Swagger UI would send it as a filter. */
export function dropFilterExamples(paths: JsonObject, schemas: JsonObject): void {
  const parameters = Object.values(paths).filter(isObject).flatMap((methods) => Object.values(methods))
    .flatMap((endpoint) => isObject(endpoint) && Array.isArray(endpoint.parameters) ? endpoint.parameters : []);
  for (const parameter of parameters) {
    if (!isObject(parameter) || parameter.required !== false || !isObject(parameter.schema)) continue;
    const component = schemas[String(parameter.schema.$ref).split("/").at(-1) ?? ""];
    if (isObject(component)) delete component.example;
  }
}

function mapValues(object: JsonObject, change: (value: Json, member: string) => Json): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([member, value]) => [member, change(value, member)]));
}
