import { ItemResults, summarize, toItemResult } from "../_shared/batch.ts";
import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { chargeRows } from "../_shared/rate_limiting.ts";
import { BulkUpdate } from "./schemas.ts";

export const updateMany = endpoint({
  method: "patch",
  path: "/operations/v1",
  operationId: "updateOperations",
  tags: ["Operations"],
  summary: "Change many operations",
  description:
    "For supervisors and above. Changes up to 500 operations that match the filter, each under the rules of a single PATCH, in one " +
    "transaction. A rejected operation does not affect the others. The answer shows what would happen until `dry_run` is false.",
  security,
  "x-rate-limit": { class: "heavy" },
  request: { headers: idempotencyHeader, body: jsonBody(BulkUpdate) },
  responses: {
    200: commandJson(ItemResults, "All operations were changed, or would be."),
    207: commandJson(ItemResults, "Some operations were rejected: see each one."),
    ...commandProblems(["forbidden", "not_found"]),
  },
}, async (c) => {
  const bulk = c.req.valid("json");
  const { status, workplace_name, ...filter } = bulk.filter;
  const answer = await c.var.rpc("update_operations", {
    filter: { ...filter, statuses: status, workplace_names: workplace_name },
    patch: bulk.patch,
    is_dry_run: bulk.dry_run,
    idempotency: readIdempotency(c, bulk),
  });
  // how many match is known only now
  chargeRows(c, answer.body.length);
  const results = answerCommand(c, answer).map((item) => toItemResult(c, item));
  const body = summarize(results, ({ problem }) => problem === null ? "changed" : "refused", answer.request_id);
  return body.summary.refused === undefined ? c.json(body, 200) : c.json(body, 207);
});
