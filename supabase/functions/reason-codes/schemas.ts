/**
 * Reason codes: why something stopped, was scrapped, held, cancelled or closed short.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { instantOut, key, text } from "../_shared/fields.ts";
import { flag, listQuery } from "../_shared/lists.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_reason_code: ReasonCode;
    list_reason_codes: Page<ReasonCode>;
    create_reason_code: Answer<ReasonCode>;
    update_reason_code: Answer<ReasonCode>;
    delete_reason_code: undefined;
  }
}

const ReasonKind = z.enum(["STOP", "SCRAP", "HOLD", "CANCEL", "SHORTFALL"]).openapi("ReasonKind", {
  description: "What the reason explains.",
  example: "STOP",
});

const identity = {
  kind: ReasonKind,
  code: key().openapi({ description: "Short code, unique within its kind.", example: "MATERIAL" }),
};

const fields = {
  description: text(500).nullable().openapi({
    description: "The reason in words, at most 500 characters.",
    example: "Material missing",
  }),
  active: z.boolean().openapi({
    description: "False once the code is no longer offered; events keep it.",
    example: true,
  }),
};

export const ReasonCode = z.object({
  ...identity,
  ...fields,
  version: z.int().min(1).openapi({ description: "Number of the last change; the ETag.", example: 1 }),
  created_at: instantOut().openapi({ description: "When it was made.", example: "2026-11-22T15:00:01.000Z" }),
  updated_at: instantOut().openapi({ description: "When it last changed.", example: "2026-11-22T15:00:01.000Z" }),
}).openapi("ReasonCode", { description: "A reason that reports can give." });

export type ReasonCode = z.infer<typeof ReasonCode>;

export const ReasonCodeKey = z.object(identity);

export const ReasonCodeCreate = z.strictObject({ ...identity, ...z.object(fields).partial().shape }).openapi(
  "ReasonCodeCreate",
  {
    description: "A new reason code, active unless said otherwise.",
    example: { kind: "STOP", code: "TOOL_CHANGE", description: "Tool change" },
  },
);

export const ReasonCodeUpdate = z.strictObject(fields).partial()
  .refine((patch) => Object.keys(patch).length > 0, {
    error: "must have at least one field",
    when: ({ issues }) => issues.length === 0,
  })
  .openapi("ReasonCodeUpdate", {
    description: "What shall be so afterwards.",
    minProperties: 1,
    example: { active: false },
  });

export const ReasonCodeQuery = z.strictObject({
  kind: ReasonKind,
  active: flag.openapi({ type: "boolean", description: "Offered, or no longer offered.", example: true }),
}).partial().extend(listQuery);
