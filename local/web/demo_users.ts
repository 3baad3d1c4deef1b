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

/** Whether a request comes from the pages of the local stack, on this machine: no other reader learns the demo users. */
export function isOwnPage(request: Request, client: string): boolean {
  const { hostname, origin } = new URL(request.url);
  const isOwnMachine = loopback.includes(hostname) && ["127.0.0.1", "::1"].includes(client);
  // a browser says which page asks: its own pages, or the person who typed the address
  const site = request.headers.get("sec-fetch-site");
  const isSameOrigin = [null, "same-origin", "none"].includes(site) &&
    [null, origin].includes(request.headers.get("origin"));
  const isProxied = ofProxies.some((name) => request.headers.has(name));
  return request.method === "GET" && isOwnMachine && isSameOrigin && !isProxied;
}

/** Answers the demo users. */
export const answerDemoUsers = (password: string): Response =>
  answerJson(demoUsers.map(({ email, role, fullName, workplaces }) => ({
    email,
    role,
    full_name: fullName,
    workplaces,
    password,
  })));
