import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ForgottenPerson, ProfileKey } from "./schemas.ts";

export const forget = endpoint({
  method: "post",
  path: "/profiles/v1/{profile_id}/forget",
  operationId: "forgetPerson",
  tags: ["Profiles"],
  summary: "Forget a person",
  description:
    "For admins. Deletes the user, the profile and the sign-in permanently, and removes name and e-mail address from events, runs " +
    "and stored answers. The log keeps the id, which no longer identifies a person. Also works for a user without a profile. " +
    "A repeated request answers the record of the first one.",
  security,
  request: { params: ProfileKey },
  responses: {
    200: json(ForgottenPerson, "The person is forgotten: the numbers of changed records, and when."),
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => c.json(await c.var.rpc("forget_profile", { id: c.req.valid("param").profile_id }), 200));
