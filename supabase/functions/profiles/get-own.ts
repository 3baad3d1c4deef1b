import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Profile } from "./schemas.ts";

export const getOwn = endpoint({
  method: "get",
  path: "/profiles/v1/me",
  operationId: "getOwnProfile",
  tags: ["Profiles"],
  summary: "Read your own profile",
  description:
    "Returns the profile of the user whose access token the request carries. A secret key has no profile: 403.",
  security,
  request: { headers: ifNoneMatchHeader },
  responses: {
    200: versionedJson(Profile, "The caller's profile."),
    304: notModified,
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => {
  const profile = await c.var.rpc("get_own_profile", {});
  return isNotModified(c, profile.version) ? c.body(null, 304) : c.json(profile, 200);
});
