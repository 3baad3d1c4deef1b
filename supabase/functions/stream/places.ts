/**
 * Places of streams. A caller has a few, in all isolates together: the database counts them, for as long as each isolate
 * says that it still holds them. See decision 0017.
 *
 * @module
 */
import type { Session } from "../_shared/auth.ts";
import { outliveAnswer } from "../_shared/background.ts";
import { rpcAsServer } from "../_shared/database.ts";
import { Problem } from "../_shared/problems.ts";
import type { AccessRow } from "./schemas.ts";
import { settings } from "./settings.ts";
import type { Access } from "./subscription.ts";

/** How long an opening waits for an earlier stream of the same caller, whose end may be on its way. */
const patience_ms = 1_000;
const look_ms = 25;

const everything: Access = { sees_all: true, workplaces: new Set() };
const nothing: Access = { sees_all: false, workplaces: new Set() };

const delay = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));

/** A place for a stream: taken before it opens, given up when its connection is closed. */
export interface Place {
  readonly id: string;
  readonly holder: string;
  readonly session: Session;
  /** What the caller sees when the stream opens; undefined until the database has counted the place. */
  access?: Access;
}

/** A place that the database counts. */
export type TakenPlace = Place & { access: Access };

/** Who holds a place. A ticket does not tell which secret key asked for it: its streams count with those of the first. */
function holderOf({ user_id, secret_key = "default" }: Session): string {
  return user_id ?? `secret:${secret_key}`;
}

/** Tells what each session sees: nothing without a profile, or without a second factor where one is required. */
function accessFrom(rows: AccessRow[]): (session: Session) => Access {
  const byUser = new Map(rows.map(({ user_id, sees_all, workplaces, needs_aal2 }) => [
    user_id,
    { sees_all, workplaces: new Set(workplaces), needs_aal2 },
  ]));
  return ({ user_id, aal }) => {
    if (user_id === null) return everything;
    const access = byUser.get(user_id);
    return access === undefined || (access.needs_aal2 && aal !== "aal2") ? nothing : access;
  };
}

/** The places that this isolate holds. */
export class Places {
  readonly #held = new Map<string, Place>();
  readonly #countOf = new Map<string, number>();
  readonly #waiting = new Map<string, number>();
  /** Places that the database may still count. */
  readonly #givenUp = new Set<string>();
  /** Calls that hold places or give them up, one after the other: none writes what another has just removed. */
  #telling: Promise<unknown> = Promise.resolve();
  #isTelling = false;

  /** Streams that are open, opening or closing. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * Takes a place for a stream of the caller.
   *
   * @throws {Problem} `forbidden` without a workplace, `rate_limited` when the caller has as many streams as one may have,
   * `unavailable` when this isolate is full.
   */
  async take(session: Session): Promise<TakenPlace> {
    const holder = holderOf(session);
    const most = session.user_id === null ? settings.maxOfSecretKey : settings.maxOfUser;
    // refused here, an opening costs the database nothing and takes no room from other callers
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
      // the service role counts, because a user cannot be let to name places
      const rows = await rpcAsServer()("take_stream_place", {
        place: place.id,
        holder,
        most,
        given_up: [...this.#givenUp],
      });
      const access = accessFrom(rows)(session);
      if (access === nothing) {
        throw new Problem("forbidden", "Cannot open a stream: your role needs a session with a second factor (aal2)");
      }
      return Object.assign(place, { access });
    } catch (error) {
      this.giveUp(place);
      throw error;
    }
  }

  /** Gives a place up; does nothing when that was done. */
  giveUp({ id, holder }: Place): void {
    if (!this.#held.delete(id)) return;
    const left = this.#count(holder) - 1;
    if (left > 0) this.#countOf.set(holder, left);
    else this.#countOf.delete(holder);
    this.#givenUp.add(id);
    if (!this.#isTelling) outliveAnswer(this.#tellGivenUp());
  }

  /** Holds all places a while longer. */
  async hold(): Promise<(session: Session) => Access> {
    return await this.#inTurn(async () => {
      const places = [...this.#held.values()].filter(({ access }) => access !== undefined);
      return accessFrom(await this.#tell(places));
    });
  }

  #count(holder: string): number {
    return this.#countOf.get(holder) ?? 0;
  }

  /** A client that comes again at once may be faster than the news that it has gone. Few openings of a caller wait. */
  async #becomesFree(holder: string, most: number): Promise<boolean> {
    const waiting = this.#waiting.get(holder) ?? 0;
    if (waiting >= most) return false;
    this.#waiting.set(holder, waiting + 1);
    for (const end = performance.now() + patience_ms; this.#count(holder) >= most && performance.now() < end;) {
      await delay(look_ms);
    }
    const rest = (this.#waiting.get(holder) ?? 1) - 1;
    if (rest > 0) this.#waiting.set(holder, rest);
    else this.#waiting.delete(holder);
    return this.#count(holder) < most;
  }

  async #tellGivenUp(): Promise<void> {
    this.#isTelling = true;
    try {
      while (this.#givenUp.size > 0) await this.#inTurn(() => this.#tell([]));
    } catch (error) {
      // told again with the next call; else the database forgets the places by itself
      console.error(JSON.stringify({ stream: "places", error: String(error) }));
    } finally {
      this.#isTelling = false;
    }
  }

  async #tell(places: Place[]): Promise<AccessRow[]> {
    const given_up = [...this.#givenUp];
    const rows = await rpcAsServer()("hold_stream_places", {
      places: places.map(({ id }) => id),
      holders: places.map(({ holder }) => holder),
      given_up,
    });
    for (const id of given_up) this.#givenUp.delete(id);
    return rows;
  }

  async #inTurn<Result>(call: () => Promise<Result>): Promise<Result> {
    const result = this.#telling.then(call);
    this.#telling = result.catch(() => {});
    return await result;
  }
}
