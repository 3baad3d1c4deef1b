import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Profile, ProfileCreate } from "./schemas.ts";

export const create = endpoint({
  method: "post",
  path: "/profiles/v1",
  operationId: "createProfile",
  tags: ["Profiles"],
  summary: "Create a profile",
  description:
    "For admins. Creates the profile of a user whose profile was deleted. Sign-up creates profiles by itself.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(ProfileCreate) },
  responses: {
    201: createdJson(Profile, "The new profile."),
    ...commandProblems(["forbidden", "duplicate_profile"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("create_profile", { profile: body, idempotency: readIdempotency(c, body) });
  return c.json(answerCreation(c, answer, ({ id }) => ["profiles", "v1", id]), 201);
});
