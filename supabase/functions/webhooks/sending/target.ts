/**
 * Rules for the URLs of webhooks: https to public addresses, so that no caller can reach internal services (SSRF).
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";

/** Rules of a deployment. */
export interface TargetRules {
  /** Ports that https may use. */
  ports: readonly number[];
  /** Whether http to this machine is allowed: on the local stack only. */
  allowsLoopback: boolean;
}

/** Resolves all addresses of a name. */
export type Resolve = (hostname: string) => Promise<string[]>;

/** Raised for a URL that the rules reject. `reason` is for the person who configured it. */
export class RefusedTarget extends Error {
  constructor(readonly reason: string) {
    super(reason);
    this.name = "RefusedTarget";
  }
}

/** Raised for a name that currently has no address. */
export class UnknownHost extends Error {}

/** Reads the rules from `WEBHOOKS_PORTS` and `WEBHOOKS_ALLOW_LOOPBACK`, which the local stack sets. */
export function targetRules(): TargetRules {
  const ports = Deno.env.get("WEBHOOKS_PORTS")?.split(",").map(Number).filter((port) => port > 0 && port < 65_536);
  return { ports: ports ?? [443, 8443], allowsLoopback: Deno.env.get("WEBHOOKS_ALLOW_LOOPBACK") === "true" };
}

/** Domains that are only valid inside a network (RFC 6761, 6762, 8375, and reserved by ICANN). */
const innerDomains = ["localhost", "local", "internal", "intranet", "lan", "home.arpa", "onion", "alt"];

/** Addresses that are internal to a cloud, although the registries list them as public. */
const innerAddresses = ["168.63.129.16"]; // Azure's metadata and wire server

/**
 * Parses a URL of an allowed form. The host must be written in its normal form: other spellings (decimal, octal or
 * full-width numbers) only serve to circumvent checks.
 *
 * @throws {RefusedTarget}
 */
export function checkUrl(text: string, rules: TargetRules): URL {
  const url = URL.parse(text);
  if (url === null || !/^[\x21-\x7e]+$/.test(text) || text.includes("\\")) refuse("must be a URL, in ASCII");
  if (url.username !== "" || url.password !== "" || /^[^/]*\/\/[^/?#]*@/.test(text)) {
    refuse("must not contain a user or password");
  }
  const written = text.toLowerCase();
  const plain = `${url.protocol}//${url.host}`;
  if (!written.startsWith(plain) || !/^(:\d+)?([/?#]|$)/.test(written.slice(plain.length))) {
    refuse("must name its host in the usual form: a lower-case domain name, or four decimal numbers");
  }
  if (text.includes("#")) refuse("must not contain a fragment");
  if (url.protocol === "http:" && rules.allowsLoopback && isThisMachine(url)) return url;
  if (url.protocol !== "https:") refuse("must begin with https://");
  const port = Number(url.port || 443);
  if (!rules.ports.includes(port)) refuse(`must use one of the ports ${rules.ports.join(", ")}, not ${port}`);
  const name = hostname(url).replace(/\.$/, "");
  if (name.split(".").includes("")) refuse("must not name a host with an empty label, as in a..b");
  if (ipaddr.isValid(name)) {
    if (!isPublic(name)) refuse("must not point to an address inside a network");
  } else if (!name.includes(".") || innerDomains.some((inner) => `.${name}`.endsWith(`.${inner}`))) {
    refuse("must not point to a name inside a network");
  }
  return url;
}

/**
 * Resolves the address to connect to, if all addresses of the host are allowed.
 *
 * @throws {RefusedTarget} when one of them is not public
 * @throws {UnknownHost} when it has none
 */
export async function addressOf(url: URL, rules: TargetRules, resolve: Resolve = systemAddresses): Promise<string> {
  const name = hostname(url);
  const addresses = ipaddr.isValid(name) ? [name] : await resolve(name);
  const mayBe = url.protocol === "http:" && rules.allowsLoopback ? isLoopback : isPublic;
  // DNS rebinding begins with one internal address among public ones
  if (!addresses.every(mayBe)) refuse("must not point to an address inside a network");
  const [address] = addresses;
  if (address === undefined) throw new UnknownHost(`"${name}" has no address`);
  return address;
}

/**
 * Resolves the addresses of a name by the runtime.
 *
 * @throws {UnknownHost}
 */
export async function systemAddresses(hostname: string): Promise<string[]> {
  try {
    return (await lookup(hostname, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new UnknownHost(`"${hostname}" has no address: ${error instanceof Error ? error.message : error}`);
  }
}

/** Returns whether an address is public: unicast by the registries, and for IPv6 within the allocated range. */
function isPublic(address: string): boolean {
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast" || innerAddresses.includes(parsed.toString())) return false;
  return parsed.kind() === "ipv4" || parsed.match(ipaddr.parseCIDR("2000::/3"));
}

const isLoopback = (address: string) => ipaddr.parse(address).range() === "loopback";

const hostname = (url: URL) => url.hostname.replace(/^\[|\]$/g, "");

const isThisMachine = (url: URL) => ["localhost", "127.0.0.1", "::1"].includes(hostname(url));

function refuse(reason: string): never {
  throw new RefusedTarget(reason);
}
