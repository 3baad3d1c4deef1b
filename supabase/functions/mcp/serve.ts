/**
 * The endpoint of the protocol: one JSON-RPC message in, one out. Nothing is kept between requests.
 *
 * @module
 */
import {
  type CallToolResult,
  createMcpHandler,
  type InputRequiredResult,
  INVALID_REQUEST,
  McpServer,
  PARSE_ERROR,
} from "@modelcontextprotocol/server";
import { z } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { bodyReader } from "../_shared/body.ts";
import type { ApiContext, Env } from "../_shared/endpoint.ts";
import { Problem, problemBody } from "../_shared/problems.ts";
import { callerOf, declareCost, limitFurther } from "../_shared/rate_limiting.ts";
import { insufficientScope } from "./authentication.ts";
import { instructionsFor, toolsFor } from "./caller.ts";
import { type Call, problemResult, type Tool } from "./tool.ts";
import { tools } from "./tools.ts";
import { questionName, readAgreement } from "./write_tool.ts";

const serverInfo = {
  name: "mes-operations-api",
  title: "MES Operations API",
  version: "1.0.0",
  description: "What a shop floor is to make, what runs, what stands still, and why.",
};

/** Methods whose answers depend on what the caller may do. */
const describing: ReadonlySet<string> = new Set(["initialize", "server/discover", "tools/list"]);

/** Time for which a client may keep the list of tools: access may change at any request. */
const listTtlMs = 60_000;

// a call costs what its tool declares, beside this
declareCost("POST", "/mcp/v1", { class: "reads" });

/** What is read of a message here; the protocol's library judges all of it. */
const Message = z.looseObject({
  method: z.string().optional().catch(undefined),
  params: z.looseObject({
    name: z.string().optional().catch(undefined),
    inputResponses: z.record(z.string(), z.unknown()).optional().catch(undefined),
    requestState: z.string().optional().catch(undefined),
    _meta: z.looseObject({
      "io.modelcontextprotocol/clientInfo": z.looseObject({ name: z.string() }).optional().catch(undefined),
      "io.modelcontextprotocol/clientCapabilities": z.looseObject({ elicitation: z.unknown() }).optional()
        .catch(undefined),
    }).optional().catch(undefined),
  }).optional().catch(undefined),
});
type Message = z.infer<typeof Message>;

/** Reads the body; one that is no JSON is an error of JSON-RPC. */
export const readMessage: MiddlewareHandler = async (c, next) => {
  try {
    await readJsonBody(c, next);
  } catch (error) {
    if (
      !(error instanceof Problem) || !["malformed_json", "malformed_request", "validation_failed"].includes(error.code)
    ) {
      throw error;
    }
    return rpcError(c, PARSE_ERROR, problemBody(error, c.get("requestId")).detail);
  }
};

const readJsonBody = bodyReader(["application/json"]);

const rpcError = (c: Context, code: number, message: string): Response =>
  c.json({ jsonrpc: "2.0", id: null, error: { code, message } }, 400);

/** Answers a message. */
export async function serve(c: ApiContext): Promise<Response> {
  const body: unknown = await c.req.json();
  const parsed = Message.safeParse(body);
  if (!parsed.success) return rpcError(c, INVALID_REQUEST, "The body is not one JSON-RPC message");
  const message = parsed.data;
  const tool = message.method === "tools/call" ? tools.find(({ name }) => name === message.params?.name) : undefined;
  const refused = tool?.cost && await limitFurther(c, tool.cost);
  if (refused) return refused;

  const visit = new Visit(c, message);
  const server = tool === undefined ? await visit.describe() : visit.offer([tool]);
  const handler = createMcpHandler(() => server, {
    responseMode: "auto",
    // nothing changes while nobody asks
    maxSubscriptions: 0,
  });
  const response = await handler.fetch(c.req.raw, { parsedBody: body });
  // the answer is complete before it is sent: what the tool has met may decide the status
  const text = await response.text();
  return visit.challenge() ??
    new Response(text === "" ? null : text, { status: response.status, headers: response.headers });
}

/** One message, and what its tool has met. */
class Visit {
  readonly #c: Context<Env>;
  readonly #message: Message;
  #problem: Problem | undefined;

  constructor(c: Context<Env>, message: Message) {
    this.#c = c;
    this.#message = message;
  }

  /** Returns the server as the caller sees it. */
  async describe(): Promise<McpServer> {
    if (!describing.has(this.#message.method ?? "")) return this.offer([]);
    const caller = await this.#c.var.rpc("describe_caller", {});
    const offered = toolsFor(caller, tools);
    return this.offer(offered, instructionsFor(caller, offered));
  }

  /** Returns a server with these tools. */
  offer(offered: readonly Tool[], instructions?: string): McpServer {
    const server = new McpServer(serverInfo, {
      capabilities: { tools: { listChanged: false } },
      instructions,
      cacheHints: { "tools/list": { ttlMs: listTtlMs, cacheScope: "private" } },
    });
    for (const tool of offered) {
      const { name, title, description, annotations, inputSchema, outputSchema } = tool;
      server.registerTool(
        name,
        { title, description, annotations, inputSchema, outputSchema },
        (args) => this.#call(tool, args),
      );
    }
    return server;
  }

  /** Returns the answer in place of that of the protocol: an invalid credential, or one that does not suffice. */
  challenge(): Response | undefined {
    const problem = this.#problem;
    if (problem?.code === "unauthenticated") throw problem;
    const { required_scope, required_scopes } = problem?.more ?? {};
    const scopes = [required_scope, ...Array.isArray(required_scopes) ? required_scopes : []]
      .filter((scope): scope is string => typeof scope === "string");
    if (problem?.code !== "forbidden" || scopes.length === 0) return undefined;
    return insufficientScope(this.#c.req.raw, problem.detail, scopes);
  }

  async #call(tool: Tool, args: unknown): Promise<CallToolResult | InputRequiredResult> {
    try {
      return await tool.call(args, this.#callOf());
    } catch (error) {
      if (!(error instanceof Problem)) {
        console.error(JSON.stringify({ id: this.#c.get("requestId"), error: String(error) }));
      }
      const problem = error instanceof Problem ? error : new Problem("internal_error", "The server could not answer");
      this.#problem = problem;
      return problemResult(problem, this.#c.get("requestId"));
    }
  }

  #callOf(): Call {
    const { rpc, session, requestId } = this.#c.var;
    const { inputResponses, requestState, _meta } = this.#message.params ?? {};
    const acting = this.#c.req.header("X-Acting-For") ?? "";
    return {
      rpc,
      requestId,
      caller: `${callerOf(session)} ${acting}`,
      client: storable(_meta?.["io.modelcontextprotocol/clientInfo"]?.name ?? session.client_id ?? this.#userAgent()),
      canAsk: isObject(_meta?.["io.modelcontextprotocol/clientCapabilities"]?.elicitation),
      ...requestState === undefined ? {} : {
        answer: { token: requestState, isConfirmed: readAgreement(inputResponses?.[questionName]) },
      },
    };
  }

  /** A client of the revision of 2025 says its name when it connects only, and nothing is kept of that. */
  #userAgent(): string | undefined {
    return this.#c.req.header("User-Agent")?.split(/[\s/]/, 1)[0] || undefined;
  }
}

/** Returns the beginning of a name; a pair of code units that it parts is no text. */
const storable = (name: string | undefined): string | null => name?.slice(0, 100).toWellFormed() || null;

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
