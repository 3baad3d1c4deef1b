-- What: the private schema, and who may do what by default.
-- Why: Supabase grants everything in `public` to every role; here a role may do what a line grants, and nothing else.

-- btree_gist lets one exclusion constraint say "no two runs of one operation overlap".
create extension if not exists btree_gist with schema extensions;

-- Everything here is for the API's own functions; the Data API exposes `public` only.
create schema app;
comment on schema app is 'Private helpers of the MES Operations API: never exposed by the Data API.';

-- Once, before anything is made: tables, sequences and functions belong to their owner alone.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;

-- Reads run as the caller, so that the functions and policies of a read are executed with the caller's rights.
grant usage on schema app to authenticated, service_role;
