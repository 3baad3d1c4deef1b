/**
 * Profiles: the role and the workplaces of each user.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { Constants } from "../_shared/database.types.ts";
import { instantOut, key, patchOf, text, userId, versionFields } from "../_shared/fields.ts";
import { listQuery, prefix } from "../_shared/lists.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_profile: Profile;
    get_own_profile: Profile;
    list_profiles: Page<Profile>;
    create_profile: Answer<Profile>;
    update_profile: Answer<Profile>;
    delete_profile: undefined;
    forget_profile: ForgottenPerson;
  }
}

const Role = z.enum(Constants.public.Enums.role).openapi("Role", {
  description: "Role of the user, which decides the rights; see the table of roles in the README.",
  example: "operator",
});

const fields = {
  email: text(320).nullable().openapi({
    description: "E-mail address, at most 320 characters.",
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
    description: "Names of the workplaces that the user has access to; `*` = all.",
    example: ["TruLaser 5060 (L76)"],
  }),
};

const id = userId("Id of the user in Supabase Auth.");

export const Profile = z.object({
  id,
  ...fields,
  ...versionFields,
}).openapi("Profile", { description: "Role and workplaces of a user." });

export type Profile = z.infer<typeof Profile>;

export const ForgottenPerson = z.object({
  id: id.openapi({ description: "Id that events and runs keep. It no longer identifies a person." }),
  forgotten_at: instantOut().openapi({
    description: "When the person was forgotten.",
    example: "2026-11-24T15:00:01.000Z",
  }),
  events: z.int().min(0).openapi({
    description: "Number of events of this user, which no longer have the e-mail address.",
    example: 4711,
  }),
  runs: z.int().min(0).openapi({
    description: "Number of runs of this user, which no longer have the e-mail address.",
    example: 812,
  }),
  stored_answers: z.int().min(0).openapi({
    description: "Number of stored answers of Idempotency-Keys that were deleted or changed.",
    example: 12,
  }),
}).openapi("ForgottenPerson", { description: "Record of a forgotten person." });

export type ForgottenPerson = z.infer<typeof ForgottenPerson>;

export const ProfileQuery = z.strictObject({
  q: prefix("Prefix of the e-mail address or of the name, in any case.", "anna"),
  ...listQuery,
});

export const ProfileKey = z.object({ profile_id: id });

export const ProfileCreate = z.strictObject({ id, ...z.object(fields).partial().shape }).openapi("ProfileCreate", {
  description: "The profile of a user who has none. Sign-up creates a profile, so this is for deleted profiles.",
  example: { id: "5d1f8a2e-7c44-4f0b-8b1e-2f9d3a6c7e01", role: "operator", workplace_access: ["Trommelen-1"] },
});

export const ProfileUpdate = patchOf(fields)
  .openapi("ProfileUpdate", {
    description: "New values. Admins change all fields, managers workplace_access, every user their own full_name.",
    minProperties: 1,
    example: { workplace_access: ["Trommelen-1"] },
  });
