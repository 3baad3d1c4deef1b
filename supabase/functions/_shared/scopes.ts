/**
 * Scopes of API keys. The database judges them: `app.function_scopes` and `app.actions`.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "./database.types.ts";

/** Schema of a scope. */
export const Scope = z.enum(Constants.public.Enums.scope).openapi("Scope", {
  description: "What an API key may do, within the rights of its role. See docs/keys.md.",
  example: "events:report",
});
