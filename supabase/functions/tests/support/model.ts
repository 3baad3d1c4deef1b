/**
 * A language model's client: sends the messages of the protocol, and checks every answer of a tool against the contract
 * that the tool advertises.
 *
 * @module
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { z } from "zod";
import { tools } from "../../mcp/tools.ts";
import { assert, assertEquals } from "./assertions.ts";
import { type Client, type Credential, env, type JsonObject, type ProblemBody } from "./harness.ts";

export const currentRevision = "2026-07-28";
export const earlierRevision = "2025-11-25";

const prefix = "io.modelcontextprotocol/";

/** Result of a tool. */
export interface ToolResult<Content = JsonObject> {
  /** What the tool answered; undefined for a refusal and for a question. */
  content: Content | undefined;
  /** The refusal, with what blocks the action. */
  problem: (ProblemBody & { blocked_by: string | null }) | undefined;
  /** What the server wants the client to ask its user. */
  question: { message: string; state: string } | undefined;
  result: JsonObject;
}

/** Answer to a message. */
export interface RpcAnswer {
  status: number;
  headers: Headers;
  text: string;
  result?: JsonObject;
  error?: { code: number; message: string; data?: JsonObject };
}

export interface ModelOptions {
  /** Capabilities that the client declares with each message. */
  capabilities?: JsonObject;
  /** Name of the client. */
  name?: string;
  /** URL of the function. */
  url?: string;
  headers?: Record<string, string>;
}

/** A client of the revision of 2026-07-28 that a model uses. */
export class Model {
  readonly #credential: Credential;
  readonly #options: ModelOptions;
  #id = 0;

  constructor(credential: Client | Credential, options: ModelOptions = {}) {
    this.#credential = "credential" in credential ? credential.credential : credential;
    this.#options = options;
  }

  /** Sends a message. */
  async send(method: string, params: JsonObject = {}): Promise<RpcAnswer> {
    const { capabilities = {}, name = "test-model", url = `${env.functionsUrl}/mcp/v1`, headers = {} } = this.#options;
    const _meta = {
      [`${prefix}protocolVersion`]: currentRevision,
      [`${prefix}clientInfo`]: { name, version: "1.0.0" },
      [`${prefix}clientCapabilities`]: capabilities,
    };
    const response = await fetch(url, {
      method: "POST",
      headers: {
        ...this.credentialHeaders(),
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": currentRevision,
        "mcp-method": method,
        ...typeof params.name === "string" ? { "mcp-name": params.name } : {},
        ...headers,
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, params: { ...params, _meta } }),
    });
    const text = await response.text();
    const isRpc = response.headers.get("content-type")?.startsWith("application/json") && text.startsWith("{");
    const { result, error } = isRpc ? JSON.parse(text) : {};
    return { status: response.status, headers: response.headers, text, result, error };
  }

  /** Sends a message of the revision of 2025-11-25, which is answered by one event of a stream. */
  async sendEarlier(method: string, params: JsonObject = {}): Promise<{ status: number; text: string }> {
    const response = await fetch(this.#options.url ?? `${env.functionsUrl}/mcp/v1`, {
      method: "POST",
      headers: {
        ...this.credentialHeaders(),
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": earlierRevision,
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, params }),
    });
    return { status: response.status, text: await response.text() };
  }

  private credentialHeaders(): Record<string, string> {
    const { token, apikey } = this.#credential;
    return {
      ...token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...token === undefined && apikey !== undefined ? { apikey } : {},
    };
  }

  /** Calls a tool. */
  async call<Content = JsonObject>(name: string, args: object = {}, more: object = {}): Promise<ToolResult<Content>> {
    const answer = await this.send("tools/call", { name, arguments: { ...args }, ...more });
    assertEquals(answer.status, 200, answer.text);
    assert(answer.result !== undefined, answer.text);
    return resultOf(name, answer.result);
  }

  /** Calls a tool that must answer. */
  async ask<Content = JsonObject>(name: string, args: object = {}): Promise<Content> {
    const { content, result } = await this.call<Content>(name, args);
    assert(content !== undefined, JSON.stringify(result));
    return content;
  }

  /** Calls a tool that must refuse. */
  async refused(name: string, args: object = {}): Promise<ProblemBody & { blocked_by: string | null }> {
    const { problem, result } = await this.call(name, args);
    assert(problem !== undefined, JSON.stringify(result));
    return problem;
  }
}

/** Reads the result of a tool, and checks it against the tool's contract. */
export function resultOf<Content>(name: string, result: JsonObject): ToolResult<Content> {
  if (result.resultType === "input_required") {
    const { inputRequests, requestState } = Question.parse(result);
    const question = { message: inputRequests.confirm.params.message, state: requestState };
    return { content: undefined, problem: undefined, question, result };
  }
  const [block] = result.content as { type: string; text: string }[];
  assertEquals(block?.type, "text");
  const content: Content = JSON.parse(block?.text ?? "");
  if (result.isError === true) {
    return { content: undefined, problem: JSON.parse(block?.text ?? ""), question: undefined, result };
  }
  assertEquals<unknown>(content, result.structuredContent, "The text block has what structuredContent has");
  const validate = validatorOf(name);
  assert(validate(content), `${name}: ${JSON.stringify(validate.errors?.slice(0, 3))}`);
  return { content, problem: undefined, question: undefined, result };
}

const Question = z.object({
  inputRequests: z.object({
    confirm: z.object({ method: z.literal("elicitation/create"), params: z.object({ message: z.string() }) }),
  }),
  requestState: z.string(),
});

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
const validators = new Map<string, ValidateFunction>();

/** Returns the check of a tool's answers: no member may be missing, and none may be unknown. */
function validatorOf(name: string): ValidateFunction {
  const known = validators.get(name);
  if (known !== undefined) return known;
  const tool = tools.find((tool) => tool.name === name);
  const schema = tool?.outputSchema["~standard"].jsonSchema.output({ target: "draft-2020-12" });
  assert(schema !== undefined, `There is no tool ${name}`);
  const validator = ajv.compile(closed(schema) as object);
  validators.set(name, validator);
  return validator;
}

/** Returns a schema whose objects have no further members. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const members = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  return "properties" in schema && !("additionalProperties" in schema)
    ? { ...members, additionalProperties: false }
    : members;
}

/** Returns an answer of a tool as REST has it: without local times, and with what people wrote in its own place. */
export function asOverRest(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asOverRest);
  if (typeof value !== "object" || value === null) return value;
  if (Object.keys(value).join() === "untrusted") return Object.values(value)[0];
  return Object.fromEntries(
    Object.entries(value).filter(([name]) => !name.endsWith("_local") && name !== "local_time_zone")
      .map(([name, one]) => [name, asOverRest(one)]),
  );
}
