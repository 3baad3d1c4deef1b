/** MCP: what a language model may ask and do on the shop floor, by the rules that hold for its user or its API key. */
import { withOAuthProtectedResource } from "@supabase/server";
import { createApp } from "../_shared/app.ts";
import { authenticateModel, resourceUrl } from "./authentication.ts";
import { isAllowedOrigin, originCheck } from "./origins.ts";
import { readMessage, serve } from "./serve.ts";

export const app = createApp("mcp", {
  authentication: authenticateModel,
  beforeRouting: [["*", originCheck]],
  cors: {
    origin: (origin) => isAllowedOrigin(origin, "") ? origin : null,
    acceptedHeaders: ["mcp-protocol-version", "mcp-method", "mcp-name"],
    exposedHeaders: ["WWW-Authenticate"],
  },
});
app.post("/mcp/v1", readMessage, serve);

/** Leaves the challenge to the metadata, which tells a client where to get a token. */
async function fetchApp(request: Request): Promise<Response> {
  const response = await app.fetch(request);
  if (response.status === 401) response.headers.delete("WWW-Authenticate");
  return response;
}

export default { fetch: withOAuthProtectedResource({ resourceServer: resourceUrl }, fetchApp) };
