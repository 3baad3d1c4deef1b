/**
 * The one OpenAPI document: the contracts of all functions, merged.
 *
 * @module
 */
import { getOpenApiMetadata, getRefId } from "@asteasolutions/zod-to-openapi";
import { OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { StackFailure } from "../local/system/failure.ts";
import { inProject } from "../local/system/paths.ts";
import { type ProblemCode, problemTable } from "../supabase/functions/_shared/problems.ts";
import type { Version } from "../supabase/functions/_shared/versions.ts";
import { exampleOf } from "../supabase/functions/docs/errors.ts";
import { shareHeaders } from "./frame_headers.ts";
import type { JsonObject } from "./json.ts";
import { shareAnswers } from "./shared_answers.ts";
import { dropFilterExamples, tidy } from "./tidy.ts";
import { markEndings } from "./version_endings.ts";

const description =
  `The execution layer of a factory. The ERP plans the operations of orders at workplaces. Operators and machines \
report events. This API keeps plan and execution together, for all clients at once.

**Credentials.** Send \`Authorization: Bearer <access token>\` of a user who signed in at Supabase Auth (\`/auth/v1\`), \
\`Authorization: Bearer mes_...\` with an API key, or \`apikey: sb_secret_...\` from a server. The API answers 404 for a hidden resource, as for a missing one.

**People at shared terminals** sign in at \`POST /people/v1/sign-in\`. A request with their acting token as \
\`X-Acting-For\`, beside the credential of the terminal, is theirs: events name them.

**Language models** use the function \`mcp\` by the Model Context Protocol, whose messages are JSON-RPC and not described \
here: the server lists its tools.

**Errors** are problems (RFC 9457) with a machine \`code\`; [each is explained](/functions/v1/docs/errors).

**Versions.** Operations and events have version 2 beside version 1: the same endpoints, where a list is an object with \
its page, and an operation has links to what the caller may do next. \`GET /{function}\` lists the versions and their dates.

**Lists** are bare arrays. The \`Link\` header has the next page; \`?count=exact\` adds \`X-Total-Count\`.

**Retries.** POST and PATCH take an \`Idempotency-Key\`: a repeated request with the same key has no second effect.

**Conditions.** With the \`ETag\` in \`If-None-Match\`, a read of an unchanged resource is 304. With the \`ETag\` in \
\`If-Match\`, a change of a resource that another caller has changed is 412.

**Values.** Times are RFC 3339 with an offset; answers have UTC with milliseconds. Quantities are pieces, durations \
minutes. Endpoints reject unknown fields.`;

const info = {
  title: "MES Operations API",
  version: "1.0.0",
  summary: "Operations of a factory, the events that happen to them, and the rights of users.",
  description,
};

const servers = [{
  url: "{supabase_url}/functions/v1",
  description: "A Supabase project, or the local stack: `supabase_url` is its URL.",
  variables: { supabase_url: { default: "http://127.0.0.1:54321" } },
}];

/** Groups of endpoints, in the order of reading. */
const tags = [
  { name: "Operations", description: "One operation of an order at a workplace: its plan and its execution." },
  {
    name: "Events",
    description: "What happened on the shop floor. A report changes its operation in the same transaction.",
  },
  { name: "Operations v2", description: "Operations with links, in lists that are objects." },
  { name: "Events v2", description: "Events, in lists that are objects. The answer to a report has links." },
  {
    name: "Stream",
    description: "Events as they happen, by Server-Sent Events or WebSocket. " +
      "`GET /stream/v1/ws` takes the query of `GET /stream/v1/events` and sends the same messages, each as one text message of JSON. " +
      'It also sends `{"type": "ping", "cursor": ...}` after 15 seconds without a message, and answers `{"type": "pong"}` to `{"type": "ping"}`. ' +
      "It closes with a code for each reason: 4000 `lifetime`, 4001 `slow_reader`, 4003 `access_changed`, 4401 `token_expired`, 4410 `feed_reset`, " +
      "4503 `unavailable`. Reconnect with the last `cursor` as `after`. A rejected handshake has the answers of `GET /stream/v1/events`.",
  },
  {
    name: "Workplaces",
    description: "Where operations run: the capacity, the running and the next operations, what stops them.",
  },
  { name: "Downtimes", description: "When workplaces stood still, and why." },
  {
    name: "Reason codes",
    description: "Why work was stopped, scrapped, held, cancelled or finished short, and why workplaces stood still.",
  },
  { name: "Calendars", description: "When workplaces plan to work: shifts, breaks and exceptions." },
  {
    name: "Reports",
    description: "Where the time of workplaces went, and what was made in it: OEE, timeline, losses, scrap.",
  },
  { name: "Boards", description: "Tickets by which televisions show the board of a group, without names." },
  {
    name: "Webhooks",
    description: "Systems that receive events by HTTP (Standard Webhooks), and their deliveries.",
  },
  { name: "Profiles", description: "The role and the workplaces of each user." },
  {
    name: "Keys",
    description: "API keys: credentials of machines and integrations, each with its own role, workplaces and scopes.",
  },
  { name: "People", description: "People at shared terminals: who they are, and who is signed in." },
  { name: "Service", description: "Description and health of each function. They need no credential." },
];

const securitySchemes = {
  userToken: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "Access token of a signed-in user, from Supabase Auth: `POST /auth/v1/token?grant_type=password`.",
  },
  apiKey: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "mes_<id>_<secret>",
    description: "API key of a machine or an integration, from `POST /keys/v1`. The header `apikey` takes it, too.",
  },
  secretKey: {
    type: "apiKey",
    in: "header",
    name: "apikey",
    description: "Secret key of the project (`sb_secret_...`), for servers only: it has all rights.",
  },
  streamTicket: {
    type: "apiKey",
    in: "query",
    name: "ticket",
    description: "Ticket of `POST /stream/v1/tickets`, for browsers: it opens one stream.",
  },
} as const;

/** Reads the contracts of the functions: the routes of each `app`, and the schemas that files `*schemas.ts` beside it export. */
async function contracts() {
  const folder = inProject("supabase", "functions");
  const routes: RouteConfig[] = [];
  const exported: unknown[] = [];
  for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    // docs serves this document, and its pages are for people
    if (name.startsWith("_") || name === "tests" || name === "docs") continue;
    const { app } = await importFrom(join(folder, name, "index.ts"));
    if (!(app instanceof OpenAPIHono)) continue;
    for (const definition of app.openAPIRegistry.definitions) {
      if (definition.type === "route") routes.push(definition.route);
    }
    for (const { name: file } of Deno.readDirSync(join(folder, name))) {
      if (file.endsWith("schemas.ts")) exported.push(...Object.values(await importFrom(join(folder, name, file))));
    }
  }
  return { routes, exported };
}

async function importFrom(file: string): Promise<Record<string, unknown>> {
  const isThere = await Deno.stat(file).then(() => true, () => false);
  return isThere ? await import(pathToFileURL(file).href) : {};
}

/**
 * The document of all functions; equal contracts give equal bytes.
 *
 * @param table For tests: other versions.
 */
export async function openApiDocument(table?: readonly Version[]): Promise<JsonObject> {
  const merged = new OpenAPIHono();
  const { routes, exported } = await contracts();
  const order = tags.map(({ name }) => name);
  for (const { path, tags: [tag = ""] = [] } of routes) {
    if (!order.includes(tag)) throw new StackFailure(`docs/document.ts does not describe the tag "${tag}" of ${path}`);
  }
  routes.sort((a, b) => order.indexOf(a.tags?.[0] ?? "") - order.indexOf(b.tags?.[0] ?? ""));

  // The generator makes a component of the form in which it meets a schema first, so that one met as nullable would be
  // nullable everywhere: each is registered bare beforehand.
  for (const [name, schema] of namedSchemas(routes, exported)) merged.openAPIRegistry.register(name, schema);
  for (const route of routes) merged.openAPIRegistry.registerPath(route);

  const generated: JsonObject = JSON.parse(JSON.stringify(merged.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: info.title, version: info.version },
  }, { sortComponents: "alphabetically" })));

  const { openapi, paths, components } = generated;
  const { schemas } = components as { schemas: JsonObject };
  const tidyPaths = markEndings(tidy(paths, schemas) as JsonObject, table);
  const tidySchemas = tidy(schemas, schemas) as JsonObject;
  dropFilterExamples(tidyPaths, tidySchemas);
  const headers = shareHeaders(tidyPaths);
  const usedText = JSON.stringify(tidyPaths);
  const isUsed = (code: string) => usedText.includes(`"#/components/examples/${code}"`);
  const responses = shareAnswers(tidyPaths);
  return {
    openapi,
    info,
    servers,
    tags,
    paths: tidyPaths,
    components: {
      schemas: tidySchemas,
      examples: Object.fromEntries(
        (Object.keys(problemTable) as ProblemCode[]).filter(isUsed).map((code) => [code, {
          summary: problemTable[code].title,
          value: exampleOf(code) as JsonObject,
        }]),
      ),
      headers,
      responses,
      securitySchemes,
    },
  } as JsonObject;
}

/**
 * All schemas with a name that the routes refer to, unwrapped.
 *
 * @param exported Where to look for those that a route or a schema only names, as `{ $ref }`.
 */
function namedSchemas(routes: RouteConfig[], exported: unknown[]): Map<string, z.ZodType> {
  const found = new Map<string, z.ZodType>();
  const seen = new Set<unknown>();
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null || seen.has(node)) return;
    seen.add(node);
    if (!(node instanceof z.ZodType)) {
      if ("$ref" in node) visit(exported.find((schema) => nameOf(schema) === String(node.$ref).split("/").at(-1)));
      return Object.values(node).forEach(visit);
    }
    // the generator forgets the null of an extended object
    if (node instanceof z.ZodNullable && getRefId(node) !== undefined && node.unwrap() instanceof z.ZodObject) {
      throw new StackFailure(`Write z.union([${getRefId(node)}, z.null()]): as .nullable() its null would be lost`);
    }
    const name = nameOf(node);
    visit(node._zod.def);
    // a contract that is written by hand may name a schema, as the items of a batch do
    visit(getOpenApiMetadata(node));
    if (node instanceof z.ZodObject) visit(node.shape);
    // after what is in it, which may be nullable there
    if (name !== undefined && !found.has(name)) found.set(name, node);
  };
  routes.forEach(visit);
  return found;
}

/** Name of a schema as a component; wrappers (nullable, optional, default) pass for what is in them and have none. */
function nameOf(schema: unknown): string | undefined {
  const isWrapper = schema instanceof z.ZodNullable || schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault;
  return schema instanceof z.ZodType && !isWrapper ? getRefId(schema) : undefined;
}
