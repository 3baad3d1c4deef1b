import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Profile, ProfileKey, ProfileUpdate } from "./schemas.ts";

export const update = endpoint({
  method: "patch",
  path: "/profiles/v1/{profile_id}",
  operationId: "updateProfile",
  tags: ["Profiles"],
  summary: "Change a profile",
  description:
    "Admins change all fields, managers workplace_access, every user their own full_name. The change takes effect at the user's next request.",
  security,
  request: { params: ProfileKey, headers: changeHeaders, body: jsonBody(ProfileUpdate) },
  responses: {
    200: changedJson(Profile, "The changed profile."),
    ...commandProblems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.rpc("update_profile", {
    id: c.req.valid("param").profile_id,
    patch,
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, patch),
  });
  return c.json(answerChange(c, answer), 200);
});
