/**
 * The form of API keys: `mes_<id>_<secret><checksum>`. The id is the key's UUID without dashes, the secret has 43
 * characters of base 62 (256 bits), and the checksum is the CRC-32 of all before it, in 6 characters of base 62. Secret
 * scanners recognize the form, and a mistyped key costs no call of the database.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

/** An API key as a request sends it. */
export interface ApiKey {
  id: string;
  /** SHA-256 of the secret in hex, by which the database recognizes it. */
  digest: string;
}

const form = /^mes_([0-9a-f]{32})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

/** Finds what looks like an API key in a longer text. */
const somewhere = /mes_[0-9a-f]{32}_[0-9A-Za-z]{43}/i;

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Returns the credentials in the headers of a request that are meant to be API keys. */
export function apiKeysIn(headers: Headers): string[] {
  return [bearerOf(headers), headers.get("apikey")].flatMap((text) => text?.startsWith("mes_") ? [text] : []);
}

/** Returns the token of the Authorization header; undefined when there is none. */
export function bearerOf(headers: Headers): string | undefined {
  return /^Bearer\s+(\S+)$/i.exec(headers.get("Authorization") ?? "")?.[1];
}

/** Returns whether a URL contains an API key, escaped or not. */
export function hasApiKey(url: string): boolean {
  if (!url.includes("%")) return url.includes("mes_") && somewhere.test(url);
  // an escape that is invalid stays as it is
  return somewhere.test(url.replace(/%[0-7][0-9a-f]/gi, (escape) => decodeURIComponent(escape)));
}

/** Reads an API key. Returns undefined for a text of another form or with a wrong checksum. */
export function parseApiKey(credential: string): ApiKey | undefined {
  const [, hex, secret, checksum] = form.exec(credential) ?? [];
  if (hex === undefined || secret === undefined || checksum !== checksumOf(`mes_${hex}_${secret}`)) return undefined;
  return { id: uuidOf(hex), digest: digestOf(secret) };
}

/** Makes a secret for the key of this id. The text of the key exists here only; the database gets the digest. */
export function newApiKey(id: string): { key: string; digest: string } {
  const secret = base62(BigInt(`0x${randomBytes(32).toString("hex")}`), 43);
  const start = `mes_${id.replaceAll("-", "")}_${secret}`;
  return { key: start + checksumOf(start), digest: digestOf(secret) };
}

const digestOf = (secret: string) => createHash("sha256").update(secret).digest("hex");

const uuidOf = (hex: string) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

const checksumOf = (start: string) => base62(BigInt(crc32(start) >>> 0), 6);

function base62(value: bigint, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest /= 62n) text = alphabet.charAt(Number(rest % 62n)) + text;
  return text;
}
