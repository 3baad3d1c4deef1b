/**
 * The reason code as the API answers it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Page } from "./database.ts";
import { Constants } from "./database.types.ts";
import { DowntimeCategory } from "./downtime.ts";
import { key, text, versionFields } from "./fields.ts";

declare module "./database.ts" {
  interface Answers {
    list_reason_codes: Page<ReasonCode>;
  }
}

export const ReasonKind = z.enum(Constants.public.Enums.reason_kind).openapi("ReasonKind", {
  description: "Kind of event that the reason explains.",
  example: "STOP",
});

const Loss = z.enum(Constants.public.Enums.loss).openapi("Loss", {
  description: "PLANNED: by plan, such as a break. UNPLANNED: a loss. NONE: neither by itself.",
  example: "UNPLANNED",
});

export const reasonIdentity = {
  kind: ReasonKind,
  code: key().openapi({ description: "Code, unique within its kind.", example: "MATERIAL" }),
};

export const reasonFields = {
  description: text(500).nullable().openapi({
    description: "Description of the reason, at most 500 characters.",
    example: "Material missing",
  }),
  category: DowntimeCategory.nullable().openapi({
    description:
      "Of kind DOWNTIME: category of downtimes with this reason, by default UNPLANNED; null for other kinds.",
  }),
  parent: key().nullable().openapi({
    description: "Of kind DOWNTIME: code that this one belongs to. A parent has no parent itself.",
    example: null,
  }),
  loss: Loss.nullable().openapi({
    description: "Of kind STOP: what the time after a STOP with this reason is, by default NONE; null for other kinds.",
  }),
  active: z.boolean().openapi({
    description: "False when the code is no longer offered. Events keep it.",
    example: true,
  }),
};

export const ReasonCode = z.object({
  ...reasonIdentity,
  ...reasonFields,
  ...versionFields,
}).openapi("ReasonCode", { description: "A reason that reports can give." });

export type ReasonCode = z.infer<typeof ReasonCode>;
