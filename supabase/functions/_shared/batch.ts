/**
 * Requests with many items: each item has its own result, as if the client had sent it alone.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { ProblemSchema } from "./contract.ts";
import type { ApiContext } from "./endpoint.ts";
import { isProblemCode, Problem, problemBody } from "./problems.ts";
import { invalidInput } from "./validation.ts";

/** The database's answer for one item. `more` holds the further members of the problem. */
export interface ItemAnswer {
  index: number;
  status: number;
  id: string | null;
  outcome?: string;
  creates_workplace?: string;
  version?: number;
  problem: { status: number; code: string; more: { detail: string } & Record<string, unknown> } | null;
}

const ImportOutcome = z.enum(["created", "updated", "deleted", "flagged", "skipped_stale", "rejected"])
  .openapi("ImportOutcome", {
    description:
      "Outcome of an imported row. `flagged`: the operation stays, although the source deleted or cancelled it.",
    example: "created",
  });

export const ItemResult = z.object({
  index: z.int().min(0).openapi({ description: "Position of the item in the request, from 0.", example: 0 }),
  status: z.int().openapi({ description: "HTTP status of the item, as if it had been sent alone.", example: 201 }),
  id: z.string().nullable().openapi({
    description: "Id of the event, or the operation as order/asset/operation.",
    example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10",
  }),
  outcome: ImportOutcome.optional(),
  creates_workplace: z.string().optional().openapi({
    description:
      "Name of the workplace that an imported row names and the plant did not know: the import creates it. Omitted for all other rows.",
    example: "TruLaser 5060 (L76)",
  }),
  version: z.int().optional().openapi({
    description: "For changes, the new version of the operation.",
    example: 4,
  }),
  problem: z.union([ProblemSchema, z.null()]).openapi({
    description: "Problem of a rejected item; null for all others.",
  }),
  caused_by: z.int().min(0).optional().openapi({
    description: "For reports, the index of an earlier rejected report whose effect this one needs.",
    example: 0,
  }),
}).openapi("ItemResult", { description: "Result of one item." });

export type ItemResult = z.infer<typeof ItemResult>;

export const ItemResults = z.object({
  results: z.array(ItemResult).openapi({ description: "One result for each item, in the order of the items." }),
  summary: z.record(z.string(), z.int()).openapi({
    description: "Number of items by result.",
    example: { total: 3, created: 2, rejected: 1 },
  }),
}).openapi("ItemResults", { description: "Results of all items." });

/** Valid items, each with its index, and the results of the others. */
export interface Validated<Item> {
  valid: (Item & { index: number })[];
  rejected: ItemResult[];
}

/** Validates items one by one: an invalid item does not keep the others from the database. */
export function validateItems<Item>(
  c: ApiContext,
  schema: z.ZodType<Item>,
  items: readonly unknown[],
): Validated<Item> {
  const validated: Validated<Item> = { valid: [], rejected: [] };
  items.forEach((item, index) => {
    const parsed = item instanceof Problem ? { success: false as const, problem: item } : schema.safeParse(item);
    if (parsed.success) {
      validated.valid.push({ ...parsed.data, index });
    } else {
      const problem = "problem" in parsed ? parsed.problem : invalidInput(parsed.error.issues, "body", item);
      validated.rejected.push(rejection(c, index, problem));
    }
  });
  return validated;
}

function rejection(c: ApiContext, index: number, problem: Problem): ItemResult {
  const body = problemBody(problem, c.get("requestId"));
  return { index, status: body.status, id: null, problem: body };
}

/** Turns the database's answer for one item into the item's result. */
export function toItemResult(c: ApiContext, { problem, ...item }: ItemAnswer): ItemResult {
  if (problem === null) return ItemResult.parse({ ...item, problem });
  const { detail, ...more } = problem.more;
  // not a Problem: an Error takes a stack trace, which costs more than the rest of an item
  const known = isProblemCode(problem.code) ? { code: problem.code, more } : { code: "internal_error" as const };
  return ItemResult.parse({ ...item, problem: problemBody({ ...known, detail }, c.get("requestId")) });
}

/**
 * Returns all results in the order of the items, with the number of each kind.
 *
 * @param firstRequestId Request id of the first answer: problems in a stored answer name it, as the first answer did.
 */
export function summarize(
  results: ItemResult[],
  kindOf: (result: ItemResult) => string,
  firstRequestId?: string | null,
) {
  const summary: Record<string, number> = { total: results.length };
  for (const result of results) {
    const kind = kindOf(result);
    summary[kind] = (summary[kind] ?? 0) + 1;
    if (result.problem && firstRequestId) result.problem.instance = firstRequestId;
  }
  return { results: results.toSorted((a, b) => a.index - b.index), summary };
}
