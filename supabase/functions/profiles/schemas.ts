/**
 * Profiles: who may do what, where.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { instantOut, key, text } from "../_shared/fields.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_profile: Profile;
    list_profiles: Page<Profile>;
    create_profile: Answer<Profile>;
    update_profile: Answer<Profile>;
    delete_profile: undefined;
    forget_profile: ForgottenPerson;
  }
}

const Role = z.enum(["readonly", "machine", "operator", "supervisor", "manager", "admin"]).openapi("Role", {
  description: "What the user may do; see the table of roles in the README.",
  example: "operator",
});

const fields = {
  email: text(320).nullable().openapi({
    description: "Address, at most 320 characters.",
    example: "operator@example.com",
  }),
  full_name: z.string().min(1).pipe(text(200)).nullable().openapi({
    type: ["string", "null"],
    minLength: 1,
    maxLength: 200,
    description: "Name, at most 200 characters.",
    example: "Anna de Vries",
  }),
  role: Role,
  workplace_access: z.array(key()).max(1000).openapi({
    description: "Names of the workplaces they work at; `*` = all.",
    example: ["TruLaser 5060 (L76)"],
  }),
};

const id = z.guid().openapi({
  description: "Id of the user in Supabase Auth.",
  example: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01",
});

export const Profile = z.object({
  id,
  ...fields,
  version: z.int().min(1).openapi({ description: "Number of the last change; the ETag.", example: 1 }),
  created_at: instantOut().openapi({ description: "When it was made.", example: "2026-11-22T15:00:01.000Z" }),
  updated_at: instantOut().openapi({ description: "When it last changed.", example: "2026-11-22T15:00:01.000Z" }),
}).openapi("Profile", { description: "Role and workplaces of a user." });

export type Profile = z.infer<typeof Profile>;

export const ForgottenPerson = z.object({
  id: id.openapi({ description: "Id that events and runs keep. It leads to nobody any more." }),
  forgotten_at: instantOut().openapi({ description: "When it was done.", example: "2026-11-24T15:00:01.000Z" }),
  events: z.int().min(0).openapi({
    description: "Events of this user, which have no address any more.",
    example: 4711,
  }),
  runs: z.int().min(0).openapi({ description: "Runs of this user, likewise.", example: 812 }),
  stored_answers: z.int().min(0).openapi({
    description: "Answers kept for Idempotency-Keys that were deleted or changed.",
    example: 12,
  }),
}).openapi("ForgottenPerson", { description: "The record of a person who was forgotten." });

export type ForgottenPerson = z.infer<typeof ForgottenPerson>;

export const ProfileKey = z.object({ profile_id: id });

export const ProfileCreate = z.strictObject({ id, ...z.object(fields).partial().shape }).openapi("ProfileCreate", {
  description: "The profile of a user who has none: sign-up makes one, so this is for profiles that were deleted.",
  example: { id: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01", role: "operator", workplace_access: ["Trommelen-1"] },
});

export const ProfileUpdate = z.strictObject(fields).partial()
  .refine((patch) => Object.keys(patch).length > 0, {
    error: "must have at least one field",
    when: ({ issues }) => issues.length === 0,
  })
  .openapi("ProfileUpdate", {
    description: "Admins change everything, managers workplace_access, everybody their own full_name.",
    minProperties: 1,
    example: { workplace_access: ["Trommelen-1"] },
  });
