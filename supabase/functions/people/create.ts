import { answerCreation, createdJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Person, PersonCreate } from "./schemas.ts";
import { withDigests, withoutSecrets } from "./secrets.ts";

export const create = endpoint({
  method: "post",
  path: "/people/v1",
  operationId: "createPerson",
  tags: ["People"],
  summary: "Create a person",
  description:
    "For supervisors and above. A supervisor gives the person at least one workplace, and only workplaces of their own.",
  security,
  request: { headers: idempotencyHeader, body: jsonBody(PersonCreate) },
  responses: {
    201: createdJson(Person, "The new person."),
    ...commandProblems(["forbidden", "duplicate_person"]),
  },
}, async (c) => {
  const body = c.req.valid("json");
  const answer = await c.var.rpc("create_person", {
    person: withDigests(body),
    idempotency: readIdempotency(c, withoutSecrets(body)),
  });
  return c.json(answerCreation(c, answer, ({ id }) => ["people", "v1", id]), 201);
});
