import { setEtag, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { WorkplaceKey, WorkplaceNow } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/workplaces/v1/{name}",
  operationId: "getWorkplace",
  tags: ["Workplaces"],
  summary: "Read a workplace",
  description:
    "Returns the workplace with the operations that run there now, what stops it and the state of its machine.",
  security,
  request: { params: WorkplaceKey },
  responses: {
    200: versionedJson(WorkplaceNow, "The workplace."),
    ...problems(["not_found"]),
  },
}, async (c) => {
  const workplace = await c.var.rpc("get_workplace", c.req.valid("param"));
  // for If-Match only: the running operations change without the workplace's version
  setEtag(c, workplace.version);
  return c.json(workplace, 200);
});
