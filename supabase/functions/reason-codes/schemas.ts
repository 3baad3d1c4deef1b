/**
 * Reason codes: why work was stopped, scrapped, held, cancelled or finished short, and why workplaces stood still.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer } from "../_shared/database.ts";
import { patchOf } from "../_shared/fields.ts";
import { flag, listQuery, prefix } from "../_shared/lists.ts";
import { type ReasonCode, reasonFields, reasonIdentity, ReasonKind } from "../_shared/reason_code.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_reason_code: ReasonCode;
    create_reason_code: Answer<ReasonCode>;
    update_reason_code: Answer<ReasonCode>;
    delete_reason_code: undefined;
  }
}

export const ReasonCodeKey = z.object(reasonIdentity);

export const ReasonCodeCreate = z.strictObject({ ...reasonIdentity, ...z.object(reasonFields).partial().shape })
  .openapi(
    "ReasonCodeCreate",
    {
      description: "A new reason code, active by default.",
      example: { kind: "STOP", code: "TOOL_CHANGE", description: "Tool change" },
    },
  );

export const ReasonCodeUpdate = patchOf(reasonFields)
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
