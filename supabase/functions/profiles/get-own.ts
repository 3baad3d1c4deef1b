import { actingHeader } from "../_shared/acting.ts";
import { etagHeader, ifNoneMatchHeader, isNotModified, notModified } from "../_shared/conditional.ts";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { OwnProfile } from "./schemas.ts";

export const getOwn = endpoint({
  method: "get",
  path: "/profiles/v1/me",
  operationId: "getOwnProfile",
  tags: ["Profiles"],
  summary: "Read your own profile",
  description:
    "Returns the profile of the user or the API key whose credential the request carries, an API key's with its scopes, " +
    "and what the caller may do. With `X-Acting-For`, also the person who acts, within whose workplaces that is; the answer then has " +
    "no ETag. A secret key has no profile: 403.",
  security,
  request: { headers: ifNoneMatchHeader.extend(actingHeader.shape) },
  responses: {
    200: json(OwnProfile, "The caller's profile.", etagHeader.partial()),
    304: notModified,
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => {
  const profile = await c.var.rpc("get_own_profile", {});
  // rights of keys and people change without the profile
  if (profile.person !== null || profile.scopes !== null) return c.json(profile, 200);
  return isNotModified(c, profile.version) ? c.body(null, 304) : c.json(profile, 200);
});
