/**
 * A person at a shared terminal, as other resources name them.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";

/** Id of a person. */
export const personId = (description: string) =>
  z.guid().openapi({ description, example: "c2a9d1e4-6b57-4f38-9a0d-7e1f5b3c8d24" });

export const NamedPerson = z.object({
  id: personId("Id of the person."),
  display_name: z.string().nullable().openapi({
    description: "Name of the person; null once they are pseudonymised.",
    example: "Anna",
  }),
}).openapi("NamedPerson", { description: "A person who acted at a shared terminal." });
