/**
 * Who a language model acts for: a user who let its client act for them, or an API key.
 *
 * @module
 */
import { bearerAuthChallengeResponse, OAuthError, OAuthErrorCode } from "@modelcontextprotocol/server";
import { createMiddleware } from "hono/factory";
import { authenticate, type Authenticated } from "../_shared/auth.ts";
import { Problem } from "../_shared/problems.ts";
import { publicOrigin } from "./origins.ts";

/** OAuth clients by the secret MCP_CLIENT_IDS; undefined without it: any client that a user has let in. */
const allowedClients = Deno.env.get("MCP_CLIENT_IDS")?.split(",").map((id) => id.trim()).filter((id) => id !== "");

/** URL of the function as clients call it, which is the resource of its metadata. */
export const resourceUrl = (request: Request): string => `${publicOrigin(request)}/functions/v1/mcp/v1`;

/** Returns the answer to a credential that is valid and does not suffice (RFC 6750). */
export function insufficientScope(request: Request, description: string, scopes: string[] = []): Response {
  return bearerAuthChallengeResponse(
    // the header takes printable ASCII without quotes and backslashes
    new OAuthError(OAuthErrorCode.InsufficientScope, description.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'")),
    { requiredScopes: scopes, resourceMetadataUrl: `${resourceUrl(request)}/oauth-protected-resource` },
  );
}

/**
 * Accepts a user's access token or an API key. The secret key is nobody's: what a model does is always done by somebody.
 *
 * @throws {Problem} `unauthenticated`, `forbidden`, `unavailable`
 */
export const authenticateModel = createMiddleware<{ Variables: Authenticated }>(async (c, next) => {
  let refusal: Response | undefined;
  await authenticate(c, async () => {
    const { user_id, client_id, api_key } = c.get("session");
    if (user_id === null) {
      throw new Problem("forbidden", "A language model acts for a user or an API key, not with the secret key");
    }
    if (allowedClients !== undefined && api_key === undefined && !allowedClients.includes(client_id ?? "")) {
      refusal = insufficientScope(c.req.raw, "This client is not one that the plant has approved");
      return;
    }
    // models have limits of their own, so that they never use up those of the person
    c.set("rateCaller", `model:${user_id}`);
    await next();
  });
  return refusal;
});
