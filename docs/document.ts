/**
 * The one OpenAPI document: the contracts of all functions, merged.
 *
 * @module
 */
import { getRefId } from "@asteasolutions/zod-to-openapi";
import { OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import { join, toFileUrl } from "@std/path/mod.js";
import { inProject } from "../local/paths.ts";
import { type ProblemCode, problemTable } from "../supabase/functions/_shared/problems.ts";
import { exampleOf, exampleRequestId } from "../supabase/functions/docs/errors.ts";

/** A value of JSON. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [member: string]: Json };

const description = `The execution layer of a factory. The ERP says what is to be made: operations of orders at \
workplaces. Operators and machines say what happens: events. This API keeps the two together, for every client at once.

**Credentials.** \`Authorization: Bearer <access token>\` of a user who signed in at Supabase Auth (\`/auth/v1\`), or \
\`apikey: sb_secret_...\` for servers. What a caller may not see does not exist for him: 404.

**Errors** are problems (RFC 9457) with a machine \`code\`; [each is explained](/functions/v1/docs/errors).

**Lists** are bare arrays. The \`Link\` header has the next page; \`?count=exact\` adds \`X-Total-Count\`.

**Retries.** POST and PATCH take an \`Idempotency-Key\`: the same request with the same key happens once.

**Conditions.** \`ETag\` with \`If-None-Match\` saves reading again, with \`If-Match\` it keeps one from overwriting \
what somebody else has changed meanwhile.

**Values.** Times are RFC 3339 with an offset, answered in UTC with milliseconds. Quantities are pieces, durations \
minutes. Fields that an endpoint does not know are refused.`;

const info = {
  title: "MES Operations API",
  version: "1.0.0",
  summary: "Operations of a factory, what happens to them, and who may do what.",
  description,
  license: { name: "MIT", identifier: "MIT" },
};

const servers = [{
  url: "{supabase_url}/functions/v1",
  description: "A Supabase project, or the local stack.",
  variables: { supabase_url: { default: "http://127.0.0.1:54321", description: "URL of the project." } },
}];

/** Groups of endpoints, in the order of reading. */
const tags = [
  { name: "Operations", description: "What is to be made, and how far it is: one step of an order at a workplace." },
  { name: "Events", description: "What happened on the shop floor. A report moves its operation in the same step." },
  { name: "Profiles", description: "Who may do what, where: the role and the workplaces of each user." },
  { name: "Service", description: "What each function is, and whether it works. Needs no credential." },
];

const securitySchemes = {
  userToken: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "Access token of a signed-in user, from Supabase Auth: `POST /auth/v1/token?grant_type=password`.",
  },
  secretKey: {
    type: "apiKey",
    in: "header",
    name: "apikey",
    description: "Secret key of the project (`sb_secret_...`), for servers only: it may do everything.",
  },
} as const;

/** Headers that the frame sets, whatever the endpoint. */
const frameHeaders: JsonObject = {
  "X-Request-Id": {
    description: "Id of the request: the caller's own when it is usable, else a new one. It is in the log.",
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

/** The headers of the frame in an answer of this status. */
function headersOfFrame(status: string): JsonObject {
  const names = ["X-Request-Id"];
  if (status === "401") names.push("WWW-Authenticate");
  if (status === "503") names.push("Retry-After");
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** The contracts of all functions: folders whose index.ts exports its `app`. */
async function registries() {
  const folder = inProject("supabase", "functions");
  const found = [];
  for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    // docs serves this document, and its pages are for people
    if (name.startsWith("_") || name === "tests" || name === "docs") continue;
    const file = join(folder, name, "index.ts");
    if (!await Deno.stat(file).then(() => true, () => false)) continue;
    const { app }: { app?: unknown } = await import(toFileUrl(file).href);
    if (app instanceof OpenAPIHono) found.push(app.openAPIRegistry);
  }
  return found;
}

/** The document of all functions; equal contracts give equal bytes. */
export async function openApiDocument(): Promise<JsonObject> {
  const merged = new OpenAPIHono();
  const routes: RouteConfig[] = [];
  for (const { definitions } of await registries()) {
    for (const definition of definitions) if (definition.type === "route") routes.push(definition.route);
  }
  const order = tags.map(({ name }) => name);
  for (const { path, tags: [tag = ""] = [] } of routes) {
    if (!order.includes(tag)) throw new Error(`docs/document.ts does not describe the tag "${tag}" of ${path}`);
  }
  routes.sort((a, b) => order.indexOf(a.tags?.[0] ?? "") - order.indexOf(b.tags?.[0] ?? ""));

  // The generator makes a component of the form in which it meets a schema first, so that one met as nullable would be
  // nullable everywhere: each is registered bare beforehand.
  for (const [name, schema] of namedSchemas(routes)) merged.openAPIRegistry.register(name, schema);
  for (const route of routes) merged.openAPIRegistry.registerPath(route);

  const generated: JsonObject = JSON.parse(JSON.stringify(merged.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: info.title, version: info.version },
  }, { sortComponents: "alphabetically" })));

  const { openapi, paths, components } = generated;
  const { schemas } = components as { schemas: JsonObject };
  const isUsed = (code: string) => JSON.stringify(paths).includes(`"#/components/examples/${code}"`);
  return {
    openapi,
    info,
    servers,
    tags,
    paths: tidy(paths, schemas),
    components: {
      schemas: tidy(schemas, schemas),
      examples: Object.fromEntries(
        (Object.keys(problemTable) as ProblemCode[]).filter(isUsed).map((code) => [code, {
          summary: problemTable[code].title,
          value: exampleOf(code) as JsonObject,
        }]),
      ),
      headers: frameHeaders,
      securitySchemes,
    },
  } as JsonObject;
}

/** All schemas with a name that the routes refer to, unwrapped. */
function namedSchemas(routes: RouteConfig[]): Map<string, z.ZodType> {
  const found = new Map<string, z.ZodType>();
  const seen = new Set<unknown>();
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null || seen.has(node)) return;
    seen.add(node);
    if (!(node instanceof z.ZodType)) return Object.values(node).forEach(visit);
    const wraps = node instanceof z.ZodNullable || node instanceof z.ZodOptional || node instanceof z.ZodDefault;
    const name = wraps ? undefined : getRefId(node);
    // the generator forgets the null of an extended object
    if (node instanceof z.ZodNullable && getRefId(node) !== undefined && node.unwrap() instanceof z.ZodObject) {
      throw new Error(`Write z.union([${getRefId(node)}, z.null()]): as .nullable() its null would be lost`);
    }
    if (name !== undefined && !found.has(name)) found.set(name, node);
    visit(node._zod.def);
    if (node instanceof z.ZodObject) visit(node.shape);
  };
  routes.forEach(visit);
  return found;
}

const annotations = new Set(["description", "example", "default", "deprecated"]);

/** What the generator means, in the plainest form that OpenAPI 3.1 has for it. */
function tidy(node: Json | undefined, schemas: JsonObject): Json {
  if (Array.isArray(node)) return node.map((item) => tidy(item, schemas));
  if (!isObject(node)) return node ?? null;
  const tidied: JsonObject = {};
  for (const [member, value] of Object.entries(node)) {
    const isSample = member === "example" || member === "default";
    tidied[member] = isSample ? value : tidy(value, schemas);
  }
  if (isObject(tidied.additionalProperties) && Object.keys(tidied.additionalProperties).length === 0) {
    tidied.additionalProperties = true;
  }
  if (isObject(tidied.responses)) tidied.responses = mapValues(tidied.responses, withFrameHeaders);
  if (Array.isArray(tidied.allOf)) return tidyReference(tidied, tidied.allOf);
  if (isObject(tidied.schema) && typeof tidied.required === "boolean") return tidyParameter(tidied, tidied.schema);
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
function tidyParameter(node: JsonObject, { description, example, ...schema }: JsonObject): Json {
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

function withFrameHeaders(response: Json, status: string): Json {
  if (!isObject(response)) return response;
  const { description = "", headers, ...rest } = response;
  return { description, headers: { ...isObject(headers) ? headers : {}, ...headersOfFrame(status) }, ...rest };
}

function mapValues(object: JsonObject, change: (value: Json, member: string) => Json): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([member, value]) => [member, change(value, member)]));
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
