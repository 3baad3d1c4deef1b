/**
 * Profiles: the role and the workplaces of each user.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Answer, Page } from "../_shared/database.ts";
import { Constants } from "../_shared/database.types.ts";
import { DowntimeAction } from "../_shared/downtime.ts";
import { instantOut, key, patchOf, text, userId, versionFields } from "../_shared/fields.ts";
import { listQuery, prefix } from "../_shared/lists.ts";
import { Action } from "../_shared/operation.ts";
import { NamedPerson } from "../_shared/person.ts";
import { Role } from "../_shared/role.ts";
import { Scope } from "../_shared/scopes.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_profile: Profile;
    get_own_profile: OwnProfile;
    list_profiles: Page<Profile>;
    create_profile: Answer<Profile>;
    update_profile: Answer<Profile>;
    delete_profile: undefined;
    forget_profile: ForgottenPerson;
  }
}

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

const id = userId("Id of the user in Supabase Auth, or of the API key.");

const ProfileKind = z.enum(Constants.public.Enums.profile_kind).openapi("ProfileKind", {
  description: "`person`: a user who signs in. `integration`: an API key, which admins change at `/keys/v1`.",
  example: "person",
});

export const Profile = z.object({
  id,
  kind: ProfileKind,
  ...fields,
  ...versionFields,
}).openapi("Profile", { description: "Role and workplaces of a user or of an API key." });

export type Profile = z.infer<typeof Profile>;

export const OwnProfile = Profile.extend({
  scopes: z.array(Scope).nullable().openapi({
    description: "What an API key may do, within the rights of its role; null for users, who have no such bound.",
    example: null,
  }),
  person: z.union([NamedPerson, z.null()]).openapi({
    description: "Person who acts at this terminal (`X-Acting-For`); null when nobody does.",
  }),
  may: z.object({
    workplace_access: z.array(z.string()).openapi({
      description: "Names of the workplaces that the caller has access to, within those of the person; `*` = all.",
      example: ["TruLaser 5060 (L76)"],
    }),
    actions: z.array(Action).openapi({
      description: "Actions that role and scopes allow. Each operation says more.",
      example: ["START", "STOP", "REPORT_QUANTITY", "COMPLETE", "FINISH", "REVERSE"],
    }),
    downtime_actions: z.array(DowntimeAction).openapi({
      description: "Commands on downtimes that role and scopes allow.",
      example: DowntimeAction.options,
    }),
    machine_states: z.boolean().openapi({
      description: "True: the caller may report the states of machines.",
      example: true,
    }),
  }).openapi("Rights", { description: "What the caller may do in this request." }),
}).openapi("OwnProfile", { description: "Profile of the caller." });

export type OwnProfile = z.infer<typeof OwnProfile>;

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
