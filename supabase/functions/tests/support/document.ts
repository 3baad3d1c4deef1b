/**
 * docs/openapi.json as the generators of requests read it.
 *
 * @module
 */

/** A JSON Schema, as far as the document uses it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  example?: unknown;
}

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
  example?: unknown;
}

/** One method of one URL. */
export interface Endpoint {
  /** `POST /operations/v1` */
  title: string;
  method: string;
  template: string;
  parameters: Parameter[];
  /** Media types of the body with their schemas. */
  body: Record<string, Schema>;
}

interface Document {
  paths: Record<
    string,
    Record<
      string,
      { parameters?: (Parameter | { $ref: string })[]; requestBody?: { content: Record<string, { schema: Schema }> } }
    >
  >;
}

const document: Document = JSON.parse(
  await Deno.readTextFile(new URL("../../../../docs/openapi.json", import.meta.url)),
);

function follow<Target>(ref: string): Target {
  return ref.slice(2).split("/").reduce<never>(
    (node, step) => node[step.replaceAll("~1", "/").replaceAll("~0", "~") as never],
    document as never,
  );
}

/** The schema itself, where it stands by reference. */
export function resolve(schema: Schema): Schema {
  return schema.$ref === undefined ? schema : resolve(follow<Schema>(schema.$ref));
}

/** The answer itself, where an endpoint declares it by reference; anything else as it is. */
export function answerOf(declared: unknown): unknown {
  const isObject = typeof declared === "object" && declared !== null;
  const ref: unknown = isObject ? Reflect.get(declared, "$ref") : undefined;
  return typeof ref === "string" && ref.startsWith("#/components/responses/") ? follow(ref) : declared;
}

/** The types that the schema allows. */
export function typesOf(schema: Schema): string[] {
  return schema.type === undefined ? [] : [schema.type].flat();
}

const methods = ["get", "post", "patch", "delete"];

/** All endpoints of the document. */
export const endpoints: Endpoint[] = Object.entries(document.paths).flatMap(([path, item]) => {
  const template = path.replace(/^\/functions\/v1/, "");
  return methods.filter((method) => item[method] !== undefined).map((method) => ({
    title: `${method.toUpperCase()} ${template}`,
    method: method.toUpperCase(),
    template,
    parameters: (item[method]?.parameters ?? []).map((one) => "$ref" in one ? follow<Parameter>(one.$ref) : one),
    body: Object.fromEntries(
      Object.entries(item[method]?.requestBody?.content ?? {}).map(([type, { schema }]) => [type, schema]),
    ),
  }));
});

/** The forms that an object can have: itself, or the variants of a union. */
export function objectForms(schema: Schema): Schema[] {
  const { oneOf, anyOf, ...rest } = resolve(schema);
  return oneOf === undefined && anyOf === undefined ? [rest] : [...oneOf ?? [], ...anyOf ?? []].flatMap(objectForms);
}
