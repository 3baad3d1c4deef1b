import { etagHeader, ifMatchHeader, readIfMatch, setEtag } from "../_shared/conditional.ts";
import { json, jsonBody, problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Key, KeyPath, KeyUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/keys/v1/{key_id}",
  operationId: "updateKey",
  tags: ["Keys"],
  summary: "Change an API key",
  description:
    "For signed-in admins. The change takes effect at the next request of the key; streams of a key that may see less than before " +
    "end within 10 seconds.",
  security: userSecurity,
  request: { params: KeyPath, headers: ifMatchHeader, body: jsonBody(KeyUpdate) },
  responses: {
    200: json(Key, "The changed key.", etagHeader),
    ...problems(["forbidden", "not_found", "key_revoked", "stale_version"], { body: true }),
  },
}, async (c) => {
  const changed = await c.var.rpc("update_api_key", {
    ...c.req.valid("param"),
    patch: c.req.valid("json"),
    if_match: readIfMatch(c),
  });
  setEtag(c, changed.version);
  return c.json(changed, 200);
});
