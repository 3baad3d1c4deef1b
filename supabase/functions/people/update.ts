import { answerChange, changedJson, changeHeaders, readIdempotency } from "../_shared/commands.ts";
import { readIfMatch } from "../_shared/conditional.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Person, PersonKey, PersonUpdate } from "./schemas.ts";
import { withDigests, withoutSecrets } from "./secrets.ts";

export const update = endpoint({
  method: "patch",
  path: "/people/v1/{person_id}",
  operationId: "updatePerson",
  tags: ["People"],
  summary: "Change a person",
  description:
    "For managers and above, and for supervisors who have all workplaces of the person, before and after the change. A new PIN also " +
    "ends the lock after five failed sign-ins.",
  security,
  request: { params: PersonKey, headers: changeHeaders, body: jsonBody(PersonUpdate) },
  responses: {
    200: changedJson(Person, "The changed person."),
    ...commandProblems(["forbidden", "not_found", "duplicate_person", "pseudonymised", "stale_version"]),
  },
}, async (c) => {
  const patch = c.req.valid("json");
  const answer = await c.var.rpc("update_person", {
    id: c.req.valid("param").person_id,
    patch: withDigests(patch),
    if_match: readIfMatch(c),
    idempotency: readIdempotency(c, withoutSecrets(patch)),
  });
  return c.json(answerChange(c, answer), 200);
});
