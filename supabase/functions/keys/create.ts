import { newApiKey } from "../_shared/api_keys.ts";
import { locationHeader, setLocation } from "../_shared/commands.ts";
import { etagHeader, setEtag } from "../_shared/conditional.ts";
import { json, jsonBody, problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { KeyCreate, KeyWithSecret } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/keys/v1",
  operationId: "createKey",
  tags: ["Keys"],
  summary: "Create an API key",
  description:
    "For signed-in admins. The answer contains the key; no other request shows it. The endpoint takes no Idempotency-Key, because " +
    "the server does not store the key: when the answer is lost, revoke the key and create another one. At most 1,000 keys can " +
    "exist that are not revoked.",
  security: userSecurity,
  request: { body: jsonBody(KeyCreate) },
  responses: {
    201: json(KeyWithSecret, "The new key.", locationHeader.extend(etagHeader.shape)),
    ...problems(["forbidden", "limit_reached"], { body: true }),
  },
}, async (c) => {
  const id = crypto.randomUUID();
  const { key, digest } = newApiKey(id);
  const stored = await c.var.rpc("create_api_key", { key: { ...c.req.valid("json"), id }, digest });
  setLocation(c, ["keys", "v1", id]);
  setEtag(c, stored.version);
  return c.json({ ...stored, key }, 201);
});
