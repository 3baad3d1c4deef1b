/**
 * Callers in the tests of access: one client for each kind of credential, at one workplace or at another.
 *
 * @module
 */
import { anonymous, Client, env, newOperation, newUser, newWorkplace, server } from "./harness.ts";

/** The columns of the access tables, in this order. */
export const credentials = [
  "no token",
  "publishable key",
  "no profile",
  "newcomer",
  "readonly",
  "machine",
  "operator",
  "operator elsewhere",
  "supervisor",
  "supervisor elsewhere",
  "manager",
  "admin",
  "secret key",
] as const;

export type CredentialName = typeof credentials[number];

export interface Member {
  name: CredentialName;
  client: Client;
  /** Id of the user; undefined for what is no user. */
  id?: string;
}

export interface Cast {
  /** Workplace of those who are not elsewhere; it exists. */
  here: string;
  /** Workplace of those who are; it exists. */
  elsewhere: string;
  members: Member[];
}

/** Creates a new cast. */
export async function newCast(): Promise<Cast> {
  const [here, elsewhere] = [newWorkplace(), newWorkplace()];
  await Promise.all([here, elsewhere].map((workplace_name) => newOperation({ workplace_name })));
  const user = async (name: CredentialName, role: Parameters<typeof newUser>[0] & object): Promise<Member> => {
    const { id, client } = await newUser(role);
    return { name, id, client };
  };
  const members = await Promise.all<Member>([
    { name: "no token", client: anonymous },
    { name: "publishable key", client: new Client({ apikey: env.publishableKey }) },
    user("no profile", { role: "admin", workplaces: ["*"] }),
    user("newcomer", {}),
    user("readonly", { role: "readonly", workplaces: [here] }),
    user("machine", { role: "machine", workplaces: [here] }),
    user("operator", { role: "operator", workplaces: [here] }),
    user("operator elsewhere", { role: "operator", workplaces: [elsewhere] }),
    user("supervisor", { role: "supervisor", workplaces: [here] }),
    user("supervisor elsewhere", { role: "supervisor", workplaces: [elsewhere] }),
    user("manager", { role: "manager" }),
    user("admin", { role: "admin" }),
    { name: "secret key", client: server },
  ]);
  const former = members.find(({ name }) => name === "no profile");
  const { status } = await server.delete(`/profiles/v1/${former?.id}`);
  if (status !== 204) throw new Error(`Cannot delete the profile of "no profile": ${status}`);
  return { here, elsewhere, members };
}

/**
 * A row of a table: one cell for each credential, in the order of {@link credentials}, separated by spaces.
 *
 * @throws {Error} when a cell is missing or too many.
 */
export function row(cells: string): Record<CredentialName, string> {
  const values = cells.trim().split(/\s+/);
  if (values.length !== credentials.length) {
    throw new Error(`${values.length} cells, not ${credentials.length}: ${cells}`);
  }
  return Object.fromEntries(credentials.map((name, index) => [name, values[index]])) as Record<CredentialName, string>;
}
