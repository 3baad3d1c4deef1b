import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader, ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { Profile, ProfileKey, ProfileUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/profiles/v1/{profile_id}",
  operationId: "updateProfile",
  tags: ["Profiles"],
  summary: "Change a profile",
  description:
    "Admins change everything, managers workplace_access, everybody their own full_name. It counts from the user's next request.",
  security,
  request: {
    params: ProfileKey,
    headers: ifMatchHeader.extend(idempotencyHeader.shape),
    body: { required: true, content: { "application/json": { schema: ProfileUpdate } } },
  },
  responses: {
    200: {
      description: "The profile as changed.",
      headers: etagHeader.extend(replayedHeader.shape),
      content: { "application/json": { schema: Profile } },
    },
    ...problems(["forbidden", "not_found", "stale_version"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.callDatabase("update_profile", {
    id: c.req.valid("param").profile_id,
    patch,
    if_match: ifMatch(c),
    idempotency: idempotency(c, patch),
  });
  const profile = answerBody(c, answer);
  c.header("ETag", `"${profile.version}"`);
  return c.json(profile, 200);
});
