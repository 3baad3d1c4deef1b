import { json, jsonBody, problems, security } from "../_shared/contract.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { isProblemCode, Problem } from "../_shared/problems.ts";
import { ActingSession, SignIn } from "./schemas.ts";
import { digestOf, newActingToken, withDigests } from "./secrets.ts";

export const signIn = endpoint({
  method: "post",
  path: "/people/v1/sign-in",
  operationId: "signInPerson",
  tags: ["People"],
  summary: "Sign in at a terminal",
  description:
    "For terminals: API keys and users of role machine. Send the token as `X-Acting-For` with the requests of this terminal. A person " +
    "has one token at a terminal: a new sign-in replaces it. Five failed sign-ins within 15 minutes lock the person and the terminal for " +
    "15 minutes. The endpoint takes no Idempotency-Key: sign in again when the answer is lost.",
  security,
  "x-rate-limit": { class: "sign_in" },
  request: { body: jsonBody(SignIn) },
  responses: {
    201: json(ActingSession, "The person is signed in."),
    ...problems(["forbidden", "sign_in_failed", "sign_in_locked"], { body: true }),
  },
}, async (c) => {
  const token = newActingToken();
  const answer = await c.var.rpc("sign_in_person", {
    credentials: withDigests(c.req.valid("json")),
    token_digest: digestOf(token),
  });
  if (answer.problem !== undefined) {
    const { code, more: { detail, ...more } } = answer.problem;
    throw isProblemCode(code) ? new Problem(code, detail, more) : new Error(`Unknown problem "${code}"`);
  }
  return c.json({ token, ...answer.body }, 201);
});
