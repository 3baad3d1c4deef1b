import { endpoint } from "../_shared/app.ts";
import { itemResult, ItemResults, itemResults } from "../_shared/batch.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { problems, security } from "../_shared/contract.ts";
import { BulkUpdate } from "./schemas.ts";

const json = { "application/json": { schema: ItemResults } };

export const updateMany = endpoint({
  method: "patch",
  path: "/operations/v1",
  operationId: "updateOperations",
  tags: ["Operations"],
  summary: "Change many operations",
  description:
    "For supervisors and above: changes up to 500 operations that match the filter, each under the rules of a single PATCH, all in " +
    "one transaction; one that refuses does not stop the rest. Tells only what would happen until `dry_run` is false.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: BulkUpdate } } },
  },
  responses: {
    200: { description: "All were changed, or would be.", headers: replayedHeader, content: json },
    207: { description: "Some were refused: see each.", headers: replayedHeader, content: json },
    ...problems(["forbidden", "not_found"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const bulk = c.req.valid("json");
  const { status, workplace_name, ...filter } = bulk.filter;
  const answer = await c.var.callDatabase("update_operations", {
    filter: { ...filter, statuses: status, workplace_names: workplace_name },
    patch: bulk.patch,
    is_dry_run: bulk.dry_run,
    idempotency: idempotency(c, bulk),
  });
  const results = answerBody(c, answer).map((item) => itemResult(c, item));
  const body = itemResults(results, ({ problem }) => problem === null ? "changed" : "refused", answer.request_id);
  return body.summary.refused === undefined ? c.json(body, 200) : c.json(body, 207);
});
