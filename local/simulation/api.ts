/** The public API as the simulated people use it. */
import { StackFailure } from "../system/failure.ts";

/** An answer. Refusals are part of the day. */
export interface Reply<Body> {
  status: number;
  /** Body of a success. */
  body?: Body;
  /** Machine code and sentence of a problem. */
  code?: string;
  detail?: string;
}

/** Calls of one caller. */
export interface Api {
  call<Body>(method: string, path: string, body?: unknown): Promise<Reply<Body>>;
}

/**
 * Returns the calls of a caller.
 *
 * @param credential Returns the headers of the credential.
 */
export function callsOf(
  stack: { url: string },
  credential: () => Promise<Record<string, string>>,
  signal: AbortSignal,
): Api {
  return {
    async call<Body>(method: string, path: string, body?: unknown): Promise<Reply<Body>> {
      const response = await fetch(`${stack.url}/functions/v1/${path}`, {
        method,
        headers: { ...await credential(), ...body === undefined ? {} : { "content-type": "application/json" } },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
      });
      const answer = response.status === 204 ? undefined : await response.json();
      if (response.ok) return { status: response.status, body: answer };
      return { status: response.status, code: answer.code, detail: answer.detail };
    },
  };
}

interface SignedIn {
  access_token: string;
  expires_in: number;
  user: { id: string };
}

/** Signs a user in, and up when they do not exist yet. The session is renewed before it expires. */
export async function signIn(
  stack: { url: string; publishableKey: string },
  credentials: { email: string; password: string },
  signal: AbortSignal,
): Promise<{ api: Api; userId: string }> {
  const ask = async (path: string): Promise<SignedIn | undefined> => {
    const response = await fetch(`${stack.url}/auth/v1/${path}`, {
      method: "POST",
      headers: { apikey: stack.publishableKey, "content-type": "application/json" },
      body: JSON.stringify(credentials),
      signal,
    });
    if (response.ok) return await response.json();
    await response.body?.cancel();
  };
  const open = async () => {
    const answer = await ask("token?grant_type=password");
    if (answer === undefined) throw new StackFailure(`Cannot sign in as ${credentials.email}.`);
    return { ...answer, renewAtMs: Date.now() + answer.expires_in * 800 };
  };
  // a user who exists already is refused, and signs in
  await ask("signup");
  let session = await open();
  const credential = async () => {
    if (Date.now() > session.renewAtMs) session = await open();
    return { authorization: `Bearer ${session.access_token}` };
  };
  return { api: callsOf(stack, credential, signal), userId: session.user.id };
}
