/**
 * Networks of addresses.
 *
 * @module
 */
import ipaddr from "ipaddr.js";

/**
 * Returns what counts as one client: an IPv4 address, or the /64 network of an IPv6 address, because a host has all
 * addresses of such a network. A text that is no address stays as it is.
 */
export function clientNetwork(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  // an IPv4 address that is written as an IPv6 one becomes itself
  const parsed = ipaddr.process(address);
  return parsed.kind() === "ipv4" ? parsed.toString() : `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed}/64`)}/64`;
}
