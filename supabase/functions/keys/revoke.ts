import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { KeyPath } from "./schemas.ts";

export const revoke = endpoint({
  method: "delete",
  path: "/keys/v1/{key_id}",
  operationId: "revokeKey",
  tags: ["Keys"],
  summary: "Revoke an API key",
  description:
    "For signed-in admins. The key's next request is refused, and its streams end within 10 seconds. A revoked key stays in the " +
    "list, because events name it. Revoking it again changes nothing.",
  security: userSecurity,
  request: { params: KeyPath, headers: ifMatchHeader },
  responses: {
    204: { description: "The key is revoked." },
    ...problems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("revoke_api_key", { ...c.req.valid("param"), if_match: readIfMatch(c) });
  return c.body(null, 204);
});
