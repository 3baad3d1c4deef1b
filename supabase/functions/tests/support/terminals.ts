/**
 * Shared terminals and the people who sign in there.
 *
 * @module
 */
import type { ActingSession, Person } from "../../people/schemas.ts";
import {
  type Answer,
  assertEquals,
  Client,
  type JsonObject,
  newUser,
  type RequestOptions,
  server,
  unique,
  type User,
} from "./harness.ts";

/** Badge and PIN of a person. */
export interface Secrets {
  badge_code: string;
  pin: string;
}

/** A person with what they sign in with. */
export interface Colleague extends Secrets {
  id: string;
  display_name: string;
  person_no: string;
}

const digits = (count: number) =>
  Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => byte % 10).join("");

/** Creates a person with a badge and a PIN that nobody else has. The search of the test log knows their forms. */
export async function newPerson(workplace_access: string[], fields: Record<string, unknown> = {}): Promise<Colleague> {
  const person = {
    display_name: unique("Anna"),
    person_no: unique("P"),
    badge_code: unique("badge"),
    pin: `271828${digits(6)}`,
    ...fields,
  };
  const created = await server.post<Person>("/people/v1", { ...person, workplace_access });
  assertEquals(created.status, 201, created.text);
  return { ...person, id: created.body.id };
}

/** Creates a terminal: a user of role machine. */
export const newTerminal = (workplaces: string[]): Promise<User> => newUser({ role: "machine", workplaces });

/** Tries to sign in. */
export const tryToSignIn = (terminal: Client, credentials: Record<string, unknown>): Promise<Answer<ActingSession>> =>
  terminal.post<ActingSession>("/people/v1/sign-in", credentials);

/** Signs a person in by badge and PIN; returns the client of the terminal while they act there. */
export async function signIn(terminal: Client, { badge_code, pin }: Secrets): Promise<ActingClient> {
  const { status, body, text } = await tryToSignIn(terminal, { badge_code, pin });
  assertEquals(status, 201, text);
  return new ActingClient(terminal, body.token);
}

/** The client of a terminal while a person acts there. */
export class ActingClient extends Client {
  constructor(terminal: Client, readonly token: string) {
    super(terminal.credential);
  }

  override request<Body = JsonObject>(
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<Answer<Body>> {
    return super.request<Body>(method, path, {
      ...options,
      headers: { "x-acting-for": this.token, ...options.headers },
    });
  }
}

/** A PIN that is not the person's. */
export const wrongPin = ({ pin }: Secrets) => `${pin.slice(0, -1)}${(Number(pin.at(-1)) + 1) % 10}`;
