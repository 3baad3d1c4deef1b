/**
 * `RATE_LIMITS`: limits of the plant, as a secret of the functions, or `off`. The database stores and applies them,
 * because it knows the role of each caller. Each process sends them once.
 *
 * @module
 */
import { z } from "zod";
import { rpcAsServer } from "./database.ts";
import { Constants } from "./database.types.ts";
import { Problem } from "./problems.ts";

declare module "./database.ts" {
  interface Answers {
    set_rate_limits: { changed: number };
  }
}

const { rate_kind, rate_class } = Constants.public.Enums;

const amount = z.int().min(1).max(100_000_000).optional();

/** `{"<kind>": {"<class>": {"units_per_minute", "burst"}}}`; `*` stands for every kind or class. */
const RateLimits = z.partialRecord(
  z.enum([...rate_kind, "*"]),
  z.partialRecord(z.enum([...rate_class, "*"]), z.strictObject({ units_per_minute: amount, burst: amount })),
);

/** `RATE_LIMITS=off`: this process counts and refuses nothing. */
export const rateLimits = { areOn: Deno.env.get("RATE_LIMITS")?.trim().toLowerCase() !== "off" };

/** Returns the setting; undefined without one. One that cannot be read is logged, and changes nothing. */
function readSetting(): z.infer<typeof RateLimits> | undefined {
  const text = Deno.env.get("RATE_LIMITS")?.trim();
  if (!text) return undefined;
  try {
    return RateLimits.parse(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    console.error(JSON.stringify({ warning: `RATE_LIMITS is not valid and not applied: ${reason}` }));
    return undefined;
  }
}

let sent: Promise<void> | undefined;

/** Sends the setting to the database. Without the variable, the database keeps its limits. */
export async function sendRateLimits(): Promise<void> {
  sent ??= send();
  try {
    await sent;
  } catch (error) {
    sent = undefined;
    throw error;
  }
}

async function send(): Promise<void> {
  const limits = readSetting();
  if (limits === undefined) return;
  try {
    await rpcAsServer()("set_rate_limits", { limits });
  } catch (error) {
    // a database that does not answer is asked again; one that rejects the setting keeps its limits
    if (error instanceof Problem && error.code === "unavailable") throw error;
    console.error(JSON.stringify({ warning: `RATE_LIMITS is not applied: ${error}` }));
  }
}
