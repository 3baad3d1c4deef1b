import { actingHeader } from "../_shared/acting.ts";
import { json, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { ActingPerson } from "./schemas.ts";

export const getActing = endpoint({
  method: "get",
  path: "/people/v1/me",
  operationId: "getActingPerson",
  tags: ["People"],
  summary: "Read who acts",
  description:
    "Returns the person whose acting token the request carries as `X-Acting-For`, and what they may do at this terminal. The request " +
    "renews the token. Without the header: 404.",
  security,
  request: { headers: actingHeader },
  responses: {
    200: json(ActingPerson, "The person who acts."),
    ...problems(["not_found"]),
  },
}, async (c) => c.json(await c.var.rpc("get_acting_person", {}), 200));
