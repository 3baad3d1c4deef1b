import { ifNoneMatchHeader, isNotModified, notModified, versionedJson } from "../_shared/conditional.ts";
import { problems, security } from "../_shared/contract.ts";
import { Downtime } from "../_shared/downtime.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { DowntimeKey } from "./schemas.ts";

export const get = endpoint({
  method: "get",
  path: "/downtimes/v1/{id}",
  operationId: "getDowntime",
  tags: ["Downtimes"],
  summary: "Read a downtime",
  description: "Returns one downtime, also a cancelled one.",
  security,
  request: { params: DowntimeKey, headers: ifNoneMatchHeader },
  responses: {
    200: versionedJson(Downtime, "The downtime."),
    304: notModified,
    ...problems(["not_found"]),
  },
}, async (c) => {
  const downtime = await c.var.rpc("get_downtime", c.req.valid("param"));
  return isNotModified(c, downtime.version) ? c.body(null, 304) : c.json(downtime, 200);
});
