/**
 * API keys that the database has admitted lately. Each call of the database judges its key anew. The first request of a
 * key asks once more, before its body is read: a guessed key costs one call, whatever it sends, and counts for nobody.
 * From an address beyond its limit, only keys that were admitted there before are asked for.
 *
 * @module
 */
import type { ApiKey } from "./api_keys.ts";
import { outliveAnswer } from "./background.ts";
import { type Rpc, rpcAsKey, rpcAsServer } from "./database.ts";
import { Problem } from "./problems.ts";
import { checkSchema } from "./schema_version.ts";

declare module "./database.ts" {
  interface Answers {
    admit_key: { id: string };
    note_key_use: undefined;
  }
}

/** Time until a key is asked for again. Its last use is stored then, too. */
const admittedForMs = 60_000;

/** Most stored keys; the oldest are removed first. */
const maxKeys = 1_000;

interface Admission {
  untilMs: number;
  answer: Promise<unknown>;
  /** Whether the database has admitted the key, and has not refused it since. */
  isProven: boolean;
}

/** By digest and address. */
const admissions = new Map<string, Admission>();

const nameOf = ({ id, digest }: ApiKey, address: string) => `${id}.${digest} ${address}`;

/** Returns whether the database has admitted this key from this address before, and has not refused it since. */
export function wasAdmitted(key: ApiKey, address: string): boolean {
  return admissions.get(nameOf(key, address))?.isProven ?? false;
}

/**
 * Returns the database as an admitted key sees it.
 *
 * @param acting The acting token of a person at this terminal.
 * @throws {Problem} `unauthenticated`, `forbidden` for the client's address, `unavailable`
 */
export async function admitKey(key: ApiKey, address: string, acting?: string): Promise<Rpc> {
  await checkSchema();
  const name = nameOf(key, address);
  const call = rpcAsKey(key, address, acting);
  const rpc: Rpc = async (...args) => {
    try {
      return await call(...args);
    } catch (error) {
      // an acting token may be invalid while the key is valid
      const isOfKey = error instanceof Problem && error.code === "unauthenticated" && !("credential" in error.more);
      if (isOfKey) admissions.delete(name);
      throw error;
    }
  };
  let admission = admissions.get(name);
  if (admission === undefined || performance.now() >= admission.untilMs) {
    admission = {
      untilMs: performance.now() + admittedForMs,
      answer: rpcAsKey(key, address)("admit_key", {}),
      isProven: admission?.isProven ?? false,
    };
    admissions.delete(name);
    admissions.set(name, admission);
    keepAnswer(name, key.id, admission);
    trim();
  }
  await admission.answer;
  return rpc;
}

/** Keeps what the database says of a key. When it says nothing, the next request asks again. */
async function keepAnswer(name: string, id: string, admission: Admission): Promise<void> {
  try {
    await admission.answer;
    admission.isProven = true;
    noteUse(id);
  } catch (error) {
    const isUnanswered = error instanceof Problem && error.code === "unavailable";
    if (isUnanswered && admission.isProven) admission.untilMs = -Infinity;
    else admissions.delete(name);
  }
}

function trim(): void {
  for (const [name] of admissions) {
    if (admissions.size <= maxKeys) return;
    admissions.delete(name);
  }
}

/** Stores that a key was used just now, after the answer. A failure concerns nobody: the next use is stored again. */
function noteUse(id: string): void {
  outliveAnswer(rpcAsServer()("note_key_use", { key_ids: [id] }).catch(() => {}));
}
