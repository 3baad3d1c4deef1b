/**
 * `REQUIRE_AAL2`: whether managers and admins need a second factor. The database judges it, since it knows the role and
 * can be called past the functions; it is told once by each process.
 *
 * @module
 */
import { databaseOfServer } from "./database.ts";

let told: Promise<unknown> | undefined;

/**
 * Resolves once the database knows what the environment says. Without the variable it keeps what it knows.
 *
 * @throws {Problem} `unavailable` while it cannot be told: nobody gets in meanwhile.
 */
export async function secondFactorRule(): Promise<void> {
  const setting = Deno.env.get("REQUIRE_AAL2")?.trim().toLowerCase();
  if (!setting) return;
  // a word that nobody foresaw must not open the door
  told ??= databaseOfServer()("require_second_factor", { is_required: setting !== "false" });
  try {
    await told;
  } catch (error) {
    told = undefined;
    throw error;
  }
}
