/**
 * The demo users with their password, for the pages of the local stack.
 *
 * @module
 */
import { demoUsers } from "../schema/demo_users.ts";
import { answerJson } from "./pages.ts";

/** Names of this machine. Any other may be one that a foreign page points at this address (DNS rebinding). */
const loopback = ["127.0.0.1", "localhost", "[::1]"];

/** Headers of proxies and tunnels: behind one, the stack has more readers than this machine. */
const ofProxies = ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"];

/**
 * Returns the demo users for the pages of the local stack; undefined for every other reader.
 *
 * @param client The address that the request comes from.
 */
export function answerDemoUsers(request: Request, client: string, password: string): Response | undefined {
  const { hostname, origin } = new URL(request.url);
  const isOwnMachine = loopback.includes(hostname) && ["127.0.0.1", "::1"].includes(client);
  // a browser says which page asks: its own pages, or the person who typed the address
  const site = request.headers.get("sec-fetch-site");
  const isOwnPage = [null, "same-origin", "none"].includes(site) &&
    [null, origin].includes(request.headers.get("origin"));
  const isProxied = ofProxies.some((name) => request.headers.has(name));
  if (request.method !== "GET" || !isOwnMachine || !isOwnPage || isProxied) return undefined;
  return answerJson(demoUsers.map(({ email, role, fullName, workplaces }) => ({
    email,
    role,
    full_name: fullName,
    workplaces,
    password,
  })));
}
