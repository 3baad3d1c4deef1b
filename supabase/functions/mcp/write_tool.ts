/**
 * A tool that writes: a dry run first, then the same call again with the token of the dry run, or after the client has asked
 * its user.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { type CallToolResult, inputRequired, type InputRequiredResult } from "@modelcontextprotocol/server";
import type { Idempotency } from "../_shared/commands.ts";
import type { Answer, Answers } from "../_shared/database.ts";
import { instantOut } from "../_shared/fields.ts";
import { advertised } from "./json_schema.ts";
import { idempotencyOf, maxTokenLength, readToken, type Seen, type Subject, writeToken } from "./confirm_tokens.ts";
import { answerForm, type Call, parseArguments, type Tool } from "./tool.ts";

const Outcome = z.enum(["DRY_RUN", "EXECUTED", "DECLINED"]).openapi("ToolOutcome", {
  description: "DRY_RUN: this is what would happen, and nothing has changed. DECLINED: the user said no.",
  example: "DRY_RUN",
});

/** Arguments of every tool that writes. */
const confirmation = {
  dry_run: z.boolean().optional().openapi({
    description:
      "True: shows what would happen and asks nobody, also with a confirm_token. Without confirm_token, nothing is ever written.",
    example: true,
  }),
  confirm_token: z.string().max(maxTokenLength).optional().openapi({
    description: "confirm_token of the dry run of this very call, after the user has agreed to what it showed.",
  }),
};

/** Name of the question in the protocol's form. */
export const questionName = "confirm";

/** What the user answers. */
const Agreement = z.object({ confirm: z.boolean() });

/** What a command is sent with: a dry run, or the execution of what one has seen. */
export type Sending = { dry_run: true } | { seen: Seen };

interface WriteTool<Args, Body> {
  name: string;
  title: string;
  description: string;
  destructive: boolean;
  calls: keyof Answers;
  /** Contract of the arguments. */
  args: z.ZodType<Args>;
  /** The same as one object, for clients that know no alternatives. */
  shape: z.ZodRawShape;
  /** Name and contract of what the command answers. */
  answer: { name: string; schema: z.ZodType<Body> };
  send: (
    args: Args,
    more: Sending & { operation_data: { via: "mcp"; client: string | null } },
    idempotency: Idempotency | undefined,
    call: Call,
  ) => Promise<Answer<Body> & { seen_version?: number }>;
  /** Returns what the dry run has found before it. */
  seen: (answer: Answer<Body> & { seen_version?: number }) => Seen;
  /** Says what would happen, in one sentence of a question. */
  question: (args: Args, body: Body) => string;
}

/** Defines a tool that writes. */
export function writeTool<Args, Body>(
  { name, title, description, destructive, calls, args: contract, shape, answer, ...command }: WriteTool<Args, Body>,
): Tool {
  const form = answerForm({
    outcome: Outcome,
    confirm_token: z.string().nullable().openapi({
      description: "Send the same call with it to execute this; null when it is executed, or the client asks its user.",
    }),
    confirm_before: instantOut().nullable().openapi({ description: "Until when the token executes." }),
    replayed: z.boolean().openapi({ description: "True: the token had executed before, and this is its answer." }),
    [answer.name]: answer.schema.nullable(),
  });
  const written = (outcome: z.infer<typeof Outcome>, body: Body | null, more = {}) =>
    form.result({
      outcome,
      confirm_token: null,
      confirm_before: null,
      replayed: false,
      ...more,
      [answer.name]: body,
    });

  async function propose(args: Args, subject: Subject, isDryRun: boolean, call: Call) {
    const answer = await command.send(args, { dry_run: true, operation_data: viaModel(call) }, undefined, call);
    const { token, expiresAt } = writeToken(subject, command.seen(answer));
    if (call.canAsk && !isDryRun) return ask(command.question(args, answer.body), token);
    // a client that can ask its user does so, whatever the model says
    const offer = call.canAsk ? {} : { confirm_token: token, confirm_before: expiresAt };
    return written("DRY_RUN", answer.body, offer);
  }

  async function execute(args: Args, subject: Subject, token: string, call: Call) {
    const { mac, ...seen } = readToken(token, subject);
    const idempotency = idempotencyOf(subject, mac, call.requestId);
    const answer = await command.send(args, { seen, operation_data: viaModel(call) }, idempotency, call);
    return written("EXECUTED", answer.body, { replayed: answer.replayed ?? false });
  }

  return {
    name,
    title,
    description: `${description} Nothing is written at first: the answer shows what would happen.`,
    annotations: { readOnlyHint: false, destructiveHint: destructive, idempotentHint: true, openWorldHint: false },
    calls,
    cost: { class: "writes" },
    inputSchema: advertised(z.strictObject({ ...shape, ...confirmation }), "input"),
    outputSchema: form.advertised,
    call: async (raw, call): Promise<CallToolResult | InputRequiredResult> => {
      const { confirm_token, dry_run = false, ...rest } = parseArguments(z.looseObject(confirmation), raw);
      const args = parseArguments(contract, rest);
      const subject = { tool: name, args, caller: call.caller };
      // a call that says it shows writes nothing, whatever token or answer comes with it
      if (dry_run) return await propose(args, subject, true, call);
      if (call.answer === undefined) {
        return confirm_token === undefined
          ? await propose(args, subject, false, call)
          : await execute(args, subject, confirm_token, call);
      }
      if (call.answer.isConfirmed === undefined) return await propose(args, subject, false, call);
      if (call.answer.isConfirmed) return await execute(args, subject, call.answer.token, call);
      readToken(call.answer.token, subject);
      return written("DECLINED", null);
    },
  };
}

/** What events say about where they come from. */
const viaModel = ({ client }: Call) => ({ via: "mcp" as const, client });

function ask(message: string, requestState: string): InputRequiredResult {
  const question = inputRequired.elicit({
    message,
    requestedSchema: {
      type: "object",
      properties: { confirm: { type: "boolean", title: "Do it", description: "True: do it." } },
      required: ["confirm"],
    },
  });
  return inputRequired({ inputRequests: { [questionName]: question }, requestState });
}

const ElicitAnswer = z.object({ action: z.enum(["accept", "decline", "cancel"]), content: z.unknown().optional() });

/** Reads whether the user agreed: undefined when the client has not asked. */
export function readAgreement(response: unknown): boolean | undefined {
  const { data: answer } = ElicitAnswer.safeParse(response);
  if (answer === undefined || answer.action !== "accept") return answer && false;
  return Agreement.safeParse(answer.content).data?.confirm;
}
