import type { DurableStack } from "./durable_stack.ts";
import type { LoadRequest } from "./load.ts";
import { keyOf, type Operation } from "./plant.ts";

/** Through the function, as clients call it, or its SQL function at the Data API: the difference is what the function costs. */
export type Way = "function" | "data api";

/** One endpoint under load. */
export interface Endpoint {
  name: string;
  /** Which operations it is called for: each once, or some over and over. */
  takes: "any" | "started" | "fresh" | "just started";
  status: Record<Way, number>;
  request(stack: DurableStack, way: Way, operation: Operation, nth: number): LoadRequest;
}

const rpc = (stack: DurableStack, name: string, args: unknown): LoadRequest => ({
  method: "POST",
  url: `${stack.supabaseUrl}/rest/v1/rpc/${name}`,
  body: JSON.stringify(args),
});

const path = ({ order_no, asset_id, operation_no }: Operation) => `${order_no}/${asset_id}/${operation_no}`;

const key = ({ order_no, asset_id, operation_no }: Operation) => ({ order_no, asset_id, operation_no });

const reporting = (action: string, takes: Endpoint["takes"], more: object = {}): Endpoint => ({
  name: action === "REPORT_QUANTITY" ? "POST event" : action,
  takes,
  status: { function: 201, "data api": 200 },
  request(stack, way, operation) {
    const report = { action_type: action, ...keyOf(operation), ...more };
    if (way === "data api") return rpc(stack, "report_event", { report });
    return { method: "POST", url: `${stack.functionsUrl}/events/v1`, body: JSON.stringify(report) };
  },
});

/** In the order of the report; FINISH takes what START has started. */
export const endpoints: Endpoint[] = [
  {
    name: "GET one",
    takes: "any",
    status: { function: 200, "data api": 200 },
    request: (stack, way, operation) =>
      way === "data api"
        ? rpc(stack, "get_operation", key(operation))
        : { method: "GET", url: `${stack.functionsUrl}/operations/v1/${path(operation)}` },
  },
  {
    name: "GET list of 100",
    takes: "any",
    status: { function: 200, "data api": 200 },
    request: (stack, way, { workplace_name }) =>
      way === "data api" ? rpc(stack, "list_operations", { workplace_names: [workplace_name], take: 100 }) : {
        method: "GET",
        url: `${stack.functionsUrl}/operations/v1?limit=100&workplace_name=${encodeURIComponent(workplace_name)}`,
      },
  },
  reporting("REPORT_QUANTITY", "started", { qty_good: 1 }),
  reporting("START", "fresh"),
  reporting("FINISH", "just started"),
  {
    name: "PATCH",
    takes: "any",
    status: { function: 200, "data api": 200 },
    request(stack, way, operation, nth) {
      const patch = { activity_description: `Cut sheet, see drawing ${nth}` };
      if (way === "data api") return rpc(stack, "update_operation", { ...key(operation), patch });
      return {
        method: "PATCH",
        url: `${stack.functionsUrl}/operations/v1/${path(operation)}`,
        body: JSON.stringify(patch),
      };
    },
  },
];
