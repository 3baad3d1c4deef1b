/**
 * A tool: what a language model calls. Contract above, call of the database below, like an endpoint.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { CallToolResult, InputRequiredResult, StandardSchemaWithJSON } from "@modelcontextprotocol/server";
import { lifecycleCodes } from "../_shared/contract.ts";
import type { Answers, Rpc } from "../_shared/database.ts";
import { plantZone } from "../_shared/plant_zone.ts";
import { Problem, problemBody, type ProblemCode } from "../_shared/problems.ts";
import type { RateCost } from "../_shared/rate_limiting.ts";
import { invalidInput } from "../_shared/validation.ts";
import { advertised } from "./json_schema.ts";
import { marked, modelForm } from "./model_form.ts";

/** One call of a tool, and who makes it. */
export interface Call {
  /** The database, acting as the caller. */
  rpc: Rpc;
  requestId: string;
  /** The caller of confirm tokens. */
  caller: string;
  /** What the model's client calls itself. */
  client: string | null;
  /** Whether the client asks its user when the server wants it to. */
  canAsk: boolean;
  /** The user's answer to a question of the server, and the token that came with the question. */
  answer?: { token: string; isConfirmed: boolean | undefined };
}

/** A tool as the server offers it. */
export interface Tool {
  name: string;
  title: string;
  description: string;
  annotations: {
    readOnlyHint: boolean;
    destructiveHint: boolean;
    idempotentHint: boolean;
    openWorldHint: false;
  };
  /** SQL function that it calls: API keys that may not call it do not see the tool. */
  calls: keyof Answers | undefined;
  /** What a call costs beside the request. */
  cost: RateCost | undefined;
  inputSchema: StandardSchemaWithJSON;
  outputSchema: StandardSchemaWithJSON;
  call: (args: unknown, call: Call) => Promise<CallToolResult | InputRequiredResult>;
}

interface ReadTool<Args, Answer extends z.ZodRawShape> {
  name: string;
  title: string;
  description: string;
  calls?: keyof Answers;
  cost?: RateCost;
  /** Contract of the arguments. */
  args: z.ZodType<Args>;
  answer: Answer;
  read: (args: Args, call: Call) => Promise<z.input<z.ZodObject<Answer>>> | z.input<z.ZodObject<Answer>>;
}

/** Defines a tool that reads. */
export function readTool<Args, Answer extends z.ZodRawShape>(
  { args, answer, read, calls, cost, ...named }: ReadTool<Args, Answer>,
): Tool {
  const form = answerForm(answer);
  return {
    ...named,
    calls,
    cost,
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
    inputSchema: advertised(args, "input"),
    outputSchema: form.advertised,
    call: async (raw, call) => form.result(await read(parseArguments(args, raw), call)),
  };
}

/** Returns the arguments of a call. @throws {Problem} `validation_failed` */
export function parseArguments<Value>(schema: z.ZodType<Value>, raw: unknown): Value {
  const parsed = schema.safeParse(raw ?? {});
  if (!parsed.success) throw invalidInput(parsed.error.issues, "body", raw);
  return parsed.data;
}

/** Returns how the answers of a tool are advertised and written. */
export function answerForm(answer: z.ZodRawShape) {
  const { schema, write } = modelForm(z.object(answer));
  const shape = schema instanceof z.ZodObject ? schema.shape : answer;
  const whole = z.object({
    local_time_zone: z.string().openapi({ description: "Zone of the members whose names end with _local." }),
    ...shape,
  });
  return {
    advertised: advertised(whole, "output"),
    result: (value: unknown): CallToolResult => {
      const zone = plantZone();
      const written: unknown = write(value, zone);
      const structuredContent = { local_time_zone: zone, ...Object(written) };
      return { structuredContent, content: [{ type: "text", text: JSON.stringify(structuredContent) }] };
    },
  };
}

/** Problems that keep a caller from an action, as `allowed_actions` names them. */
const blocking: ReadonlySet<ProblemCode> = new Set([
  ...lifecycleCodes,
  "downtime_overlap",
  "planned_elsewhere",
  "stale_version",
  "confirmation_invalid",
]);

/** Returns a problem as the result of a tool: the model reads why, and what it can do. */
export function problemResult(problem: Problem, requestId: string): CallToolResult {
  const blocked_by = blocking.has(problem.code) ? problem.code : null;
  const text = JSON.stringify({ ...Object(marked(problemBody(problem, requestId))), blocked_by });
  return { isError: true, content: [{ type: "text", text }] };
}
