/** People: who works at shared terminals, and who is signed in there. */
import { createApp } from "../_shared/app.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { getActing } from "./get-acting.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { pseudonymise } from "./pseudonymise.ts";
import { signIn } from "./sign-in.ts";
import { signOut } from "./sign-out.ts";
import { update } from "./update.ts";

export const app = createApp("people").openapiRoutes(
  [signIn, getActing, signOut, list, create, get, update, remove, pseudonymise] as const,
);

export default { fetch: app.fetch };
