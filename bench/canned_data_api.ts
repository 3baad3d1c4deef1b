/**
 * A Data API that answers at once what it is given, so that a benchmark measures the function in front of it.
 *
 * @module
 */
import { neededMigration } from "../supabase/functions/_shared/needed_migration.ts";

/** What a settlement says when nobody reaches a limit. */
const settled = (sent: string) =>
  JSON.stringify(
    (JSON.parse(sent).counted as { caller: string; class: string }[]).map(({ caller, class: rateClass }) => ({
      ...{ caller, class: rateClass, units_per_minute: 10_000_000, burst: 10_000_000, ahead_ms: 0 },
    })),
  );

/** Serves the answers of SQL functions, as JSON by their names, on a free port of loopback. */
export const serveAnswers = (answers: Readonly<Record<string, string>>): Deno.HttpServer<Deno.NetAddr> =>
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const sent = await request.text();
    const name = new URL(request.url).pathname.split("/").at(-1) ?? "";
    const body = name === "settle_rates"
      ? settled(sent)
      : answers[name] ?? JSON.stringify({ migration: neededMigration });
    return new Response(body, { headers: { "content-type": "application/json" } });
  });
