/**
 * People at shared terminals: who they are, and who is signed in.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ItemAnswer } from "../_shared/batch.ts";
import type { Answer, Page } from "../_shared/database.ts";
import { DowntimeAction } from "../_shared/downtime.ts";
import { instantOut, key, patchOf, text, userId, versionFields } from "../_shared/fields.ts";
import { flag, listQuery, prefix } from "../_shared/lists.ts";
import { Action } from "../_shared/operation.ts";
import { personId } from "../_shared/person.ts";
import { Role } from "../_shared/role.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    get_person: Person;
    list_people: Page<Person>;
    create_person: Answer<Person>;
    update_person: Answer<Person>;
    delete_person: undefined;
    pseudonymise_person: PseudonymisedPerson;
    sign_in_person: SignInAnswer;
    sign_out_person: undefined;
    get_acting_person: ActingPerson;
  }
}

/** The session of a sign-in, or the problem of one that failed: an error would undo the record of the failure. */
type SignInAnswer =
  | { body: Omit<ActingSession, "token">; problem?: undefined }
  | { problem: NonNullable<ItemAnswer["problem"]> };

const id = personId("Id of the person.");

// messages that do not begin with "must" do not quote the value
const notText = "needs a text";

// without \p, which not every implementation of JSON Schema supports
const badgePattern = new RegExp(String.raw`^[^\u0000-\u001f\u007f-\u009f]{1,128}$`);

const badgeCode = () =>
  z.string(notText)
    .regex(badgePattern, "needs 1 to 128 characters without control characters")
    .openapi({
      minLength: 1,
      maxLength: 128,
      description: "Code that the reader reads from the badge, 1 to 128 characters. No answer ever contains it.",
      example: "04A2B91C6F5E80",
    });

const pin = () =>
  z.string(notText).regex(/^[0-9]{4,12}$/, "needs 4 to 12 digits").openapi({
    description: "PIN of 4 to 12 digits, as a string. No answer ever contains it.",
    example: "270519",
  });

const personNo = () => key().openapi({ description: "Number of the person in the plant.", example: "4711" });

const visibleFields = {
  display_name: z.string().min(1).pipe(text(200)).openapi({
    minLength: 1,
    maxLength: 200,
    description: "Name that terminals show, at most 200 characters.",
    example: "Anna",
  }),
  person_no: personNo().nullable(),
  workplace_access: z.array(key()).max(1000).openapi({
    description:
      "Names of the workplaces where the person works; `*` = all. They bound what a terminal may do for this person.",
    example: ["TruLaser 5060 (L76)"],
  }),
  active: z.boolean().openapi({
    description: "False: the person cannot sign in, and is signed out everywhere.",
    example: true,
  }),
  profile_id: userId("Profile of the same person as a user, if they are one.").nullable(),
};

const secretFields = { badge_code: badgeCode().nullable(), pin: pin().nullable() };

export const Person = z.object({
  id,
  ...visibleFields,
  display_name: z.string().nullable().openapi({
    description: "Name that terminals show; null once the person is pseudonymised.",
    example: "Anna",
  }),
  has_badge: z.boolean().openapi({ description: "True when the person has a badge.", example: true }),
  has_pin: z.boolean().openapi({ description: "True when the person has a PIN.", example: true }),
  pseudonymised_at: instantOut().nullable().openapi({
    description: "When the person was pseudonymised; null for all others.",
    example: null,
  }),
  ...versionFields,
}).openapi("Person", { description: "A person who works at shared terminals." });

export type Person = z.infer<typeof Person>;

export const PersonKey = z.object({ person_id: id });

export const PersonQuery = z.strictObject({
  q: prefix("Prefix of the name or of the number, in any case.", "anna"),
  workplace_name: key().optional().openapi({
    description: "Workplace where the people work.",
    example: "TruLaser 5060 (L76)",
  }),
  active: flag.optional().openapi({ description: "True: active people only. False: all others only.", example: true }),
  ...listQuery,
});

export const PersonCreate = z.strictObject({
  ...z.object({ ...visibleFields, ...secretFields }).partial().shape,
  display_name: visibleFields.display_name,
}).openapi("PersonCreate", {
  description: "A new person, by default active and without badge, PIN and workplaces.",
  example: {
    display_name: "Anna",
    person_no: "4711",
    badge_code: "04A2B91C6F5E80",
    pin: "270519",
    workplace_access: ["TruLaser 5060 (L76)"],
  },
});

export const PersonUpdate = patchOf({ ...visibleFields, ...secretFields }).openapi("PersonUpdate", {
  description: "New values. A new badge or PIN, or `active` false, signs the person out at all terminals.",
  minProperties: 1,
  example: { pin: "839104" },
});

export const PseudonymisedPerson = z.object({
  id: id.openapi({ description: "Id that events keep. It no longer identifies a person." }),
  pseudonymised_at: instantOut().openapi({
    description: "When the person was pseudonymised.",
    example: "2026-11-24T15:00:01.000Z",
  }),
  events: z.int().min(0).openapi({
    description: "Number of events of this person, which no longer have a name.",
    example: 4711,
  }),
  stored_answers: z.int().min(0).openapi({
    description: "Number of stored answers of Idempotency-Keys from which the name was removed.",
    example: 12,
  }),
}).openapi("PseudonymisedPerson", { description: "Record of a pseudonymised person." });

export type PseudonymisedPerson = z.infer<typeof PseudonymisedPerson>;

/** What the database tells of a session. */
const sessionFields = {
  person: z.object({
    id,
    display_name: z.string().openapi({ description: "Name of the person.", example: "Anna" }),
    person_no: personNo().nullable(),
  }).openapi("SignedInPerson", { description: "The person who acts." }),
  terminal: z.object({
    id: userId("Id of the terminal: of its API key, or of its user."),
    name: z.string().nullable().openapi({ description: "Name of the terminal.", example: "Tablet hall 2" }),
  }).openapi("Terminal", { description: "The terminal where the person is signed in." }),
  role: Role.openapi({ description: "Role of the terminal, which decides the rights.", example: "machine" }),
  workplace_access: z.array(z.string()).openapi({
    description: "Names of the workplaces that both the terminal and the person have access to; `*` = all.",
    example: ["TruLaser 5060 (L76)"],
  }),
  signed_in_at: instantOut().openapi({
    description: "When the person signed in.",
    example: "2026-11-23T06:00:00.000Z",
  }),
  expires_at: instantOut().openapi({
    description:
      "When the acting token expires unless it is used before: 30 minutes after the last report, other change or `GET /people/v1/me`.",
    example: "2026-11-23T06:30:00.000Z",
  }),
};

export const SignIn = z.strictObject({
  badge_code: badgeCode().optional(),
  person_no: personNo().optional(),
  pin: pin().optional(),
}).refine(({ badge_code, person_no }) => (badge_code === undefined) !== (person_no === undefined), {
  error: "needs either badge_code or person_no",
  when: ({ issues }) => issues.length === 0,
}).refine(({ badge_code, pin }) => badge_code !== undefined || pin !== undefined, {
  error: "is needed with person_no",
  path: ["pin"],
  when: ({ issues }) => issues.length === 0,
}).openapi("SignIn", {
  description: "Badge or number, and the PIN. A person without a PIN signs in by badge alone.",
  example: { badge_code: "04A2B91C6F5E80", pin: "270519" },
});

export const ActingSession = z.object({
  token: z.string().openapi({
    description: "Acting token, for the header `X-Acting-For` of this terminal's requests. Shown only once.",
    example: "act_3q2-7wTTe0mNfHk1cF6bq1mZc9aS8dXoVn5RyQJ4uLk",
  }),
  ...sessionFields,
}).openapi("ActingSession", { description: "A person who has signed in at a terminal." });

export type ActingSession = z.infer<typeof ActingSession>;

export const ActingPerson = z.object({
  ...sessionFields,
  actions: z.array(Action).openapi({
    description: "Actions that the role and the scopes of the terminal allow. Each operation says more.",
    example: ["START", "STOP", "REPORT_QUANTITY", "COMPLETE", "FINISH", "REVERSE"],
  }),
  downtime_actions: z.array(DowntimeAction).openapi({
    description: "Commands on downtimes that the role and the scopes of the terminal allow.",
    example: DowntimeAction.options,
  }),
}).openapi("ActingPerson", { description: "Who acts at which terminal, and what they may do." });

export type ActingPerson = z.infer<typeof ActingPerson>;
