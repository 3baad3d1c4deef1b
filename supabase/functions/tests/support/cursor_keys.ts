/** A cursor made under one secret key of the project, read under the keys of the arguments; run by feed_test.ts. */
import { readCursor, writeCursor } from "../../_shared/cursors.ts";

const use = (...keys: string[]) =>
  Deno.env.set("SUPABASE_SECRET_KEYS", JSON.stringify(Object.fromEntries(keys.entries())));
use("sb_secret_old");
const cursor = await writeCursor({ pos: 1 });
use(...Deno.args);
console.log(JSON.stringify(await readCursor(cursor) ?? null));
