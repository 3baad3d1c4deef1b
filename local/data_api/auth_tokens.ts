import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url.js";
import { signingKeyId } from "../platform/keys.ts";

/** Claims of a token. */
export type Claims = Record<string, unknown>;

/** Tokens whose signature was verified, because users send the same token with each request. */
const rememberedTokens = 10_000;

/** Signs the access tokens of users, and verifies them for functions with `verify_jwt`. */
export class TokenSigner {
  #key: Promise<CryptoKey>;
  #issuer: string;
  #verified = new Map<string, Claims>();

  /** @param issuer The `iss` of every token: `<SUPABASE_URL>/auth/v1`. */
  constructor(jwtSecret: string, issuer: string) {
    this.#issuer = issuer;
    this.#key = crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(jwtSecret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign", "verify"],
    );
  }

  /** The same token with the key's id and the issuer, both of which Supabase's tokens have and the library's lack. */
  async resign(token: string): Promise<string> {
    const payload = decode(token.split(".")[1]);
    if (!payload) return token;
    const head = encodeJson({ alg: "HS256", kid: signingKeyId, typ: "JWT" });
    const signed = `${head}.${encodeJson({ iss: this.#issuer, ...payload })}`;
    const signature = await crypto.subtle.sign("HMAC", await this.#key, new TextEncoder().encode(signed));
    return `${signed}.${encodeBase64Url(signature)}`;
  }

  /** The claims of a token that this stack signed and whose time is now; undefined for any other. */
  async verify(token: string): Promise<Claims | undefined> {
    const known = this.#verified.get(token);
    const claims = known ?? await this.#verifySignature(token);
    if (!claims) return undefined;
    if (!known) {
      if (this.#verified.size >= rememberedTokens) this.#verified.clear();
      this.#verified.set(token, claims);
    }
    const now = Date.now() / 1000;
    // iat is no condition: after this machine's clock stepped back, it lies ahead in tokens that are in use
    const { exp, nbf } = claims;
    const isCurrent = typeof exp === "number" && exp > now && !(Number(nbf) > now);
    return isCurrent ? claims : undefined;
  }

  async #verifySignature(token: string): Promise<Claims | undefined> {
    const [head = "", payload = "", signature, ...rest] = token.split(".");
    if (!signature || rest.length > 0 || decode(head)?.alg !== "HS256") return undefined;
    try {
      const bytes = new Uint8Array(decodeBase64Url(signature));
      const signed = new TextEncoder().encode(`${head}.${payload}`);
      return await crypto.subtle.verify("HMAC", await this.#key, bytes, signed) ? decode(payload) : undefined;
    } catch {
      return undefined;
    }
  }

  /** An answer of the Auth API, with any access token in its body or redirect signed anew. */
  async resignAnswer(response: Response): Promise<Response> {
    const location = response.headers.get("location");
    const inLocation = location?.match(/[#&]access_token=([^&]+)/)?.[1];
    if (location && inLocation) {
      const headers = new Headers(response.headers);
      headers.set("location", location.replace(inLocation, await this.resign(inLocation)));
      return new Response(response.body, { status: response.status, headers });
    }
    if (!response.headers.get("content-type")?.includes("application/json")) return response;
    const text = await response.text();
    const headers = new Headers(response.headers);
    headers.delete("content-length");
    return new Response(await this.#resignBody(text), { status: response.status, headers });
  }

  async #resignBody(text: string): Promise<string> {
    if (!text.includes('"access_token"')) return text;
    const body: unknown = JSON.parse(text);
    if (typeof body !== "object" || body === null || !("access_token" in body)) return text;
    if (typeof body.access_token !== "string") return text;
    return JSON.stringify({ ...body, access_token: await this.resign(body.access_token) });
  }
}

function encodeJson(value: unknown): string {
  return encodeBase64Url(new TextEncoder().encode(JSON.stringify(value)));
}

function decode(part: string | undefined): Claims | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(decodeBase64Url(part ?? "")));
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
