import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { WorkplaceKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/workplaces/v1/{name}",
  operationId: "deleteWorkplace",
  tags: ["Workplaces"],
  summary: "Delete a workplace",
  description: "For managers and above, while the workplace has no operations. Deactivate a workplace that is in use.",
  security,
  request: { params: WorkplaceKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "in_use", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("delete_workplace", { ...c.req.valid("param"), if_match: readIfMatch(c) });
  return c.body(null, 204);
});
