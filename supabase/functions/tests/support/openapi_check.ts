/**
 * Holds every answer against docs/openapi.json: its status, its content type and its headers are declared, its body is
 * valid and has no member that the document does not know.
 *
 * @module
 */
import type { ValidateFunction } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

/** Request and answer, as far as the contract describes them. */
export interface Exchange {
  method: string;
  /** Path below the functions' URL, without the query. */
  path: string;
  status: number;
  headers: Headers;
  text: string;
  /** The parsed body; undefined when there is none. */
  body: unknown;
}

interface MediaType {
  schema?: Schema;
}

interface Schema {
  $ref?: string;
  type?: string | string[];
  [keyword: string]: unknown;
}

interface DocumentedResponse {
  /** The answer can be CSV as well. */
  "x-csv"?: object;
  $ref?: string;
  content?: Record<string, MediaType>;
  headers?: Record<string, DocumentedHeader>;
}

interface DocumentedHeader {
  $ref?: string;
  required?: boolean;
}

interface OpenApiDocument {
  paths: Record<string, Record<string, { responses?: Record<string, DocumentedResponse> }>>;
}

const documentId = "openapi.json";
const documentUrl = new URL("../../../../docs/openapi.json", import.meta.url);

/** Members of every problem (RFC 9457, and the machine code). */
const problemMembers = ["type", "title", "detail", "instance", "code"];

/** Returns what in the answer breaks the contract; empty when nothing does. */
export function contractViolations(exchange: Exchange): string[] {
  const found: string[] = [];
  const requestId = exchange.headers.get("x-request-id");
  if (!requestId) found.push("X-Request-Id is missing");
  if (exchange.status >= 400) found.push(...problemViolations(exchange, requestId));
  if (exchange.method === "HEAD" && exchange.text !== "") found.push("an answer to HEAD has a body");
  const contract = loadContract();
  if (contract !== undefined) found.push(...contract.violations(exchange));
  return found;
}

function problemViolations({ method, status, headers, body }: Exchange, requestId: string | null): string[] {
  const contentType = headers.get("content-type") ?? "";
  if (!contentType.startsWith("application/problem+json")) {
    return [`status ${status} comes as "${contentType}", not as application/problem+json`];
  }
  if (method === "HEAD") return [];
  if (!isObject(body)) return ["the problem is not a JSON object"];
  const found = problemMembers.filter((member) => typeof body[member] !== "string")
    .map((member) => `the problem's member ${member} is missing or not text`);
  if (body.status !== status) found.push(`the problem says status ${body.status}, the answer ${status}`);
  if (body.instance !== requestId) found.push(`the problem's instance is not the request id "${requestId}"`);
  return found;
}

class Contract {
  readonly #document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
  readonly #validators = new Map<string, ValidateFunction>();
  readonly #templates: { template: string; pattern: RegExp; parameters: number }[];

  constructor(document: OpenApiDocument) {
    this.#document = document;
    addFormats.default(this.#ajv);
    // times of answers have one form only: UTC, milliseconds, Z
    this.#ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    this.#ajv.addSchema(document, documentId, false, false);
    this.#templates = Object.keys(document.paths).map((template) => ({
      template,
      pattern: new RegExp(
        `^${
          template.replace(/^\/functions\/v1/, "").replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{[^}]+\}/g, "[^/]+")
        }/?$`,
      ),
      parameters: template.split("{").length - 1,
    })).sort((a, b) => a.parameters - b.parameters);
  }

  violations(exchange: Exchange): string[] {
    const { method, path, status, headers, body, text } = exchange;
    const template = this.#templates.find(({ pattern }) => pattern.test(path))?.template;
    if (method === "OPTIONS") return [200, 204].includes(status) ? [] : [`OPTIONS answered ${status}`];
    if (template === undefined) {
      return status === 404 ? [] : [`the document has no path for ${path}, which answered ${status}`];
    }
    const pathItem = this.#document.paths[template] ?? {};
    const name = method === "HEAD" && pathItem.head === undefined ? "get" : method.toLowerCase();
    const operation = pathItem[name];
    if (operation === undefined) {
      return status === 405 ? [] : [`the document has no ${method} of ${template}, which answered ${status}`];
    }
    const where = ["paths", template, name, "responses", String(status)];
    const declaredResponse = operation.responses?.[status];
    if (declaredResponse === undefined) {
      return [`the document does not declare status ${status} of ${method} ${template}`];
    }
    const response = this.#resolve(declaredResponse);
    if (declaredResponse.$ref !== undefined) where.splice(0, where.length, ...stepsOf(declaredResponse.$ref));

    const found: string[] = [];
    for (const [header, declared] of Object.entries(response.headers ?? {})) {
      const { required } = this.#resolve(declared);
      if (required && !headers.has(header)) found.push(`the declared header ${header} is missing`);
    }
    const declared = [...Object.keys(response.content ?? {}), ...response["x-csv"] === undefined ? [] : ["text/csv"]];
    const contentType = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (declared.length === 0) {
      if (text !== "") found.push("the answer has a body, the document declares none");
      return found;
    }
    if (contentType === undefined || !declared.includes(contentType)) {
      return [...found, `content type "${contentType}" is not among the declared ${declared.join(", ")}`];
    }
    if (method === "HEAD" || !/json$/.test(contentType)) return found;
    return [...found, ...this.#bodyViolations([...where, "content", contentType, "schema"], body)];
  }

  #bodyViolations(where: string[], body: unknown): string[] {
    const pointer = `${documentId}#/${where.map((step) => encodeURIComponent(escapePointer(step))).join("/")}`;
    let validate = this.#validators.get(pointer);
    if (validate === undefined) {
      const schema = this.#at(where) as Schema | undefined;
      if (schema === undefined) return [];
      validate = this.#ajv.compile(closed(schema, pointer));
      this.#validators.set(pointer, validate);
    }
    if (validate(body)) return [];
    return (validate.errors ?? []).map(({ instancePath, message, params }) =>
      `body${instancePath} ${message} ${JSON.stringify(params)}`
    );
  }

  /** Resolves a reference; returns anything else as it is. */
  #resolve<Node extends { $ref?: string }>(node: Node): Node {
    return node.$ref === undefined ? node : this.#at(stepsOf(node.$ref)) as Node;
  }

  #at(path: string[]): unknown {
    return path.reduce<unknown>((node, step) => isObject(node) ? node[step] : undefined, this.#document);
  }
}

/** The schema, with members refused that it does not name: an answer must not say more than its document. */
function closed(schema: Schema, pointer: string): Schema {
  return schema.type === "array"
    ? { type: "array", items: { $ref: `${pointer}/items`, unevaluatedProperties: false } }
    : { $ref: pointer, unevaluatedProperties: false };
}

let contract: Contract | null | undefined;

/** The document, or undefined when it has not been generated yet. */
function loadContract(): Contract | undefined {
  if (contract === undefined) {
    try {
      contract = new Contract(JSON.parse(Deno.readTextFileSync(documentUrl)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      console.warn(
        "WARNING: docs/openapi.json is missing, answers are not checked against it: run `deno task openapi`",
      );
      contract = null;
    }
  }
  return contract ?? undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const escapePointer = (step: string) => step.replaceAll("~", "~0").replaceAll("/", "~1");
const stepsOf = (reference: string) => reference.slice("#/".length).split("/").map(unescapePointer);
const unescapePointer = (step: string) => step.replaceAll("~1", "/").replaceAll("~0", "~");
