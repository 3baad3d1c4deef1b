/**
 * The people who act at a shared terminal: docs/people.md. Their tokens are in memory alone.
 *
 * @module
 */
import { call, post } from "../shared/api.js";
import { observable } from "../shared/view.js";
import { actions } from "./outbox.js";

/** @typedef {import("./types.js").Person} Person */
/** @typedef {{ token: string, usedAt: number, isLeaving: boolean }} Pass */

/** The server ends a token that was not used for 30 minutes. Here a person is gone after the same time without a touch. */
const idleMs = 30 * 60_000;

/** A token in use is renewed at this age, while a person touches the page. */
const renewMs = 5 * 60_000;

/** @type {Map<string, Pass>} */
const passes = new Map();

const current = observable(/** @type {Person | null} */ (null));

/** The person who acts now, null when nobody is signed in. */
export const acting = /** @type {import("../shared/view.js").Observable<Person | null>} */ (current);

const version = observable(0);

/** Changes with the people who can send. */
export const peopleVersion = /** @type {import("../shared/view.js").Observable<number>} */ (version);

const changed = () => version.set(version.current + 1);

const clocks = () => ({ wall: Date.now(), steady: performance.now() });

let touchedAt = clocks();

/** For how long nobody has touched the page. The wall clock can be set back, the steady one stands still in a device asleep. */
function idleForMs() {
  const now = clocks();
  return Math.max(now.wall - touchedAt.wall, now.steady - touchedAt.steady);
}

/** @param {{ badge_code?: string, person_no?: string, pin?: string }} credentials */
export async function signInPerson(credentials) {
  const { token, person } = await post("/people/v1/sign-in", credentials, { attempts: 3 });
  const former = current.current && passes.get(current.current.id);
  if (former) former.isLeaving = true;
  passes.set(person.id, { token, usedAt: Date.now(), isLeaving: false });
  touchedAt = clocks();
  current.set({ id: person.id, display_name: person.display_name });
  changed();
}

/** The person leaves. Their token stays until what they did is sent. */
export function signOutPerson() {
  const pass = current.current && passes.get(current.current.id);
  if (pass) pass.isLeaving = true;
  current.set(null);
}

/** Ends the tokens of those who have left and have nothing to send, while no request is under way with one of them. */
export async function endPasses() {
  for (const [id, { token, isLeaving }] of [...passes]) {
    if (!isLeaving || actions.current.some(({ state, person }) => state === "waiting" && person?.id === id)) continue;
    passes.delete(id);
    changed();
    // without a network, it ends by time
    await call("POST", "/people/v1/sign-out", { actingFor: token, attempts: 1 }).catch(() => {});
  }
}

/** Returns the token of a person, undefined when they have to sign in. @param {string | undefined} id */
export const passOf = (id) => id === undefined ? undefined : passes.get(id)?.token;

/** Notes that a token was used. @param {string | undefined} id */
export function noteUse(id) {
  const pass = id === undefined ? undefined : passes.get(id);
  if (pass) pass.usedAt = Date.now();
}

/** The server does not accept the token any more. @param {string} token */
export function forgetPass(token) {
  for (const [id, pass] of passes) {
    if (pass.token !== token) continue;
    passes.delete(id);
    if (current.current?.id === id) current.set(null);
    changed();
  }
}

/** Notes that somebody is there, and keeps their token alive. */
export function touch() {
  touchedAt = clocks();
  const id = current.current?.id;
  const pass = id === undefined ? undefined : passes.get(id);
  if (!pass || Date.now() - pass.usedAt < renewMs) return;
  pass.usedAt = Date.now();
  call("GET", "/people/v1/me", { actingFor: pass.token, attempts: 1 }).catch((problem) => {
    if (problem.status === 401) forgetPass(pass.token);
  });
}

addEventListener("pointerdown", touch);
addEventListener("keydown", touch);
setInterval(() => {
  if (current.current !== null && idleForMs() > idleMs) signOutPerson();
}, 15_000);
