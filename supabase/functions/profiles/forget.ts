import { endpoint } from "../_shared/app.ts";
import { problems, security } from "../_shared/contract.ts";
import { ForgottenPerson, ProfileKey } from "./schemas.ts";

export const forget = endpoint({
  method: "post",
  path: "/profiles/v1/{profile_id}/forget",
  operationId: "forgetPerson",
  tags: ["Profiles"],
  summary: "Forget a person",
  description:
    "For admins: deletes the user with profile and sign-in, for good, and takes name and address out of events, runs and stored " +
    "answers. The log keeps the id, which leads to nobody any more. Works without a profile, too. Repeated, it answers the record " +
    "of the first time.",
  security,
  request: { params: ProfileKey },
  responses: {
    200: {
      description: "The person is forgotten: what was changed, and when.",
      content: { "application/json": { schema: ForgottenPerson } },
    },
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => c.json(await c.var.callDatabase("forget_profile", { id: c.req.valid("param").profile_id }), 200));
