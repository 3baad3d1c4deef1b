/**
 * The address of the client, as the platform tells it. Clients can send any header themselves, so that only what a proxy
 * of the platform wrote counts. See docs/keys.md.
 *
 * @module
 */

/** Where the address stands. */
export interface AddressSource {
  /** Name of the header. */
  header: string;
  /** Position in the header's list, from its end: proxies add what they have seen there. */
  hops: number;
}

/** Returns the source by the environment: `CLIENT_ADDRESS_HEADER` and `CLIENT_ADDRESS_HOPS`. */
export function addressSource(variable: (name: string) => string | undefined): AddressSource {
  // Supabase's platform stands behind Cloudflare, which sets this header of each request, whatever the client sends
  const isHosted = /^https:\/\/[^/]+\.supabase\.(co|in|red)(:|\/|$)/.test(variable("SUPABASE_URL") ?? "");
  const hops = Number(variable("CLIENT_ADDRESS_HOPS") || 1);
  if (!Number.isInteger(hops) || hops < 1) throw new TypeError("CLIENT_ADDRESS_HOPS must be a positive whole number");
  return {
    header: variable("CLIENT_ADDRESS_HEADER")?.trim() || (isHosted ? "cf-connecting-ip" : "x-forwarded-for"),
    hops,
  };
}

const configured = addressSource((name) => Deno.env.get(name));

/** Returns the client's address; empty when the platform tells none. */
export function clientAddress(headers: Headers, { header, hops }: AddressSource = configured): string {
  return headers.get(header)?.split(",").at(-hops)?.trim() ?? "";
}
