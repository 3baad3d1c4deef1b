import { actingHeader } from "../_shared/acting.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";

export const signOut = endpoint({
  method: "post",
  path: "/people/v1/sign-out",
  operationId: "signOutPerson",
  tags: ["People"],
  summary: "Sign out",
  description: "Ends the session of the person whose acting token the request carries as `X-Acting-For`.",
  security,
  request: { headers: actingHeader },
  responses: {
    204: { description: "The token is no longer valid." },
    ...problems(["not_found"]),
  },
}, async (c) => {
  await c.var.rpc("sign_out_person", {});
  return c.body(null, 204);
});
