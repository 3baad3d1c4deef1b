// Generated from supabase/migrations by `deno task schema` and `deno task migration`. Do not edit.

/** The newest migration: the functions do not serve a database without it. */
export const neededMigration = "20261124000000";
