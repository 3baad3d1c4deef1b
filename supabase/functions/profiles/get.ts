import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
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
    200: versionedJson(Profile, "The profile."),
    304: notModified,
    ...problems(["not_found"]),
  },
}, async (c) => {
  const profile = await c.var.rpc("get_profile", { id: c.req.valid("param").profile_id });
  return isNotModified(c, profile.version) ? c.body(null, 304) : c.json(profile, 200);
});
