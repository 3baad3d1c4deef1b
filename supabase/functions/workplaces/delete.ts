import { endpoint } from "../_shared/app.ts";
import { ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { WorkplaceKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/workplaces/v1/{name}",
  operationId: "deleteWorkplace",
  tags: ["Workplaces"],
  summary: "Delete a workplace",
  description: "For managers and above, as long as it has no operations: then set it inactive.",
  security,
  request: { params: WorkplaceKey, headers: ifMatchHeader },
  responses: {
    204: { description: "It is deleted." },
    ...problems(["forbidden", "not_found", "in_use", "stale_version"]),
  },
}, async (c) => {
  await c.var.callDatabase("delete_workplace", { ...c.req.valid("param"), if_match: ifMatch(c) });
  return c.body(null, 204);
});
