import { endpoint } from "../_shared/app.ts";
import { ifMatch, ifMatchHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { ProfileKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/profiles/v1/{profile_id}",
  operationId: "deleteProfile",
  tags: ["Profiles"],
  summary: "Delete a profile",
  description:
    "For admins: the user can still sign in, and may do nothing. Events keep their address: to remove it, forget the person.",
  security,
  request: { params: ProfileKey, headers: ifMatchHeader },
  responses: {
    204: { description: "It is deleted." },
    ...problems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  await c.var.callDatabase("delete_profile", { id: c.req.valid("param").profile_id, if_match: ifMatch(c) });
  return c.body(null, 204);
});
