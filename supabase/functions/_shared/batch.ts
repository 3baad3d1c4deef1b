/**
 * Many items in one request: each has its own result, as if it had been sent alone.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ApiContext } from "./app.ts";
import { ProblemSchema } from "./contract.ts";
import { isProblemCode, Problem, problemBody } from "./problems.ts";
import { invalidInput } from "./validation.ts";

/** What the database answers for one item; `more` holds the members of the problem. */
export interface ItemAnswer {
  index: number;
  status: number;
  id: string | null;
  outcome?: string;
  version?: number;
  problem: { status: number; code: string; more: { detail: string } & Record<string, unknown> } | null;
}

/** The result of one item in the contract. */
export const ItemResult = z.object({
  index: z.int().min(0).openapi({ description: "Position of the item in the request, from 0.", example: 0 }),
  status: z.int().openapi({ description: "HTTP status that the item alone would have had.", example: 201 }),
  id: z.string().nullable().openapi({
    description: "What it became or concerns: an event's id, an operation as order/asset/operation.",
    example: "0f4b7e7a-5d0c-4a3f-9a67-1c5a4b8e2d10",
  }),
  outcome: z.enum(["created", "updated", "deleted", "flagged", "skipped_stale", "rejected"]).optional().openapi({
    description: "For imports, what became of the row; flagged: kept although the source deleted or cancelled it.",
    example: "created",
  }),
  version: z.int().optional().openapi({
    description: "For changes, the version of the operation afterwards.",
    example: 4,
  }),
  problem: z.union([ProblemSchema, z.null()]).openapi({ description: "Why it was refused; null when it was not." }),
}).openapi("ItemResult", { description: "What became of one item." });

export type ItemResult = z.infer<typeof ItemResult>;

/** All results of a request in the contract. */
export const ItemResults = z.object({
  results: z.array(ItemResult).openapi({ description: "One per item, in their order." }),
  summary: z.record(z.string(), z.int()).openapi({
    description: "How many items had which result.",
    example: { total: 3, created: 2, rejected: 1 },
  }),
}).openapi("ItemResults", { description: "What became of each item." });

/** Items that passed validation, each with its index, and the results of those that did not. */
export interface Validated<Item> {
  valid: (Item & { index: number })[];
  refused: ItemResult[];
}

/** Validates items one by one: one that is wrong must not keep the others from the database. */
export function validateItems<Item>(
  c: ApiContext,
  schema: z.ZodType<Item>,
  items: readonly unknown[],
): Validated<Item> {
  const validated: Validated<Item> = { valid: [], refused: [] };
  items.forEach((item, index) => {
    const parsed = item instanceof Problem ? { success: false as const, problem: item } : schema.safeParse(item);
    if (parsed.success) {
      validated.valid.push({ ...parsed.data, index });
    } else {
      const problem = "problem" in parsed ? parsed.problem : invalidInput(parsed.error.issues, "body");
      validated.refused.push(refusal(c, index, null, problem));
    }
  });
  return validated;
}

/** The result of an item that was refused. */
export function refusal(c: ApiContext, index: number, id: string | null, problem: Problem): ItemResult {
  const body = problemBody(problem, c.get("requestId"));
  return { index, status: body.status, id, problem: body };
}

/** The database's answer for one item as the client gets it. */
export function itemResult(c: ApiContext, { problem, ...item }: ItemAnswer): ItemResult {
  if (problem === null) return ItemResult.parse({ ...item, problem });
  const { detail, ...more } = problem.more;
  const told = isProblemCode(problem.code)
    ? new Problem(problem.code, detail, more)
    : new Problem("internal_error", detail);
  return ItemResult.parse({ ...item, problem: problemBody(told, c.get("requestId")) });
}

/**
 * All results in the order of the items, with how many there are of each kind.
 *
 * @param firstRequest The request that was answered so first: a replay names it in its problems, as the first answer did.
 */
export function itemResults(
  results: ItemResult[],
  kindOf: (result: ItemResult) => string,
  firstRequest?: string | null,
) {
  const summary: Record<string, number> = { total: results.length };
  for (const result of results) {
    const kind = kindOf(result);
    summary[kind] = (summary[kind] ?? 0) + 1;
    if (result.problem && firstRequest) result.problem.instance = firstRequest;
  }
  return { results: results.toSorted((a, b) => a.index - b.index), summary };
}
