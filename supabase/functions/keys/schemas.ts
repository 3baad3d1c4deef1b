/**
 * API keys: credentials of machines and integrations.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Page } from "../_shared/database.ts";
import { instant, instantOut, key, patchOf, text, userId, versionFields } from "../_shared/fields.ts";
import { listQuery } from "../_shared/lists.ts";
import { Scope } from "../_shared/scopes.ts";

declare module "../_shared/database.ts" {
  interface Answers {
    list_api_keys: Page<Key>;
    get_api_key: Key;
    create_api_key: Key;
    update_api_key: Key;
    rotate_api_key: Key;
    revoke_api_key: undefined;
  }
}

const KeyRole = z.enum(["readonly", "machine", "operator", "supervisor", "manager"]).openapi("KeyRole", {
  description: "Role of the key, which decides its rights like that of a user. A key is never an admin.",
  example: "machine",
});

const KeyStatus = z.enum(["active", "expired", "revoked"]).openapi("KeyStatus", {
  description: "`active`: the key can be used. `expired` and `revoked`: it cannot.",
  example: "active",
});

/** Id of a key. */
const keyId = (description: string) =>
  z.guid().openapi({ description, example: "9b2c4d1e-6f70-4a85-b3c9-0d1e2f3a4b5c" });

const name = z.string().min(1).pipe(text(200)).openapi({
  minLength: 1,
  maxLength: 200,
  description: "Name of the machine or integration. Events of the key show it.",
  example: "Gateway hall 2",
});

const workplace_access = z.array(key()).max(1000).openapi({
  description: "Names of the workplaces that the key has access to; `*` = all.",
  example: ["TruLaser 5060 (L76)"],
});

const scopes = z.array(Scope).min(1).max(20).openapi({
  description: "What the key may do, within the rights of its role.",
  example: ["events:report", "operations:read"],
});

const expires_at = instant().nullable().openapi({
  description: "When the key ends; null = never.",
  example: "2027-11-23T00:00:00Z",
});

const allowed_cidrs = z.array(
  z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], {
    error: "must be an address or a network, such as 203.0.113.0/24 or 2001:db8::/32",
  }).openapi({ type: "string", example: "203.0.113.0/24" }),
).min(1).max(50).nullable().openapi({
  description: "Networks that the key may be used from; null = all.",
  example: ["203.0.113.0/24"],
});

export const Key = z.object({
  id: keyId("Id of the key. Events of the key name it."),
  name,
  role: KeyRole,
  workplace_access,
  scopes,
  status: KeyStatus,
  expires_at: instantOut().nullable().openapi({
    description: "When the key ends; null = never.",
    example: "2027-11-23T00:00:00.000Z",
  }),
  allowed_cidrs: z.array(z.string()).nullable().openapi({
    description: "Networks that the key may be used from; null = all.",
    example: ["203.0.113.0/24"],
  }),
  previous_secret_until: instantOut().nullable().openapi({
    description: "Until when a secret from before a rotation is valid, too; null when there is none.",
    example: null,
  }),
  last_used_at: instantOut().nullable().openapi({
    description: "When the key was last used, to about a minute; null = never.",
    example: "2026-11-23T08:15:00.000Z",
  }),
  revoked_at: instantOut().nullable().openapi({ description: "When the key was revoked.", example: null }),
  created_by: userId("Admin who created the key; null once they are deleted.").nullable(),
  ...versionFields,
}).openapi("Key", { description: "A credential of a machine or an integration, without its secret." });

export type Key = z.infer<typeof Key>;

export const KeyWithSecret = Key.extend({
  key: z.string().openapi({
    description:
      "The key itself: `mes_`, its id, `_`, a secret of 256 bits and a checksum. Only this answer shows it: store it.",
    example: "mes_9b2c4d1e6f704a85b3c90d1e2f3a4b5c_<49 characters of base 62>",
  }),
}).openapi("KeyWithSecret", { description: "A key with its new secret." });

export const KeyCreate = z.strictObject({
  name,
  role: KeyRole,
  workplace_access: workplace_access.optional(),
  scopes,
  expires_at: expires_at.optional(),
  allowed_cidrs: allowed_cidrs.optional(),
}).openapi("KeyCreate", {
  description: "A new key. By default it has no workplace, never ends, and may be used from everywhere.",
  example: {
    name: "Gateway hall 2",
    role: "machine",
    workplace_access: ["TruLaser 5060 (L76)"],
    scopes: ["events:report", "operations:read"],
  },
});

export const KeyUpdate = patchOf({ name, role: KeyRole, workplace_access, scopes, expires_at, allowed_cidrs })
  .openapi("KeyUpdate", {
    description: "New values of the key.",
    minProperties: 1,
    example: { scopes: ["operations:read"] },
  });

export const KeyRotation = z.strictObject({
  overlap_h: z.int().min(0).max(168).default(24).openapi({
    description: "Hours for which the current secret stays valid. 0 ends all earlier secrets now.",
    example: 24,
  }),
}).openapi("KeyRotation", { description: "Rotation of the secret.", example: { overlap_h: 24 } });

export const KeyPath = z.object({ key_id: keyId("Id of the key.") });

export const KeyQuery = z.strictObject({
  status: KeyStatus.openapi({ description: "Status of the keys to list; all by default.", example: "active" }),
}).partial().extend(listQuery);
