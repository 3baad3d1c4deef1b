import { endpoint } from "../_shared/app.ts";
import { etagHeader, ifNoneMatchHeader, isNotModified } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { Profile, ProfileKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/profiles/v1/{profile_id}",
  operationId: "getProfile",
  tags: ["Profiles"],
  summary: "Read a profile",
  security,
  request: { params: ProfileKey, headers: ifNoneMatchHeader },
  responses: {
    200: { description: "The profile.", headers: etagHeader, content: { "application/json": { schema: Profile } } },
    304: { description: "The client has this version already.", headers: etagHeader },
    ...problems(["not_found"]),
  },
}, async (c) => {
  const { profile_id } = c.req.valid("param");
  const profile = await c.var.callDatabase("get_profile", { id: profile_id });
  return isNotModified(c, profile.version) ? c.body(null, 304) : c.json(profile, 200);
});
