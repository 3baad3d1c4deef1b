/**
 * Contracts with alternatives, such as a report of one of several actions, as one object: many clients of language models
 * do not show alternatives to their model. The contract itself judges the arguments.
 *
 * @module
 */
import { getOpenApiMetadata } from "@asteasolutions/zod-to-openapi";
import { z } from "@hono/zod-openapi";
import { jsonSchemaOf } from "./json_schema.ts";

/** A field of one alternative. */
interface Use {
  action: string;
  schema: z.ZodType;
}

/**
 * Returns the fields of all alternatives. The description of a field that differs says for which action it holds.
 *
 * @param discriminator Field that names the action.
 */
export function mergedShape(
  alternatives: readonly z.ZodObject[],
  discriminator: string,
): z.ZodRawShape {
  const uses = new Map<string, Use[]>();
  const actions = alternatives.map((alternative) => {
    const action = nameOf(alternative.shape[discriminator]);
    for (const [field, schema] of Object.entries(alternative.shape)) {
      if (field === discriminator || !(schema instanceof z.ZodType)) continue;
      uses.set(field, [...uses.get(field) ?? [], { action, schema }]);
    }
    return action;
  });
  return {
    [discriminator]: z.enum(actions).openapi({ description: "What happened." }),
    ...Object.fromEntries([...uses].map(([field, of]) => [field, merged(of, alternatives.length)])),
  };
}

function nameOf(schema: unknown): string {
  if (schema instanceof z.ZodLiteral && typeof schema.value === "string") return schema.value;
  throw new TypeError("The alternatives have no field that names them");
}

function merged(uses: Use[], alternatives: number): z.ZodType {
  const kinds = [...Map.groupBy(uses, ({ schema }) => kindOf(schema)).values()].flatMap(([first]) =>
    first === undefined ? [] : [inner(first.schema)]
  );
  const texts = Map.groupBy(uses, ({ schema }) => descriptionOf(schema));
  const description = texts.size === 1
    ? [...texts.keys()].join("")
    : [...texts].map(([text, of]) => `${of.map(({ action }) => action).join(", ")}: ${text}`).join(" ");
  const schema = (kinds.length === 1 ? inner(z.union(kinds)) : z.union(kinds)).openapi({ description });
  const isRequired = uses.length === alternatives && uses.every(({ schema }) => !(schema instanceof z.ZodOptional));
  return isRequired ? schema : schema.optional();
}

/** Returns the schema within what is optional, or is a choice of one. */
function inner(schema: z.ZodType): z.ZodType {
  const within = schema instanceof z.ZodOptional
    ? schema.unwrap()
    : schema instanceof z.ZodUnion && schema.options.length === 1
    ? schema.options[0]
    : undefined;
  return within instanceof z.ZodType ? inner(within) : schema;
}

const descriptionOf = (schema: z.ZodType): string =>
  String(getOpenApiMetadata(schema).description ?? getOpenApiMetadata(inner(schema)).description ?? "");

const kindOf = (schema: z.ZodType): string =>
  JSON.stringify({ ...jsonSchemaOf(inner(schema), "input"), description: undefined });
