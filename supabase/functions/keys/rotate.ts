import { newApiKey } from "../_shared/api_keys.ts";
import { etagHeader, ifMatchHeader, readIfMatch, setEtag } from "../_shared/conditional.ts";
import { json, jsonBody, problems, userSecurity } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { KeyPath, KeyRotation, KeyWithSecret } from "./schemas.ts";

export const rotate = endpoint({
  method: "post",
  path: "/keys/v1/{key_id}/rotate",
  operationId: "rotateKey",
  tags: ["Keys"],
  summary: "Rotate the secret of an API key",
  description:
    "For signed-in admins. The answer contains the key with its new secret; no other request shows it. The secret before stays " +
    "valid for `overlap_h` hours, so that the client can change over in between. Repeat the request when its answer is lost: " +
    "every replaced secret keeps the time that it was given. A key has at most 5 valid secrets.",
  security: userSecurity,
  request: { params: KeyPath, headers: ifMatchHeader, body: jsonBody(KeyRotation) },
  responses: {
    200: json(KeyWithSecret, "The key with its new secret.", etagHeader),
    ...problems(["forbidden", "not_found", "key_revoked", "limit_reached", "stale_version"], { body: true }),
  },
}, async (c) => {
  const { key_id } = c.req.valid("param");
  const { key, digest } = newApiKey(key_id);
  const stored = await c.var.rpc("rotate_api_key", {
    key_id,
    digest,
    ...c.req.valid("json"),
    if_match: readIfMatch(c),
  });
  setEtag(c, stored.version);
  return c.json({ ...stored, key }, 200);
});
