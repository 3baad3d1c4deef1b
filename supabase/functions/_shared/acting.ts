/**
 * The person who acts at a shared terminal: the header X-Acting-For.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { Problem } from "./problems.ts";

/** Request header of what a person does at a terminal. */
export const actingHeader = z.object({
  "x-acting-for": z.string().optional().openapi({
    description:
      "Acting token of the person who is signed in at this terminal, from `POST /people/v1/sign-in`. Every endpoint with a " +
      "credential takes it, except streams.",
    example: "act_3q2-7wTTe0mNfHk1cF6bq1mZc9aS8dXoVn5RyQJ4uLk",
  }),
});

/**
 * Reads the acting token of a request; undefined without the header. The database verifies it.
 *
 * @throws {Problem} `unauthenticated` when it has not the form of one.
 */
export function readActingToken(c: Context): string | undefined {
  const header = c.req.header("X-Acting-For");
  if (header !== undefined && !/^act_[\w-]{43}$/.test(header)) {
    throw new Problem("unauthenticated", "X-Acting-For is not an acting token of POST /people/v1/sign-in", {
      credential: "X-Acting-For",
    });
  }
  return header;
}
