import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { Person, PersonKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/people/v1/{person_id}",
  operationId: "getPerson",
  tags: ["People"],
  summary: "Read a person",
  description: "For supervisors who share a workplace with the person, and for managers and above.",
  security,
  request: { params: PersonKey, headers: ifNoneMatchHeader },
  responses: {
    200: versionedJson(Person, "The person."),
    304: notModified,
    ...problems(["not_found"]),
  },
}, async (c) => {
  const person = await c.var.rpc("get_person", { id: c.req.valid("param").person_id });
  return isNotModified(c, person.version) ? c.body(null, 304) : c.json(person, 200);
});
