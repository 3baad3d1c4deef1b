/**
 * Contracts of zod as the JSON Schemas that clients of the protocol read.
 *
 * @module
 */
import { getOpenApiMetadata } from "@asteasolutions/zod-to-openapi";
import { z } from "@hono/zod-openapi";
import type { StandardSchemaWithJSON } from "@modelcontextprotocol/server";

type JsonSchema = Record<string, unknown>;

/**
 * Returns the JSON Schema of a contract. It has the descriptions of the OpenAPI document. Patterns stay away: they are long,
 * and the server judges the values. An answer may have further members, because clients keep the schema for a while.
 */
export function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  return z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const { description, maxLength } = zodSchema instanceof z.ZodType ? getOpenApiMetadata(zodSchema) : {};
      if (typeof description === "string") jsonSchema.description = description;
      if (typeof maxLength === "number" && jsonSchema.type === "string") jsonSchema.maxLength = maxLength;
      delete jsonSchema.pattern;
      if (io === "output" && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
}

/** Wraps a contract for the protocol's library, which advertises it. The tool itself validates. */
export function advertised<Value>(schema: z.ZodType<Value>, io: "input" | "output"): StandardSchemaWithJSON {
  let json: JsonSchema | undefined;
  const made = () => json ??= jsonSchemaOf(schema, io);
  return {
    "~standard": {
      version: 1,
      vendor: "mes-operations-api",
      validate: (value) => ({ value }),
      jsonSchema: { input: made, output: made },
    },
  };
}
