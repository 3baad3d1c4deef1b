import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { PersonKey, PseudonymisedPerson } from "./schemas.ts";

export const pseudonymise = endpoint({
  method: "post",
  path: "/people/v1/{person_id}/pseudonymise",
  operationId: "pseudonymisePerson",
  tags: ["People"],
  summary: "Pseudonymise a person",
  description:
    "For those who may change the person. Removes name, number, badge, PIN and profile permanently, also from stored answers, and " +
    "signs the person out. The log keeps the id, which no longer identifies a person. A repeated request answers the record of the first one.",
  security,
  request: { params: PersonKey },
  responses: {
    200: json(PseudonymisedPerson, "The person is pseudonymised: the numbers of changed records, and when."),
    ...problems(["forbidden", "not_found"]),
  },
}, async (c) => c.json(await c.var.rpc("pseudonymise_person", { id: c.req.valid("param").person_id }), 200));
