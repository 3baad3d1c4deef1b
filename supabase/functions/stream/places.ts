/**
 * Places of streams. A caller can hold a limited number of places in all isolates together. The database counts them;
 * each isolate renews its places, and the database frees those that are not renewed. See decision 0017.
 *
 * @module
 */
import type { Session } from "../_shared/auth.ts";
import { outliveAnswer } from "../_shared/background.ts";
import { rpcAsKey, rpcAsServer } from "../_shared/database.ts";
import { Problem } from "../_shared/problems.ts";
import type { AccessRow } from "./schemas.ts";
import { settings } from "./settings.ts";
import type { Access } from "./subscription.ts";

/** How long a caller without a free place waits for an earlier stream to close. */
const patienceMs = 1_000;
const pollMs = 25;

const everything: Access = { seesAll: true, workplaces: new Set(), isNameless: false };
const nothing: Access = { seesAll: false, workplaces: new Set(), isNameless: false };

const delay = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));

/** A place for one stream: taken before the stream opens, given up when its connection is closed. */
export interface Place {
  readonly id: string;
  readonly holder: string;
  readonly session: Session;
  /** Access of the caller when the stream opens; undefined until the database has counted the place. */
  access?: Access;
}

/** A place that the database has counted. */
export type TakenPlace = Place & { access: Access };

/** Returns the holder of a caller's places. A ticket does not name its secret key and counts for the key `default`. */
function holderOf({ user_id, secret_key = "default" }: Session): string {
  return user_id ?? `secret:${secret_key}`;
}

/** Returns the access of each session: nothing without a profile, or without a second factor where one is required. */
function accessFrom(rows: AccessRow[]): (session: Session) => Access {
  const byUser = new Map(rows.map(({ user_id, sees_all, workplaces, needs_aal2 }) => [
    user_id,
    { seesAll: sees_all, workplaces: new Set(workplaces), isNameless: false, needs_aal2 },
  ]));
  return ({ user_id, aal }) => {
    if (user_id === null) return everything;
    const access = byUser.get(user_id);
    return access === undefined || (access.needs_aal2 && aal !== "aal2") ? nothing : access;
  };
}

type KeySession = NonNullable<Session["api_key"]>;

const credentialOf = ({ key: { id, digest }, address }: KeySession) => `${id}.${digest} ${address}`;

/**
 * Asks what an API key sees now.
 *
 * @throws {Problem} `unauthenticated` or `forbidden` for a key that may not follow the stream (any more).
 */
async function accessOfKey({ key, address }: KeySession): Promise<Access> {
  const { sees_all, workplaces, is_nameless } = await rpcAsKey(key, address)("admit_key_stream", {});
  return { seesAll: sees_all, workplaces: new Set(workplaces), isNameless: is_nameless };
}

/**
 * Returns the access of the keys that hold these places, by credential; without those that may not follow any more. A
 * check that fails ends the streams of its key alone.
 */
async function accessOfKeys(places: Place[]): Promise<Map<string, Access>> {
  const keys = new Map(places.flatMap(({ session: { api_key } }) => api_key ? [[credentialOf(api_key), api_key]] : []));
  const entries = await Promise.all([...keys].map(async ([credential, key]): Promise<[string, Access]> => {
    try {
      return [credential, await accessOfKey(key)];
    } catch (error) {
      const isRefused = error instanceof Problem && ["unauthenticated", "forbidden"].includes(error.code);
      if (!isRefused) console.error(JSON.stringify({ stream: "access check of a key", error: String(error) }));
      return [credential, nothing];
    }
  }));
  return new Map(entries);
}

/** The places that this isolate holds. */
export class Places {
  readonly #held = new Map<string, Place>();
  readonly #countOf = new Map<string, number>();
  readonly #waiting = new Map<string, number>();
  /** Places that were given up and that the database may still count. */
  readonly #givenUp = new Set<string>();
  /** The last call that renews or gives up places. Calls run in turn: none writes a place that another removed. */
  #lastCall: Promise<unknown> = Promise.resolve();
  #isReporting = false;

  /** Number of streams that are opening, open or closing. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * Takes a place for a stream of the caller.
   *
   * @throws {Problem} `forbidden` without a workplace, `rate_limited` when all places of the caller are taken,
   * `unavailable` when this isolate is full.
   */
  async take(session: Session): Promise<TakenPlace> {
    const holder = holderOf(session);
    const most = session.user_id === null ? settings.maxOfSecretKey : settings.maxOfUser;
    // a rejection here costs no query and takes no room from other callers
    if (this.#count(holder) >= most && !await this.#becomesFree(holder, most)) {
      throw new Problem("rate_limited", `Cannot open a stream: you have ${most} of at most ${most}`, {
        limit: most,
        retry_after_s: 5,
      });
    }
    if (this.size >= settings.maxStreams) {
      throw new Problem("unavailable", `There are ${settings.maxStreams} streams already`);
    }
    const place: Place = { id: crypto.randomUUID(), holder, session };
    this.#held.set(place.id, place);
    this.#countOf.set(holder, this.#count(holder) + 1);
    try {
      // with the place held: openings of one key at once would all find room meanwhile
      const keyAccess = session.api_key && await accessOfKey(session.api_key);
      // the service role counts: users may not name places
      const rows = await rpcAsServer()("take_stream_place", {
        place: place.id,
        holder,
        most,
        given_up: [...this.#givenUp],
      });
      const access = keyAccess ?? accessFrom(rows)(session);
      if (access === nothing) {
        throw new Problem("forbidden", "Cannot open a stream: your role needs a session with a second factor (aal2)");
      }
      return Object.assign(place, { access });
    } catch (error) {
      this.giveUp(place);
      throw error;
    }
  }

  /** Gives up a place; does nothing when it was given up before. */
  giveUp({ id, holder }: Place): void {
    if (!this.#held.delete(id)) return;
    const left = this.#count(holder) - 1;
    if (left > 0) this.#countOf.set(holder, left);
    else this.#countOf.delete(holder);
    this.#givenUp.add(id);
    if (!this.#isReporting) outliveAnswer(this.#reportGivenUp());
  }

  /** Renews all places and returns the access of each session. */
  async renew(): Promise<(session: Session) => Access> {
    return await this.#inTurn(async () => {
      const places = [...this.#held.values()].filter(({ access }) => access !== undefined);
      const [rows, ofKeys] = await Promise.all([this.#report(places), accessOfKeys(places)]);
      const ofOthers = accessFrom(rows);
      return (session) => session.api_key ? ofKeys.get(credentialOf(session.api_key)) ?? nothing : ofOthers(session);
    });
  }

  #count(holder: string): number {
    return this.#countOf.get(holder) ?? 0;
  }

  /**
   * Resolves to whether a place of the holder becomes free soon: a client that reconnects can be faster than the end of
   * its previous stream. At most `most` requests of a holder wait.
   */
  async #becomesFree(holder: string, most: number): Promise<boolean> {
    const waiting = this.#waiting.get(holder) ?? 0;
    if (waiting >= most) return false;
    this.#waiting.set(holder, waiting + 1);
    for (const endMs = performance.now() + patienceMs; this.#count(holder) >= most && performance.now() < endMs;) {
      await delay(pollMs);
    }
    const rest = (this.#waiting.get(holder) ?? 1) - 1;
    if (rest > 0) this.#waiting.set(holder, rest);
    else this.#waiting.delete(holder);
    return this.#count(holder) < most;
  }

  async #reportGivenUp(): Promise<void> {
    this.#isReporting = true;
    try {
      while (this.#givenUp.size > 0) await this.#inTurn(() => this.#report([]));
    } catch (error) {
      // the next call reports them again; without one the database frees the places when they expire
      console.error(JSON.stringify({ stream: "places", error: String(error) }));
    } finally {
      this.#isReporting = false;
    }
  }

  /** Renews these places in the database and gives up those of {@link #givenUp}. */
  async #report(places: Place[]): Promise<AccessRow[]> {
    const givenUp = [...this.#givenUp];
    const rows = await rpcAsServer()("hold_stream_places", {
      places: places.map(({ id }) => id),
      holders: places.map(({ holder }) => holder),
      given_up: givenUp,
    });
    for (const id of givenUp) this.#givenUp.delete(id);
    return rows;
  }

  async #inTurn<Result>(call: () => Promise<Result>): Promise<Result> {
    const result = this.#lastCall.then(call);
    this.#lastCall = result.catch(() => {});
    return await result;
  }
}
