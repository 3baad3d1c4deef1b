import { deleted } from "../_shared/commands.ts";
import { ifMatchHeader, readIfMatch } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { PersonKey } from "./schemas.ts";

export const remove = endpoint({
  method: "delete",
  path: "/people/v1/{person_id}",
  operationId: "deletePerson",
  tags: ["People"],
  summary: "Delete a person",
  description:
    "For those who may change the person. A person who has reported events is 409 `in_use`: set `active` to false, or pseudonymise them.",
  security,
  request: { params: PersonKey, headers: ifMatchHeader },
  responses: {
    204: deleted,
    ...problems(["forbidden", "not_found", "in_use", "stale_version"]),
  },
}, async (c) => {
  await c.var.rpc("delete_person", { id: c.req.valid("param").person_id, if_match: readIfMatch(c) });
  return c.body(null, 204);
});
