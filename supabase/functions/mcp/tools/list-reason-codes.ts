import { z } from "@hono/zod-openapi";
import { ReasonCode, ReasonKind } from "../../_shared/reason_code.ts";
import { cursorAfter, nextCursor, pageArguments, startOf } from "../pages.ts";
import { readTool } from "../tool.ts";

const key = z.tuple([z.string(), z.string()]);

export const listReasonCodes = readTool({
  name: "list_reason_codes",
  title: "List reason codes",
  description:
    "The plant's codes of why work stops, is held, cancelled or finished short, why pieces are scrap and why " +
    "workplaces stand still. Take reason codes from here only.",
  calls: "list_reason_codes",
  args: z.strictObject({
    kind: ReasonKind.optional(),
    active: z.boolean().optional().openapi({
      description: "True: codes that are offered. False: those that are not any more.",
    }),
    ...pageArguments,
  }),
  answer: { reason_codes: z.array(ReasonCode), next_cursor: nextCursor },
  read: async ({ limit: take, cursor, ...filters }, { rpc }) => {
    const list = { tool: "list_reason_codes", filters, key };
    const [after_kind, after_code] = await startOf(list, cursor) ?? [];
    const page = await rpc("list_reason_codes", { ...filters, after_kind, after_code, take });
    return { reason_codes: page.items, next_cursor: await cursorAfter(list, page) };
  },
});
