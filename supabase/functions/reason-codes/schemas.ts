/**
 * Reason codes: why work was stopped, scrapped, held, cancelled or finished short.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { Constants } from "../_shared/database.types.ts";
import { key, patchOf, text, versionFields } from "../_shared/fields.ts";
import { flag, listQuery, prefix } from "../_shared/lists.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_reason_code: ReasonCode;
    list_reason_codes: Page<ReasonCode>;
    create_reason_code: Answer<ReasonCode>;
    update_reason_code: Answer<ReasonCode>;
    delete_reason_code: undefined;
  }
}

const ReasonKind = z.enum(Constants.public.Enums.reason_kind).openapi("ReasonKind", {
  description: "Kind of event that the reason explains.",
  example: "STOP",
});

const identity = {
  kind: ReasonKind,
  code: key().openapi({ description: "Code, unique within its kind.", example: "MATERIAL" }),
};

const fields = {
  description: text(500).nullable().openapi({
    description: "Description of the reason, at most 500 characters.",
    example: "Material missing",
  }),
  active: z.boolean().openapi({
    description: "False when the code is no longer offered. Events keep it.",
    example: true,
  }),
};

export const ReasonCode = z.object({
  ...identity,
  ...fields,
  ...versionFields,
}).openapi("ReasonCode", { description: "A reason that reports can give." });

export type ReasonCode = z.infer<typeof ReasonCode>;

export const ReasonCodeKey = z.object(identity);

export const ReasonCodeCreate = z.strictObject({ ...identity, ...z.object(fields).partial().shape }).openapi(
  "ReasonCodeCreate",
  {
    description: "A new reason code, active by default.",
    example: { kind: "STOP", code: "TOOL_CHANGE", description: "Tool change" },
  },
);

export const ReasonCodeUpdate = patchOf(fields)
  .openapi("ReasonCodeUpdate", {
    description: "New values of the reason code.",
    minProperties: 1,
    example: { active: false },
  });

export const ReasonCodeQuery = z.strictObject({
  kind: ReasonKind,
  active: flag.openapi({ description: "True: active reason codes only. False: inactive ones only.", example: true }),
  q: prefix("Prefix of the code or of the description, in any case.", "mat"),
}).partial().extend(listQuery);
