import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ProfileKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/profiles/v1/{profile_id}",
  operationId: "deleteProfile",
  tags: ["Profiles"],
  summary: "Delete a profile",
  description:
    "For admins. The user can still sign in but has no rights. Events keep the user's e-mail address: to remove it, forget the person.",
  security,
  request: { params: ProfileKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("delete_profile", { id: c.req.valid("param").profile_id, if_match: readIfMatch(c) });
  return c.body(null, 204);
});
