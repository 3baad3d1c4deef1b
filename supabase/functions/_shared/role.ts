/**
 * The roles of users and API keys.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { Constants } from "./database.types.ts";

export const Role = z.enum(Constants.public.Enums.role).openapi("Role", {
  description: "Role of the user, which decides the rights; see the table of roles in the README.",
  example: "operator",
});
