/**
 * API keys of a test.
 *
 * @module
 */
import { assertEquals } from "./assertions.ts";
import { Client, newUser, unique, type User } from "./harness.ts";

/** An API key, with its text. */
export interface ApiKeyOfTest {
  id: string;
  key: string;
  version: number;
  client: Client;
}

export interface KeyOptions {
  name?: string;
  role?: "readonly" | "machine" | "operator" | "supervisor" | "manager";
  workplaces?: string[];
  scopes?: string[];
  expires_at?: string | null;
  allowed_cidrs?: string[] | null;
}

let admin: Promise<User> | undefined;

/** The admin who makes the keys of a test file. */
export const keyAdmin = (): Promise<User> => admin ??= newUser({ role: "admin" });

/** Returns a client with an API key as its credential. */
export const keyClient = (key: string): Client => new Client({ token: key });

/** Creates an API key: by default a manager's with all scopes. */
export async function newKey({ name, role = "manager", workplaces, scopes = allScopes, ...more }: KeyOptions = {}) {
  const { client } = await keyAdmin();
  const created = await client.post<{ id: string; key: string; version: number }>("/keys/v1", {
    name: name ?? unique("Key"),
    role,
    workplace_access: workplaces,
    scopes,
    ...more,
  });
  assertEquals(created.status, 201, created.text);
  const { id, key, version } = created.body;
  return { id, key, version, client: keyClient(key) } satisfies ApiKeyOfTest;
}

/** A board ticket, with its text. */
export interface TicketOfTest {
  id: string;
  ticket: string;
  workplace_names: string[];
  client: Client;
}

/** Makes a board ticket of the group: by default an admin's. */
export async function newTicket(workplace_group: string, more = {}, maker?: Client): Promise<TicketOfTest> {
  const client = maker ?? (await keyAdmin()).client;
  const made = await client.post<TicketOfTest>("/boards/v1", { name: "Television", workplace_group, ...more });
  assertEquals(made.status, 201, made.text);
  const { id, ticket, workplace_names } = made.body;
  return { id, ticket, workplace_names, client: keyClient(ticket) };
}

/** All scopes. */
export const allScopes = [
  "operations:read",
  "operations:plan",
  "operations:import",
  "events:read",
  "events:report",
  "events:correct",
  "downtimes:report",
  "reports:read",
  "webhooks:manage",
  "stream:read",
  "people:act",
  "people:manage",
  "board:read",
];
