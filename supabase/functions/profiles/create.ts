import { endpoint } from "../_shared/app.ts";
import { answerBody, idempotency, idempotencyHeader, locationHeader, replayedHeader } from "../_shared/commands.ts";
import { etagHeader } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { Profile, ProfileCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/profiles/v1",
  operationId: "createProfile",
  tags: ["Profiles"],
  summary: "Create a profile",
  description: "For admins: gives a user without a profile theirs back. Sign-up makes profiles by itself.",
  security,
  request: {
    headers: idempotencyHeader,
    body: { required: true, content: { "application/json": { schema: ProfileCreate } } },
  },
  responses: {
    201: {
      description: "The profile as created.",
      headers: locationHeader.extend(etagHeader.shape).extend(replayedHeader.shape),
      content: { "application/json": { schema: Profile } },
    },
    ...problems(["forbidden", "duplicate_profile"], { body: true, idempotent: true }),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.callDatabase("create_profile", { profile: body, idempotency: idempotency(c, body) });
  const profile = answerBody(c, answer);
  c.header("ETag", `"${profile.version}"`);
  c.header("Location", `/functions/v1/profiles/v1/${profile.id}`);
  return c.json(profile, 201);
});
