import { actingHeader } from "../_shared/acting.ts";
import { answerCommand, commandJson, idempotencyHeader, readIdempotency } from "../_shared/commands.ts";
import { commandProblems, jsonBody, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { MachineSignal, SignalledWorkplace, WorkplaceKey } from "./schemas.ts";

export const reportState = endpoint({
  method: "post",
  path: "/workplaces/v1/{name}/state",
  operationId: "reportMachineState",
  tags: ["Workplaces"],
  summary: "Report the state of a machine",
  description:
    "For users with role machine, API keys of a role above readonly, and servers. Send each change, and the state again before `signal_timeout_s` passes. DOWN for longer " +
    "than `micro_stop_s` is an unexplained downtime from the moment it began: the signal that shows it opens it.",
  security,
  request: {
    params: WorkplaceKey,
    headers: idempotencyHeader.extend(actingHeader.shape),
    body: jsonBody(MachineSignal),
  },
  responses: {
    200: commandJson(SignalledWorkplace, "The signal repeats the state, or was sent before."),
    201: commandJson(SignalledWorkplace, "The state has changed."),
    ...commandProblems(["forbidden", "not_found", "out_of_order", "too_old"]),
  },
}, async (c) => {
  const signal = c.req.valid("json");
  const answer = await c.var.rpc("report_machine_state", {
    ...c.req.valid("param"),
    signal,
    idempotency: readIdempotency(c, signal),
  });
  const workplace = answerCommand(c, answer);
  return answer.status === 201 ? c.json(workplace, 201) : c.json(workplace, 200);
});
