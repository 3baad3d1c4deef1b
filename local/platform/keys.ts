import { encodeBase64Url } from "@std/encoding/base64url.js";

/** Everything secret that one data folder has; made at its first start, never committed. */
export interface StackKeys {
  /** Signs user access tokens (HS256). */
  jwtSecret: string;
  /** `apikey` of browsers and apps. */
  publishableKey: string;
  /** `apikey` of servers: all rights. */
  secretKey: string;
  /** Password of the database roles. */
  databasePassword: string;
  /** Password of all demo users. */
  demoPassword: string;
}

/** Name of the signing key in token headers and in the key set that functions get. */
export const signingKeyId = "local";

function random(bytes: number): string {
  return encodeBase64Url(crypto.getRandomValues(new Uint8Array(bytes)));
}

/** New random keys. The prefixes are the ones by which Supabase's libraries tell the kinds apart. */
export function generateKeys(): StackKeys {
  const letters = () => random(24).replaceAll(/[-_]/g, "x");
  return {
    jwtSecret: random(48),
    publishableKey: `sb_publishable_${letters()}`,
    secretKey: `sb_secret_${letters()}`,
    databasePassword: letters(),
    demoPassword: letters().slice(0, 20),
  };
}

function isKeys(value: unknown): value is StackKeys {
  if (typeof value !== "object" || value === null) return false;
  const names: (keyof StackKeys)[] = ["jwtSecret", "publishableKey", "secretKey", "databasePassword", "demoPassword"];
  return names.every((name) => typeof Reflect.get(value, name) === "string");
}

/** The keys kept in `file`; made and written (readable by the owner only) when there are none yet. */
export async function loadKeys(file: string): Promise<StackKeys> {
  try {
    const stored: unknown = JSON.parse(await Deno.readTextFile(file));
    if (isKeys(stored)) return stored;
    throw new Error(`${file} does not hold the stack's keys`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const keys = generateKeys();
  await Deno.writeTextFile(file, JSON.stringify(keys, null, 2) + "\n", { mode: 0o600, createNew: true });
  return keys;
}

/** The key set that functions verify tokens with, as the environment variable `SUPABASE_JWKS` carries it. */
export function keySet(jwtSecret: string): string {
  const k = encodeBase64Url(new TextEncoder().encode(jwtSecret));
  return JSON.stringify({ keys: [{ kty: "oct", kid: signingKeyId, alg: "HS256", k }] });
}
