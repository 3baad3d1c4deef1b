import { setEtag, versionedJson } from "../_shared/conditional.ts";
import { problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Key, KeyPath } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/keys/v1/{key_id}",
  operationId: "getKey",
  tags: ["Keys"],
  summary: "Read an API key",
  description: "For signed-in admins. Returns the key without its secret.",
  security: userSecurity,
  request: { params: KeyPath },
  responses: {
    200: versionedJson(Key, "The key."),
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => {
  const found = await c.var.rpc("get_api_key", c.req.valid("param"));
  // for If-Match only: status and last use change without the version
  setEtag(c, found.version);
  return c.json(found, 200);
});
