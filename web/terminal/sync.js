/**
 * Sends what waits and reads what the workplace has, in one tab at a time.
 *
 * @module
 */
import { call, get, list, path, Problem } from "../shared/api.js";
import { t } from "../shared/messages.js";
import { isOnline } from "../shared/network.js";
import { observable } from "../shared/view.js";
import { learnClock, serverNow } from "./clock.js";
import { isKeyRefused, ownerNow } from "./credential.js";
import { actions, change, load, onOtherTab, tellOtherTabs } from "./outbox.js";
import { acting, endPasses, forgetPass, noteUse, passOf } from "./people.js";
import { keyOf } from "./prediction.js";
import { keepIfRoom, kept, readActions } from "./store.js";

/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Place} Place */

/**
 * @typedef {object} Link How the terminal reaches the server.
 * @property {"unknown" | "live" | "away" | "refused"} state
 * @property {Problem | null} problem
 */

const placeNow = observable(/** @type {Place | null} */ (null));
const linkNow = observable(/** @type {Link} */ ({ state: "unknown", problem: null }));
const meNow = observable(/** @type {any} */ (null));
const reasonsNow = observable(/** @type {any[]} */ ([]));

/** The workplace as the server described it last. */
export const place = /** @type {import("../shared/view.js").Observable<Place | null>} */ (placeNow);
/** Whether the server can be reached. */
export const link = /** @type {import("../shared/view.js").Observable<Link>} */ (linkNow);
/** The profile of the user or the key, with what they may do. */
export const me = /** @type {import("../shared/view.js").Observable<any>} */ (meNow);
/** The reason codes of the plant. */
export const reasons = /** @type {import("../shared/view.js").Observable<any[]>} */ (reasonsNow);

/** Batches up to this size need no turn of their own at the server. */
const batchSize = 100;

/** The queue is read again after this time. */
const everyMs = 10_000;

/** Delays between attempts while the server is away. */
const backoffMs = [1000, 2000, 5000, 10_000];

/** One attempt, and a short one: other tabs want to send, too. */
const options = { timeoutMs: 10_000, attempts: 1 };

const reasonsEveryMs = 10 * 60_000;
let reasonsReadAt = 0;
let failures = 0;
/** @type {string | null} */
let workplaceName = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let isRunning = false;
let isWanted = false;

/** Sends and reads from now on. */
export async function startSync() {
  try {
    await load();
  } catch {
    const problem = new Problem({ status: 0, code: "no_store", detail: t("terminal.no_store") });
    return linkNow.set({ state: "refused", problem });
  }
  onOtherTab(() => void showKept());
  const soon = () => {
    failures = 0;
    syncSoon();
  };
  addEventListener("online", soon);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") soon();
  });
  acting.subscribe(syncSoon);
  await showKept();
  syncSoon();
}

/** Shows what is known to another user or key. */
export async function changeOwner() {
  reasonsReadAt = 0;
  meNow.set(null);
  placeNow.set(null);
  await showKept();
  syncSoon();
}

/** Changes the workplace. @param {string | null} name */
export async function watchPlace(name) {
  workplaceName = name;
  placeNow.set(null);
  await showKept();
  syncSoon();
}

/** Shows what was read last, before there is an answer, and what another tab has read. */
async function showKept() {
  const owner = ownerNow();
  if (owner === null) return;
  meNow.set(await kept(`${owner}/me`) ?? null);
  reasonsNow.set(await kept(`${owner}/reasons`) ?? []);
  const name = workplaceName;
  if (name === null) return;
  const known = await kept(`${owner}/place/${name}`);
  if (known && workplaceName === name && known.readAt > (placeNow.current?.readAt ?? 0)) placeNow.set(known);
}

/** Sends and reads as soon as possible. */
export function syncSoon() {
  clearTimeout(timer);
  if (isRunning) {
    isWanted = true;
    return;
  }
  isRunning = true;
  isWanted = false;
  alone(round).then(() => {
    failures = 0;
    linkNow.set({ state: "live", problem: null });
  }, (error) => {
    const problem = error instanceof Problem
      ? error
      : new Problem({ status: 0, code: "unknown", detail: String(error) });
    failures++;
    linkNow.set({ state: problem.isTransient ? "away" : "refused", problem });
  }).finally(() => {
    isRunning = false;
    if (isWanted) return syncSoon();
    const wait = failures > 0 ? backoffMs[Math.min(failures, backoffMs.length) - 1] : everyMs;
    timer = setTimeout(() => {
      // a page that nobody looks at has time, unless it has something to send
      const hasWork = actions.current.some(({ state, owner }) => state === "waiting" && owner === ownerNow());
      if (document.visibilityState === "visible" || hasWork) syncSoon();
    }, wait);
  });
}

/**
 * Runs the task in one tab at a time. Pages by plain HTTP have no locks; there, the ids of the events keep the server from
 * recording anything twice.
 *
 * @param {() => Promise<void>} task
 */
const alone = (task) => navigator.locks ? navigator.locks.request("mes-terminal", task) : task();

async function round() {
  const owner = ownerNow();
  if (owner === null || isKeyRefused.current) return;
  if (!isOnline.current) throw new Problem({ status: 0, code: "offline" });
  await sendWaiting(owner);
  await endPasses();
  await readPlant(owner);
}

/** @param {string} owner */
async function sendWaiting(owner) {
  for (;;) {
    const batch = nextBatch(await readActions(), owner);
    if (batch.length === 0) return;
    await sendBatch(batch, owner);
  }
}

/**
 * Returns the actions that are sent next: of one person, in their order. What a person did waits until they are signed in
 * again, and so does what was done later at the same workplace.
 *
 * @param {Action[]} all
 * @param {string} owner
 */
export function nextBatch(all, owner) {
  /** @type {Set<string>} */
  const held = new Set();
  /** @type {Action[]} */
  const batch = [];
  for (const action of all) {
    if (action.owner !== owner || action.state !== "waiting") continue;
    const { workplace_name } = action.item;
    if (held.has(workplace_name)) continue;
    if (action.person !== null && passOf(action.person.id) === undefined) held.add(workplace_name);
    else if (batch.length > 0 && batch[0]?.person?.id !== action.person?.id) break;
    else batch.push(action);
    if (batch.length === batchSize) break;
  }
  return batch;
}

/** @param {Action[]} batch @param {string} owner */
async function sendBatch(batch, owner) {
  // what was done under one name is not sent under that of who has signed in meanwhile
  if (ownerNow() !== owner) throw new Problem({ status: 401, code: "unauthenticated" });
  const personId = batch[0]?.person?.id;
  const token = passOf(personId);
  try {
    const answer = await call("POST", "/events/v1/batch", {
      body: { events: batch.map(({ item }) => item) },
      actingFor: token,
      ...options,
      timeoutMs: 30_000,
    });
    learnClock(answer.headers);
    noteUse(personId);
    await record(batch, answer.body.results);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (token !== undefined && error.more.credential === "X-Acting-For") return forgetPass(token);
    if (![400, 413, 422].includes(error.status)) throw error;
    // something in it cannot be read at all: alone, it does not keep the others
    const [only] = batch;
    if (batch.length > 1) { for (const one of batch) await sendBatch([one], owner); }
    else if (only) {
      await record(batch, [{
        index: 0,
        status: error.status,
        problem: { ...error.more, code: error.code, detail: error.message },
      }]);
    }
  }
}

/**
 * Writes down what became of the actions.
 *
 * @param {Action[]} batch
 * @param {any[]} results
 */
async function record(batch, results) {
  const transient = results.find(({ status }) => status === 429 || status >= 500)?.problem;
  await change((known) => {
    /** @type {Action[]} */
    const put = [];
    for (const { index, status, problem, caused_by } of results) {
      const action = batch[index];
      const isHere = action && known.some(({ seq, state }) => seq === action.seq && state === "waiting");
      if (!isHere || status === 429 || status >= 500) continue;
      if (problem === null) put.push({ ...action, state: "sent" });
      else {
        const cause = batch[caused_by]?.item.id ?? earlierRefused(action, problem, known)?.item.id;
        put.push({ ...action, state: "refused", problem, ...(cause === undefined ? {} : { caused_by: cause }) });
      }
    }
    return { put };
  });
  if (transient) throw new Problem(transient);
}

/** An earlier batch may have had the cause. @param {Action} action @param {any} problem @param {Action[]} known */
function earlierRefused({ seq, item }, problem, known) {
  if (problem.code !== "invalid_state_transition" || item.order_no === undefined) return undefined;
  return known.findLast((one) =>
    one.seq < seq && one.state === "refused" && one.item.order_no === item.order_no &&
    one.item.operation_no === item.operation_no && one.item.asset_id === item.asset_id &&
    one.item.action_type !== "REPORT_QUANTITY"
  );
}

/** @param {string} owner */
async function readPlant(owner) {
  const name = workplaceName;
  const actingFor = passOf(acting.current?.id);
  const reading = { ...options, actingFor };
  try {
    const answer = await call("GET", "/profiles/v1/me", reading);
    learnClock(answer.headers);
    // somebody else has signed in meanwhile
    if (ownerNow() !== owner) return;
    if (JSON.stringify(answer.body) !== JSON.stringify(meNow.current)) {
      await keepIfRoom(`${owner}/me`, answer.body);
      meNow.set(answer.body);
    }
    if (Date.now() - reasonsReadAt > reasonsEveryMs) {
      const rows = await list("/reason-codes/v1", { active: true }, reading);
      if (ownerNow() !== owner) return;
      await keepIfRoom(`${owner}/reasons`, rows);
      reasonsNow.set(rows);
      reasonsReadAt = Date.now();
    }
    if (name === null) return;
    const access = answer.body.may.workplace_access;
    if (!access.includes("*") && !access.includes(name)) {
      placeNow.set(null);
      return await keepIfRoom(`${owner}/place/${name}`, null);
    }
    const contained = (await readActions()).filter(({ state, item }) =>
      state === "sent" && item.workplace_name === name
    );
    const from = new Date(serverNow()).toISOString();
    const [workplace, queue, runs] = await Promise.all([
      get(path`/workplaces/v1/${name}`, {}, reading),
      get(path`/workplaces/v1/${name}/queue`, { limit: 100 }, reading),
      get("/operations/v1/runs", { workplace_name: name, from, limit: 100 }, reading),
    ]);
    // the plan can move what runs here to another workplace; here it is ended
    const moved = workplace.running_operations.filter((/** @type {any} */ one) =>
      !queue.some((/** @type {any} */ other) => keyOf(other) === keyOf(one))
    );
    for (const { order_no, asset_id, operation_no } of moved) {
      queue.push(await get(path`/operations/v1/${order_no}/${asset_id}/${operation_no}`, {}, reading));
    }
    const open = runs.filter((/** @type {any} */ run) => run.ended_at === null);
    const read = { workplace, queue, runs: open, readAt: Date.now() };
    if (ownerNow() !== owner) return;
    await keepIfRoom(`${owner}/place/${name}`, read, contained.map(({ seq }) => seq));
    if (workplaceName === name && ownerNow() === owner) placeNow.set(read);
    if (contained.length > 0) {
      await load();
      tellOtherTabs();
    }
  } catch (error) {
    const isPerson = error instanceof Problem && error.more.credential === "X-Acting-For";
    if (!isPerson || actingFor === undefined) throw error;
    forgetPass(actingFor);
  }
}
