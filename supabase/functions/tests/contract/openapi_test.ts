/** docs/openapi.json: current, free of lint, and true, example by example. */
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { fileURLToPath } from "node:url";
import { lintDocument } from "../../../../docs/lint.ts";
import { key } from "../../_shared/fields.ts";
import { assert, assertEquals } from "../support/assertions.ts";
import type { Json, JsonObject } from "../support/harness.ts";

interface Parameter {
  name: string;
  in: string;
  description?: string;
  example?: Json;
  schema: JsonObject;
}

interface Endpoint {
  operationId: string;
  parameters?: Parameter[];
  responses: Record<string, { description: string; headers?: Record<string, JsonObject> }>;
}

interface Document {
  paths: Record<string, Record<string, Endpoint>>;
  components: { headers: Record<string, JsonObject>; schemas: Record<string, JsonObject> };
}

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const text = Deno.readTextFileSync(`${root}docs/openapi.json`);
const document: Document = JSON.parse(text);
const json: JsonObject = JSON.parse(text);
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
);

Deno.test("docs/openapi.json and docs/errors.md: current", async () => {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "docs/openapi.ts", "--check"],
    cwd: root,
  }).output();
  assert(success, new TextDecoder().decode(stderr));
});

Deno.test("docs/openapi.json: the linter has neither errors nor warnings", async () => {
  assertEquals(await lintDocument(), []);
});

Deno.test("docs/openapi.json: parameters, headers and fields are described, with an example", () => {
  const bare: string[] = [];
  const need = (where: string, { description, example, examples }: JsonObject) => {
    if (!description) bare.push(`${where} has no description`);
    if (example === undefined && examples === undefined) bare.push(`${where} has no example`);
  };
  for (const { path, method, operation } of operations) {
    for (const { schema, ...parameter } of operation.parameters ?? []) {
      need(`${method} ${path}, parameter ${parameter.name}`, { ...schema, ...parameter });
    }
    for (const [status, { headers = {} }] of Object.entries(operation.responses)) {
      for (const [name, header] of Object.entries(headers)) {
        if (header.$ref === undefined) need(`${method} ${path}, ${status}, header ${name}`, header);
      }
    }
  }
  for (const [name, header] of Object.entries(document.components.headers)) need(`header ${name}`, header);
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    for (const [field, value] of fieldsOf(schema)) {
      // a reference, a list or an alternative has the examples of what it is made of
      const isMade = "$ref" in value || "oneOf" in value || "anyOf" in value || value.type === "array";
      need(`${name}.${field}`, isMade ? { description: "there", example: "there", ...value } : value);
    }
  }
  assertEquals(bare, []);
});

/** Fields of an object, and of those that it is composed of. */
function fieldsOf(schema: JsonObject): [string, JsonObject][] {
  const parts = Array.isArray(schema.allOf) ? schema.allOf as JsonObject[] : [];
  return [...Object.entries((schema.properties ?? {}) as Record<string, JsonObject>), ...parts.flatMap(fieldsOf)];
}

Deno.test("docs/openapi.json: every example is valid against its schema", () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, "document", false, false);
  const wrong: string[] = [];
  let count = 0;
  const check = (where: string, schema: JsonObject, example: Json) => {
    count++;
    const validate = ajv.compile(absolute(schema) as JsonObject);
    if (!validate(example)) wrong.push(`${where}: ${JSON.stringify(example)} ${ajv.errorsText(validate.errors)}`);
  };
  const visit = (node: Json, where: string): void => {
    if (Array.isArray(node)) return node.forEach((item, index) => visit(item, `${where}/${index}`));
    if (typeof node !== "object" || node === null) return;
    const { example, examples, ...rest } = node;
    // a parameter, header or body has a schema; a field is one
    const schema = (node.schema ?? rest) as JsonObject;
    if (example !== undefined) check(where, schema, example);
    if (Array.isArray(examples)) { for (const one of examples) check(where, schema, one); }
    else {for (const [name, one] of Object.entries((examples ?? {}) as Record<string, JsonObject>)) {
        const { value } = one.$ref === undefined ? one : at(String(one.$ref));
        check(`${where}, ${name}`, schema, value ?? null);
      }}
    for (const [member, value] of Object.entries(rest)) visit(value, `${where}/${member}`);
  };
  visit(json.paths ?? null, "paths");
  visit(document.components.schemas, "schemas");
  assertEquals(wrong, []);
  assert(count > 500, `only ${count} examples`);
});

/** The schema with references that lead into the document. */
function absolute(node: Json): Json {
  if (Array.isArray(node)) return node.map(absolute);
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([member, value]) => [member, member === "$ref" ? `document${value}` : absolute(value)]),
  );
}

function at(reference: string): JsonObject {
  return reference.slice(2).split("/").reduce((node, step) => node[step] as JsonObject, json);
}

Deno.test("docs/openapi.json: alternatives differ in their JSON type, for generators that choose by it", () => {
  const typeOf = (schema: JsonObject): Json => "$ref" in schema ? typeOf(at(String(schema.$ref))) : schema.type ?? null;
  const alike: string[] = [];
  const visit = (node: Json, where: string): void => {
    if (typeof node !== "object" || node === null) return;
    if (!Array.isArray(node) && Array.isArray(node.anyOf)) {
      const types = node.anyOf.map((alternative) => typeOf(alternative as JsonObject));
      if (new Set(types).size < types.length) alike.push(`${where}: ${types.join(", ")}`);
    }
    for (const [member, value] of Object.entries(node)) visit(value, `${where}/${member}`);
  };
  visit(json, "");
  assertEquals(alike, []);
});

Deno.test("docs/openapi.json: the pattern of keys takes what a key is, and nothing else", () => {
  const schema = document.components.schemas.Operation?.properties as Record<string, { pattern?: string }> | undefined;
  const pattern = schema?.order_no?.pattern;
  assert(pattern !== undefined);
  const isKey = (text: string) => key().safeParse(text).success;
  const parts = [
    "",
    ".",
    "..",
    "a",
    "-",
    " ",
    "\t",
    "\n",
    "\x7f",
    "\u0085",
    "\u00a0",
    "\ufeff",
    "/",
    "%",
    "😀",
    "e\u0301",
  ];
  for (const first of parts) {
    for (const second of parts) {
      for (const third of parts) {
        const text = first + second + third;
        if (text === "") continue; // minLength
        assertEquals(new RegExp(pattern, "u").test(text), isKey(text), JSON.stringify(text));
        assertEquals(new RegExp(pattern).test(text), isKey(text), JSON.stringify(text));
      }
    }
  }
});

Deno.test("docs/openapi.json: every place that takes a key says its pattern and its lengths", () => {
  const without: string[] = [];
  const visit = (node: unknown, where: string): void => {
    if (typeof node !== "object" || node === null) return;
    const { minLength, maxLength, pattern } = node as Record<string, unknown>;
    if (minLength === 1 && maxLength === 64 && pattern === undefined) without.push(where);
    for (const [name, child] of Object.entries(node)) visit(child, `${where}/${name}`);
  };
  visit(document, "");
  assertEquals(without, []);
});
