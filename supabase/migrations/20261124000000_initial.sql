-- Generated from supabase/schemas by `deno task schema`. Do not edit: change the schema and run the task again.

-- supabase/schemas/00_base/01_setup.sql
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

-- supabase/schemas/00_base/02_settings.sql
-- What: settings of a plant.
-- Why: limits and rules that differ between plants are rows, so that changing one needs no deployment.

-- One row, changed by the plant's administrator in SQL: update app.settings set report_age_limit = interval '60 days';
create table app.settings (
  only_row boolean primary key default true,
  report_age_limit interval not null default interval '31 days',
  batch_slots integer not null default 2,
  require_aal2 boolean not null default false,
  constraint settings_has_one_row check (only_row),
  constraint settings_report_age_limit_at_least_a_day check (report_age_limit >= interval '1 day'),
  constraint settings_batch_slots_positive check (batch_slots > 0)
);
comment on table app.settings is 'One row: the settings of the plant.';
comment on column app.settings.report_age_limit is
  'How old a report of a machine or an operator may be; supervisors may report what is older.';
comment on column app.settings.batch_slots is
  'Most large batches that run at the same time; the server rejects the next one with a time to retry.';
comment on column app.settings.require_aal2 is
  'True when managers and admins need a token of a session with a second factor. The functions store what '
  'REQUIRE_AAL2 says.';
insert into app.settings default values;
alter table app.settings enable row level security;

-- supabase/schemas/00_base/03_values.sql
-- What: the form of keys, instants, durations and JSON objects.
-- Why: all tables and all answers share one form.

-- The body of a small pure function is bound at creation, so no search_path can change its meaning. It has no SET
-- clause, because the planner does not inline a function that has one.

-- People type keys, and keys go into URLs: a key that cannot be addressed or seen must not be stored.
-- PL/pgSQL, because check constraints use it: Postgres prepares these for each statement, and inlining an SQL function
-- there each time costs more than the update of a row.
create function app.is_key(value text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return value is null or (
    char_length(value) between 1 and 64
    and value = btrim(value)
    and value not in ('.', '..')
    and value !~ '[\u0001-\u001f\u007f-\u009f]'
  );
end
$$;
comment on function app.is_key(text) is
  'True when the text can be a key: 1..64 characters, not padded, no control characters, and not a path segment that '
  'URL parsers remove.';

create function app.iso(instant timestamptz) returns text
language sql stable parallel safe
return to_char(instant at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function app.iso(timestamptz) is 'An instant as the API writes it: ISO 8601, UTC, milliseconds, Z.';
grant execute on function app.iso to authenticated, service_role;

create function app.minutes_between(from_at timestamptz, to_at timestamptz) returns numeric
language sql immutable parallel safe
return round(extract(epoch from to_at - from_at) / 60, 3);
comment on function app.minutes_between(timestamptz, timestamptz) is
  'Minutes from one instant to another, to a thousandth.';
grant execute on function app.minutes_between to authenticated, service_role;

create function app.json_with(object json, key text, value json) returns json
language sql stable
return (left(object::text, -1) || ', ' || to_json(key) || ': ' || value || '}')::json;
comment on function app.json_with(json, text, json) is
  'The object with one more member at its end. json keeps order and bytes, jsonb would not: a replay must be the '
  'first answer, byte for byte.';
grant execute on function app.json_with to authenticated, service_role;

create function app.json_text(value text) returns text
language sql immutable
return substr(to_json(value)::text, 2, length(to_json(value)::text) - 2);
comment on function app.json_text(text) is 'The text as JSON writes it, without the quotes.';

create function app.begins_with(value text, prefix text) returns boolean
language sql immutable parallel safe
return starts_with(lower(value), lower(prefix));
comment on function app.begins_with(text, text) is
  'True when the text begins with the prefix, in any case. For lists of hundreds of rows, which need no index.';
grant execute on function app.begins_with to authenticated, service_role;

create function app.in_words(span interval) returns text
language sql immutable parallel safe
return case
  when span < interval '90 seconds' then round(extract(epoch from span)) || ' s'
  when span < interval '59.5 minutes' then round(extract(epoch from span) / 60) || ' min'
  when span < interval '48 hours'
  then floor(round(extract(epoch from span) / 60) / 60) || ' h ' || round(extract(epoch from span) / 60) % 60 || ' min'
  else round(extract(epoch from span) / 86400) || ' days'
end;
comment on function app.in_words(interval) is
  'A positive span of time as a person says it: 75 s, 5 min, 3 h 12 min, 20781 days.';

-- The locks of the feed's writers have positive keys: a caller who tries many names must not reach one of them.
create function app.lock_key(name text) returns bigint
language sql immutable parallel safe
return hashtextextended(name, 0) | (1::bigint << 63);
comment on function app.lock_key(text) is 'Key of the advisory lock of a name, always negative.';

-- supabase/schemas/00_base/04_refusals.sql
-- What: problems, and how a command refuses.
-- Why: rules return problems, one function raises: so each rule serves requests, batches and imports.

create type app.problem as (status integer, code text, sentence text, more jsonb);
comment on type app.problem is
  'Why a request or an item is refused: HTTP status, machine code of the problem table, one sentence, further '
  'members. Null = nothing is refused.';

-- Rules are stable SQL functions without a SET clause: the planner inlines them, so a rule that holds costs one
-- comparison.
create function app.problem(status integer, code text, sentence text, more jsonb default '{}') returns app.problem
language sql immutable parallel safe
return row(status, code, sentence, more)::app.problem;
comment on function app.problem(integer, text, text, jsonb) is 'Makes a problem.';
grant execute on function app.problem to authenticated, service_role;

create function app.field_problem(pointer text, code text, sentence text, more jsonb default '{}') returns app.problem
language sql stable parallel safe
return app.problem(422, 'validation_failed', sentence, more || jsonb_build_object('errors', jsonb_build_array(
  jsonb_build_object('in', 'body', 'pointer', pointer, 'message', left(sentence, 1000), 'code', code))));
comment on function app.field_problem(text, text, text, jsonb) is
  'Makes the problem validation_failed of one field, named by a JSON Pointer.';
grant execute on function app.field_problem to authenticated, service_role;

-- SQLSTATE PTxyz is HTTP status xyz to the Data API, the message is the machine code, the detail is JSON.
create function app.raise_problem(problem app.problem) returns void
language plpgsql
set search_path = ''
as $$
begin
  if problem.code is not null then
    raise exception using
      errcode = 'PT' || problem.status,
      message = problem.code,
      -- a sentence quotes what was sent
      detail = (jsonb_build_object('detail', left(problem.sentence, 1000)) || problem.more)::text;
  end if;
end
$$;
comment on function app.raise_problem(app.problem) is 'Raises a problem, unless it is null.';
grant execute on function app.raise_problem to authenticated, service_role;

create function app.refuse(status integer, code text, sentence text, more jsonb default '{}') returns void
language sql
return app.raise_problem(app.problem(status, code, sentence, more));
comment on function app.refuse(integer, text, text, jsonb) is 'Raises the problem that app.problem makes.';
grant execute on function app.refuse to authenticated, service_role;

create function app.refuse_field(pointer text, code text, sentence text) returns void
language sql
return app.raise_problem(app.field_problem(pointer, code, sentence));
comment on function app.refuse_field(text, text, text) is 'Raises the problem that app.field_problem makes.';
grant execute on function app.refuse_field to authenticated, service_role;

create function app.missing_problem() returns app.problem
language sql immutable parallel safe
return app.problem(404, 'not_found', 'There is no such resource, or it is not yours to see');
comment on function app.missing_problem() is 'Makes the problem not_found in the one form for missing and hidden.';
grant execute on function app.missing_problem to authenticated, service_role;

-- A missing and a hidden object give the same answer, so the sentence names only what the caller sent.
create function app.refuse_missing() returns void
language sql
return app.raise_problem(app.missing_problem());
comment on function app.refuse_missing() is 'Raises 404 not_found in the one form for missing and hidden.';
grant execute on function app.refuse_missing to authenticated, service_role;

create function app.require_version(version integer, if_match integer[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  if version <> all(if_match) then
    perform app.refuse(412, 'stale_version', format('The resource has changed: its version is %s now', version),
      jsonb_build_object('current_version', version));
  end if;
end
$$;
comment on function app.require_version(integer, integer[]) is
  'Raises 412 stale_version unless the version is among those of If-Match; null = no condition.';

-- The problem of an item is the one that the same request alone would get.
create function app.problem_json(problem app.problem) returns json
language sql stable parallel safe
return case when (problem).code is not null then json_build_object(
  'status', (problem).status,
  'code', (problem).code,
  'more', jsonb_build_object('detail', left((problem).sentence, 1000)) || case
    -- one stored answer can hold a thousand problems: a long problem loses its lists
    when octet_length((problem).more::text) <= 4096 then (problem).more else '{}' end
) end;
comment on function app.problem_json(app.problem) is
  'The problem of one item: {"status", "code", "more"}; null for null.';

create function app.caught_problem(state text, message text, detail text) returns app.problem
language plpgsql immutable
set search_path = ''
as $$
begin
  return case
    when state ~ '^PT[0-9]{3}$'
    then app.problem(right(state, 3)::integer, message, detail::jsonb ->> 'detail', detail::jsonb - 'detail')
    when state = '23505' then app.problem(409, 'idempotency_conflict', 'The id belongs to another event')
    when state like '23%'
    then app.problem(400, 'integrity_error',
      'A value refers to something that does not exist, or breaks a rule of the database')
    when state like '22%'
      then app.problem(400, 'malformed_request', 'A value is not of the form that the database takes')
  end;
end
$$;
comment on function app.caught_problem(text, text, text) is
  'The problem that a caught error is for one item; null for errors that concern the whole request.';

-- supabase/schemas/00_base/05_rows.sql
-- What: triggers that every table of `public` has.
-- Why: no writer can forget a version, and no client can write a table past the functions.

-- Each table that has a version has this trigger, so no writer can forget the version and none can set it.
create function app.bump_version() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.version := old.version + 1;
  new.created_at := old.created_at;
  new.updated_at := clock_timestamp();
  return new;
end
$$;
comment on function app.bump_version() is 'Trigger: version + 1 and updated_at on every update; created_at stays.';

-- The Data API reaches these tables with the caller's role; the API's functions run as their owner.
create function app.refuse_direct_write() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if current_user in ('anon', 'authenticated', 'service_role') then
    raise sqlstate 'PT403' using
      message = 'forbidden',
      detail = json_build_object('detail', 'This table is written by the functions of the API only')::text;
  end if;
  return null;
end
$$;
comment on function app.refuse_direct_write() is
  'Trigger: refuses writes that reach a table directly, the secret key''s included, because only the functions keep '
  'log and row together.';
grant execute on function app.refuse_direct_write to authenticated, service_role;

-- supabase/schemas/00_base/06_pages.sql
-- What: pages of long lists.
-- Why: a filter by workplaces, statuses or actions must not read the rows between those that it wants.

-- Rows of few workplaces, statuses or actions can be far apart in the order of a list, and a filter on that order reads
-- everything between them. Each alternative alone is one ordered range of an index; a page is the start of their merge.
create function app.page_query(
  source text, alias text, item text, conditions text, alternatives text[], key_columns text,
  page_order text, take text, skip text,
  merge_order text default null
) returns text
language sql immutable
begin atomic
  select format('select array(select p.item from (%s) p order by %s limit %s offset %s)',
    string_agg(
      format('(select %s as item, %s from %s %s where %s and %s order by %s limit %s + %s)',
        item, key_columns, source, alias, alternative, conditions, page_order, take, skip),
      ' union all '),
    coalesce(merge_order, page_order), take, skip)
  from unnest(alternatives) alternative;
end;
comment on function app.page_query(text, text, text, text, text[], text, text, text, text, text) is
  'The query of a page: an item of each row of all alternatives, which exclude each other, in one order, as one '
  'array. merge_order is the order over all alternatives when it has more columns than the order within one. All '
  'arguments are trusted SQL; values are its parameters.';
grant execute on function app.page_query to authenticated, service_role;

create function app.alternatives(column_name text, parameter text, value_count integer) returns text[]
language sql immutable
begin atomic
  select case when value_count is null then array['true'] when value_count = 0 then array['false'] else array(
    select format('%s = (%s)[%s]', column_name, parameter, i) from generate_series(1, value_count) i
  ) end;
end;
comment on function app.alternatives(text, text, integer) is
  'One condition for each value of an array parameter; true alone for null, false alone for an empty array.';
grant execute on function app.alternatives to authenticated, service_role;

create function app.all_pairs(firsts text[], seconds text[]) returns text[]
language sql immutable
begin atomic
  -- each alternative costs planning time, and the rows of many alternatives are not far apart
  select case when cardinality(firsts) * cardinality(seconds) > 16 then array['true'] else array(
    select f || ' and ' || s from unnest(firsts) f, unnest(seconds) s
  ) end;
end;
comment on function app.all_pairs(text[], text[]) is
  'The conditions of both, each with each; true alone when there would be more than 16.';
grant execute on function app.all_pairs to authenticated, service_role;

create function app.distinct_values(given text[]) returns text[]
language sql immutable
begin atomic
  select case when given is not null then array(select distinct v from unnest(given) v) end;
end;
comment on function app.distinct_values(text[]) is 'Each value once; null for null.';
grant execute on function app.distinct_values to authenticated, service_role;

-- supabase/schemas/00_base/07_bounds.sql
-- What: upper bounds of arguments.
-- Why: every signed-in user can call the functions of `public` past all checks of the edge functions.

-- Every signed-in user can call the functions of `public` through the Data API, without the checks of the Edge
-- Functions. So each function bounds its arguments in its first declaration, before it reads, sorts or unpacks them:
--   bounded constant boolean := app.require_bounded('order_no', order_no)
--     and app.require_bounded('statuses', statuses);
-- The Edge Functions reject everything that these bounds reject. A check costs microseconds: the SQL functions have no
-- SET clause, so the planner inlines them into the caller's expression, and only a rejection is a call.
create function app.refuse_unbounded(name text, amount bigint, unit text, most bigint) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  if unit = 'bytes' then
    perform app.refuse(413, 'body_too_large', format('"%s" has %s bytes: at most %s are taken', name, amount, most),
      jsonb_build_object('limit', most));
  elsif unit = 'levels' then
    perform app.refuse(400, 'malformed_request', format('"%s" is nested more than %s levels deep', name, most));
  end if;
  perform app.refuse_field('/' || name, 'too_big',
    format('"%s" has %s %s: at most %s are taken', name, amount, unit, most));
  return false;
end
$$;
comment on function app.refuse_unbounded(text, bigint, text, bigint) is
  'Raises the refusal of an argument: 413 body_too_large for bytes, 400 malformed_request for levels of nesting, 422 '
  'validation_failed for anything else. It has a result because it stands in expressions.';
grant execute on function app.refuse_unbounded to authenticated, service_role;

create function app.require_bounded(name text, value text) returns boolean
language sql
return value is null or char_length(value) <= 320 or app.refuse_unbounded(name, char_length(value), 'characters', 320);
comment on function app.require_bounded(text, text) is
  'True for at most 320 characters, the longest e-mail address. Raises 422 validation_failed.';

create function app.require_bounded(name text, value text[]) returns boolean
language sql
return value is null
  or (cardinality(value) <= 100 or app.refuse_unbounded(name, cardinality(value), 'values', 100))
    and (pg_column_size(value) <= 32768 or app.refuse_unbounded(name, pg_column_size(value), 'bytes', 32768));
comment on function app.require_bounded(text, text[]) is
  'True for at most 100 names of 64 characters. Raises 422 validation_failed, 413 body_too_large.';

create function app.require_bounded(name text, value integer[]) returns boolean
language sql
return value is null or cardinality(value) <= 100 or app.refuse_unbounded(name, cardinality(value), 'values', 100);
comment on function app.require_bounded(text, integer[]) is
  'True for at most 100 numbers. Raises 422 validation_failed.';

create function app.require_bounded(name text, value integer) returns boolean
language sql
return value is null or value <= 10000 or app.refuse_unbounded(name, value, 'rows', 10000);
comment on function app.require_bounded(text, integer) is
  'True for at most 10,000 rows to pass over. Raises 422 validation_failed.';

create function app.require_bounded(name text, value jsonb, most_bytes integer default 524288) returns boolean
language sql
return value is null
  or (pg_column_size(value) <= most_bytes or app.refuse_unbounded(name, pg_column_size(value), 'bytes', most_bytes))
    and (
      -- 33 arrays or objects within each other take more than this
      pg_column_size(value) <= 256
      or not jsonb_path_exists(value, 'strict $.**{32} ? (@.type() == "array" || @.type() == "object")')
      or app.refuse_unbounded(name, 33, 'levels', 32)
    );
comment on function app.require_bounded(text, jsonb, integer) is
  'True for JSON of at most so many bytes, as PostgreSQL holds it, and at most 32 levels of arrays and objects. '
  'Raises 413 body_too_large, 400 malformed_request.';
grant execute on function
  app.require_bounded(text, text), app.require_bounded(text, text[]), app.require_bounded(text, integer[]),
  app.require_bounded(text, integer), app.require_bounded(text, jsonb, integer) to authenticated, service_role;

-- supabase/schemas/00_base/08_health.sql
-- What: whether the database answers and can write, and its newest migration.
-- Why: a full disk lets reads through and refuses writes; functions must not serve before their migration is applied.

-- One row, written at most every 5 s for all callers together, so the health check causes no load.
create table app.write_probe (
  is_only boolean primary key default true check (is_only),
  probed_at timestamptz not null
);
comment on table app.write_probe is 'When the health check last wrote.';

alter table app.write_probe enable row level security;

insert into app.write_probe (probed_at) values ('-infinity');

create function app.can_write() returns boolean
language plpgsql
set search_path = ''
set work_mem = '64kB'
as $$
begin
  update app.write_probe p set probed_at = clock_timestamp()
  where p.is_only = (
    select w.is_only from app.write_probe w
    where w.probed_at not between clock_timestamp() - interval '5 seconds' and clock_timestamp()
    for update skip locked
  );
  if found then
    -- An overwritten row needs no new space on the disk. 20,000 numbers exceed work_mem, so Postgres writes them to a
    -- temporary file.
    perform count(*) from generate_series(1, 20000);
  end if;
  return true;
exception when others then
  raise log 'The health check cannot write: %', sqlerrm;
  return false;
end
$$;
comment on function app.can_write() is
  'True when the database can write: it is not read-only, its disk has space. Asks the disk at most every 5 s.';

create function app.newest_migration() returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return (select max(m.version) from supabase_migrations.schema_migrations m);
exception when undefined_table or invalid_schema_name then
  return null;
end
$$;
comment on function app.newest_migration() is
  'Version of the newest migration of the history that the Supabase CLI keeps; null without a history.';

create function public.health(probe_writes boolean default false) returns json
language plpgsql security definer
set search_path = ''
as $$
begin
  return json_build_object(
    'database', 'up',
    'writes', case when not health.probe_writes then 'unknown' when app.can_write() then 'ok' else 'failing' end,
    'migration', app.newest_migration()
  );
end
$$;
comment on function public.health(boolean) is
  'Returns the newest migration and, when asked, whether the database can write.';
grant execute on function public.health to service_role;

-- supabase/schemas/05_access/01_caller.sql
-- What: the caller, with role and visible workplaces.
-- Why: each request looks access up in the table, so that a revoked role or workplace has no effect from the next one.

-- Closed sets are types of `public`: the generated TypeScript takes their values from there.
create type public.role as enum ('readonly', 'machine', 'operator', 'supervisor', 'manager', 'admin');
comment on type public.role is 'What a user may do; a machine may do what an operator may.';

create type app.caller as (
  user_id uuid,
  email text,
  role public.role,
  workplaces text[],
  sees_all boolean,
  is_server boolean
);

comment on type app.caller is
  'The user who calls, with role and workplaces, or a server with the secret key (role admin, no user).';

create function app.role_rank(role public.role) returns integer
language sql immutable parallel safe
return case role
  when 'readonly' then 0
  when 'machine' then 1
  when 'operator' then 1
  when 'supervisor' then 2
  when 'manager' then 3
  when 'admin' then 4
  else -1
end;
comment on function app.role_rank(public.role) is
  'Order of the roles, so that "supervisor or above" is one comparison; -1 = no role.';
grant execute on function app.role_rank to authenticated, service_role;

-- The Data API sets `role` for this transaction from the verified credential. Unlike current_user, it is the same
-- inside security definer functions, and no claim can change it. Every request calls this function, so it parses the
-- claims once and reads the profile by one look-up.
create function app.current_caller() returns app.caller
language plpgsql stable security definer
set search_path = ''
as $$
declare
  claims jsonb;
  caller app.caller;
begin
  if current_setting('role') = 'service_role' then
    return row(null, null, 'admin', '{}'::text[], true, true)::app.caller;
  elsif current_setting('role') <> 'authenticated' then
    return null;
  end if;
  claims := auth.jwt();
  if claims ->> 'is_anonymous' = 'true' then
    return null;
  end if;
  select p.id, p.email, p.role, p.workplace_access,
    p.role in ('manager', 'admin') or '*' = any(p.workplace_access), false
  into caller
  from public.profiles p
  where p.id = (claims ->> 'sub')::uuid;
  if not found then
    return null;
  elsif caller.role in ('manager', 'admin') then
    perform app.refuse_single_factor(caller.role, claims ->> 'aal');
  end if;
  return caller;
end
$$;
comment on function app.current_caller() is
  'The caller of this transaction, or null for a signed-in user without a profile, for an anonymous user and for '
  'anon. Raises 403 forbidden without a demanded second factor.';
grant execute on function app.current_caller to authenticated, service_role;

create function app.refuse_single_factor(role public.role, level text) returns void
language plpgsql stable security definer
set search_path = ''
as $$
begin
  if coalesce(level, '') <> 'aal2' and (select s.require_aal2 from app.settings s) then
    perform app.refuse(
      403, 'forbidden',
      format('Role %s needs a session with a second factor (aal2), not "%s": verify a factor and use the new token',
        role, level),
      jsonb_build_object('required_aal', 'aal2')
    );
  end if;
end
$$;
comment on function app.refuse_single_factor(public.role, text) is
  'Raises 403 forbidden for a session without a second factor where one is demanded, so that the caller learns why.';

create function public.require_second_factor(is_required boolean) returns json
language plpgsql security definer
set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role' then
    perform app.refuse(403, 'forbidden', 'Only the secret key may say who needs a second factor');
  end if;
  update app.settings s set require_aal2 = is_required where s.require_aal2 is distinct from is_required;
  return json_build_object('is_required', is_required);
end
$$;
comment on function public.require_second_factor(boolean) is
  'Demands a second factor (claim aal = aal2) of managers and admins from now on, or no longer. For the secret key '
  'only.';
grant execute on function public.require_second_factor to service_role;

-- Anybody can sign up. A user without a workplace sees nothing of the plant.
create function app.has_workplace(caller app.caller) returns boolean
language sql immutable parallel safe
return coalesce((caller).sees_all or cardinality((caller).workplaces) > 0, false);
comment on function app.has_workplace(app.caller) is
  'True for managers and above, servers, and users with at least one workplace. All others see their own profile '
  'only and store nothing else.';
grant execute on function app.has_workplace to authenticated, service_role;

create function app.role_problem(caller app.caller, least_role public.role, sentence text) returns app.problem
language sql stable parallel safe
return case when app.role_rank((caller).role) < app.role_rank(least_role)
  then app.problem(403, 'forbidden', sentence, jsonb_build_object('required_role', least_role)) end;
comment on function app.role_problem(app.caller, public.role, text) is
  'Makes the problem forbidden for a caller with a lesser role.';

create function app.require_role(caller app.caller, least_role public.role, sentence text) returns void
language sql
return app.raise_problem(app.role_problem(caller, least_role, sentence));
comment on function app.require_role(app.caller, public.role, text) is
  'Raises 403 forbidden unless the caller has at least this role.';

create function app.require_workplace(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.has_workplace(caller) then
    perform app.refuse(403, 'forbidden', 'You have no workplace yet: ask a manager for access to one');
  end if;
end
$$;
comment on function app.require_workplace(app.caller) is
  'Raises 403 forbidden for a caller without a workplace, below manager.';

create function app.require_plant(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.has_workplace(caller) then
    perform app.refuse_missing();
  end if;
end
$$;
comment on function app.require_plant(app.caller) is
  'Raises 404 not_found for a caller without a workplace, below manager: operations, workplaces and reason codes do '
  'not exist for them.';

create function app.sees_workplace(caller app.caller, workplace_name text) returns boolean
language sql immutable parallel safe
return coalesce((caller).sees_all or workplace_name = any((caller).workplaces), false);
comment on function app.sees_workplace(app.caller, text) is
  'True when what happens at this workplace exists for the caller.';
grant execute on function app.sees_workplace to authenticated, service_role;

create function app.require_seen(caller app.caller, workplace_names text[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  if exists (select from unnest(workplace_names) w where not app.sees_workplace(caller, w)) then
    perform app.refuse_missing();
  end if;
end
$$;
comment on function app.require_seen(app.caller, text[]) is
  'Raises 404 not_found unless the caller sees all of the workplaces.';

create function app.sees_all_workplaces() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return coalesce((app.current_caller()).sees_all, false);
end
$$;
comment on function app.sees_all_workplaces() is
  'True when the caller sees operations and events of every workplace (domain: access table).';
grant execute on function app.sees_all_workplaces to authenticated, service_role;

create function app.own_workplaces() returns setof text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return query select unnest((app.current_caller()).workplaces);
end
$$;
comment on function app.own_workplaces() is 'Names of the workplaces the caller works at.';
grant execute on function app.own_workplaces to authenticated, service_role;

create function app.places_to_list(wanted text[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if (caller).sees_all then
    return wanted;
  end if;
  return array(select w from unnest(app.distinct_values((caller).workplaces)) w
    where wanted is null or w = any(wanted));
end
$$;
comment on function app.places_to_list(text[]) is
  'Workplaces that a list can show: of the wanted ones (null = all) those that the caller sees; null when these are '
  'all.';
grant execute on function app.places_to_list to authenticated, service_role;

-- supabase/schemas/10_commands/01_idempotency.sql
-- What: the answers of finished commands, by idempotency key.
-- Why: the record is written in the transaction of the effect, so that a retry after a crash finds both or neither.

-- The API promises at least 24 hours: see decision 0029.
create function app.answer_lifetime() returns interval
language sql immutable parallel safe
return interval '48 hours';
comment on function app.answer_lifetime() is 'How long a command''s answer is stored under its Idempotency-Key.';

create table app.idempotency_keys (
  caller text not null,
  method text not null,
  route text not null,
  key text collate "C" not null,
  fingerprint text not null,
  least_role public.role not null,
  workplace_names text[],
  answer json not null,
  mentions text[],
  created_at timestamptz not null default clock_timestamp(),
  primary key (caller, method, route, key),
  -- Exactly the routes that the Edge Functions send; app.idempotency rejects others before. A regular expression that
  -- counts to 255 costs 100 times as much as a length.
  constraint idempotency_keys_key_is_visible check (char_length(key) between 1 and 255 and key !~ '[^!-~]'),
  constraint idempotency_keys_method_known check (method in ('POST', 'PATCH')),
  constraint idempotency_keys_route_short check (char_length(route) between 1 and 255),
  constraint idempotency_keys_fingerprint_is_sha256
    check (octet_length(fingerprint) = 64 and fingerprint !~ '[^0-9a-f]'),
  constraint idempotency_keys_caller_short check (char_length(caller) <= 36),
  constraint idempotency_keys_workplace_names_bounded check (
    cardinality(workplace_names) <= 1000 and pg_column_size(workplace_names) <= 524288
  ),
  -- 1,000 results, each with a problem of 4 KiB and more
  constraint idempotency_keys_answer_small check (pg_column_size(answer) <= 8388608)
);
comment on table app.idempotency_keys is
  'Answers of commands that were sent with an Idempotency-Key, kept for app.answer_lifetime().';
comment on column app.idempotency_keys.caller is
  'Id of the user, or "server" for the secret key: equal keys of others are independent.';
comment on column app.idempotency_keys.fingerprint is
  'Digest of path and body, to refuse the same key with another request.';
comment on column app.idempotency_keys.least_role is 'Role that the caller had, which a replay needs.';
comment on column app.idempotency_keys.workplace_names is
  'Workplaces that a replay needs to be seen; * = all of them, null = none.';
comment on column app.idempotency_keys.mentions is
  'People other than the caller whom the answer names: their addresses as JSON writes them, and the id of a profile. '
  'See app.forget_user.';
create index idempotency_keys_by_age on app.idempotency_keys (created_at);
create index idempotency_keys_by_mention on app.idempotency_keys using gin (mentions) where mentions is not null;

alter table app.idempotency_keys enable row level security;

-- A request with an Idempotency-Key; null = the request has no key.
create type app.idempotency as (key text, method text, route text, fingerprint text, request_id text);

-- Volatile, or the planner would call it before the size of its argument is bounded.
create function app.require_idempotency(request app.idempotency) returns app.idempotency
language plpgsql volatile
set search_path = ''
as $$
begin
  if char_length((request).key) not between 1 and 255 or (request).key ~ '[^!-~]' then
    perform app.refuse(400, 'malformed_request', 'Idempotency-Key must be 1 to 255 visible ASCII characters');
  elsif (request).method in ('POST', 'PATCH') is not true then
    perform app.refuse_field('/idempotency/method', 'invalid_value',
      format('"%s" is not a method with an Idempotency-Key: POST or PATCH', (request).method));
  elsif (char_length((request).route) between 1 and 255) is not true then
    perform app.refuse_field('/idempotency/route', 'invalid_format', 'The route must have 1 to 255 characters');
  elsif (octet_length((request).fingerprint) = 64 and (request).fingerprint !~ '[^0-9a-f]') is not true then
    perform app.refuse_field('/idempotency/fingerprint', 'invalid_format', 'The fingerprint must be a SHA-256 in hex');
  elsif char_length((request).request_id) > 128 then
    perform app.refuse_field('/idempotency/request_id', 'too_big', 'The request id must have at most 128 characters');
  end if;
  return request;
end
$$;
comment on function app.require_idempotency(app.idempotency) is
  'Returns the request of an Idempotency-Key. Raises 400 malformed_request for the key, 422 '
  'validation_failed for the rest.';

create function app.idempotency(request jsonb) returns app.idempotency
language sql
return case when app.require_bounded('idempotency', request, 4096) then
  case when request ->> 'key' is not null then app.require_idempotency(
    row(request ->> 'key', request ->> 'method', request ->> 'route', request ->> 'fingerprint',
      request ->> 'request_id')::app.idempotency)
  end
end;
comment on function app.idempotency(jsonb) is
  'The idempotency argument of a command: {"key", "method", "route", "fingerprint", "request_id"} or null. Raises '
  'what app.require_bounded and app.require_idempotency raise.';

create function app.key_owner(caller app.caller) returns text
language sql immutable
return case when (caller).is_server then 'server' else (caller).user_id::text end;
comment on function app.key_owner(app.caller) is
  'Owner of the caller''s idempotency keys; null for a user without a profile.';

create function app.stored_answer(caller_name text, request app.idempotency) returns app.idempotency_keys
language plpgsql
set search_path = ''
as $$
declare
  stored app.idempotency_keys;
begin
  select * into stored from app.idempotency_keys k
  where k.caller = caller_name and k.method = (request).method and k.route = (request).route and k.key = (request).key
    and k.created_at > clock_timestamp() - app.answer_lifetime();
  return stored;
end
$$;
comment on function app.stored_answer(text, app.idempotency) is
  'The stored answer under a key of this caller, as far as it is committed; null when there is none.';

create function app.mentioned_people(answer json, caller app.caller) returns text[]
language sql immutable
return (
  select array_agg(distinct person.name)
  from (
    select address[1] as name
      from regexp_matches(answer::text, '"(?:user_)?email" *: *"((?:[^"\\]|\\.)*)"', 'g') address
    union all
    select answer #>> '{body,id}' where answer #>> '{body,full_name}' is not null
  ) person
  where person.name not in ((caller).user_id::text, app.json_text((caller).email)) is not false
);
comment on function app.mentioned_people(json, app.caller) is
  'People whom an answer names, the caller left out: addresses as JSON writes them, without quotes, and the id of a '
  'profile with a name; null when there is none.';

create function app.replay(caller app.caller, request app.idempotency) returns json
language plpgsql
set search_path = ''
as $$
declare
  caller_name constant text := app.key_owner(caller);
  stored app.idempotency_keys;
begin
  -- without a workplace nothing is stored: what follows refuses the caller, or changes their own profile
  if (request).key is null or not app.has_workplace(caller) then
    return null;
  end if;
  stored := app.stored_answer(caller_name, request);
  if stored.key is null then
    -- The second of two requests in flight is refused at once; the lock ends with the transaction that holds it.
    -- Replays take no lock, so they do not wait for each other.
    if not pg_try_advisory_xact_lock(
      app.lock_key(concat_ws(' ', caller_name, (request).method, (request).route, (request).key))) then
      perform app.refuse(409, 'idempotency_conflict',
        format('A request with Idempotency-Key "%s" is still being processed: try again', (request).key));
    end if;
    stored := app.stored_answer(caller_name, request);
  end if;
  if stored.key is null then
    return null;
  end if;
  if stored.fingerprint <> (request).fingerprint then
    perform app.refuse(422, 'idempotency_key_reused',
      format('Idempotency-Key "%s" was used with another request', (request).key));
  end if;
  perform app.require_seen(caller, stored.workplace_names);
  perform app.require_role(caller, stored.least_role, 'Your role may not repeat this request');
  return app.json_with(stored.answer, 'replayed', 'true');
end
$$;
comment on function app.replay(app.caller, app.idempotency) is
  'The stored answer of a repeated request, or null when it is to be carried out. Raises 409 idempotency_conflict '
  'while the first is in flight, 422 idempotency_key_reused for another request; authorises afresh.';

create function app.remember(
  caller app.caller, request app.idempotency, workplace_names text[], answer json
) returns json
language plpgsql
set search_path = ''
as $$
begin
  if (request).key is null or not app.has_workplace(caller) then
    return answer;
  end if;
  -- problems inside of an answer name the request that met them, in its replays too
  answer := app.json_with(answer, 'request_id', coalesce(to_json((request).request_id), 'null'));
  insert into app.idempotency_keys (caller, method, route, key, fingerprint, least_role,
    workplace_names, answer, mentions)
  values (
    app.key_owner(caller), (request).method, (request).route, (request).key, (request).fingerprint,
    (caller).role, workplace_names, answer, app.mentioned_people(answer, caller)
  )
  on conflict on constraint idempotency_keys_pkey do update
    set (fingerprint, least_role, workplace_names, answer, mentions, created_at) = (
      excluded.fingerprint, excluded.least_role, excluded.workplace_names, excluded.answer,
      excluded.mentions, excluded.created_at
    );
  -- Each new key sweeps a few old ones out: no scheduler, no long delete.
  delete from app.idempotency_keys k where k.ctid = any(array(
    select old.ctid from app.idempotency_keys old
    where old.created_at < clock_timestamp() - app.answer_lifetime()
    order by old.created_at
    limit 5
    for update skip locked
  ));
  return answer;
end
$$;
comment on function app.remember(app.caller, app.idempotency, text[], json) is
  'Stores the answer of a command under its key, if it has one and the caller has a workplace, with the workplaces '
  'that it is about (* = visible only with access to all), and returns it.';

-- Every function that changes something begins and ends with these.
create type app.command as (caller app.caller, request app.idempotency, answer json);

comment on type app.command is
  'Who changes something, under which key, and the stored answer when this is a repetition.';

create function app.begin_command(idempotency jsonb) returns app.command
language plpgsql
set search_path = ''
as $$
declare
  command app.command;
begin
  command.caller := app.current_caller();
  if idempotency is not null then
    command.request := app.idempotency(idempotency);
    command.answer := app.replay(command.caller, command.request);
  end if;
  return command;
end
$$;
comment on function app.begin_command(jsonb) is
  'The caller, the key and the stored answer of a command. Raises what app.current_caller, app.idempotency and '
  'app.replay raise.';

create function app.finish_command(command app.command, workplace_names text[], answer json) returns json
language sql
return case
  when (command).request is null then answer
  else app.remember((command).caller, (command).request, workplace_names, answer)
end;
comment on function app.finish_command(app.command, text[], json) is
  'Stores the answer of a command as app.remember does, and returns it.';

-- supabase/schemas/15_profiles/01_profiles.sql
-- What: profiles, made by sign-up.
-- Why: role and workplaces decide everything else, so that they never come from what a user typed.

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  full_name text,
  role public.role not null default 'operator',
  workplace_access text[] not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_email_short check (char_length(email) <= 320),
  constraint profiles_full_name_short check (char_length(full_name) between 1 and 200),
  constraint profiles_workplace_access_bounded check (
    -- 1,000 names of 64 characters
    cardinality(workplace_access) <= 1000 and array_position(workplace_access, null) is null
    and octet_length(array_to_string(workplace_access, '')) <= 262144
  )
);
comment on table public.profiles is 'Who may do what, where: one row per user of Supabase Auth.';
comment on column public.profiles.workplace_access is 'Names of the workplaces the user works at; * = all.';
comment on column public.profiles.version is 'Number of the last change, the ETag.';
create index profiles_by_email on public.profiles (coalesce(email, '') collate "C", id);
grant select on public.profiles to authenticated, service_role;

create trigger profiles_bump_version before update on public.profiles
  for each row execute function app.bump_version();

create trigger profiles_refuse_direct_write before insert or update or delete or truncate on public.profiles
  for each statement execute function app.refuse_direct_write();

-- Role and workplaces never come from what the user typed at sign-up: everybody begins as an operator of no workplace.
create function app.make_profile() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.profiles (id, email, full_name)
  values (new.id, new.email, nullif(left(btrim(new.raw_user_meta_data ->> 'full_name'), 200), ''))
  on conflict (id) do nothing;
  return null;
end
$$;
comment on function app.make_profile() is
  'Trigger on auth.users: every new user gets a profile, role operator, no workplace.';

create trigger mes_make_profile after insert on auth.users
  for each row execute function app.make_profile();

create function app.follow_email() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.profiles set email = new.email where id = new.id and email is distinct from new.email;
  return null;
end
$$;
comment on function app.follow_email() is 'Trigger on auth.users: a changed address is changed in the profile too.';

create trigger mes_follow_email after update of email on auth.users
  for each row execute function app.follow_email();

create function app.sees_profile(caller app.caller, profile public.profiles) returns boolean
language sql immutable parallel safe
return coalesce(
  (profile).id = (caller).user_id
  or app.role_rank((caller).role) >= 3
  or app.role_rank((caller).role) = 2
    and app.has_workplace(caller)
    and ((caller).sees_all or (profile).workplace_access && (caller).workplaces
      or '*' = any((profile).workplace_access)),
  false
);
comment on function app.sees_profile(app.caller, public.profiles) is
  'True for one''s own profile, for a supervisor''s colleagues at a shared workplace, for managers and admins.';
grant execute on function app.sees_profile to authenticated, service_role;

alter table public.profiles enable row level security;

-- A plant has hundreds of profiles, not millions: here one readable rule per row is fast enough.
create policy "Users read their own profile, supervisors those who share a workplace, managers all"
  on public.profiles for select to authenticated
  using (app.sees_profile((select app.current_caller()), profiles));

-- supabase/schemas/15_profiles/02_functions.sql
-- What: the functions behind the endpoints of profiles.
-- Why: only these functions check who may set a role or a workplace.

create function app.profile_json(p public.profiles) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (p).id,
    'email', (p).email,
    'full_name', (p).full_name,
    'role', (p).role,
    'workplace_access', (p).workplace_access,
    'version', (p).version,
    'created_at', app.iso((p).created_at),
    'updated_at', app.iso((p).updated_at)
  );
end;
comment on function app.profile_json(public.profiles) is 'The profile as the API writes it.';
grant execute on function app.profile_json to authenticated, service_role;

create function public.get_profile(id uuid) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  profile public.profiles;
begin
  select * into profile from public.profiles p where p.id = get_profile.id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.profile_json(profile);
end
$$;
comment on function public.get_profile(uuid) is 'One profile. Raises 404 not_found.';
grant execute on function public.get_profile to authenticated, service_role;

create function public.get_own_profile() returns json
language plpgsql stable
set search_path = ''
as $$
declare
  profile public.profiles;
begin
  if current_setting('role') = 'service_role' then
    perform app.refuse(403, 'forbidden',
      'The secret key is not a person and has no profile: '
      'send the access token of a user, or read a profile by its id');
  end if;
  select * into profile from public.profiles p where p.id = auth.uid();
  if not found then
    perform app.refuse_missing();
  end if;
  return app.profile_json(profile);
end
$$;
comment on function public.get_own_profile() is
  'The profile of the caller. Raises 403 forbidden for the secret key, 404 not_found for a user without a profile.';
grant execute on function public.get_own_profile to authenticated, service_role;

create function public.list_profiles(
  q text default null,
  after_email text default null,
  after_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('q', q) and app.require_bounded('after_email', after_email)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.profiles[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select p from public.profiles p
    where (after_id is null or (coalesce(p.email, '') collate "C", p.id) > (after_email, after_id))
      and (q is null or app.begins_with(p.email, q) or app.begins_with(p.full_name, q))
    order by coalesce(p.email, '') collate "C", p.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.profile_json(p)), '[]') from unnest(rows[1:take]) p),
    'next', case when cardinality(rows) > take then json_build_array(coalesce(rows[take].email, ''), rows[take].id) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.profiles p
      where q is null or app.begins_with(p.email, q) or app.begins_with(p.full_name, q)
    ) end
  );
end
$$;
comment on function public.list_profiles(text, text, uuid, integer, integer, text) is
  'A page of the profiles the caller sees, of those whose email or name begins with q, ordered by email: {"items": '
  '[...], "next": key of the last item or null, "total": number when asked}.';
grant execute on function public.list_profiles to authenticated, service_role;

create function public.create_profile(profile jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('profile', profile);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant public.profiles := jsonb_populate_record(null::public.profiles, profile);
  stored public.profiles;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'admin', 'Only an admin may create profiles');

  insert into public.profiles (id, email, full_name, role, workplace_access)
  values (
    wanted.id, coalesce(wanted.email, (select u.email from auth.users u where u.id = wanted.id)), wanted.full_name,
    coalesce(wanted.role, 'operator'), coalesce(wanted.workplace_access, '{}')
  )
  on conflict (id) do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_profile', format('Profile "%s" exists already', wanted.id));
  end if;
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.profile_json(stored)));
end
$$;
comment on function public.create_profile(jsonb, jsonb) is
  'Creates the profile of an existing user. Answers {"status", "body"}. Raises 400 integrity_error for an unknown '
  'user, 403 forbidden, 409 duplicate_profile.';
grant execute on function public.create_profile to authenticated, service_role;

create function public.update_profile(
  id uuid, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  profile public.profiles;
  wanted public.profiles;
  changeable text[];
begin
  if command.answer is not null then
    return command.answer;
  end if;
  select * into profile from public.profiles p where p.id = update_profile.id for update;
  if not found or not app.sees_profile(caller, profile) then
    perform app.refuse_missing();
  end if;

  changeable := case when caller.role = 'admin' then array['email', 'full_name', 'role', 'workplace_access'] else
    case when profile.id = caller.user_id then array['full_name'] else '{}' end
    || case when caller.role = 'manager' then array['workplace_access'] else '{}' end
  end;
  if exists (select from jsonb_object_keys(patch) k where k <> all(changeable)) then
    perform app.refuse(
      403, 'forbidden', format('Your role may not change %s of this profile', (
        select string_agg(k, ', ' order by k) from jsonb_object_keys(patch) k where k <> all(changeable))),
      jsonb_build_object('changeable_fields', changeable)
    );
  end if;
  perform app.require_version(profile.version, if_match);

  wanted := jsonb_populate_record(profile, patch);
  if wanted is distinct from profile then
    update public.profiles p
    set (email, full_name, role, workplace_access)
      = row (wanted.email, wanted.full_name, coalesce(wanted.role, profile.role),
        coalesce(wanted.workplace_access, profile.workplace_access))
    where p.id = profile.id
    returning * into profile;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.profile_json(profile)));
end
$$;
comment on function public.update_profile(uuid, jsonb, integer[], jsonb) is
  'Changes a profile: admins everything, managers the workplaces, everybody their own full_name. Answers {"status", '
  '"body"}. Raises 403 forbidden, 404 not_found, 412 stale_version.';
grant execute on function public.update_profile to authenticated, service_role;

create function public.delete_profile(id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  profile public.profiles;
begin
  select * into profile from public.profiles p where p.id = delete_profile.id for update;
  if not found or not app.sees_profile(caller, profile) then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'admin', 'Only an admin may delete profiles');
  perform app.require_version(profile.version, if_match);
  delete from public.profiles p where p.id = profile.id;
end
$$;
comment on function public.delete_profile(uuid, integer[]) is
  'Deletes a profile: its user can still sign in and may do nothing. Raises 403 forbidden, 404 not_found, 412 '
  'stale_version.';
grant execute on function public.delete_profile to authenticated, service_role;

-- supabase/schemas/15_profiles/03_reporters.sql
-- What: names of reporters, in a table of their own.
-- Why: the log is append-only and refers to these rows, so that erasing a person changes one table.

create table app.reporters (
  id bigint generated always as identity primary key,
  user_id uuid references auth.users (id) on delete set null,
  email text,
  forgotten_at timestamptz,
  constraint reporters_email_short check (char_length(email) <= 320),
  constraint reporters_forgotten_have_no_email check (forgotten_at is null or email is null)
);
comment on table app.reporters is
  'Each address under which a user has reported: the only place that links events and runs to a person. Rows are '
  'never deleted.';
comment on column app.reporters.user_id is
  'User of Supabase Auth; null for a server that named an address alone, and once the user is deleted.';
comment on column app.reporters.email is
  'Address at the time of the report; null when there was none, and once the person is forgotten.';

-- Written as expressions, since = does not find null.
create unique index reporters_known on app.reporters (coalesce(user_id::text, ''), coalesce('=' || email, ''))
  where forgotten_at is null;
create index reporters_by_user on app.reporters (user_id) where user_id is not null;
create index reporters_by_email on app.reporters (lower(email)) where user_id is null;

alter table app.reporters enable row level security;

create function app.reporter_of(user_id uuid, email text) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  reporter_id bigint;
begin
  if user_id is null and email is null then
    return null;
  end if;
  loop
    select r.id into reporter_id from app.reporters r
    where r.forgotten_at is null
      and coalesce(r.user_id::text, '') = coalesce(reporter_of.user_id::text, '')
      and coalesce('=' || r.email, '') = coalesce('=' || reporter_of.email, '')
    -- Either the erasure waits for this report and finds the address in its answer, or this report waits and finds the
    -- row erased.
    for key share;
    exit when found;
    -- waits for a concurrent deletion of this user; the foreign key then rejects the row
    insert into app.reporters (user_id, email) values (reporter_of.user_id, reporter_of.email)
    on conflict do nothing
    returning id into reporter_id;
    exit when found;
  end loop;
  return reporter_id;
end
$$;
comment on function app.reporter_of(uuid, text) is
  'The number that events and runs refer to a reporter by; null when neither user nor address is named. Raises 400 '
  'integrity_error for an unknown user.';

create function app.reporter_email(reporter_id bigint) returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (select r.email from app.reporters r where r.id = reporter_email.reporter_id);
end
$$;
comment on function app.reporter_email(bigint) is
  'Address of a reporter at the time; null when there was none, or the person is forgotten.';
grant execute on function app.reporter_email to authenticated, service_role;

-- supabase/schemas/20_plant/01_workplaces.sql
-- What: workplaces and the functions behind their endpoints.
-- Why: operations are made at workplaces, whose capacity limits what runs at once.

create table public.workplaces (
  name text collate "C" primary key,
  workplace_group text collate "C",
  capacity integer,
  active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint workplaces_name_is_key check (app.is_key(name)),
  constraint workplaces_group_is_key check (app.is_key(workplace_group)),
  constraint workplaces_capacity_positive check (capacity > 0)
);
comment on table public.workplaces is
  'Where operations are made: a machine, a cell, a bench. An operation that names an unknown workplace adds it.';
comment on column public.workplaces.name is 'Name on the shop floor, e.g. TruLaser 5060 (L76).';
comment on column public.workplaces.workplace_group is 'Group of interchangeable workplaces, e.g. Laser.';
comment on column public.workplaces.capacity is 'Operations that may run here at once; null = no limit.';
comment on column public.workplaces.active is 'False once the workplace is no longer used.';
comment on column public.workplaces.version is 'Number of the last change, the ETag.';
create index workplaces_by_group on public.workplaces (workplace_group, name) where workplace_group is not null;
grant select on public.workplaces to authenticated, service_role;

create trigger workplaces_bump_version before update on public.workplaces
  for each row execute function app.bump_version();

create trigger workplaces_refuse_direct_write before insert or update or delete or truncate on public.workplaces
  for each statement execute function app.refuse_direct_write();

alter table public.workplaces enable row level security;

create policy "Users with a workplace read all workplaces"
  on public.workplaces for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create function app.workplace_json(w public.workplaces) returns json
language sql stable
begin atomic
  select json_build_object(
    'name', (w).name,
    'workplace_group', (w).workplace_group,
    'capacity', (w).capacity,
    'active', (w).active,
    'version', (w).version,
    'created_at', app.iso((w).created_at),
    'updated_at', app.iso((w).updated_at)
  );
end;
comment on function app.workplace_json(public.workplaces) is 'The workplace as lists and commands answer it.';
grant execute on function app.workplace_json to authenticated, service_role;

create function public.get_workplace(name text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  workplace public.workplaces;
begin
  select * into workplace from public.workplaces w where w.name = get_workplace.name;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.json_with(app.workplace_json(workplace), 'running_operations', (
    select coalesce(json_agg(app.operation_json(o) order by o.running_since), '[]')
    from public.mes_operations o
    where o.workplace_name = workplace.name and o.status = 'IN_PROGRESS'
  ));
end
$$;
comment on function public.get_workplace(text) is
  'One workplace with the operations that run there now, as far as the caller sees them. Raises 404 not_found.';
grant execute on function public.get_workplace to authenticated, service_role;

create function public.list_workplaces(
  workplace_group text default null,
  active boolean default null,
  q text default null,
  after_name text default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_group', workplace_group)
    and app.require_bounded('q', q) and app.require_bounded('after_name', after_name)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.workplaces[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select w from public.workplaces w
    where (list_workplaces.workplace_group is null or w.workplace_group = list_workplaces.workplace_group)
      and (list_workplaces.active is null or w.active = list_workplaces.active)
      and (q is null or app.begins_with(w.name, q))
      and (after_name is null or w.name > after_name)
    order by w.name
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.workplace_json(w)), '[]') from unnest(rows[1:take]) w),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].name) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.workplaces w
      where (list_workplaces.workplace_group is null or w.workplace_group = list_workplaces.workplace_group)
        and (list_workplaces.active is null or w.active = list_workplaces.active)
        and (q is null or app.begins_with(w.name, q))
    ) end
  );
end
$$;
comment on function public.list_workplaces(text, boolean, text, text, integer, integer, text) is
  'A page of the workplaces, of those whose name begins with q, ordered by name: {"items": [...], "next": key of the '
  'last item or null, "total": number when asked}.';
grant execute on function public.list_workplaces to authenticated, service_role;

create function public.create_workplace(workplace jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace', workplace);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant public.workplaces := jsonb_populate_record(null::public.workplaces, workplace);
  stored public.workplaces;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create workplaces');
  insert into public.workplaces (name, workplace_group, capacity, active)
  values (wanted.name, wanted.workplace_group, wanted.capacity, coalesce(wanted.active, true))
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_workplace', format('Workplace "%s" exists already', wanted.name));
  end if;
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.workplace_json(stored)));
end
$$;
comment on function public.create_workplace(jsonb, jsonb) is
  'Creates a workplace. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_workplace.';
grant execute on function public.create_workplace to authenticated, service_role;

create function public.update_workplace(
  name text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  workplace public.workplaces;
  wanted public.workplaces;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_plant(caller);
  select * into workplace from public.workplaces w where w.name = update_workplace.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may change workplaces');
  perform app.require_version(workplace.version, if_match);
  wanted := jsonb_populate_record(workplace, patch);
  if wanted is distinct from workplace then
    update public.workplaces w
    set (workplace_group, capacity, active)
      = row (wanted.workplace_group, wanted.capacity, coalesce(wanted.active, workplace.active))
    where w.name = workplace.name
    returning * into workplace;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.workplace_json(workplace)));
end
$$;
comment on function public.update_workplace(text, jsonb, integer[], jsonb) is
  'Changes group, capacity or active of a workplace; open runs continue. Answers {"status", "body"}. Raises 403 '
  'forbidden, 404 not_found, 412 stale_version.';
grant execute on function public.update_workplace to authenticated, service_role;

create function public.delete_workplace(name text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  workplace public.workplaces;
begin
  perform app.require_plant(caller);
  select * into workplace from public.workplaces w where w.name = delete_workplace.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may delete workplaces');
  perform app.require_version(workplace.version, if_match);
  delete from public.workplaces w where w.name = workplace.name;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use', format('Workplace "%s" has operations: set it inactive instead', workplace.name));
end
$$;
comment on function public.delete_workplace(text, integer[]) is
  'Deletes a workplace without operations. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';
grant execute on function public.delete_workplace to authenticated, service_role;

-- supabase/schemas/20_plant/02_reason_codes.sql
-- What: reason codes and the functions behind their endpoints.
-- Why: stops, scrap, holds, cancellations and shortfalls are explained by codes that can be counted.

create type public.reason_kind as enum ('STOP', 'SCRAP', 'HOLD', 'CANCEL', 'SHORTFALL');
comment on type public.reason_kind is 'What a reason explains.';

create table public.reason_codes (
  kind public.reason_kind not null,
  code text collate "C" not null,
  description text,
  active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (kind, code),
  constraint reason_codes_code_is_key check (app.is_key(code)),
  constraint reason_codes_description_short check (char_length(description) <= 500)
);
comment on table public.reason_codes is 'Why something stopped, was scrapped, held, cancelled or closed short.';
comment on column public.reason_codes.kind is 'What the reason explains.';
comment on column public.reason_codes.code is 'Short code, unique within its kind, e.g. MATERIAL.';
comment on column public.reason_codes.active is 'False once the code is no longer offered; events keep it.';
grant select on public.reason_codes to authenticated, service_role;

-- The API writes these codes for clients of the first service, which send a new status without a reason.
insert into public.reason_codes (kind, code, description) values
  ('SHORTFALL', 'UNSPECIFIED', 'Closed short without a stated reason'),
  ('HOLD', 'UNSPECIFIED', 'Held without a stated reason'),
  ('CANCEL', 'UNSPECIFIED', 'Cancelled without a stated reason');

create trigger reason_codes_bump_version before update on public.reason_codes
  for each row execute function app.bump_version();

create trigger reason_codes_refuse_direct_write before insert or update or delete or truncate on public.reason_codes
  for each statement execute function app.refuse_direct_write();

alter table public.reason_codes enable row level security;

create policy "Users with a workplace read all reason codes"
  on public.reason_codes for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create function app.reason_code_json(r public.reason_codes) returns json
language sql stable
begin atomic
  select json_build_object(
    'kind', (r).kind,
    'code', (r).code,
    'description', (r).description,
    'active', (r).active,
    'version', (r).version,
    'created_at', app.iso((r).created_at),
    'updated_at', app.iso((r).updated_at)
  );
end;
comment on function app.reason_code_json(public.reason_codes) is 'The reason code as the API writes it.';
grant execute on function app.reason_code_json to authenticated, service_role;

create function public.get_reason_code(kind text, code text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code);
  reason public.reason_codes;
begin
  select * into reason from public.reason_codes r
    where r.kind = get_reason_code.kind::public.reason_kind and r.code = get_reason_code.code;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.reason_code_json(reason);
end
$$;
comment on function public.get_reason_code(text, text) is 'One reason code. Raises 404 not_found.';
grant execute on function public.get_reason_code to authenticated, service_role;

create function public.list_reason_codes(
  kind text default null,
  active boolean default null,
  q text default null,
  after_kind text default null,
  after_code text default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('q', q)
    and app.require_bounded('after_kind', after_kind) and app.require_bounded('after_code', after_code)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.reason_codes[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select r from public.reason_codes r
    where (list_reason_codes.kind is null or r.kind = list_reason_codes.kind::public.reason_kind)
      and (list_reason_codes.active is null or r.active = list_reason_codes.active)
      and (q is null or app.begins_with(r.code, q) or app.begins_with(r.description, q))
      and (after_kind is null or (r.kind::text, r.code) > (after_kind, after_code))
    order by r.kind::text, r.code
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.reason_code_json(r)), '[]') from unnest(rows[1:take]) r),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].kind, rows[take].code) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.reason_codes r
      where (list_reason_codes.kind is null or r.kind = list_reason_codes.kind::public.reason_kind)
        and (list_reason_codes.active is null or r.active = list_reason_codes.active)
        and (q is null or app.begins_with(r.code, q) or app.begins_with(r.description, q))
    ) end
  );
end
$$;
comment on function public.list_reason_codes(text, boolean, text, text, text, integer, integer, text) is
  'A page of the reason codes, of those whose code or description begins with q, ordered by kind and code: {"items": '
  '[...], "next": key of the last item or null, "total": number when asked}.';
grant execute on function public.list_reason_codes to authenticated, service_role;

create function public.create_reason_code(reason_code jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reason_code', reason_code);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant public.reason_codes := jsonb_populate_record(null::public.reason_codes, reason_code);
  stored public.reason_codes;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create reason codes');
  insert into public.reason_codes (kind, code, description, active)
  values (wanted.kind, wanted.code, wanted.description, coalesce(wanted.active, true))
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_reason_code',
      format('Reason code %s/%s exists already', wanted.kind, wanted.code));
  end if;
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.reason_code_json(stored)));
end
$$;
comment on function public.create_reason_code(jsonb, jsonb) is
  'Creates a reason code. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_reason_code.';
grant execute on function public.create_reason_code to authenticated, service_role;

create function public.update_reason_code(
  kind text, code text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code)
    and app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  reason public.reason_codes;
  wanted public.reason_codes;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_plant(caller);
  select * into reason from public.reason_codes r
    where r.kind = update_reason_code.kind::public.reason_kind and r.code = update_reason_code.code for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may change reason codes');
  perform app.require_version(reason.version, if_match);
  wanted := jsonb_populate_record(reason, patch);
  if wanted is distinct from reason then
    update public.reason_codes r
    set (description, active) = row (wanted.description, coalesce(wanted.active, reason.active))
    where r.kind = reason.kind and r.code = reason.code
    returning * into reason;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.reason_code_json(reason)));
end
$$;
comment on function public.update_reason_code(text, text, jsonb, integer[], jsonb) is
  'Changes description or active of a reason code. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, '
  '412 stale_version.';
grant execute on function public.update_reason_code to authenticated, service_role;

create function public.delete_reason_code(kind text, code text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code)
    and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  reason public.reason_codes;
begin
  perform app.require_plant(caller);
  select * into reason from public.reason_codes r
    where r.kind = delete_reason_code.kind::public.reason_kind and r.code = delete_reason_code.code for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may delete reason codes');
  perform app.require_version(reason.version, if_match);
  if reason.code = 'UNSPECIFIED' then
    perform app.refuse(409, 'in_use', 'UNSPECIFIED is what the API itself writes: set it inactive instead');
  end if;
  delete from public.reason_codes r where r.kind = reason.kind and r.code = reason.code;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use',
    format('Reason code %s/%s stands in events: set it inactive instead', reason.kind, reason.code));
end
$$;
comment on function public.delete_reason_code(text, text, integer[]) is
  'Deletes a reason code that no event has. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';
grant execute on function public.delete_reason_code to authenticated, service_role;

-- supabase/schemas/30_operations/01_operations.sql
-- What: operations: the plan of the ERP and the projection of the reported events.
-- Why: key and fields are those of the first service, so that its clients and its rows move over unchanged.

create type public.state as enum (
  'PLANNED', 'RELEASED', 'IN_PROGRESS', 'PAUSED', 'BLOCKED_BEFORE_START', 'BLOCKED', 'FINISHED', 'CANCELLED'
);
comment on type public.state is
  'State of an operation in its lifecycle. An operator ends a pause; a supervisor ends a block.';

create type public.status as enum ('PLANNED', 'RELEASED', 'IN_PROGRESS', 'ON_HOLD', 'FINISHED', 'CANCELLED');
comment on type public.status is 'The state as clients see it: three states are ON_HOLD, told apart by hold_kind.';

create type public.hold_kind as enum ('PAUSED', 'BLOCKED');
comment on type public.hold_kind is 'Why an operation is ON_HOLD.';

create type public.phase as enum ('SETUP', 'PROCESSING');
comment on type public.phase is 'Kind of work: preparing the machine, or making pieces.';

create type public.change_type as enum ('INSERT', 'UPDATE', 'DELETE');
comment on type public.change_type is 'Kind of a change in the source system''s feed.';

-- PL/pgSQL, because generated columns use them: Postgres prepares these for each statement, like check constraints.
create function app.status_of(state public.state) returns public.status
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case
    when state in ('PAUSED', 'BLOCKED_BEFORE_START', 'BLOCKED') then 'ON_HOLD'
    else state::text
  end::public.status;
end
$$;
comment on function app.status_of(public.state) is 'The status that clients see for a state.';

create function app.hold_kind_of(state public.state) returns public.hold_kind
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case
    when state = 'PAUSED' then 'PAUSED'::public.hold_kind
    when state in ('BLOCKED_BEFORE_START', 'BLOCKED') then 'BLOCKED'
  end;
end
$$;
comment on function app.hold_kind_of(public.state) is 'The kind of hold that a state is; null when it is none.';

create table public.mes_operations (
  -- The key: orders and operations as the ERP numbers them, the machine as the plant numbers it.
  order_no text collate "C" not null,
  operation_no text collate "C" not null,
  asset_id integer not null,
  id bigint generated always as identity unique,

  -- The plan, owned by the ERP and by planners.
  reference_url text,
  activity_code text collate "C",
  activity_description text,
  activity_description_folded text collate "C" generated always as (lower(activity_description)) stored,
  workplace_name text collate "C" references public.workplaces (name),
  workplace_group text collate "C",
  qty_desired integer,
  overrun_tolerance_pct numeric(5, 2) not null default 0,
  planned_start_at timestamptz,
  planned_end_at timestamptz,
  t_target_processing_min numeric(12, 3),
  t_target_setup_min numeric(12, 3),
  t_target_lead_min numeric(12, 3),

  -- The execution, which app.evolve computes from the events.
  state public.state not null default 'PLANNED',
  status public.status not null generated always as (app.status_of(state)) stored,
  hold_kind public.hold_kind generated always as (app.hold_kind_of(state)) stored,
  hold_reason_code text collate "C",
  qty_processed integer not null default 0,
  qty_scrap integer not null default 0,
  qty_good integer not null generated always as (qty_processed - qty_scrap) stored,
  qty_parked integer not null default 0,
  actual_start_at timestamptz,
  actual_end_at timestamptz,
  t_actual_processing_min numeric(12, 3),
  t_actual_setup_min numeric(12, 3),
  t_actual_lead_min numeric(12, 3),
  unlogged_processing_min numeric(12, 3) not null default 0,
  unlogged_setup_min numeric(12, 3) not null default 0,
  running_since timestamptz,
  running_phase public.phase,
  run_count integer not null default 0,
  worked_until timestamptz,
  logged_processing_min numeric(12, 3) not null default 0,
  logged_setup_min numeric(12, 3) not null default 0,
  counted_since timestamptz,
  last_op_seq integer not null default 0,

  -- Origin and version of the row.
  timestamp_ms timestamptz,
  change_type public.change_type,
  source_conflict boolean not null default false,
  version integer not null default 1,
  -- No foreign key: the id stays when the user is deleted, and the row does not change.
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  updated_hour timestamp not null generated always as (date_trunc('hour', updated_at at time zone 'UTC')) stored,

  -- In the order of every list, so that the key's index is also the list's.
  primary key (order_no, operation_no, asset_id),

  constraint mes_operations_order_no_is_key check (app.is_key(order_no)),
  constraint mes_operations_operation_no_is_key check (app.is_key(operation_no)),
  constraint mes_operations_asset_id_positive check (asset_id > 0),
  constraint mes_operations_activity_code_is_key check (app.is_key(activity_code)),
  constraint mes_operations_workplace_group_is_key check (app.is_key(workplace_group)),
  constraint mes_operations_activity_description_short check (char_length(activity_description) <= 500),
  constraint mes_operations_reference_url_short check (char_length(reference_url) <= 2048),
  constraint mes_operations_running_when_in_progress check (
    (state = 'IN_PROGRESS') = (running_since is not null) and (running_since is null) = (running_phase is null)
  ),
  constraint mes_operations_qty_desired_not_negative check (qty_desired >= 0),
  constraint mes_operations_qty_scrap_within_processed check (qty_scrap between 0 and qty_processed),
  constraint mes_operations_qty_parked_not_negative check (qty_parked >= 0),
  constraint mes_operations_qty_good_within_tolerance check (
    qty_processed - qty_scrap <= floor(qty_desired * (1 + overrun_tolerance_pct / 100))
  ),
  constraint mes_operations_tolerance_is_percentage check (overrun_tolerance_pct between 0 and 100),
  constraint mes_operations_planned_in_order check (planned_start_at < planned_end_at),
  constraint mes_operations_actual_in_order check (actual_start_at <= actual_end_at),
  constraint mes_operations_times_are_real check (
    -- infinity, and years that clients cannot read, are not times of a shop floor
    coalesce(
      least(planned_start_at, planned_end_at, actual_start_at, actual_end_at, timestamp_ms), '1970-01-01Z'
    ) >= '1970-01-01Z'
    and coalesce(
      greatest(planned_start_at, planned_end_at, actual_start_at, actual_end_at, timestamp_ms), '1970-01-01Z'
    ) < '10000-01-01Z'
  ),
  constraint mes_operations_minutes_are_real check (
    -- numeric has a NaN, which is greater than everything
    coalesce(least(t_target_processing_min, t_target_setup_min, t_target_lead_min, t_actual_lead_min), 0) >= 0
    -- a correction may state fewer minutes than the open run will add
    and (coalesce(t_actual_processing_min, 0) >= 0 or running_phase = 'PROCESSING')
    and (coalesce(t_actual_setup_min, 0) >= 0 or running_phase = 'SETUP')
    and coalesce(greatest(t_target_processing_min, t_target_setup_min, t_target_lead_min, t_actual_processing_min,
      t_actual_setup_min, t_actual_lead_min), 0) < 1e9
  )
)
-- Counters change far more often than indexed columns: free space on the page lets these updates skip the indexes.
with (fillfactor = 85);
comment on table public.mes_operations is
  'One step of an order on a machine at a workplace: its plan, and the projection of its events.';
comment on column public.mes_operations.id is
  'Internal number that events and runs refer to; a deleted and re-created key is another operation.';
comment on column public.mes_operations.order_no is 'Order number of the ERP, e.g. 403860-001.';
comment on column public.mes_operations.operation_no is 'Number of the operation within its order, e.g. 0010.';
comment on column public.mes_operations.asset_id is 'Number of the machine, > 0.';
comment on column public.mes_operations.reference_url is 'Link to drawings or work instructions.';
comment on column public.mes_operations.activity_code is 'What is done, e.g. LASER, TROMMELEN.';
comment on column public.mes_operations.activity_description is 'What is done, in words.';
comment on column public.mes_operations.activity_description_folded is
  'The description in lower case, for prefix search.';
comment on column public.mes_operations.qty_parked is
  'Pieces beyond what the operation may have, which a counter reported: in no total until a supervisor settles them.';
comment on column public.mes_operations.workplace_name is 'Workplace the operation is planned at; decides who sees it.';
comment on column public.mes_operations.workplace_group is 'Group of workplaces, e.g. Laser.';
comment on column public.mes_operations.qty_desired is 'Good pieces wanted; null = no limit.';
comment on column public.mes_operations.overrun_tolerance_pct is
  'Good pieces allowed beyond the desired ones, in percent of these.';
comment on column public.mes_operations.planned_start_at is 'Planned start.';
comment on column public.mes_operations.planned_end_at is 'Planned end.';
comment on column public.mes_operations.t_target_processing_min is 'Planned processing time in minutes.';
comment on column public.mes_operations.t_target_setup_min is 'Planned setup time in minutes.';
comment on column public.mes_operations.t_target_lead_min is 'Planned lead time in minutes.';
comment on column public.mes_operations.state is
  'Where it stands in the lifecycle; status and hold_kind follow from it.';
comment on column public.mes_operations.hold_reason_code is 'Reason of the pause or the block.';
comment on column public.mes_operations.qty_processed is 'All pieces run, scrap included: the sum over its events.';
comment on column public.mes_operations.qty_scrap is 'Scrap among the pieces run: the sum over its events.';
comment on column public.mes_operations.qty_good is 'Good pieces: processed less scrap.';
comment on column public.mes_operations.actual_start_at is 'Start of the first run.';
comment on column public.mes_operations.actual_end_at is 'When it was finished or cancelled after having run.';
comment on column public.mes_operations.t_actual_processing_min is
  'Minutes of closed PROCESSING runs and unlogged ones; the open run is added when read.';
comment on column public.mes_operations.t_actual_setup_min is
  'Minutes of closed SETUP runs and unlogged ones; the open run is added when read.';
comment on column public.mes_operations.t_actual_lead_min is 'Minutes from actual start to actual end.';
comment on column public.mes_operations.unlogged_processing_min is
  'Processing minutes stated by a client that did not report the runs.';
comment on column public.mes_operations.unlogged_setup_min is
  'Setup minutes stated by a client that did not report the runs.';
comment on column public.mes_operations.running_since is 'Start of the open run; null when nothing runs.';
comment on column public.mes_operations.running_phase is 'Phase of the open run.';
comment on column public.mes_operations.run_count is 'Number of its last run; 0 = none.';
comment on column public.mes_operations.worked_until is
  'End of its last run, or its start while it is open: the end of all runs.';
comment on column public.mes_operations.logged_processing_min is
  'Minutes of its closed PROCESSING runs, each to a thousandth: kept as runs close and move.';
comment on column public.mes_operations.logged_setup_min is
  'Minutes of its closed SETUP runs, each to a thousandth: kept as runs close and move.';
comment on column public.mes_operations.counted_since is 'Earliest occurred_at of its REPORT_QUANTITY events.';
comment on column public.mes_operations.last_op_seq is 'op_seq of its newest event; 0 = none.';
comment on column public.mes_operations.timestamp_ms is 'When the source system made this change.';
comment on column public.mes_operations.change_type is 'Kind of the source system''s last change.';
comment on column public.mes_operations.source_conflict is
  'True when the source deleted or cancelled it although work had begun.';
comment on column public.mes_operations.version is 'Number of the last change, the ETag.';
comment on column public.mes_operations.updated_hour is
  'Hour of the last change, for lists in the order of updated_at.';
comment on column public.mes_operations.created_by is 'User who created it; null for servers.';

-- One index per filter, each continued by the list's order, so that a filtered page is one ordered range.
create index mes_operations_by_workplace on public.mes_operations (workplace_name, order_no, operation_no, asset_id);
create index mes_operations_by_workplace_and_status
  on public.mes_operations (workplace_name, status, order_no, operation_no, asset_id);
create index mes_operations_by_group on public.mes_operations (workplace_group, order_no, operation_no, asset_id);
create index mes_operations_by_activity on public.mes_operations (activity_code, order_no, operation_no, asset_id);
create index mes_operations_by_status on public.mes_operations (status, order_no, operation_no, asset_id);
create index mes_operations_by_planned_start
  on public.mes_operations (planned_start_at, order_no, operation_no, asset_id);
create index mes_operations_by_planned_end on public.mes_operations (planned_end_at, order_no, operation_no, asset_id);
-- The index holds only the hour of the last change: an update of counters within the same hour skips the indexes.
create index mes_operations_by_updated_hour on public.mes_operations (updated_hour);
create index mes_operations_by_description on public.mes_operations (activity_description_folded);

-- Open operations are a small part of a table that only grows, and their number is steady.
create index mes_operations_open on public.mes_operations (order_no, operation_no, asset_id)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_open_by_planned_start on public.mes_operations (planned_start_at)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_open_by_planned_end on public.mes_operations (planned_end_at)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_open_by_updated_hour on public.mes_operations (updated_hour)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_running on public.mes_operations (workplace_name) where status = 'IN_PROGRESS';
create index mes_operations_running_since on public.mes_operations (running_since) where status = 'IN_PROGRESS';
create index mes_operations_parked on public.mes_operations (order_no, operation_no, asset_id) where qty_parked > 0;
create index mes_operations_queue
  on public.mes_operations (workplace_name, running_since, planned_start_at, order_no, operation_no, asset_id)
  where status not in ('FINISHED', 'CANCELLED');
grant select on public.mes_operations to authenticated, service_role;

-- Several events stored together raise the version as much as the same events stored one by one.
create function app.bump_version_of_operation() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.version := old.version + greatest(new.last_op_seq - old.last_op_seq, 1);
  new.created_at := old.created_at;
  new.updated_at := greatest(clock_timestamp(), new.updated_at);
  return new;
end
$$;
comment on function app.bump_version_of_operation() is
  'Trigger: like app.bump_version, with version + the number of events that the update stores, at least 1.';

create trigger mes_operations_bump_version before update on public.mes_operations
  for each row execute function app.bump_version_of_operation();

create trigger mes_operations_refuse_direct_write before insert or update or delete or truncate on public.mes_operations
  for each statement execute function app.refuse_direct_write();

alter table public.mes_operations enable row level security;

create policy "Users read the operations of their own workplaces"
  on public.mes_operations for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

-- supabase/schemas/30_operations/02_body.sql
-- What: the operation as the API writes it.
-- Why: reading, reporting and planning answer with the same members in the same order.

create function app.operation_label(operation public.mes_operations) returns text
language sql immutable parallel safe
return (operation).order_no || '/' || (operation).asset_id::text || '/' || (operation).operation_no;
comment on function app.operation_label(public.mes_operations) is
  'The operation as people quote it: order/asset/operation.';

-- Names, order and types of the members: to_json writes a row of a type in two thirds of the time of json_build_object.
create type app.operation_body as (
  order_no text,
  asset_id integer,
  operation_no text,
  reference_url text,
  status text,
  hold_kind text,
  hold_reason_code text,
  activity_code text,
  activity_description text,
  workplace_name text,
  workplace_group text,
  qty_desired integer,
  qty_processed integer,
  qty_good integer,
  qty_scrap integer,
  qty_parked integer,
  overrun_tolerance_pct numeric,
  planned_start_at text,
  planned_end_at text,
  actual_start_at text,
  actual_end_at text,
  t_target_processing_min numeric,
  t_target_setup_min numeric,
  t_target_lead_min numeric,
  t_actual_processing_min numeric,
  t_actual_setup_min numeric,
  t_actual_lead_min numeric,
  timestamp_ms text,
  change_type text,
  source_conflict boolean,
  version integer,
  created_at text,
  updated_at text
);
comment on type app.operation_body is 'The operation as the API writes it, without what its caller may do next.';

create function app.operation_body(o public.mes_operations) returns app.operation_body
language sql stable
-- Without a SET clause and bound at creation: the planner inlines it into lists.
return row(
  (o).order_no,
  (o).asset_id,
  (o).operation_no,
  (o).reference_url,
  (o).status,
  (o).hold_kind,
  (o).hold_reason_code,
  (o).activity_code,
  (o).activity_description,
  (o).workplace_name,
  (o).workplace_group,
  (o).qty_desired,
  (o).qty_processed,
  (o).qty_good,
  (o).qty_scrap,
  (o).qty_parked,
  (o).overrun_tolerance_pct,
  app.iso((o).planned_start_at),
  app.iso((o).planned_end_at),
  app.iso((o).actual_start_at),
  app.iso((o).actual_end_at),
  (o).t_target_processing_min,
  (o).t_target_setup_min,
  (o).t_target_lead_min,
  -- the open run counts as far as it has come
  case when (o).running_phase = 'PROCESSING'
    then greatest((o).t_actual_processing_min + greatest(app.minutes_between((o).running_since, now()), 0), 0)
    else (o).t_actual_processing_min end,
  case when (o).running_phase = 'SETUP'
    then greatest((o).t_actual_setup_min + greatest(app.minutes_between((o).running_since, now()), 0), 0)
    else (o).t_actual_setup_min end,
  (o).t_actual_lead_min,
  app.iso((o).timestamp_ms),
  (o).change_type,
  (o).source_conflict,
  (o).version,
  app.iso((o).created_at),
  app.iso((o).updated_at)
)::app.operation_body;
comment on function app.operation_body(public.mes_operations) is 'The members of the operation as the API writes it.';
grant execute on function app.operation_body to authenticated, service_role;

create function app.operation_json(o public.mes_operations) returns json
language sql stable
return to_json(app.operation_body(o));
comment on function app.operation_json(public.mes_operations) is 'The operation as the API writes it.';
grant execute on function app.operation_json to authenticated, service_role;

-- supabase/schemas/30_operations/03_reading.sql
-- What: one operation, lists by filter, and the queue of a workplace.
-- Why: each combination of filters gets a plan of its own, and no value can become SQL.

-- The filters of operations, for lists and for bulk changes.
create type app.operation_filter as (
  statuses public.status[],
  workplace_names text[],
  workplace_group text,
  order_no text,
  activity_code text,
  planned_start_after timestamptz,
  planned_start_before timestamptz,
  has_remaining_qty boolean,
  is_overdue boolean,
  open_longer_than_h numeric,
  q text,
  has_parked boolean
);

comment on type app.operation_filter is
  'Conditions on operations, combined with and; null = no condition. open_longer_than_h is in hours.';

-- Conditions consist of these fixed texts, and every value is bound as $1, so that each combination of filters gets
-- the plan of its own values, and no value can become SQL.
create function app.conditions(filter app.operation_filter) returns text
language sql stable
begin atomic
  select concat_ws(' and ', 'true',
    -- one value is an equality, which the index serves in the list's order
    case
      when cardinality((filter).statuses) = 1 then 'o.status = ($1).statuses[1]'
      when (filter).statuses is not null then 'o.status = any(($1).statuses)'
    end,
    case
      when cardinality((filter).workplace_names) = 1 then 'o.workplace_name = ($1).workplace_names[1]'
      when (filter).workplace_names is not null then 'o.workplace_name = any(($1).workplace_names)'
    end,
    case when (filter).workplace_group is not null then 'o.workplace_group = ($1).workplace_group' end,
    case when (filter).order_no is not null then 'o.order_no = ($1).order_no' end,
    case when (filter).activity_code is not null then 'o.activity_code = ($1).activity_code' end,
    case when (filter).planned_start_after is not null then 'o.planned_start_at >= ($1).planned_start_after' end,
    case when (filter).planned_start_before is not null then 'o.planned_start_at < ($1).planned_start_before' end,
    case (filter).has_remaining_qty
      when true then 'o.status not in (''FINISHED'', ''CANCELLED'') and o.qty_good < o.qty_desired'
      when false then '(o.status not in (''FINISHED'', ''CANCELLED'') and o.qty_good < o.qty_desired) is not true'
    end,
    case (filter).is_overdue
      when true then 'o.status not in (''FINISHED'', ''CANCELLED'') and o.planned_end_at < now()'
      when false then '(o.status not in (''FINISHED'', ''CANCELLED'') and o.planned_end_at < now()) is not true'
    end,
    -- nothing settles what a cancelled operation has
    case (filter).has_parked
      when true then 'o.qty_parked > 0 and o.status <> ''CANCELLED'''
      when false then '(o.qty_parked > 0 and o.status <> ''CANCELLED'') is not true'
    end,
    -- finds runs that were never stopped
    case when (filter).open_longer_than_h is not null then
      'o.status = ''IN_PROGRESS'' and o.running_since < now() - ($1).open_longer_than_h * interval ''1 hour'''
    end,
    -- prefixes as ranges of code points: no wildcard to escape, and the index serves them
    case when (filter).q is not null then
      '(o.order_no >= ($1).q and o.order_no < ($1).q || chr(1114111)
        or o.activity_description_folded >= lower(($1).q)
          and o.activity_description_folded < lower(($1).q) || chr(1114111))'
    end
  );
end;
comment on function app.conditions(app.operation_filter) is
  'The filter as a condition on public.mes_operations o with the filter itself as $1.';
grant execute on function app.conditions to authenticated, service_role;

-- Runs as its owner, without row security: one look-up of the caller serves access and the allowed actions.
create function public.get_operation(order_no text, asset_id integer, operation_no text) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  caller constant app.caller := app.current_caller();
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = get_operation.order_no and o.operation_no = get_operation.operation_no
    and o.asset_id = get_operation.asset_id;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  return app.operation_answer(operation, caller);
end
$$;
comment on function public.get_operation(text, integer, text) is
  'One operation with what the caller may do to it. Raises 404 not_found.';
grant execute on function public.get_operation to authenticated, service_role;

create function app.lock_operation(
  caller app.caller, order_no text, asset_id integer, operation_no text
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  operation public.mes_operations;
begin
  perform app.require_plant(caller);
  select * into operation from public.mes_operations o
  where o.order_no = lock_operation.order_no and o.operation_no = lock_operation.operation_no
    and o.asset_id = lock_operation.asset_id
  for update;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  return operation;
end
$$;
comment on function app.lock_operation(app.caller, text, integer, text) is
  'The operation of a command, locked until commit. Raises 404 not_found when it is missing or hidden.';

-- A sorted list is one range of an index; where a column can be null, a range for its values and one for its nulls,
-- which come last in both directions.
create type app.page_sort as (key_columns text, page_order text, merge_order text, ranges text[]);

comment on type app.page_sort is
  'How a page of operations is ordered, for app.page_query: the columns, their order within a range and over all, and '
  'the ranges.';

create function app.sort_of_operations(sort text, has_key boolean, has_value boolean) returns app.page_sort
language plpgsql immutable
set search_path = ''
as $$
declare
  column_name constant text := ltrim(sort, '-');
  direction constant text := case when sort like '-%' then ' desc' else '' end;
  beyond constant text := case when sort like '-%' then '<' else '>' end;
  key_order constant text := format('order_no%1$s, operation_no%1$s, asset_id%1$s', direction);
  after_key constant text := format('(o.order_no, o.operation_no, o.asset_id) %s ($2, $3, $4)', beyond);
begin
  if column_name = 'order_no' then
    return row('order_no, operation_no, asset_id', key_order, null,
      array[case when has_key then after_key else 'true' end])::app.page_sort;
  elsif column_name = 'updated_at' then
    return row(
      'updated_hour, updated_at, order_no, operation_no, asset_id',
      format('updated_hour%1$s, updated_at%1$s, %2$s', direction, key_order),
      null,
      array[case when has_key then format(
        'o.updated_hour %1$s= date_trunc(''hour'', $8 at time zone ''UTC'')
         and (o.updated_at, o.order_no, o.operation_no, o.asset_id) %1$s ($8, $2, $3, $4)', beyond) else 'true' end]
    )::app.page_sort;
  elsif column_name in ('planned_start_at', 'planned_end_at') then
    return row(
      column_name || ', order_no, operation_no, asset_id',
      format('%s%s, %s', column_name, direction, key_order),
      format('%s%s nulls last, %s', column_name, direction, key_order),
      case
        when not has_key then array[format('o.%s is not null', column_name), format('o.%s is null', column_name)]
        when not has_value then array[format('o.%s is null and %s', column_name, after_key)]
        else array[
          format('(o.%s, o.order_no, o.operation_no, o.asset_id) %s ($8, $2, $3, $4)', column_name, beyond),
          format('o.%s is null', column_name)
        ]
      end
    )::app.page_sort;
  end if;
  perform app.refuse_field('/sort', 'unknown_sort', format('Operations cannot be sorted by "%s"', sort));
end
$$;
comment on function app.sort_of_operations(text, boolean, boolean) is
  'The order that a name of the API stands for, - for descending, from the beginning or after the key $2, $3, $4 with '
  'the value $8. Raises 422 validation_failed.';
grant execute on function app.sort_of_operations to authenticated, service_role;

create function public.list_operations(
  statuses text[] default null,
  workplace_names text[] default null,
  workplace_group text default null,
  order_no text default null,
  activity_code text default null,
  planned_start_after timestamptz default null,
  planned_start_before timestamptz default null,
  has_remaining_qty boolean default null,
  is_overdue boolean default null,
  open_longer_than_h numeric default null,
  q text default null,
  has_parked boolean default null,
  sort text default 'order_no',
  after_value timestamptz default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('statuses', statuses)
    and app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('order_no', order_no)
    and app.require_bounded('activity_code', activity_code) and app.require_bounded('q', q)
    and app.require_bounded('sort', sort) and app.require_bounded('after_order_no', after_order_no)
    and app.require_bounded('after_operation_no', after_operation_no) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  filter constant app.operation_filter := row(app.distinct_values(statuses)::public.status[],
    app.distinct_values(workplace_names), workplace_group, order_no, activity_code,
    planned_start_after, planned_start_before, has_remaining_qty, is_overdue, open_longer_than_h, q, has_parked);
  conditions constant text := app.conditions(filter);
  places constant text[] := app.places_to_list((filter).workplace_names);
  sorted constant app.page_sort := app.sort_of_operations(
    coalesce(sort, 'order_no'), after_order_no is not null, after_value is not null);
  rows public.mes_operations[];
  total bigint;
  plan json;
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  execute app.page_query('public.mes_operations', 'o', 'o', conditions,
    array(
      select range || ' and ' || pair
      from unnest(sorted.ranges) range, unnest(app.all_pairs(
        app.alternatives('o.workplace_name', '$7', cardinality(places)),
        app.alternatives('o.status', '($1).statuses', cardinality((filter).statuses))
      )) pair
    ),
    sorted.key_columns, sorted.page_order, '$5', '$6', sorted.merge_order)
  into rows
  using filter, after_order_no, after_operation_no, after_asset_id, take + 1, skip, places, after_value;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.mes_operations o where %s', conditions) into total using filter;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.mes_operations o where %s', conditions) into plan
      using filter;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', (select coalesce(json_agg(app.operation_json(o)), '[]') from unnest(rows[1:take]) o),
    'next', case when cardinality(rows) > take then json_build_array(
      case ltrim(sort, '-')
        when 'planned_start_at' then rows[take].planned_start_at
        when 'planned_end_at' then rows[take].planned_end_at
        when 'updated_at' then rows[take].updated_at
      end,
      rows[take].order_no, rows[take].operation_no, rows[take].asset_id) end,
    'total', total
  );
end
$$;
comment on function public.list_operations is
  'A page of the operations the caller sees, ordered by sort, then by order_no, operation_no, asset_id: {"items": '
  '[...], "next": value of the sort and key of the last item or null, "total": number when asked}. The page begins '
  'after the given value and key; count is null, exact or estimated.';
grant execute on function public.list_operations to authenticated, service_role;

-- Running operations come first, then the others in planned order.
create function public.list_queue(name text, take integer default 100) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  caller constant app.caller := app.current_caller();
begin
  if not exists (select from public.workplaces w where w.name = list_queue.name) then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(
      app.json_with(app.json_with(app.operation_json(o), 'allowed_actions', a.actions), 'blocked_by', (
        select action -> 'blocked_by' from json_array_elements(a.actions) action where action ->> 'action' = 'START'
      ))
      order by o.running_since, o.planned_start_at, o.order_no, o.operation_no, o.asset_id), '[]')
    from (
      select * from public.mes_operations o
      where o.workplace_name = list_queue.name and o.status not in ('FINISHED', 'CANCELLED')
      order by o.running_since, o.planned_start_at, o.order_no, o.operation_no, o.asset_id
      limit least(take, 500)
    ) o
    cross join lateral (select app.allowed_actions(o::public.mes_operations, caller) as actions offset 0) a
  );
end
$$;
comment on function public.list_queue(text, integer) is
  'The open operations of a workplace that the caller sees: those running, then by planned start; each with '
  'blocked_by, the cause that keeps the caller from starting it. Raises 404 not_found.';
grant execute on function public.list_queue to authenticated, service_role;

-- supabase/schemas/40_lifecycle/01_lifecycle.sql
-- What: actions and transitions.
-- Why: the lifecycle is data, so that rules, documents and tests read the same tables.

create type public.action as enum (
  'START', 'STOP', 'REPORT_QUANTITY', 'COMPLETE', 'FINISH', 'RELEASE', 'HOLD', 'CANCEL', 'REVERSE', 'CORRECT'
);
comment on type public.action is 'What can be done to an operation.';

create table app.actions (
  action public.action primary key,
  position integer not null unique,
  least_role public.role not null,
  run_effect text not null,
  follows text not null,
  quantities text not null,
  reason_kind public.reason_kind,
  reason_needed text not null,
  takes text[] not null,
  constraint actions_run_effect_known check (run_effect in ('none', 'opens', 'closes')),
  constraint actions_follows_known check (follows in ('nothing', 'the start', 'all work')),
  constraint actions_quantities_known check (quantities in ('none', 'added', 'taken back', 'signed')),
  constraint actions_reason_needed_known check (reason_needed in ('never', 'when short', 'always')),
  constraint actions_needed_reason_has_kind check (reason_needed = 'never' or reason_kind is not null)
);
comment on table app.actions is 'What each action does, in all states alike.';
comment on column app.actions.position is 'Place in the list of allowed actions.';
comment on column app.actions.least_role is 'Role that it needs at least; a transition may need more.';
comment on column app.actions.run_effect is
  'Opens a run, after closing the one in another phase; closes the open run; or neither.';
comment on column app.actions.follows is
  'What it must not come before: all work so far, the start of work, or nothing. A transition to another state '
  'follows all work.';
comment on column app.actions.quantities is
  'How its quantities count: added, taken back from an event, a signed difference, or it has none.';
comment on column app.actions.reason_kind is 'Kind of its reason code; null = it takes none.';
comment on column app.actions.reason_needed is 'When a reason code is needed; short = fewer good pieces than desired.';
comment on column app.actions.takes is 'Fields of a report that it uses, besides those that every report has.';

alter table app.actions enable row level security;

insert into app.actions
  (position, action, least_role, run_effect, follows, quantities, reason_kind, reason_needed, takes)
values
  (1, 'RELEASE', 'supervisor', 'none', 'all work', 'none', null, 'never', '{}'),
  (2, 'START', 'operator', 'opens', 'all work', 'none', null, 'never', '{phase}'),
  (3, 'STOP', 'operator', 'closes', 'all work', 'none', 'STOP', 'never', '{reason_code}'),
  (4, 'REPORT_QUANTITY', 'operator', 'none', 'the start', 'added', 'SCRAP', 'never',
    '{qty_good,qty_scrap,overrun,reason_code}'),
  (5, 'COMPLETE', 'operator', 'closes', 'all work', 'added', 'SHORTFALL', 'when short',
    '{qty_good,qty_scrap,overrun,reason_code}'),
  (6, 'FINISH', 'operator', 'closes', 'all work', 'none', 'SHORTFALL', 'when short', '{reason_code}'),
  (7, 'HOLD', 'supervisor', 'closes', 'all work', 'none', 'HOLD', 'always', '{reason_code}'),
  (8, 'CANCEL', 'supervisor', 'closes', 'all work', 'none', 'CANCEL', 'always', '{reason_code}'),
  (9, 'REVERSE', 'operator', 'none', 'the start', 'taken back', null, 'never',
    '{qty_good,qty_scrap,reverses_event_id}'),
  (10, 'CORRECT', 'supervisor', 'none', 'nothing', 'signed', null, 'never',
    '{qty_good,qty_scrap,qty_parked,actual_start_at,actual_end_at,'
    't_actual_setup_min,t_actual_processing_min,t_actual_lead_min}');

create table app.transitions (
  action public.action not null references app.actions (action),
  from_state public.state not null,
  to_state public.state not null,
  least_role public.role,
  primary key (action, from_state)
);
comment on table app.transitions is 'The lifecycle of an operation: which action leads from which state to which.';
comment on column app.transitions.least_role is 'Role that this transition needs at least; null = that of the action.';

alter table app.transitions enable row level security;

insert into app.transitions (action, from_state, to_state, least_role) values
  ('RELEASE', 'PLANNED', 'RELEASED', null),
  ('RELEASE', 'BLOCKED_BEFORE_START', 'RELEASED', null),
  ('RELEASE', 'BLOCKED', 'PAUSED', null),
  ('START', 'RELEASED', 'IN_PROGRESS', null),
  ('START', 'PAUSED', 'IN_PROGRESS', null),
  ('START', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('STOP', 'IN_PROGRESS', 'PAUSED', null),
  ('REPORT_QUANTITY', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('REPORT_QUANTITY', 'PAUSED', 'PAUSED', null),
  ('REPORT_QUANTITY', 'BLOCKED', 'BLOCKED', null),
  ('COMPLETE', 'IN_PROGRESS', 'FINISHED', null),
  ('COMPLETE', 'PAUSED', 'FINISHED', null),
  ('COMPLETE', 'BLOCKED', 'FINISHED', null),
  ('FINISH', 'IN_PROGRESS', 'FINISHED', null),
  ('FINISH', 'PAUSED', 'FINISHED', null),
  ('FINISH', 'BLOCKED', 'FINISHED', null),
  ('HOLD', 'RELEASED', 'BLOCKED_BEFORE_START', null),
  ('HOLD', 'IN_PROGRESS', 'BLOCKED', null),
  ('CANCEL', 'PLANNED', 'CANCELLED', null),
  ('CANCEL', 'RELEASED', 'CANCELLED', null),
  ('CANCEL', 'BLOCKED_BEFORE_START', 'CANCELLED', null),
  ('CANCEL', 'IN_PROGRESS', 'CANCELLED', null),
  ('CANCEL', 'PAUSED', 'CANCELLED', null),
  ('CANCEL', 'BLOCKED', 'CANCELLED', null),
  ('REVERSE', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('REVERSE', 'PAUSED', 'PAUSED', null),
  ('REVERSE', 'BLOCKED', 'BLOCKED', null),
  -- A finished operation counts as delivered, so only a supervisor may take its pieces back.
  ('REVERSE', 'FINISHED', 'PAUSED', 'supervisor'),
  ('CORRECT', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('CORRECT', 'PAUSED', 'PAUSED', null),
  ('CORRECT', 'BLOCKED', 'BLOCKED', null),
  ('CORRECT', 'FINISHED', 'FINISHED', null);

-- Each report reads one of these rows, and the join would cost as much as a write. A migration that changes actions or
-- transitions refreshes the view.
create materialized view app.lifecycle as
select a.action, s.state as from_state, t.to_state, app.status_of(t.to_state) as to_status,
  coalesce(t.least_role, a.least_role) as least_role,
  a.run_effect, a.follows, a.quantities, a.reason_kind, a.reason_needed
from app.actions a
  cross join unnest(enum_range(null::public.state)) s (state)
  left join app.transitions t on t.action = a.action and t.from_state = s.state;
comment on materialized view app.lifecycle is
  'Each action in each state: what it does, and the state that it leads to; to_state is null where it is refused.';
create unique index lifecycle_key on app.lifecycle (action, from_state);

-- supabase/schemas/40_lifecycle/02_allowed_actions.sql
-- What: the actions that a caller may take next.
-- Why: clients show buttons for them, and refusals name them.

create function app.possible_action(action public.action, blocked_by text) returns json
language sql stable
return json_build_object('action', action, 'allowed', blocked_by is null, 'blocked_by', blocked_by);
comment on function app.possible_action(public.action, text) is
  'One action as clients see it, with the machine code of what blocks it.';

-- There are few answers, and they change with the lifecycle only: a migration that changes actions or transitions
-- refreshes the view. Most requests need one, and computing it would be most of their cost.
create materialized view app.possible_actions as
select possible.state, possible.rank, possible.is_processing,
  bool_or(possible.needs_room and possible.blocked_by is null) as depends_on_room,
  json_agg(app.possible_action(possible.action, possible.blocked_by) order by possible.position) as actions,
  json_agg(
    app.possible_action(possible.action,
      coalesce(possible.blocked_by, case when possible.needs_room then 'workplace_busy' end))
    order by possible.position
  ) as actions_at_full_workplace
from (
  select s.state, r.rank, p.is_processing, a.action, a.position,
    -- a running operation already has its room
    a.run_effect = 'opens' and s.state <> 'IN_PROGRESS' as needs_room,
    case
      when r.rank < app.role_rank(coalesce(t.least_role, a.least_role)) then 'forbidden'
      when a.run_effect = 'opens' and s.state in ('BLOCKED', 'BLOCKED_BEFORE_START') then 'operation_blocked'
      when a.run_effect = 'opens' and p.is_processing then 'already_running'
      when t.action is null then 'invalid_state_transition'
    end as blocked_by
  from unnest(enum_range(null::public.state)) s (state)
    cross join generate_series(app.role_rank(null), app.role_rank('admin')) r (rank)
    cross join (values (false), (true)) p (is_processing)
    cross join app.actions a
    left join app.transitions t on t.action = a.action and t.from_state = s.state
) possible
group by possible.state, possible.rank, possible.is_processing;
comment on materialized view app.possible_actions is
  'What may be done next, [{"action", "allowed", "blocked_by"}], for each state, rank of the caller''s role, and '
  'whether a PROCESSING run is open; depends_on_room = the two answers differ.';
create unique index possible_actions_key on app.possible_actions (state, rank, is_processing);

create function app.allowed_actions(operation public.mes_operations, caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  possible app.possible_actions;
  capacity integer;
begin
  select * into possible from app.possible_actions p
  where p.state = operation.state and p.rank = app.role_rank(caller.role)
    and p.is_processing = (operation.running_phase is not distinct from 'PROCESSING');
  if not possible.depends_on_room then
    return possible.actions;
  end if;
  select w.capacity into capacity from public.workplaces w where w.name = operation.workplace_name;
  if capacity is null then
    return possible.actions;
  end if;
  return case
    when capacity <= (
      select count(*) from public.mes_operations o
      where o.workplace_name = operation.workplace_name and o.status = 'IN_PROGRESS' and o.id <> operation.id
    ) then possible.actions_at_full_workplace
    else possible.actions
  end;
end
$$;
comment on function app.allowed_actions(public.mes_operations, app.caller) is
  'For each action whether this caller may take it now, and if not the machine code of the cause. The shape is '
  '{"action", "allowed", "blocked_by"}.';
grant execute on function app.allowed_actions to authenticated, service_role;

create function app.start_hint(operation public.mes_operations, verb text) returns text
language sql stable
return case
  when (operation).state not in ('PLANNED', 'RELEASED', 'BLOCKED_BEFORE_START') then ''
  when not exists (select from app.actions a where a.action::text = verb and a.least_role = 'operator'
    and (a.follows = 'the start' or a.run_effect = 'closes')) then ''
  when (operation).state = 'RELEASED' then '. START it first'
  else '. A supervisor must RELEASE it, then START it first'
end;
comment on function app.start_hint(public.mes_operations, text) is
  'What to do before an operator''s report on an operation that has not started; empty for other refusals.';

create function app.transition_problem(
  operation public.mes_operations, caller app.caller, verb text
) returns app.problem
language sql stable
return app.problem(
  422, 'invalid_state_transition',
  format('Cannot %s operation %s: status is "%s"%s', verb, app.operation_label(operation), (operation).status,
    app.start_hint(operation, verb)),
  jsonb_build_object('current_status', (operation).status, 'allowed_actions', app.allowed_actions(operation, caller))
);
comment on function app.transition_problem(public.mes_operations, app.caller, text) is
  'Makes the problem invalid_state_transition with the current status and what is allowed instead.';

create function app.blocked_problem(operation public.mes_operations, caller app.caller) returns app.problem
language sql stable
return app.problem(
  409, 'operation_blocked',
  format('Cannot START operation %s: it is blocked with reason "%s" until a supervisor releases it',
    app.operation_label(operation), (operation).hold_reason_code),
  jsonb_build_object('current_status', (operation).status, 'hold_reason_code', (operation).hold_reason_code,
    'allowed_actions', app.allowed_actions(operation, caller))
);
comment on function app.blocked_problem(public.mes_operations, app.caller) is
  'Makes the problem operation_blocked with the reason and what is allowed instead.';

create view app.operation_answers as
select (null::app.operation_body).*, null::json as allowed_actions where false;
comment on view app.operation_answers is
  'Has no rows: its row type is the operation as single reads and commands answer it.';

create function app.operation_answer(operation public.mes_operations, caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  body constant app.operation_body := app.operation_body(operation);
begin
  return to_json(row((body).*, app.allowed_actions(operation, caller))::app.operation_answers);
end
$$;
comment on function app.operation_answer(public.mes_operations, app.caller) is
  'The operation as single reads and commands answer it: with allowed_actions.';
grant execute on function app.operation_answer to authenticated, service_role;

-- supabase/schemas/50_events/01_events.sql
-- What: the event log.
-- Why: events are the source and the operation is a projection: nothing about execution changes without a row here.

create table public.operation_events (
  id uuid primary key default gen_random_uuid(),
  operation_id bigint not null,
  op_seq integer not null,
  action_type public.action not null,
  order_no text collate "C" not null,
  asset_id integer not null,
  operation_no text collate "C" not null,
  workplace_name text collate "C",
  status_before public.status,
  status_after public.status not null,
  occurred_at timestamptz not null,
  phase public.phase,
  qty_good integer not null default 0,
  qty_scrap integer not null default 0,
  qty_parked integer not null default 0,
  reason_kind public.reason_kind,
  reason_code text collate "C",
  note text,
  reverses_event_id uuid references public.operation_events (id),
  changes jsonb,
  operation_data jsonb,
  user_id uuid,
  -- No index: reporters are never deleted.
  reporter_id bigint references app.reporters (id),
  report_digest bytea,
  created_at timestamptz not null default clock_timestamp(),

  -- No foreign key to the operation: its events stay when an operation that never started is deleted.
  constraint operation_events_op_seq_unique unique (operation_id, op_seq),
  constraint operation_events_op_seq_positive check (op_seq > 0),
  constraint operation_events_reason_known
    foreign key (reason_kind, reason_code) references public.reason_codes (kind, code),
  constraint operation_events_reason_has_kind check (reason_code is null or reason_kind is not null),
  constraint operation_events_phase_of_start check ((action_type = 'START') = (phase is not null)),
  constraint operation_events_quantities_fit_action check (
    action_type = 'CORRECT'
    or (action_type in ('REPORT_QUANTITY', 'COMPLETE', 'REVERSE') and qty_good >= 0 and qty_scrap >= 0)
    or (qty_good = 0 and qty_scrap = 0)
  ),
  constraint operation_events_parked_by_count check (
    qty_parked = 0 or action_type = 'CORRECT' or action_type in ('REPORT_QUANTITY', 'COMPLETE') and qty_parked > 0
    or action_type = 'REVERSE' and qty_parked < 0
  ),
  constraint operation_events_reversal_names_event check ((action_type = 'REVERSE') = (reverses_event_id is not null)),
  constraint operation_events_changes_of_correction check ((action_type = 'CORRECT') = (changes is not null)),
  constraint operation_events_note_short check (char_length(note) <= 2000),
  constraint operation_events_operation_data_is_object check (jsonb_typeof(operation_data) = 'object'),
  constraint operation_events_operation_data_small check (octet_length(operation_data::text) <= 32768),
  -- lists by occurred_at rely on it; where the server's clock has stepped back, created_at is later than that clock
  constraint operation_events_heard_after_it_happened check (occurred_at - created_at <= interval '2 minutes'),
  constraint operation_events_occurred_at_is_real check (occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z')
);
comment on table public.operation_events is
  'What happened, append-only. Totals, status and times of an operation are derived from these rows.';
comment on column public.operation_events.id is
  'Made by the terminal or the database; a report with a known id is the same event.';
comment on column public.operation_events.operation_id is 'Internal number of the operation.';
comment on column public.operation_events.op_seq is
  'Position among the events of its operation: 1, 2, 3, ... without gaps.';
comment on column public.operation_events.workplace_name is 'Workplace at the time of the event; decides who sees it.';
comment on column public.operation_events.status_before is
  'Status before the event; null for an opening event, which begins an operation taken over with work done.';
comment on column public.operation_events.status_after is 'Status after the event.';
comment on column public.operation_events.occurred_at is 'When it happened, by the device or by default the server.';
comment on column public.operation_events.phase is 'What a START begins.';
comment on column public.operation_events.qty_good is
  'Good pieces: added by a report, taken back by a REVERSE, the signed difference of a CORRECT.';
comment on column public.operation_events.qty_scrap is 'Scrapped pieces, likewise.';
comment on column public.operation_events.qty_parked is
  'Good pieces beyond what the operation may have: counted and kept apart by a report, '
  'the signed difference of a CORRECT.';
comment on column public.operation_events.reason_kind is 'Kind of the reason code, decided by the action.';
comment on column public.operation_events.reason_code is 'Why: a code of reason_codes.';
comment on column public.operation_events.note is 'Free words of the reporter.';
comment on column public.operation_events.reverses_event_id is
  'Quantity event that a REVERSE takes back, wholly or partly.';
comment on column public.operation_events.changes is
  'What a CORRECT changed: {"field": {"before": ..., "after": ...}}.';
comment on column public.operation_events.operation_data is 'Free JSON object of the client, kept as sent.';
comment on column public.operation_events.user_id is
  'User who reported, from the token; null for servers that name none. It stays when the user is deleted.';
comment on column public.operation_events.reporter_id is 'Their address at the time: a row of app.reporters.';
comment on column public.operation_events.report_digest is
  'SHA-256 of the report under a client-made id, which distinguishes a retry from another event.';
comment on column public.operation_events.created_at is
  'When the server received it; never before the previous event of its operation, nor more than 2 minutes before '
  'occurred_at.';

-- Newest first, whatever the filter.
create index operation_events_newest on public.operation_events (created_at desc, id desc);
create index operation_events_by_workplace on public.operation_events (workplace_name, created_at desc, id desc);
create index operation_events_by_order on public.operation_events (order_no, created_at desc, id desc);
create index operation_events_by_action on public.operation_events (action_type, created_at desc, id desc);
create index operation_events_by_user on public.operation_events (user_id, created_at desc, id desc)
  where user_id is not null;
create index operation_events_late on public.operation_events (created_at desc, id desc, occurred_at)
  where created_at - occurred_at > interval '1 hour';
create index operation_events_by_reversed on public.operation_events (reverses_event_id)
  where reverses_event_id is not null;
create index operation_events_by_reason on public.operation_events (reason_kind, reason_code)
  where reason_code is not null;
grant select on public.operation_events to authenticated, service_role;

-- The log never changes, not even by its owner: results of deliveries and names of reporters are in other tables.
create function app.keep_event_as_written() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  raise sqlstate 'PT403' using
    message = 'forbidden',
    detail = json_build_object('detail', 'The event log is append-only: report a REVERSE or a CORRECT instead')::text;
end
$$;
comment on function app.keep_event_as_written() is
  'Trigger: refuses updates and deletes of events, the owner''s included.';
grant execute on function app.keep_event_as_written to authenticated, service_role;

create trigger operation_events_keep_as_written before update or delete on public.operation_events
  for each row execute function app.keep_event_as_written();

create trigger operation_events_keep_all before truncate on public.operation_events
  for each statement execute function app.keep_event_as_written();

create trigger operation_events_refuse_direct_write
  before insert or update or delete or truncate on public.operation_events
  for each statement execute function app.refuse_direct_write();

alter table public.operation_events enable row level security;

create policy "Users read the events of their own workplaces"
  on public.operation_events for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

-- An event is a row of the log with the rows that other tables have for it: position, reporter, answers of receivers.
create type app.event_body as (
  id uuid,
  pos bigint,
  action_type text,
  order_no text,
  asset_id integer,
  operation_no text,
  workplace_name text,
  op_seq integer,
  status_before text,
  status_after text,
  occurred_at text,
  phase text,
  qty_good integer,
  qty_scrap integer,
  delta_good integer,
  delta_scrap integer,
  qty_parked integer,
  reason_code text,
  note text,
  reverses_event_id uuid,
  changes jsonb,
  operation_data jsonb,
  user_id uuid,
  user_email text,
  webhook_success boolean,
  webhook_response text,
  error_message text,
  created_at text
);
comment on type app.event_body is 'The event as the API writes it.';

-- A REVERSE alone names an event and takes its pieces back.
create function app.delta(e public.operation_events, quantity integer) returns integer
language sql immutable parallel safe
return case when (e).reverses_event_id is null then quantity else -quantity end;
comment on function app.delta(public.operation_events, integer) is
  'What a quantity of the event adds to the total of its operation: negative for a REVERSE. The sum over all events of '
  'an operation is its total.';
grant execute on function app.delta to authenticated, service_role;

create function app.event_body(
  e public.operation_events, pos bigint, user_email text, is_delivered boolean,
  webhook_response text, error_message text
) returns app.event_body
language sql stable
return row(
  (e).id,
  pos,
  (e).action_type,
  (e).order_no,
  (e).asset_id,
  (e).operation_no,
  (e).workplace_name,
  (e).op_seq,
  (e).status_before,
  (e).status_after,
  app.iso((e).occurred_at),
  (e).phase,
  (e).qty_good,
  (e).qty_scrap,
  app.delta(e, (e).qty_good),
  app.delta(e, (e).qty_scrap),
  (e).qty_parked,
  (e).reason_code,
  (e).note,
  (e).reverses_event_id,
  (e).changes,
  (e).operation_data,
  (e).user_id,
  user_email,
  coalesce(is_delivered, false),
  webhook_response,
  error_message,
  app.iso((e).created_at)
)::app.event_body;
comment on function app.event_body(public.operation_events, bigint, text, boolean, text, text) is
  'The members of the event as the API writes it, from its row and from other tables.';

-- A receiver's answer may be confidential.
create function app.sees_webhook_answers(caller app.caller) returns boolean
language sql immutable parallel safe
return app.role_rank((caller).role) >= 3;
comment on function app.sees_webhook_answers(app.caller) is
  'True for managers and above, who see the answers of webhook receivers.';

create function app.event_json(e public.operation_events) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  feed_pos bigint;
  user_email text;
  is_delivered boolean;
  response text;
  error_message text;
begin
  select
    (select f.pos from app.feed f where f.event_id = e.id),
    (select r.email from app.reporters r where r.id = e.reporter_id),
    w.is_delivered, w.response, w.error_message
  into feed_pos, user_email, is_delivered, response, error_message
  from (select e.id) event left join app.webhook_outcomes w on w.event_id = event.id;
  if coalesce(response, error_message) is not null and not app.sees_webhook_answers(app.current_caller()) then
    response := null;
    error_message := null;
  end if;
  return to_json(app.event_body(e, feed_pos, user_email, is_delivered, response, error_message));
end
$$;
comment on function app.event_json(public.operation_events) is
  'One event as the API writes it, for functions that run as their owner and have checked that their caller sees it.';

-- supabase/schemas/50_events/02_runs.sql
-- What: runs, the uninterrupted stretches of work.
-- Why: times and minutes are sums over runs, and an operation is running while it has an open run.

create table public.operation_runs (
  operation_id bigint not null references public.mes_operations (id) on delete cascade,
  run_no integer not null,
  phase public.phase not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  start_event_id uuid not null references public.operation_events (id),
  end_event_id uuid references public.operation_events (id),
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  primary key (operation_id, run_no),
  constraint operation_runs_end_after_start check (started_at <= ended_at),
  constraint operation_runs_end_has_event check ((ended_at is null) = (end_event_id is null)),
  constraint operation_runs_do_not_overlap exclude using gist (
    operation_id with =,
    tstzrange(started_at, ended_at) with &&
  )
);
comment on table public.operation_runs is
  'Uninterrupted stretches of work, derived from events; at most one open run per operation.';
comment on column public.operation_runs.run_no is 'Number of the run within its operation: 1, 2, 3, ...';
comment on column public.operation_runs.started_at is 'When work began, corrections included.';
comment on column public.operation_runs.ended_at is 'When work ceased; null while it runs.';
comment on column public.operation_runs.start_event_id is 'Event that opened the run.';
comment on column public.operation_runs.end_event_id is 'Event that closed it.';
comment on column public.operation_runs.user_id is 'User who opened it. It stays when the user is deleted.';
comment on column public.operation_runs.reporter_id is 'Their address at the time: a row of app.reporters.';

-- When two STARTs race, this index rejects one of them.
create unique index operation_runs_one_open on public.operation_runs (operation_id) where ended_at is null;
create index operation_runs_by_start_event on public.operation_runs (start_event_id);
create index operation_runs_by_end_event on public.operation_runs (end_event_id) where end_event_id is not null;
create index operation_runs_open_since on public.operation_runs (started_at) where ended_at is null;
grant select on public.operation_runs to authenticated, service_role;

create trigger operation_runs_refuse_direct_write before insert or update or delete or truncate on public.operation_runs
  for each statement execute function app.refuse_direct_write();

alter table public.operation_runs enable row level security;

create policy "Users read the runs of operations they see"
  on public.operation_runs for select to authenticated
  using (exists (select from public.mes_operations o where o.id = operation_id));

create function app.run_json(r public.operation_runs) returns json
language sql stable
begin atomic
  select json_build_object(
    'run_no', (r).run_no,
    'phase', (r).phase,
    'started_at', app.iso((r).started_at),
    'ended_at', app.iso((r).ended_at),
    'duration_min', greatest(app.minutes_between((r).started_at, coalesce((r).ended_at, now())), 0),
    'start_event_id', (r).start_event_id,
    'end_event_id', (r).end_event_id,
    'user_id', (r).user_id,
    'user_email', app.reporter_email((r).reporter_id)
  );
end;
comment on function app.run_json(public.operation_runs) is
  'The run as the API writes it; the open one as far as it has come.';
grant execute on function app.run_json to authenticated, service_role;

create function public.list_runs(order_no text, asset_id integer, operation_no text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = list_runs.order_no and o.operation_no = list_runs.operation_no and o.asset_id = list_runs.asset_id;
  if not found then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(app.run_json(r) order by r.run_no), '[]')
    from public.operation_runs r
    where r.operation_id = operation.id
  );
end
$$;
comment on function public.list_runs(text, integer, text) is
  'The runs of an operation, oldest first. Raises 404 not_found.';
grant execute on function public.list_runs to authenticated, service_role;

create function app.running_problem(operation public.mes_operations) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  run public.operation_runs;
begin
  select * into run from public.operation_runs r where r.operation_id = operation.id and r.run_no = operation.run_count;
  return app.problem(
    409, 'already_running',
    format('Cannot START operation %s: it has been running since %s',
      app.operation_label(operation), app.iso(operation.running_since)),
    jsonb_build_object('running_since', app.iso(operation.running_since), 'phase', operation.running_phase,
      'user_id', run.user_id, 'user_email', app.reporter_email(run.reporter_id))
  );
end
$$;
comment on function app.running_problem(public.mes_operations) is
  'Makes the problem already_running of an operation that runs, naming who has started it.';

-- The plan may move a running operation; its work continues at the workplace of its START.
create function app.running_place(operation_id bigint) returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select e.workplace_name from public.operation_runs r
    join public.operation_events e on e.id = r.start_event_id
    where r.operation_id = running_place.operation_id and r.ended_at is null
  );
end
$$;
comment on function app.running_place(bigint) is
  'Workplace at which the open run of the operation was started; null when nothing runs.';

-- supabase/schemas/50_events/03_rules.sql
-- What: the rules for reports.
-- Why: each rule is a function that returns a problem or null; its caller raises or reports the problem.

-- A report from any source: an event of a terminal, a transition by a planner, a PATCH.
create type app.report as (
  id uuid,
  digest bytea,
  action_type public.action,
  workplace_name text,
  occurred_at timestamptz,
  phase public.phase,
  qty_good integer,
  qty_scrap integer,
  qty_parked integer,
  overrun text,
  reason_code text,
  note text,
  reverses_event_id uuid,
  operation_data jsonb,
  user_id uuid,
  user_email text,
  reporter_id bigint,
  actual_start_at timestamptz,
  actual_end_at timestamptz,
  t_actual_setup_min numeric,
  t_actual_processing_min numeric,
  t_actual_lead_min numeric
);

comment on type app.report is
  'One action on one operation. workplace_name is where it happened, null = where the operation is planned. The '
  'quantities of a CORRECT are signed differences; its times and minutes are the new absolute values, '
  'null = unchanged. '
  'overrun decides about good pieces beyond the limit: park, or refuse (null).';

create function app.as_running(operation public.mes_operations) returns jsonb
language sql stable parallel safe
return jsonb_build_object(
  'order_no', (operation).order_no, 'asset_id', (operation).asset_id, 'operation_no', (operation).operation_no,
  'running_since', app.iso((operation).running_since));
comment on function app.as_running(public.mes_operations) is 'A running operation as workplace_busy names it.';

create function app.running_operations(workplace_name text, except_ids bigint[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(app.as_running(o) order by o.running_since, o.id), '[]') from public.mes_operations o
    where o.workplace_name = running_operations.workplace_name and o.status = 'IN_PROGRESS' and o.id <> all(except_ids)
  );
end
$$;
comment on function app.running_operations(text, bigint[]) is
  'The operations that run at a workplace, except some, as a JSON array.';

create function app.room_problem(operation public.mes_operations, capacity integer, running jsonb) returns app.problem
language sql stable parallel safe
return case when jsonb_array_length(running) >= capacity then app.problem(
  409, 'workplace_busy',
  format('Cannot start operation %s: workplace "%s" runs %s of at most %s operations',
    app.operation_label(operation), (operation).workplace_name, jsonb_array_length(running), capacity),
  jsonb_build_object('capacity', capacity, 'running_operations', running)
) end;
comment on function app.room_problem(public.mes_operations, integer, jsonb) is
  'The problem workplace_busy when these other operations leave no room for the operation.';

create function app.is_closing(action public.action) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return (select a.run_effect = 'closes' from app.actions a where a.action = is_closing.action);
end
$$;
comment on function app.is_closing(public.action) is 'True for an action that closes the open run.';

create function app.elsewhere_problem(
  caller app.caller, order_no text, operation_no text, workplace_name text, asset_id integer
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = elsewhere_problem.order_no and o.operation_no = elsewhere_problem.operation_no
    and o.asset_id = coalesce(elsewhere_problem.asset_id, o.asset_id)
    and o.workplace_name is distinct from elsewhere_problem.workplace_name
    and app.sees_workplace(caller, o.workplace_name)
    -- a report from a workplace at which the operation was never worked on is a mistake
    and exists (
      select from public.operation_events e
      where e.operation_id = o.id and e.workplace_name = elsewhere_problem.workplace_name
    )
  order by o.asset_id
  limit 1;
  if not found then
    return app.missing_problem();
  end if;
  return app.problem(
    409, 'planned_elsewhere',
    format('Operation %s is not planned at workplace "%s" any more but at %s: report it there',
      app.operation_label(operation), workplace_name, coalesce('"' || operation.workplace_name || '"', 'none')),
    jsonb_build_object('workplace_name', operation.workplace_name, 'asset_id', operation.asset_id));
end
$$;
comment on function app.elsewhere_problem(app.caller, text, text, text, integer) is
  'The problem planned_elsewhere with the workplace to which an operation was moved, where the caller sees that, else '
  'not_found.';

create function app.is_reason(kind public.reason_kind, code text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  -- an inactive code is not offered any more; PATCH and import still write it
  return exists (
    select from public.reason_codes r
    where r.kind = is_reason.kind and r.code = is_reason.code and (r.active or r.code = 'UNSPECIFIED')
  );
end
$$;
comment on function app.is_reason(public.reason_kind, text) is 'True for an active code of the kind.';

create function app.reason_problem(
  operation public.mes_operations, transition app.lifecycle, reason_code text, is_short boolean
) returns app.problem
language sql stable
return case
  when reason_code is null then case
    when (transition).reason_needed = 'always' or (transition).reason_needed = 'when short' and is_short
    then app.problem(
      422, 'reason_required',
      format('Cannot %s operation %s: a reason code of kind %s is required',
        (transition).action, app.operation_label(operation), (transition).reason_kind),
      jsonb_build_object('kind', (transition).reason_kind))
    end
  when (transition).reason_kind is null
  then app.field_problem('/reason_code', 'not_used', format('%s takes no reason code', (transition).action))
  when not app.is_reason((transition).reason_kind, reason_code)
  then app.field_problem('/reason_code', 'unknown_reason',
    format('"%s" is not an active reason code of kind %s', reason_code, (transition).reason_kind))
end;
comment on function app.reason_problem(public.mes_operations, app.lifecycle, text, boolean) is
  'The problem reason_required when a needed reason is missing, validation_failed when it is not an active code of '
  'its kind, or the action takes none.';

create function app.good_limit(operation public.mes_operations) returns numeric
language sql immutable parallel safe
return floor((operation).qty_desired * (1 + coalesce((operation).overrun_tolerance_pct, 0) / 100));
comment on function app.good_limit(public.mes_operations) is
  'Good pieces that the operation may have; null = no limit.';

create function app.quantity_problem(
  operation public.mes_operations, processed bigint, scrap bigint
) returns app.problem
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  if processed > 2147483647 then
    return app.problem(422, 'invalid_quantity',
      format('Operation %s cannot have %s pieces: that is more than can be counted',
        app.operation_label(operation), processed));
  elsif scrap not between 0 and processed then
    return app.problem(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s scrapped of %s processed pieces',
        app.operation_label(operation), scrap, processed),
      jsonb_build_object('qty_processed', processed, 'qty_scrap', scrap));
  elsif processed - scrap > app.good_limit(operation) then
    return app.problem(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s good pieces: %s are desired, with %s %% tolerance',
        app.operation_label(operation),
        processed - scrap, operation.qty_desired, coalesce(trim_scale(operation.overrun_tolerance_pct), 0)),
      jsonb_build_object('qty_desired', operation.qty_desired, 'qty_good', processed - scrap,
        'limit', app.good_limit(operation)));
  end if;
  return null;
end
$$;
comment on function app.quantity_problem(public.mes_operations, bigint, bigint) is
  'The problem invalid_quantity unless 0 <= scrap <= processed and good <= desired within tolerance.';

-- A machine's counter does not know the desired quantity, so surplus pieces are parked and not lost.
create function app.surplus(operation public.mes_operations, good integer) returns integer
language sql immutable parallel safe
return case when app.good_limit(operation) is null then 0
  else greatest(good - greatest(app.good_limit(operation) - (operation).qty_good, 0), 0)::integer end;
comment on function app.surplus(public.mes_operations, integer) is
  'How many of so many further good pieces are more than the operation may have.';

create function app.parked_problem(operation public.mes_operations, parked bigint) returns app.problem
language sql stable parallel safe
return case when parked not between 0 and 2147483647 then app.problem(
  422, 'invalid_quantity',
  format('Operation %s cannot have %s parked pieces: it has %s', app.operation_label(operation),
    parked, (operation).qty_parked),
  jsonb_build_object('qty_parked', (operation).qty_parked)
) end;
comment on function app.parked_problem(public.mes_operations, bigint) is
  'The problem invalid_quantity unless the number of parked pieces can be.';

create function app.fitting(operation public.mes_operations) returns integer
language sql immutable parallel safe
return case when (operation).state = 'CANCELLED' then 0 else least(
  (operation).qty_parked - app.surplus(operation, (operation).qty_parked), 2147483647 - (operation).qty_processed) end;
comment on function app.fitting(public.mes_operations) is 'How many of the parked pieces the operation has room for.';

create type app.pieces as (good integer, scrap integer, parked integer);

create function app.pieces_left(operation public.mes_operations, event_id uuid) returns app.pieces
language plpgsql stable
set search_path = ''
as $$
declare
  pieces app.pieces;
begin
  select e.qty_good - coalesce(sum(r.qty_good), 0), e.qty_scrap - coalesce(sum(r.qty_scrap), 0),
    -- some of them may be settled already
    least(e.qty_parked + coalesce(sum(r.qty_parked), 0), operation.qty_parked)
  into pieces
  from public.operation_events e
  join app.actions a on a.action = e.action_type and a.quantities = 'added'
  left join public.operation_events r on r.reverses_event_id = e.id
  where e.id = event_id and e.operation_id = operation.id
  group by e.id;
  return pieces;
end
$$;
comment on function app.pieces_left(public.mes_operations, uuid) is
  'Pieces of an event that REVERSE can still take back; null when it is not an event of the operation that adds '
  'pieces.';

create function app.reversal_problem(
  operation public.mes_operations, event_id uuid, taken app.pieces, available app.pieces
) returns app.problem
language sql stable
return case
  when (available).good is null then app.field_problem('/reverses_event_id', 'not_reversible',
    format('"%s" is not a REPORT_QUANTITY or COMPLETE of operation %s', event_id, app.operation_label(operation)))
  when (taken).good > (available).good or (taken).scrap > (available).scrap 
    or (taken).good + (taken).scrap + (taken).parked = 0
  then app.problem(
    422, 'invalid_quantity',
    format('Cannot take back %s good and %s scrapped pieces of event "%s": %s good and %s scrapped are left of it',
      (taken).good, (taken).scrap, event_id, (available).good, (available).scrap),
    jsonb_build_object('limit', jsonb_build_object('qty_good', (available).good, 'qty_scrap', (available).scrap)))
end;
comment on function app.reversal_problem(public.mes_operations, uuid, app.pieces, app.pieces) is
  'The problem validation_failed when the event is not one to reverse, invalid_quantity when less is left of it.';

-- supabase/schemas/50_events/04_times.sql
-- What: when a report happened.
-- Why: a device's clock may be wrong and the server's may step back.

-- A clock behind the newest record has stepped back, or the machine was asleep, so it cannot judge the future. Only
-- times that servers make count as records, so that no terminal can move the limit.
create function app.last_recorded_at() returns timestamptz
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return greatest(
    (select f.recorded_at from app.feed f order by f.pos desc limit 1),
    to_timestamp((nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'iat')::double precision)
  );
end
$$;
comment on function app.last_recorded_at() is
  'The newest time that a server has made and that is known here: of the last event in the feed, or of the caller''s '
  'access token.';

create function app.latest_time() returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  recorded_at constant timestamptz := app.last_recorded_at();
begin
  return case
    when recorded_at > heard_at + interval '1 second' then recorded_at + interval '24 hours'
    else heard_at + interval '60 seconds'
  end;
end
$$;
comment on function app.latest_time() is
  'A later time is in the future: the server''s clock + 60 s; when that clock has stepped back, the last record + '
  '24 h.';

create function app.ahead_of_clock(instant timestamptz) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
begin
  return format('"%s" is %s ahead of the server''s clock, %s',
    app.iso(instant), app.in_words(instant - heard_at), app.iso(heard_at));
end
$$;
comment on function app.ahead_of_clock(timestamptz) is
  'The sentence about a time in the future: it, the offset in words, and the server''s time.';

create function app.future_problem(pointer text, instant timestamptz) returns app.problem
language sql stable
return case
  -- most times are in the past and need no look-up of the last record
  when instant > clock_timestamp() + interval '60 seconds' and instant > app.latest_time()
  then app.field_problem(pointer, 'in_future', app.ahead_of_clock(instant),
    jsonb_build_object('server_time', app.iso(clock_timestamp())))
end;
comment on function app.future_problem(text, timestamptz) is
  'The problem validation_failed (in_future), with the server''s time and the offset, for what is later than '
  'app.latest_time().';

create function app.age_problem(
  operation public.mes_operations, caller app.caller, action public.action, instant timestamptz
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  age_limit constant interval := (select s.report_age_limit from app.settings s);
begin
  return case when instant < heard_at - age_limit and app.role_rank(caller.role) < app.role_rank('supervisor')
    then app.problem(
    422, 'too_old',
    format('Cannot %s operation %s at %s: that is %s behind the server''s clock, %s; a supervisor may report it',
      action, app.operation_label(operation), app.iso(instant), app.in_words(heard_at - instant), app.iso(heard_at)),
    jsonb_build_object('server_time', app.iso(heard_at), 'limit', app.iso(heard_at - age_limit),
      'limit_days', round(extract(epoch from age_limit) / 86400, 2))
  ) end;
end
$$;
comment on function app.age_problem(public.mes_operations, app.caller, public.action, timestamptz) is
  'The problem too_old for machines and operators when it happened longer ago than app.settings allows: their '
  'device''s clock is wrong.';

create function app.order_problem(
  operation public.mes_operations, transition app.lifecycle, occurred_at timestamptz, earliest timestamptz
) returns app.problem
language sql stable
return case when occurred_at < earliest then app.problem(
  409, 'out_of_order',
  case
    when (transition).follows = 'the start' and (transition).to_state = (operation).state
    then format('Cannot report quantities of operation %s at %s: it started at %s',
      app.operation_label(operation), app.iso(occurred_at), app.iso(earliest))
    else format('Cannot %s operation %s at %s: its last event occurred at %s',
      (transition).action, app.operation_label(operation), app.iso(occurred_at), app.iso(earliest))
  end,
  jsonb_build_object('last_occurred_at', app.iso(earliest))
) end;
comment on function app.order_problem(public.mes_operations, app.lifecycle, timestamptz, timestamptz) is
  'The problem out_of_order for a time before the moment that the action must follow.';

-- supabase/schemas/50_events/05_minutes_and_corrections.sql
-- What: minutes of an operation, and the CORRECT that moves times and minutes.
-- Why: a corrected run corrects the minutes.

-- An operation can have thousands of runs. Its row stores their sums, and each run that closes or moves changes the
-- sums by its own minutes; the rebuild from events verifies them.
create function app.with_run(inout operation public.mes_operations, run public.operation_runs, direction integer)
language plpgsql immutable
set search_path = ''
as $$
declare
  added_min constant numeric := direction * coalesce(app.minutes_between(run.started_at, run.ended_at), 0);
begin
  if run.phase = 'SETUP' then
    operation.logged_setup_min := operation.logged_setup_min + added_min;
  else
    operation.logged_processing_min := operation.logged_processing_min + added_min;
  end if;
end
$$;
comment on function app.with_run(public.mes_operations, public.operation_runs, integer) is
  'The operation with the minutes of one run added (direction 1) or removed (-1); an open run has none yet.';

create function app.logged_minutes(
  operation public.mes_operations, phase public.phase, as_of timestamptz
) returns numeric
language sql immutable parallel safe
return case phase when 'SETUP' then (operation).logged_setup_min else (operation).logged_processing_min end
  + case when (operation).running_phase = phase
      then greatest(app.minutes_between((operation).running_since, as_of), 0) else 0 end;
comment on function app.logged_minutes(public.mes_operations, public.phase, timestamptz) is
  'Minutes of the runs of one phase, the open one as far as it had come at that moment.';

create function app.runs_to_correct(operation public.mes_operations) returns public.operation_runs[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select r from public.operation_runs r
    where r.operation_id = operation.id and r.run_no in (1, operation.run_count)
    order by r.run_no
  );
end
$$;
comment on function app.runs_to_correct(public.mes_operations) is 'The first and the last run of an operation.';

create type app.end_runs as (
  first_run public.operation_runs,
  last_run public.operation_runs,
  starts boolean,
  ends boolean
);

comment on type app.end_runs is
  'First and last run of an operation: starts = the operation began with the first one, ends = what ended the '
  'operation closed the last one.';

create function app.end_runs(operation public.mes_operations, runs public.operation_runs[]) returns app.end_runs
language plpgsql stable
set search_path = ''
as $$
declare
  ends app.end_runs;
begin
  ends.first_run := runs[1];
  ends.last_run := runs[cardinality(runs)];
  -- false when the operation was taken over with work done before its first run
  ends.starts := coalesce((ends.first_run).started_at = operation.actual_start_at, false);
  -- a run that was stopped before the end does not move
  ends.ends := coalesce((ends.last_run).ended_at = operation.actual_end_at, false) and exists (
    select from public.operation_events e where e.id = (ends.last_run).end_event_id and e.status_after = 'FINISHED');
  return ends;
end
$$;
comment on function app.end_runs(public.mes_operations, public.operation_runs[]) is
  'The first and the last of these runs, and whether they move with the start and the end of the operation.';

create function app.before_and_after(field text, before jsonb, after jsonb) returns jsonb
language sql stable parallel safe
return case when after is not null and after is distinct from before
  then jsonb_build_object(field, jsonb_build_object('before', before, 'after', after)) else '{}' end;
comment on function app.before_and_after(text, jsonb, jsonb) is
  'The change of a field by a CORRECT, as its event stores it; empty when nothing changes.';

-- A CORRECT states the minutes that a read at that moment must show, whatever the runs add up to.
create function app.minutes_read(operation public.mes_operations, phase public.phase, as_of timestamptz) returns numeric
language sql immutable parallel safe
return case when (operation).t_actual_setup_min is not null then greatest(app.logged_minutes(operation, phase, as_of)
  + case phase when 'SETUP' then (operation).unlogged_setup_min else (operation).unlogged_processing_min end, 0) end;
comment on function app.minutes_read(public.mes_operations, public.phase, timestamptz) is
  'Actual minutes of a phase as they are read at that moment; null before work begins.';

create function app.correction_problem(
  operation public.mes_operations, report app.report, runs public.operation_runs[], changes jsonb
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  ends constant app.end_runs := app.end_runs(operation, runs);
  first_run constant public.operation_runs := ends.first_run;
  last_run constant public.operation_runs := ends.last_run;
  is_one_run constant boolean := ends.starts and ends.ends and last_run.run_no = 1;
  new_start constant timestamptz := coalesce(report.actual_start_at, operation.actual_start_at);
  new_end constant timestamptz := coalesce(report.actual_end_at, operation.actual_end_at);
begin
  return coalesce(
    case when changes ? 'actual_start_at' then coalesce(
      app.future_problem('/actual_start_at', new_start),
      case
        when new_start > new_end
          or new_start > (case when is_one_run then new_end when ends.starts then first_run.ended_at
            else first_run.started_at end)
          or new_start > operation.counted_since
        then app.problem(409, 'out_of_order',
          format('Cannot move the start of operation %s to %s: work was reported before that',
          app.operation_label(operation), app.iso(new_start)))
      end)
    end,
    case when changes ? 'actual_end_at' then coalesce(
      case when operation.state <> 'FINISHED' then app.field_problem('/actual_end_at', 'not_finished',
        format('operation %s has not ended: FINISH it', app.operation_label(operation))) end,
      app.future_problem('/actual_end_at', new_end),
      case
        when new_end < greatest(new_start,
          case when is_one_run then new_start when ends.ends then last_run.started_at else last_run.ended_at end)
        then app.problem(409, 'out_of_order',
          format('Cannot move the end of operation %s to %s: it was still worked on then',
          app.operation_label(operation), app.iso(new_end)))
      end)
    end,
    case when changes ? 't_actual_lead_min' and new_end - new_start is not null
      then app.field_problem('/t_actual_lead_min', 'derived',
        format('operation %s has a start and an end: the lead time lies between them', app.operation_label(operation)))
    end
  );
end
$$;
comment on function app.correction_problem(public.mes_operations, app.report, public.operation_runs[], jsonb) is
  'The problem out_of_order when work would lie outside of corrected times, validation_failed for times that are not '
  'to be stated.';

-- Applies the times and minutes of a CORRECT or an opening.
create function app.evolve_correction(
  inout operation public.mes_operations, inout runs public.operation_runs[], event public.operation_events
)
language plpgsql stable
set search_path = ''
as $$
declare
  is_opening constant boolean := event.status_before is null;
  ends constant app.end_runs := app.end_runs(operation, runs);
  new_start constant timestamptz := (event.changes #>> '{actual_start_at,after}')::timestamptz;
  new_end constant timestamptz := (event.changes #>> '{actual_end_at,after}')::timestamptz;
  setup_min constant numeric := (event.changes #>> '{t_actual_setup_min,after}')::numeric;
  processing_min constant numeric := (event.changes #>> '{t_actual_processing_min,after}')::numeric;
  run public.operation_runs;
  moved public.operation_runs[] := '{}'::public.operation_runs[];
begin
  operation.actual_start_at := coalesce(new_start, operation.actual_start_at);
  operation.actual_end_at := coalesce(new_end, operation.actual_end_at);
  if is_opening and operation.state = 'IN_PROGRESS' then
    -- the minutes of an opening end at its time
    operation.running_since := case
      when coalesce(setup_min, 0) + coalesce(processing_min, 0) > 0 then event.occurred_at
        else operation.actual_start_at end;
    operation.running_phase := 'PROCESSING';
    operation.run_count := 1;
    operation.worked_until := operation.running_since;
  end if;
  -- start and end of one run move together
  foreach run in array coalesce(runs, '{}') loop
    if ends.starts and run.run_no = 1 and new_start is not null
      or ends.ends and run.run_no = operation.run_count and new_end is not null
    then
      operation := app.with_run(operation, run, -1);
      if ends.starts and run.run_no = 1 then
        run.started_at := operation.actual_start_at;
      end if;
      if ends.ends and run.run_no = operation.run_count then
        run.ended_at := operation.actual_end_at;
      end if;
      operation := app.with_run(operation, run, 1);
      if run.run_no = operation.run_count then
        operation.worked_until := coalesce(run.ended_at, run.started_at);
        operation.running_since := case when run.ended_at is null then run.started_at end;
      end if;
      moved := moved || run;
    end if;
  end loop;
  runs := moved;
  if setup_min is not null then
    operation.unlogged_setup_min := setup_min
      - case when is_opening then 0 else app.logged_minutes(operation, 'SETUP', event.occurred_at) end;
  end if;
  if processing_min is not null then
    operation.unlogged_processing_min := processing_min
      - case when is_opening then 0 else app.logged_minutes(operation, 'PROCESSING', event.occurred_at) end;
  end if;
  operation.t_actual_lead_min := coalesce((event.changes #>> '{t_actual_lead_min,after}')::numeric,
    operation.t_actual_lead_min);
end
$$;
comment on function app.evolve_correction(public.mes_operations, public.operation_runs[], public.operation_events) is
  'The operation with the times and minutes that an event states, and the runs that this moves. '
  'app.evolve opens the run of an opening.';

-- Clients of the first service sign in as operators and do both by PATCH.
create function app.is_operators_correction(
  operation public.mes_operations, caller app.caller, report app.report, event public.operation_events
) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return app.role_rank(caller.role) >= app.role_rank('operator')
    and operation.actual_start_at is not null and operation.state not in ('FINISHED', 'CANCELLED')
    and event.changes <> '{}' and event.changes - array['actual_start_at', 'qty_scrap'] = '{}'
    and event.qty_scrap >= 0
    and (not event.changes ? 'actual_start_at' or report.actual_start_at < operation.actual_start_at
      and report.actual_start_at >= (
        select e.created_at - interval '24 hours' from public.operation_events e
        where e.operation_id = operation.id and e.phase is not null
        order by e.op_seq
        limit 1
      ));
end
$$;
comment on function app.is_operators_correction(
  public.mes_operations, app.caller, app.report, public.operation_events
) is
  'True for a CORRECT that does not need a supervisor: of an operation that is not finished, it moves the start to up '
  'to 24 hours before the first START was reported, or makes scrap of good pieces, and changes nothing else.';

-- supabase/schemas/50_events/06_deciding.sql
-- What: app.decide, which turns a report into an event or a problem.
-- Why: it writes nothing, so that dry runs, batches and single reports share it.

-- Work cannot begin or end before the last moment of the operation's timeline, corrections included.
create function app.timeline_end(operation public.mes_operations) returns timestamptz
language sql immutable parallel safe
return greatest((operation).worked_until, (operation).actual_start_at, (operation).actual_end_at);
comment on function app.timeline_end(public.mes_operations) is
  'Latest start or end of the operation or of one of its runs, or null.';

create function app.earliest_time(operation public.mes_operations, transition app.lifecycle) returns timestamptz
language sql immutable parallel safe
return case
  when (transition).follows = 'all work' or (transition).to_state <> (operation).state then app.timeline_end(operation)
  when (transition).follows = 'the start' then (operation).actual_start_at
end;
comment on function app.earliest_time(public.mes_operations, app.lifecycle) is
  'The moment that an action must not come before; null = there is none.';

-- A device's clock may be ahead, and the server's may have stepped back: a report of now is never before the moment
-- that it follows. now() is the start of the transaction, before it waited for the row.
create function app.occurred_at(stated timestamptz, earliest timestamptz, heard_at timestamptz) returns timestamptz
language sql stable parallel safe
return case
  when stated is null then greatest(heard_at, earliest)
  when stated < earliest and earliest > heard_at and stated > heard_at - interval '60 seconds' then earliest
  else stated
end;
comment on function app.occurred_at(timestamptz, timestamptz, timestamptz) is
  'Time of a report: as stated, else now, but not before the moment that it must follow.';

create type app.decision as (event public.operation_events, problem app.problem, transition app.lifecycle);

comment on type app.decision is
  'The event of a report or its problem, and the row of the lifecycle for its action in the operation''s state.';

-- Fills in the event, then judges it. The caller of this function has locked the operation and checked that the
-- reporter sees it.
create function app.decide(operation public.mes_operations, caller app.caller, report app.report) returns app.decision
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  transition app.lifecycle;
  event public.operation_events;
  runs public.operation_runs[];
  taken app.pieces;
  available app.pieces;
  sign integer := 1;
  earliest timestamptz;
  processed bigint;
  scrap bigint;
  problem app.problem;
begin
  select * into transition from app.lifecycle l where l.action = report.action_type and l.from_state = operation.state;
  earliest := app.earliest_time(operation, transition);

  event.id := coalesce(report.id, gen_random_uuid());
  event.operation_id := operation.id;
  event.op_seq := operation.last_op_seq + 1;
  event.action_type := report.action_type;
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := coalesce(report.workplace_name, operation.workplace_name);
  event.status_before := operation.status;
  event.status_after := transition.to_status;
  -- to the millisecond, as clients read it: what they send back as a filter or a condition means the same instant
  event.occurred_at := app.occurred_at(
    date_trunc('milliseconds', report.occurred_at), earliest, date_trunc('milliseconds', heard_at));
  if transition.run_effect = 'opens' then
    event.phase := coalesce(report.phase, 'PROCESSING');
  end if;
  event.qty_good := coalesce(report.qty_good, 0);
  event.qty_scrap := coalesce(report.qty_scrap, 0);
  event.qty_parked := 0;
  if report.reason_code is not null then
    event.reason_kind := transition.reason_kind;
    event.reason_code := report.reason_code;
  end if;
  event.note := report.note;
  event.operation_data := report.operation_data;
  event.user_id := coalesce(report.user_id, caller.user_id);
  event.reporter_id := report.reporter_id;
  event.report_digest := report.digest;
  -- the server's clock may have stepped back
  event.created_at := greatest(heard_at, event.occurred_at - interval '2 minutes', operation.updated_at);

  case transition.quantities
    when 'added' then
      if report.action_type = 'COMPLETE' then
        event.qty_good := coalesce(report.qty_good, greatest(operation.qty_desired - operation.qty_good, 0), 0);
      end if;
      if report.overrun = 'park' then
        event.qty_parked := app.surplus(operation, event.qty_good);
        event.qty_good := event.qty_good - event.qty_parked;
      end if;
    when 'none' then
      event.qty_good := 0;
      event.qty_scrap := 0;
    when 'taken back' then
      sign := -1;
      event.reverses_event_id := report.reverses_event_id;
      available := app.pieces_left(operation, report.reverses_event_id);
      if report.qty_good is null and report.qty_scrap is null then
        event.qty_good := coalesce(available.good, 0);
        event.qty_scrap := coalesce(available.scrap, 0);
        event.qty_parked := -coalesce(available.parked, 0);
      end if;
      taken := row(event.qty_good, event.qty_scrap, -event.qty_parked);
    when 'signed' then
      runs := app.runs_to_correct(operation);
      report.actual_start_at := date_trunc('milliseconds', report.actual_start_at);
      report.actual_end_at := date_trunc('milliseconds', report.actual_end_at);
      event.changes :=
        app.before_and_after('actual_start_at', to_jsonb(app.iso(operation.actual_start_at)),
          to_jsonb(app.iso(report.actual_start_at)))
        || app.before_and_after('actual_end_at', to_jsonb(app.iso(operation.actual_end_at)),
          to_jsonb(app.iso(report.actual_end_at)))
        || app.before_and_after('t_actual_setup_min',
          to_jsonb(app.minutes_read(operation, 'SETUP', event.occurred_at)), to_jsonb(report.t_actual_setup_min))
        || app.before_and_after('t_actual_processing_min',
          to_jsonb(app.minutes_read(operation, 'PROCESSING', event.occurred_at)),
          to_jsonb(report.t_actual_processing_min))
        || app.before_and_after('t_actual_lead_min', to_jsonb(operation.t_actual_lead_min),
          to_jsonb(report.t_actual_lead_min))
        || app.before_and_after('qty_processed', to_jsonb(operation.qty_processed),
          to_jsonb(operation.qty_processed + event.qty_good::bigint + event.qty_scrap))
        || app.before_and_after('qty_scrap', to_jsonb(operation.qty_scrap),
          to_jsonb(operation.qty_scrap::bigint + event.qty_scrap));
      if report.qty_parked <> 0 then
        event.qty_parked := report.qty_parked;
        event.changes := event.changes || app.before_and_after(
          'qty_parked', to_jsonb(operation.qty_parked), to_jsonb(operation.qty_parked::bigint + event.qty_parked));
      end if;
    else
      -- no action: refused below
      null;
  end case;
  scrap := operation.qty_scrap::bigint + sign * event.qty_scrap;
  processed := operation.qty_processed + sign * (event.qty_good::bigint + event.qty_scrap);

  -- One condition after the other: PL/pgSQL prepares each expression anew in each transaction, but only those that it
  -- reaches.
  if app.role_rank(caller.role) < app.role_rank(transition.least_role)
    and not (event.changes is not null and app.is_operators_correction(operation, caller, report, event))
  then
    problem := app.role_problem(caller, transition.least_role,
      format('Your role may not %s operation %s', report.action_type, app.operation_label(operation)));
  elsif transition.run_effect = 'opens' and operation.hold_kind = 'BLOCKED' then
    problem := app.blocked_problem(operation, caller);
  elsif transition.to_state is null then
    problem := app.transition_problem(operation, caller, report.action_type::text);
  elsif operation.running_phase = event.phase then
    problem := app.running_problem(operation);
  elsif report.occurred_at is not null then
    problem := coalesce(
      app.future_problem('/occurred_at', report.occurred_at),
      app.age_problem(operation, caller, report.action_type, report.occurred_at));
  end if;
  if problem.code is not null then
    return row(event, problem, transition)::app.decision;
  end if;
  if event.occurred_at < earliest then
    problem := app.order_problem(operation, transition, event.occurred_at, earliest);
  elsif report.action_type = 'COMPLETE' and report.qty_good is null and operation.qty_desired is null then
    problem := app.problem(422, 'invalid_quantity',
      format('Cannot COMPLETE operation %s without qty_good: it has no desired quantity',
        app.operation_label(operation)));
  elsif transition.quantities = 'taken back' then
    problem := app.reversal_problem(operation, report.reverses_event_id, taken, available);
  end if;
  if problem.code is null and (event.qty_good <> 0 or event.qty_scrap <> 0) then
    problem := app.quantity_problem(operation, processed, scrap);
  end if;
  if problem.code is null and event.qty_parked <> 0 then
    problem := app.parked_problem(operation, operation.qty_parked::bigint + event.qty_parked);
  end if;
  if problem.code is null and event.changes is not null then
    problem := coalesce(
      app.age_problem(operation, caller, report.action_type, least(report.actual_start_at, report.actual_end_at)),
      app.correction_problem(operation, report, runs, event.changes));
  end if;
  if problem.code is null and (report.reason_code is not null or transition.reason_needed <> 'never') then
    problem := app.reason_problem(
      operation, transition, report.reason_code, coalesce(processed - scrap < operation.qty_desired, false));
  end if;
  return row(event, problem, transition)::app.decision;
end
$$;
comment on function app.decide(public.mes_operations, app.caller, app.report) is
  'The event that a report on a locked operation becomes, or the problem that it meets. Changes nothing; room at the '
  'workplace is looked at by who stores the event.';

-- supabase/schemas/50_events/07_recording.sql
-- What: the one way in which an operation's execution changes: evolve and store what was decided.
-- Why: log, row and runs cannot disagree when one function follows from the event and one writes it.

create function app.with_minutes(inout operation public.mes_operations)
language plpgsql immutable
set search_path = ''
as $$
begin
  operation.t_actual_setup_min := operation.logged_setup_min + operation.unlogged_setup_min;
  operation.t_actual_processing_min := operation.logged_processing_min + operation.unlogged_processing_min;
  -- fewer minutes than the open run has by now may have been stated: it is added when read
  if operation.running_phase is distinct from 'SETUP' then
    operation.t_actual_setup_min := greatest(operation.t_actual_setup_min, 0);
  end if;
  if operation.running_phase is distinct from 'PROCESSING' then
    operation.t_actual_processing_min := greatest(operation.t_actual_processing_min, 0);
  end if;
  operation.t_actual_lead_min := coalesce(app.minutes_between(operation.actual_start_at, operation.actual_end_at),
    operation.t_actual_lead_min);
end
$$;
comment on function app.with_minutes(public.mes_operations) is
  'The operation with its actual minutes: those of its closed runs and the unlogged ones.';

create function app.evolve(
  inout operation public.mes_operations, inout runs public.operation_runs[], event public.operation_events,
  transition app.lifecycle default null
)
language plpgsql stable
set search_path = ''
as $$
declare
  before_state constant public.state := operation.state;
  -- the source took a release back, see app.withdraw_release
  is_withdrawn constant boolean := event.status_before is not null and coalesce(event.changes ? 'status', false);
  sign integer := 1;
  run_count_before constant integer := operation.run_count;
  closed_run public.operation_runs;
  opened_run public.operation_runs;
  corrected record;
begin
  if transition.action is null then
    select * into transition from app.lifecycle l where l.action = event.action_type and l.from_state = before_state;
  end if;
  operation.last_op_seq := event.op_seq;
  operation.version := operation.version + 1;
  operation.updated_at := event.created_at;

  if is_withdrawn then
    operation.state := event.status_after::text::public.state;
  elsif event.status_before is null then
    operation.state := case event.status_after when 'ON_HOLD' then 'PAUSED'
      else event.status_after::text end::public.state;
  else
    operation.state := transition.to_state;
  end if;
  if operation.state <> before_state then
    operation.status := app.status_of(operation.state);
    operation.hold_kind := app.hold_kind_of(operation.state);
    operation.hold_reason_code := case when operation.hold_kind is not null then event.reason_code end;
  end if;

  if event.qty_good <> 0 or event.qty_scrap <> 0 then
    sign := case transition.quantities when 'taken back' then -1 else 1 end;
    operation.qty_scrap := operation.qty_scrap + sign * event.qty_scrap;
    operation.qty_processed := operation.qty_processed + sign * (event.qty_good + event.qty_scrap);
    -- the table generates it, when it is stored
    operation.qty_good := operation.qty_processed - operation.qty_scrap;
  end if;
  operation.qty_parked := operation.qty_parked + event.qty_parked;
  if transition.quantities = 'added' and transition.follows = 'the start' then
    operation.counted_since := least(operation.counted_since, event.occurred_at);
  end if;

  if event.changes is not null then
    corrected := app.evolve_correction(operation, runs, event);
    operation := corrected.operation;
    runs := corrected.runs;
  else
    runs := null;
  end if;
  if transition.run_effect <> 'none' and operation.running_since is not null then
    closed_run.operation_id := operation.id;
    closed_run.run_no := operation.run_count;
    closed_run.phase := operation.running_phase;
    closed_run.started_at := operation.running_since;
    closed_run.ended_at := event.occurred_at;
    closed_run.end_event_id := event.id;
    runs := array[closed_run];
    operation := app.with_run(operation, closed_run, 1);
    operation.worked_until := event.occurred_at;
    operation.running_since := null;
    operation.running_phase := null;
  end if;
  if transition.run_effect = 'opens' then
    operation.actual_start_at := coalesce(operation.actual_start_at, event.occurred_at);
    operation.running_since := event.occurred_at;
    operation.running_phase := event.phase;
    operation.run_count := operation.run_count + 1;
    operation.worked_until := event.occurred_at;
  end if;
  -- by a START, or by an opening of work that runs
  if operation.run_count > run_count_before then
    opened_run.operation_id := operation.id;
    opened_run.run_no := operation.run_count;
    opened_run.phase := operation.running_phase;
    opened_run.started_at := operation.running_since;
    opened_run.start_event_id := event.id;
    opened_run.user_id := event.user_id;
    opened_run.reporter_id := event.reporter_id;
    runs := runs || opened_run;
  end if;
  if operation.state <> before_state and event.status_before is not null then
    if operation.state in ('FINISHED', 'CANCELLED') and operation.actual_start_at is not null then
      operation.actual_end_at := event.occurred_at;
    elsif before_state = 'FINISHED' then
      operation.actual_end_at := null;
      operation.t_actual_lead_min := null;
    end if;
  end if;
  if event.changes is not null and not is_withdrawn
    or operation.actual_start_at is not null and (operation.state <> before_state or transition.run_effect <> 'none')
  then
    operation := app.with_minutes(operation);
  end if;
end
$$;
comment on function
  app.evolve(public.mes_operations, public.operation_runs[], public.operation_events, app.lifecycle) is
  'The operation after the event, and the runs that the event opens, closes or moves. Of an event with changes, the '
  'runs before it are the first and the last one; other events need none. The transition is looked up unless it is '
  'given.';

create function app.store_runs(runs public.operation_runs[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  run public.operation_runs;
begin
  foreach run in array runs loop
    if run.start_event_id is null then
      -- closed by an event that did not open it
      update public.operation_runs r set ended_at = run.ended_at, end_event_id = run.end_event_id
      where r.operation_id = run.operation_id and r.run_no = run.run_no;
    else
      insert into public.operation_runs select run.*
      on conflict (operation_id, run_no) do update set started_at = excluded.started_at, ended_at = excluded.ended_at;
    end if;
  end loop;
end
$$;
comment on function app.store_runs(public.operation_runs[]) is
  'Writes runs that app.evolve has opened, closed or moved.';

create function app.store_execution(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
begin
  update public.mes_operations o
  set state = operation.state, hold_reason_code = operation.hold_reason_code, qty_processed = operation.qty_processed,
    qty_scrap = operation.qty_scrap, qty_parked = operation.qty_parked, actual_start_at = operation.actual_start_at,
    actual_end_at = operation.actual_end_at,
    t_actual_processing_min = operation.t_actual_processing_min, t_actual_setup_min = operation.t_actual_setup_min,
    t_actual_lead_min = operation.t_actual_lead_min, unlogged_processing_min = operation.unlogged_processing_min,
    unlogged_setup_min = operation.unlogged_setup_min, running_since = operation.running_since,
    running_phase = operation.running_phase, run_count = operation.run_count, worked_until = operation.worked_until,
    logged_processing_min = operation.logged_processing_min, logged_setup_min = operation.logged_setup_min,
    counted_since = operation.counted_since, last_op_seq = operation.last_op_seq, updated_at = operation.updated_at
  where o.id = operation.id
  returning o.version, o.updated_at into operation.version, operation.updated_at;
  return operation;
end
$$;
comment on function app.store_execution(public.mes_operations) is
  'Writes the execution of an operation back to its row and returns it with its new version.';

create function app.store_quantities(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
begin
  update public.mes_operations o
  set qty_processed = operation.qty_processed, qty_scrap = operation.qty_scrap, qty_parked = operation.qty_parked,
    counted_since = operation.counted_since,
    last_op_seq = operation.last_op_seq, updated_at = operation.updated_at
  where o.id = operation.id
  returning o.version, o.updated_at into operation.version, operation.updated_at;
  return operation;
end
$$;
comment on function app.store_quantities(public.mes_operations) is
  'Like app.store_execution, for an event that changed neither state nor times.';

create type app.recorded as (event public.operation_events, operation public.mes_operations);

create function app.append_event(
  operation public.mes_operations, runs public.operation_runs[], event public.operation_events,
  transition app.lifecycle default null
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  evolved record;
begin
  insert into public.operation_events select event.*;
  evolved := app.evolve(operation, runs, event, transition);
  if cardinality(evolved.runs) > 0 then
    perform app.store_runs(evolved.runs);
  end if;
  return evolved.operation;
end
$$;
comment on function
  app.append_event(public.mes_operations, public.operation_runs[], public.operation_events, app.lifecycle) is
  'Writes an event to the log and what it does to runs, and returns what it makes of the operation.';

-- A workplace of capacity 2 has at most 2 running operations: the lock on its row makes the count true. It does not
-- keep others from planning operations there.
create function app.require_room(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
declare
  allowed integer;
begin
  select w.capacity into allowed from public.workplaces w
  where w.name = operation.workplace_name and w.capacity is not null
  for no key update;
  if allowed is not null then
    perform app.raise_problem(app.room_problem(
      operation, allowed, app.running_operations(operation.workplace_name, array[operation.id])));
  end if;
end
$$;
comment on function app.require_room(public.mes_operations) is
  'Raises 409 workplace_busy when the workplace has no room; locks the workplace until commit.';

create function app.record_event(
  operation public.mes_operations, caller app.caller, report app.report, is_last boolean default true
) returns app.recorded
language plpgsql
set search_path = ''
as $$
declare
  decision app.decision;
  evolved public.mes_operations;
begin
  decision := app.decide(operation, caller, report);
  if (decision.problem).code is not null then
    perform app.raise_problem(decision.problem);
  elsif (decision.event).phase is not null and operation.running_since is null then
    perform app.require_room(operation);
  end if;
  -- after the workplace, in the order in which batches lock
  decision.event.reporter_id := app.reporter_of(
    coalesce(report.user_id, caller.user_id), coalesce(report.user_email, caller.email));
  evolved := app.append_event(
    operation, case when (decision.event).changes is not null then app.runs_to_correct(operation) end, decision.event,
    decision.transition);
  if is_last then
    evolved := case
      when (decision.event).changes is null and evolved.state = operation.state
        and evolved.run_count = operation.run_count
      then app.store_quantities(evolved)
      else app.store_execution(evolved)
    end;
  end if;
  return row(decision.event, evolved)::app.recorded;
end
$$;
comment on function app.record_event(public.mes_operations, app.caller, app.report, boolean) is
  'Performs one transition of a locked operation, all or nothing. '
  'Stores the row when the transition is the last one, or leaves that to the caller. '
  'Raises the problem that app.decide finds, and 409 workplace_busy.';

-- Parked pieces are booked once the plan has room for them.
create function app.settle_parked(
  operation public.mes_operations, caller app.caller, is_last boolean default true
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  fitting constant integer := app.fitting(operation);
  report app.report;
begin
  if fitting = 0 then
    return operation;
  end if;
  report.action_type := 'CORRECT';
  report.qty_good := fitting;
  report.qty_parked := -fitting;
  return (app.record_event(operation, caller, report, is_last)).operation;
end
$$;
comment on function app.settle_parked(public.mes_operations, app.caller, boolean) is
  'Books the parked pieces that fit by now as good, by a CORRECT of the caller who changed the plan.';

-- supabase/schemas/50_events/08_openings.sql
-- What: operations that arrive with work already done.
-- Why: one event explains what they bring.

create function app.opening_problem(operation public.mes_operations) returns app.problem
language sql stable
return case when (operation).actual_end_at is not null
  and coalesce((operation).status, 'PLANNED') not in ('FINISHED', 'CANCELLED')
  then app.field_problem('/actual_end_at', 'not_finished', format('operation %s has not ended: its status is "%s"',
    app.operation_label(operation), coalesce((operation).status, 'PLANNED'))) end;
comment on function app.opening_problem(public.mes_operations) is
  'The problem validation_failed of a new operation that brings an end, but is neither finished nor cancelled.';

create function app.record_opening(
  operation public.mes_operations, caller app.caller, opened public.mes_operations
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  opened_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
  event public.operation_events;
begin
  event.id := gen_random_uuid();
  event.operation_id := operation.id;
  event.op_seq := 1;
  event.action_type := 'CORRECT';
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := operation.workplace_name;
  event.status_after := opened.status;
  event.occurred_at := opened_at;
  event.created_at := clock_timestamp();
  event.qty_good := opened.qty_processed - opened.qty_scrap;
  event.qty_scrap := opened.qty_scrap;
  event.qty_parked := 0;
  event.user_id := caller.user_id;
  event.reporter_id := app.reporter_of(caller.user_id, caller.email);
  select coalesce(jsonb_object_agg(o.key, jsonb_build_object('before', null, 'after', o.value)), '{}')
  into event.changes
  from jsonb_each(jsonb_strip_nulls(jsonb_build_object(
    'status', opened.status, 'qty_processed', opened.qty_processed, 'qty_scrap', opened.qty_scrap,
    'actual_start_at', app.iso(coalesce(date_trunc('milliseconds', opened.actual_start_at),
      case when opened.status in ('IN_PROGRESS', 'ON_HOLD') then opened_at end)),
    'actual_end_at', app.iso(date_trunc('milliseconds', opened.actual_end_at)),
    't_actual_setup_min', opened.t_actual_setup_min, 't_actual_processing_min', opened.t_actual_processing_min,
    't_actual_lead_min', opened.t_actual_lead_min
  ))) o;
  return app.store_execution(app.append_event(operation, null, event));
end
$$;
comment on function app.record_opening(public.mes_operations, app.caller, public.mes_operations) is
  'Opens a new operation with the status, quantities, times and minutes that it brings, explained by one CORRECT '
  'event.';

-- supabase/schemas/50_events/09_reading.sql
-- What: one event, and lists by filter.
-- Why: lists are read newest first, whatever the filter.

create function public.get_event(id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  event public.operation_events;
begin
  select * into event from public.operation_events e where e.id = get_event.id;
  if not found or not app.sees_workplace(app.current_caller(), event.workplace_name) then
    perform app.refuse_missing();
  end if;
  return app.event_json(event);
end
$$;
comment on function public.get_event(uuid) is 'One event. Raises 404 not_found.';
grant execute on function public.get_event to authenticated, service_role;

create type app.event_key as (created_at timestamptz, id uuid);
comment on type app.event_key is 'Where an event stands in lists.';

-- Position, reporter and answers of webhooks are in private tables: one call looks them up for a whole page.
create function app.events_json(keys app.event_key[]) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  with_answers constant boolean := app.sees_webhook_answers(caller);
begin
  return (
    select coalesce(json_agg(to_json(app.event_body(
      e, f.pos, r.email, w.is_delivered,
      case when with_answers then w.response end, case when with_answers then w.error_message end
    )) order by k.created_at desc, k.id desc), '[]')
    from unnest(keys) k
      join public.operation_events e on e.id = k.id and app.sees_workplace(caller, e.workplace_name)
      left join app.feed f on f.event_id = e.id
      left join app.reporters r on r.id = e.reporter_id
      left join app.webhook_outcomes w on w.event_id = e.id
  );
end
$$;
comment on function app.events_json(app.event_key[]) is
  'Those of the events that the caller sees, newest first, as the API writes them; what webhooks answered for '
  'managers and above alone.';
grant execute on function app.events_json to authenticated, service_role;

create function public.list_events(
  order_no text default null,
  operation_no text default null,
  asset_id integer default null,
  action_types text[] default null,
  workplace_name text default null,
  user_id uuid default null,
  occurred_after timestamptz default null,
  occurred_before timestamptz default null,
  before_created_at timestamptz default null,
  before_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('action_types', action_types)
    and app.require_bounded('workplace_name', workplace_name) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  filter constant text := concat_ws(' and ', 'true',
    case when order_no is not null then 'e.order_no = $1' end,
    case when operation_no is not null then 'e.operation_no = $2' end,
    case when asset_id is not null then 'e.asset_id = $3' end,
    case when action_types is not null then 'e.action_type = any($4::public.action[])' end,
    case when workplace_name is not null then 'e.workplace_name = $5' end,
    case when user_id is not null then 'e.user_id = $6' end,
    -- an event is recorded after it occurred, except for the error of a device's clock
    case when occurred_after is not null then 'e.occurred_at >= $7 and e.created_at >= $7 - interval ''2 minutes''' end,
    case when occurred_before is not null then 'e.occurred_at < $8' end
  );
  -- The planner takes the two times of an event for independent and would sort everything that happened in the span;
  -- `is true` keeps it on the order of the list, where the page begins within an hour of the span's end.
  page constant text := regexp_replace(filter, 'e.occurred_at \S+ \$\d', '(\&) is true', 'g')
    || case when before_created_at is not null then ' and (e.created_at, e.id) < ($9, $10)' else '' end;
  actions constant public.action[] := app.distinct_values(action_types)::public.action[];
  places constant text[] := app.places_to_list(case when workplace_name is not null then array[workplace_name] end);
  alternatives text[] := app.all_pairs(
    app.alternatives('e.workplace_name', '$13', cardinality(places)),
    app.alternatives('e.action_type', '$4', cardinality(actions))
  );
  keys app.event_key[];
  total bigint;
  plan json;
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  if occurred_before is not null then
    -- Events recorded within an hour lie in one range of the list's own order; later ones have a small index of their
    -- own.
    alternatives := array(select a || ' and e.created_at < $8 + interval ''1 hour''' from unnest(alternatives) a)
      || ('e.created_at - e.occurred_at > interval ''1 hour'' '
        'and e.created_at >= $8 + interval ''1 hour'' and e.occurred_at < $8')::text;
  end if;
  execute app.page_query('public.operation_events', 'e', 'row(e.created_at, e.id)::app.event_key', page, alternatives,
    'created_at, id', 'created_at desc, id desc', '$11', '$12')
  into keys
  using order_no, operation_no, asset_id, actions, workplace_name, user_id, occurred_after, occurred_before,
    before_created_at, before_id, take + 1, skip, places;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.operation_events e where %s', filter) into total
    using order_no, operation_no, asset_id, action_types, workplace_name, user_id, occurred_after, occurred_before;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.operation_events e where %s', filter) into plan
    using order_no, operation_no, asset_id, action_types, workplace_name, user_id, occurred_after, occurred_before;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', app.events_json(keys[1:take]),
    'next', case when cardinality(keys) > take then json_build_array(keys[take].created_at, keys[take].id) end,
    'total', total
  );
end
$$;
comment on function public.list_events is
  'A page of the events the caller sees, newest first: {"items": [...], "next": key of the last item or null, '
  '"total": number when asked}. The page begins after the given key; count is null, exact or estimated.';
grant execute on function public.list_events to authenticated, service_role;

-- supabase/schemas/50_events/10_reporting.sql
-- What: reports of terminals and planners.
-- Why: a report finds its operation, and a retry of a report makes no second event.

-- Result of a report: the event, the operation after it, and whether the event was known before.
create type app.outcome as (
  status integer,
  event public.operation_events,
  operation public.mes_operations,
  is_known boolean,
  user_email text
);

comment on type app.outcome is
  'status is 201 for a new event, 200 for one that is known already or for a dry run. user_email is that of an event '
  'that is not known.';

-- A report is attributed to the caller; a server may name the user for whom it reports.
create function app.attribute_report(inout report app.report, caller app.caller)
language plpgsql
set search_path = ''
as $$
begin
  if caller.is_server then
    report.user_email := coalesce(report.user_email,
      (select p.email from public.profiles p where p.id = report.user_id));
  elsif report.user_id <> caller.user_id or lower(report.user_email) <> lower(caller.email) then
    perform app.refuse(403, 'forbidden',
      'You may report as yourself only: leave out user_id and user_email, or send your own');
  else
    report.user_id := caller.user_id;
    report.user_email := caller.email;
  end if;
end
$$;
comment on function app.attribute_report(app.report, app.caller) is
  'Fills in the user of a report. Raises 403 forbidden when a user names another user.';

create function app.ambiguous_problem(
  order_no text, operation_no text, workplace_name text, asset_ids integer[]
) returns app.problem
language sql stable parallel safe
return case when cardinality(asset_ids) > 1 then app.problem(
  409, 'ambiguous_operation',
  format('Operation %s/%s exists on %s assets at workplace "%s": send asset_id',
    order_no, operation_no, cardinality(asset_ids), workplace_name),
  jsonb_build_object('asset_ids', asset_ids)
) end;
comment on function app.ambiguous_problem(text, text, text, integer[]) is
  'The problem ambiguous_operation with the asset ids when there are several.';

-- The first service's events carry no asset: order, operation and workplace must then mean one operation.
create function app.lock_reported_operation(
  caller app.caller, action public.action, order_no text, operation_no text, workplace_name text, asset_id integer
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  asset_ids integer[] := array[asset_id];
  operation public.mes_operations;
begin
  if asset_id is null then
    asset_ids := array(
      select o.asset_id from public.mes_operations o
      where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
        and o.workplace_name = lock_reported_operation.workplace_name
      order by o.asset_id
    );
    perform app.raise_problem(app.ambiguous_problem(order_no, operation_no, workplace_name, asset_ids));
  end if;
  select * into operation from public.mes_operations o
  where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
    and o.asset_id = asset_ids[1] and o.workplace_name = lock_reported_operation.workplace_name
  for update;
  if found then
    return operation;
  end if;
  asset_ids := array(
    select o.asset_id from public.mes_operations o
    where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
      and o.asset_id = coalesce(lock_reported_operation.asset_id, o.asset_id)
      and app.is_closing(action) and app.running_place(o.id) = lock_reported_operation.workplace_name
    order by o.asset_id
  );
  perform app.raise_problem(app.ambiguous_problem(order_no, operation_no, workplace_name, asset_ids));
  select o.* into operation from public.mes_operations o
  where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
    and o.asset_id = asset_ids[1]
  for update;
  -- the run may have been closed while this waited for the row
  if not found or app.running_place(operation.id) is distinct from workplace_name then
    perform app.raise_problem(app.elsewhere_problem(caller, order_no, operation_no, workplace_name, asset_id));
  end if;
  return operation;
end
$$;
comment on function app.lock_reported_operation(app.caller, public.action, text, text, text, integer) is
  'The operation that a report means, locked until commit: planned at the workplace, or planned elsewhere while a run '
  'is open here that the action closes. Raises 404 not_found, 409 planned_elsewhere or ambiguous_operation.';

create view app.reported_events as
select (null::app.event_body).*, null::json as operation where false;
comment on view app.reported_events is
  'Has no rows: its row type is an event as the answer to its report, with the operation after it.';

create function app.report_answer(outcome app.outcome, caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  operation json;
  body app.event_body;
begin
  if (outcome.operation).id is null then
    perform app.refuse(404, 'not_found', format(
      'Event "%s" is recorded, but its operation was deleted, or is planned at a workplace that you do not see',
      (outcome.event).id));
  end if;
  operation := app.operation_answer(outcome.operation, caller);
  if outcome.is_known then
    return json_build_object(
      'status', outcome.status, 'body', app.json_with(app.event_json(outcome.event), 'operation', operation));
  end if;
  -- a new event has no position before its commit, and no delivery yet
  body := app.event_body(outcome.event, null, outcome.user_email, false, null, null);
  return json_build_object('status', outcome.status, 'body', row((body).*, operation)::app.reported_events);
end
$$;
comment on function app.report_answer(app.outcome, app.caller) is
  'The answer to a report: the event, and in it the operation after the event. Raises 404 not_found when the operation '
  'of a known event is gone.';

-- A terminal that made the event's id may retry: the same id with the same content is the same event.
create function app.known_event(report app.report, caller app.caller) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  known app.outcome;
  event public.operation_events;
  operation public.mes_operations;
begin
  select * into event from public.operation_events e where e.id = (report).id;
  if not found then
    return null;
  end if;
  if event.report_digest is distinct from (report).digest or event.user_id is distinct from (report).user_id then
    perform app.refuse(409, 'idempotency_conflict', format('Event id "%s" belongs to another event', (report).id));
  end if;
  -- Moved meanwhile, it is hidden like any other there, unless it runs here still or nothing has happened to it since.
  select * into operation from public.mes_operations o
  where o.id = event.operation_id and (
    app.sees_workplace(caller, o.workplace_name)
    or o.last_op_seq = event.op_seq
    or app.running_place(o.id) = event.workplace_name
  );
  known.status := 200;
  known.is_known := true;
  known.event := event;
  known.operation := operation;
  return known;
end
$$;
comment on function app.known_event(app.report, app.caller) is
  'The event that is known under the report''s id already, else null. Raises 409 idempotency_conflict when it is '
  'another one.';

create function app.carry_out(
  operation public.mes_operations, caller app.caller, report app.report, dry_run boolean
) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  recorded app.recorded;
begin
  if not coalesce(dry_run, false) then
    recorded := app.record_event(operation, caller, report);
    return row(201, recorded.event, recorded.operation, false, coalesce(report.user_email, caller.email))::app.outcome;
  end if;
  begin
    recorded := app.record_event(operation, caller, report);
    raise sqlstate 'DRYRN';
  exception when sqlstate 'DRYRN' then
    -- everything since `begin` is undone; the variables keep what would have happened
    return row(200, recorded.event, recorded.operation, false, coalesce(report.user_email, caller.email))::app.outcome;
  end;
end
$$;
comment on function app.carry_out(public.mes_operations, app.caller, app.report, boolean) is
  'Records a report on a locked operation; a dry run returns the same outcome and undoes it. Raises what '
  'app.record_event raises.';

create function app.read_report(caller app.caller, report jsonb) returns app.report
language plpgsql
set search_path = ''
as $$
declare
  made app.report := jsonb_populate_record(null::app.report, report - array['digest', 'reporter_id']);
begin
  if not app.sees_workplace(caller, report ->> 'workplace_name') then
    perform app.refuse_missing();
  end if;
  if app.role_rank(caller.role) < app.role_rank('operator') then
    perform app.require_role(caller, 'operator', 'Your role may not report events');
  end if;
  -- as text, 1e300 has 301 digits
  if octet_length((report -> 'operation_data')::text) > 32768 then
    perform app.refuse_field('/operation_data', 'too_big', 'must be at most 32 KiB with its numbers written out');
  end if;
  -- the log would reject these values, too
  if made.occurred_at < '1970-01-01Z' or made.occurred_at >= '10000-01-01Z' or char_length(made.note) > 2000
    or jsonb_typeof(made.operation_data) <> 'object'
    or made.action_type <> 'CORRECT' and least(made.qty_good, made.qty_scrap) < 0
    or made.qty_parked > 0 or made.overrun not in ('refuse', 'park')
  then
    raise check_violation using message = 'A report with a value that no event can have';
  end if;
  made := app.attribute_report(made, caller);
  if made.id is not null then
    made.digest := sha256(convert_to((report - 'dry_run')::text, 'UTF8'));
  end if;
  return made;
end
$$;
comment on function app.read_report(app.caller, jsonb) is
  'A report in the JSON of the API, attributed to its user. Raises 403 forbidden, 404 not_found for a hidden '
  'workplace, 422 validation_failed.';

create function app.record_report(caller app.caller, report jsonb) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  made constant app.report := app.read_report(caller, report);
  operation public.mes_operations;
  known app.outcome;
begin
  if made.id is not null then
    known := app.known_event(made, caller);
    if known.is_known then
      return known;
    end if;
  end if;
  operation := app.lock_reported_operation(
    caller, made.action_type, report ->> 'order_no', report ->> 'operation_no', report ->> 'workplace_name',
    (report ->> 'asset_id')::integer);
  -- a duplicate of this report may have been recorded while this one waited for the row
  if made.id is not null then
    known := app.known_event(made, caller);
    if known.is_known then
      return known;
    end if;
  end if;
  return app.carry_out(operation, caller, made, (report ->> 'dry_run')::boolean);
end
$$;
comment on function app.record_report(app.caller, jsonb) is
  'Records one report in the JSON of the API. Raises 403 forbidden, 404 not_found, 409 ambiguous_operation, '
  'planned_elsewhere or idempotency_conflict, and what record_event raises.';

create function public.report_event(report jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('report', report);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  outcome app.outcome;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  outcome := app.record_report(caller, report);
  answer := app.report_answer(outcome, caller);
  return case outcome.status
    when 201 then app.finish_command(command, array[report ->> 'workplace_name'], answer) else answer end;
end
$$;
comment on function public.report_event(jsonb, jsonb) is
  'Records what happened to an operation. Answers {"status", "body"}: 201, or 200 for an event known by its id and '
  'for a dry run. Raises what app.record_report raises, and 404 not_found when the operation of a known event is gone.';
grant execute on function public.report_event to authenticated, service_role;

-- supabase/schemas/50_events/11_transitions.sql
-- What: one transition of the operation in the path.
-- Why: a caller who has the operation sends its action alone, and gets the answer of a report.

create function public.transition_operation(
  order_no text, asset_id integer, operation_no text, transition jsonb, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('transition', transition);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  operation public.mes_operations;
  made app.report;
  outcome app.outcome;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  operation := app.lock_operation(caller, order_no, asset_id, operation_no);
  made.action_type := (transition ->> 'action')::public.action;
  made.reason_code := transition ->> 'reason_code';
  made.note := transition ->> 'note';
  made.occurred_at := (transition ->> 'occurred_at')::timestamptz;
  outcome := app.carry_out(operation, caller, app.attribute_report(made, caller), (transition ->> 'dry_run')::boolean);
  answer := app.report_answer(outcome, caller);
  return case outcome.status
    when 201 then app.finish_command(command, array[coalesce(operation.workplace_name, '*')], answer)
    else answer
  end;
end
$$;
comment on function public.transition_operation(text, integer, text, jsonb, jsonb) is
  'Performs one transition {"action", "reason_code", "note", "occurred_at", "dry_run"} on the operation. Answers '
  '{"status", "body"} as report_event does. Raises 404 not_found and what record_event raises.';
grant execute on function public.transition_operation to authenticated, service_role;

-- supabase/schemas/50_events/12_batch_room.sql
-- What: operations that still run at the end of a batch.
-- Why: a run that begins and ends within a batch needs no room at its workplace now.

-- The operation of each report: its place among the operations, -1 for several, null for none.
create function app.operation_positions(reports jsonb, operations public.mes_operations[]) returns integer[]
language plpgsql stable
set search_path = ''
as $$
declare
  closing constant text[] := array(select a.action from app.actions a where a.run_effect = 'closes');
begin
  return array(
    select case
      -- one that is planned there is meant before one that was moved
      when count(*) filter (where o.workplace_name = r.report ->> 'workplace_name') = 1
      then max(o.position) filter (where o.workplace_name = r.report ->> 'workplace_name')
      when count(o.position) > 1 then -1
      else max(o.position)
    end
    from jsonb_array_elements(reports) with ordinality r (report, index)
    left join (select u.id, u.order_no, u.operation_no, u.workplace_name, u.asset_id::text, u.running_since,
        u.ordinality::integer as position
      from unnest(operations) with ordinality u) o
      on o.order_no = r.report ->> 'order_no' and o.operation_no = r.report ->> 'operation_no'
      and (o.workplace_name = r.report ->> 'workplace_name'
        or o.running_since is not null and r.report ->> 'action_type' = any(closing)
          and app.running_place(o.id) = r.report ->> 'workplace_name')
      and o.asset_id = coalesce(r.report ->> 'asset_id', o.asset_id)
    group by r.index
    order by r.index
  );
end
$$;
comment on function app.operation_positions(jsonb, public.mes_operations[]) is
  'For each report the position of its operation in the array; -1 when several are meant, null when none is.';

create function app.running_in_batch(
  operations public.mes_operations[], workplace_name text, is_end boolean, started_by integer[]
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return app.running_operations(workplace_name, array(select u.id from unnest(operations) u)) || coalesce((
    select jsonb_agg(app.as_running(operations[u.ordinality]) order by u.ordinality)
    from unnest(operations) with ordinality u
    where u.workplace_name = running_in_batch.workplace_name and u.state = 'IN_PROGRESS'
      and (not is_end or started_by[u.ordinality] is null)
  ), '[]');
end
$$;
comment on function app.running_in_batch(public.mes_operations[], text, boolean, integer[]) is
  'Operations that run at a workplace at this point of a batch; at its end, without those that the batch started.';

-- A START for which a batch leaves no room at its end.
create type app.denial as (position integer, from_index integer, problem app.problem);

comment on type app.denial is
  'position of the operation, index of its START among the reports, and the problem workplace_busy.';

-- State of a batch. Its operations and events stay in memory until its end: a row that is stored a thousand times in
-- one transaction takes longer to find each time.
create type app.batch as (
  operations public.mes_operations[],
  started_by integer[],
  results json[]
);

comment on type app.batch is
  'operations, and the index of the START since which each runs (null: it does not, or ran before the batch) have '
  'equal positions.';

-- A START that the same batch ends needs no room, so capacity is checked against the operations that run at the end of
-- the batch. The STARTs get the free capacity in their order.
create function app.denied_starts(batch app.batch, places public.workplaces[]) returns app.denial[]
language plpgsql stable
set search_path = ''
as $$
declare
  denied app.denial[] := '{}'::app.denial[];
  place public.workplaces;
  running jsonb;
  problem app.problem;
  start record;
begin
  foreach place in array places loop
    running := null;
    for start in
      select u.ordinality::integer as position, batch.started_by[u.ordinality] as index,
        batch.operations[u.ordinality] as operation
      from unnest(batch.operations) with ordinality u
      where u.workplace_name = place.name and batch.started_by[u.ordinality] is not null
      order by index
    loop
      running := coalesce(running, app.running_in_batch(batch.operations, place.name, true, batch.started_by));
      problem := app.room_problem(start.operation, place.capacity, running);
      if problem.code is null then
        running := running || app.as_running(start.operation);
      else
        denied := denied || row(start.position, start.index, problem)::app.denial;
      end if;
    end loop;
  end loop;
  return denied;
end
$$;
comment on function app.denied_starts(app.batch, public.workplaces[]) is
  'The operations that a batch leaves running without room for them.';

-- supabase/schemas/50_events/13_batch_recording.sql
-- What: the reports of a batch, recorded on locked operations.
-- Why: one rejected report does not stop the rest, and a batch writes its events and runs as sets.

create function app.store_events(events public.operation_events[], runs public.operation_runs[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into public.operation_events select e.* from unnest(events) e;
  perform app.store_runs(runs);
end
$$;
comment on function app.store_events(public.operation_events[], public.operation_runs[]) is
  'Writes events to the log as one set, and the runs that they opened, closed or moved.';

create function app.record_batch(
  caller app.caller, reports jsonb, is_atomic boolean,
  locked public.mes_operations[], places public.workplaces[], denied app.denial[]
) returns app.batch
language plpgsql
set search_path = ''
as $$
declare
  positions constant integer[] := app.operation_positions(reports, locked);
  -- these actions read stored events
  look_back constant public.action[] := array(
    select a.action from app.actions a where a.quantities in ('taken back', 'signed'));
  operations public.mes_operations[] := locked;
  started_by integer[] := array_fill(null::integer, array[cardinality(locked)]);
  results json[] := '{}'::json[];
  -- not stored yet: events, runs, and for each operation the place of its open run among these
  events public.operation_events[] := '{}'::public.operation_events[];
  runs public.operation_runs[] := '{}'::public.operation_runs[];
  open_runs integer[] := array_fill(null::integer, array[cardinality(locked)]);
  event_ids uuid[] := '{}'::uuid[];
  item record;
  place integer;
  operation public.mes_operations;
  made app.report;
  reporter app.report;
  known app.outcome;
  decision app.decision;
  evolved record;
  run public.operation_runs;
  problem app.problem;
  state text;
  message text;
  detail text;
begin
  for item in
    select r.value as report, (r.ordinality - 1)::integer as index from jsonb_array_elements(reports) with ordinality r
  loop
    place := positions[item.index + 1];
    operation := operations[place];
    problem := null;
    known := null;
    decision := null;
    begin
      made := app.read_report(caller, item.report);
      if reporter.action_type is null
        or (reporter.user_id, reporter.user_email) is distinct from (made.user_id, made.user_email) then
        made.reporter_id := app.reporter_of(made.user_id, made.user_email);
        reporter := made;
      end if;
      made.reporter_id := reporter.reporter_id;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
      problem := app.caught_problem(state, message, detail);
      if problem.code is null then
        raise;
      end if;
    end;

    if problem.code is null and cardinality(events) > 0 and (
      made.action_type = any(look_back) or made.id = any(event_ids)
      or made.action_type = 'START' and operation.running_since is not null
    ) then
      perform app.store_events(events, runs);
      events := '{}'::public.operation_events[];
      runs := '{}'::public.operation_runs[];
      open_runs := array_fill(null::integer, array[cardinality(locked)]);
      event_ids := '{}'::uuid[];
    end if;

    if problem.code is null then
      -- only reads here: an error would undo writes
      begin
        if made.id is not null then
          known := app.known_event(made, caller);
        end if;
        if known.is_known then
          null;
        elsif place is null then
          problem := app.elsewhere_problem(
            caller, item.report ->> 'order_no', item.report ->> 'operation_no', item.report ->> 'workplace_name',
            (item.report ->> 'asset_id')::integer);
        elsif place = -1 then
          problem := app.ambiguous_problem(
            item.report ->> 'order_no', item.report ->> 'operation_no', item.report ->> 'workplace_name', array(
            select u.asset_id from unnest(locked) u
            where u.order_no = item.report ->> 'order_no' and u.operation_no = item.report ->> 'operation_no'
              and (u.workplace_name = item.report ->> 'workplace_name'
                or app.running_place(u.id) = item.report ->> 'workplace_name')
            order by u.asset_id));
        elsif operation.workplace_name is distinct from made.workplace_name
          and (operation.running_since is null or operation.run_count <> locked[place].run_count)
        then
          -- an earlier report of the batch has ended the run that was open there
          problem := app.elsewhere_problem(
            caller, operation.order_no, operation.operation_no, made.workplace_name, operation.asset_id);
        else
          decision := app.decide(operation, caller, made);
          problem := decision.problem;
          if problem.code is null and (decision.event).phase is not null and operation.running_since is null then
            problem := case
              when (item.report ->> 'dry_run')::boolean then (
                select app.room_problem(operation, p.capacity,
                  app.running_in_batch(operations, p.name, false, started_by))
                from unnest(places) p where p.name = operation.workplace_name)
              else (
                select d.problem from unnest(denied) d
                where d.position = place and d.from_index <= item.index
                order by d.from_index
                limit 1)
            end;
          end if;
          if problem.code is null then
            evolved := app.evolve(
              operation, case when (decision.event).changes is not null then app.runs_to_correct(operation) end,
              decision.event, decision.transition);
          end if;
        end if;
      exception when others then
        get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
        problem := app.caught_problem(state, message, detail);
        if problem.code is null then
          raise;
        end if;
      end;
    end if;

    if problem.code is not null then
      if is_atomic then
        problem.more := problem.more || jsonb_build_object('index', item.index);
        perform app.raise_problem(problem);
      end if;
      results := results || json_build_object('index', item.index, 'status', problem.status,
        'id', left(item.report ->> 'id', 64), 'problem', app.problem_json(problem));
      continue;
    end if;
    results := results || json_build_object('index', item.index,
      'status', coalesce(known.status, case when (item.report ->> 'dry_run')::boolean then 200 else 201 end),
      'id', coalesce((known.event).id, (decision.event).id), 'problem', null);
    if known.is_known or coalesce((item.report ->> 'dry_run')::boolean, false) then
      continue;
    end if;

    events := events || decision.event;
    event_ids := event_ids || (decision.event).id;
    operations[place] := evolved.operation;
    started_by[place] := case
      when (evolved.operation).running_since is null then null
      when operation.running_since is null then item.index
      else started_by[place]
    end;
    foreach run in array coalesce(evolved.runs, '{}') loop
      if run.start_event_id is null and open_runs[place] is not null then
        -- the run that this event closes is in `runs`
        runs[open_runs[place]].ended_at := run.ended_at;
        runs[open_runs[place]].end_event_id := run.end_event_id;
        open_runs[place] := null;
      else
        runs := runs || run;
        open_runs[place] := case when run.ended_at is null then cardinality(runs) end;
      end if;
    end loop;
  end loop;
  perform app.store_events(events, runs);
  return row(operations, started_by, results)::app.batch;
end
$$;
comment on function
  app.record_batch(app.caller, jsonb, boolean, public.mes_operations[], public.workplaces[], app.denial[]) is
  'Records reports on locked operations in their order: writes their events and runs, but does not store the '
  'operations. Rejects a START of an operation in `denied` from its index on, and accepts any other without regard to '
  'room. Raises what concerns the whole batch, and for is_atomic the problem of the first refused report with its '
  'index.';

-- supabase/schemas/50_events/14_batches.sql
-- What: batches of terminals that were offline.
-- Why: a batch locks its operations in one order, so that two batches cannot deadlock.

-- A large batch keeps a core busy for about a second. Many at the same time, as after a network outage, would each
-- exceed the statement timeout, and so would their retries.
create function app.require_batch_slot(reports jsonb, caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
declare
  -- reports that are hidden from the caller cost little
  size constant integer := (
    select count(*) from jsonb_array_elements(reports) r where app.sees_workplace(caller, r ->> 'workplace_name'));
  slots constant integer := (select s.batch_slots from app.settings s);
begin
  if size <= 100 then
    return;
  end if;
  for slot in 1..slots loop
    if pg_try_advisory_xact_lock(hashtext('app.require_batch_slot'), slot) then
      return;
    end if;
  end loop;
  perform app.refuse(
    503, 'unavailable',
    format('%s large batches are being carried out, as many as the server takes at once: send this one again', slots),
    -- spreads the retries
    jsonb_build_object('retry_after_s', 1 + floor(3 * random())::integer)
  );
end
$$;
comment on function app.require_batch_slot(jsonb, app.caller) is
  'Takes one of the slots for large batches until commit. Raises 503 unavailable with the seconds to wait when all '
  'are taken.';

create function app.moved_operations(caller app.caller, reports jsonb) returns bigint[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select o.id
    from (
      select distinct r ->> 'order_no' as order_no, r ->> 'operation_no' as operation_no,
        r ->> 'workplace_name' as workplace_name
      from jsonb_array_elements(reports) r
      join app.actions a on a.action::text = r ->> 'action_type' and a.run_effect = 'closes'
      where app.sees_workplace(caller, r ->> 'workplace_name')
    ) closed
    join public.mes_operations o on o.order_no = closed.order_no and o.operation_no = closed.operation_no
      and o.running_since is not null and o.workplace_name is distinct from closed.workplace_name
    where app.running_place(o.id) = closed.workplace_name
  );
end
$$;
comment on function app.moved_operations(app.caller, jsonb) is
  'Operations that are planned elsewhere by now and run where a report of the batch closes them.';

create function public.report_events(
  reports jsonb, is_atomic boolean default false, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reports', reports, 8388608);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  operations public.mes_operations[];
  places public.workplaces[];
  batch app.batch;
  denied app.denial[] := '{}'::app.denial[];
  newly_denied app.denial[];
  problem app.problem;
  first_denied app.denial;
  collisions integer := 0;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'operator', 'Your role may not report events');
  perform app.require_workplace(caller);
  if jsonb_array_length(reports) > 1000 then
    perform app.refuse_field('', 'too_big', 'A batch takes at most 1000 reports at once');
  end if;
  perform app.require_batch_slot(reports, caller);

  -- Every batch takes its locks in the same order, so two batches cannot deadlock.
  operations := array(
    select o from public.mes_operations o
    where o.id = any(array(
      select u.id from public.mes_operations u
      where (u.order_no, u.operation_no, u.workplace_name) in (
        select r ->> 'order_no', r ->> 'operation_no', r ->> 'workplace_name' from jsonb_array_elements(reports) r
        where app.sees_workplace(caller, r ->> 'workplace_name')
      )
    ) || app.moved_operations(caller, reports))
    order by o.id
    for update
  );
  places := array(
    select w from public.workplaces w
    where w.capacity is not null and w.name in (
      select r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where r ->> 'action_type' = 'START' and app.sees_workplace(caller, r ->> 'workplace_name')
    )
    order by w.name
    for no key update
  );

  loop
    begin
      batch := app.record_batch(caller, reports, is_atomic, operations, places, denied);
      newly_denied := app.denied_starts(batch, places);
      exit when newly_denied = '{}';
      raise sqlstate 'AGAIN';
    exception when sqlstate 'AGAIN' then
      -- Everything since `begin` is undone. A denied operation does not run at the end of the next try, so the number
      -- of tries is bounded.
      if is_atomic then
        select d.* into first_denied from unnest(newly_denied) d order by d.from_index limit 1;
        problem := first_denied.problem;
        problem.more := problem.more || jsonb_build_object('index', first_denied.from_index);
        perform app.raise_problem(problem);
      end if;
      denied := newly_denied || denied;
    when unique_violation then
      -- another request has just stored an event under one of the ids: the next try finds it
      collisions := collisions + 1;
      if collisions > 3 then
        raise;
      end if;
    end;
  end loop;

  perform app.store_execution(batch.operations[o.ordinality])
  from unnest(operations) with ordinality o
  where batch.operations[o.ordinality].last_op_seq > o.last_op_seq;
  return app.finish_command(
    command, array(
      select distinct r ->> 'workplace_name' from jsonb_array_elements(reports) r
        where app.sees_workplace(caller, r ->> 'workplace_name')
    ),
    json_build_object('status', 207, 'body', array_to_json(batch.results))
  );
end
$$;
comment on function public.report_events(jsonb, boolean, jsonb) is
  'Takes reports in their order, in one transaction; one that is refused does not stop the rest, unless is_atomic: '
  'then nothing is recorded. A START that is ended by a later report needs no room at its workplace. Answers '
  '{"status", "body": [{"index", "status", "id", "problem"}]}. Raises 403 forbidden, 422 validation_failed for too '
  'many reports, and for is_atomic the problem of the first refused report with its index.';
grant execute on function public.report_events to authenticated, service_role;

-- supabase/schemas/50_events/15_rebuild.sql
-- What: the proof that operations follow from their events.
-- Why: an operation is a fold of app.evolve over its events, and nothing else.

create function app.rebuild_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql stable
set search_path = ''
as $$
declare
  rebuilt public.mes_operations := operation;
  event public.operation_events;
  runs public.operation_runs[] := '{}'::public.operation_runs[];
  run public.operation_runs;
  evolved record;
begin
  -- the operation before its first event: the plan, without execution
  rebuilt.status := coalesce(
    (select coalesce(e.status_before, 'PLANNED') from public.operation_events e
      where e.operation_id = operation.id and e.op_seq = 1),
    operation.status
  );
  rebuilt.state := rebuilt.status::text::public.state;
  rebuilt.hold_kind := null;
  rebuilt.hold_reason_code := null;
  rebuilt.qty_processed := 0;
  rebuilt.qty_scrap := 0;
  rebuilt.qty_good := 0;
  rebuilt.qty_parked := 0;
  rebuilt.actual_start_at := null;
  rebuilt.actual_end_at := null;
  rebuilt.t_actual_setup_min := null;
  rebuilt.t_actual_processing_min := null;
  rebuilt.t_actual_lead_min := null;
  rebuilt.unlogged_setup_min := 0;
  rebuilt.unlogged_processing_min := 0;
  rebuilt.running_since := null;
  rebuilt.running_phase := null;
  rebuilt.run_count := 0;
  rebuilt.worked_until := null;
  rebuilt.logged_setup_min := 0;
  rebuilt.logged_processing_min := 0;
  rebuilt.counted_since := null;
  rebuilt.last_op_seq := 0;

  for event in select * from public.operation_events e where e.operation_id = operation.id order by e.op_seq loop
    evolved := app.evolve(rebuilt, case
      when event.changes is null then null
      when cardinality(runs) < 2 then runs
      else array[runs[1], runs[cardinality(runs)]]
    end, event);
    rebuilt := evolved.operation;
    -- the log must agree with the lifecycle on the status, and have no gap in its numbers
    if rebuilt.status <> event.status_after or event.op_seq <> rebuilt.last_op_seq then
      rebuilt.state := null;
    end if;
    foreach run in array coalesce(evolved.runs, '{}') loop
      -- a closed run keeps the values of its START
      run.start_event_id := coalesce(run.start_event_id, runs[run.run_no].start_event_id);
      runs[run.run_no] := run;
    end loop;
  end loop;

  -- not of its execution
  rebuilt.version := operation.version;
  rebuilt.updated_at := operation.updated_at;
  return rebuilt;
end
$$;
comment on function app.rebuild_operation(public.mes_operations) is
  'The operation computed from its events alone: state, quantities, times, minutes and open run. It must equal the '
  'stored row.';

create function app.divergent_operations() returns table (stored public.mes_operations, rebuilt public.mes_operations)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select o, b.rebuilt
    from public.mes_operations o
    cross join lateral (select app.rebuild_operation(o) as rebuilt offset 0) b
    cross join lateral (
      select
        count(*) filter (where r.ended_at is null) as open_runs,
        coalesce(max(r.run_no), 0) as run_count,
        coalesce(sum(app.minutes_between(r.started_at, r.ended_at)) filter (where r.phase = 'SETUP'), 0) as setup_min,
        coalesce(sum(app.minutes_between(r.started_at, r.ended_at)) filter (where r.phase = 'PROCESSING'), 0)
          as processing_min,
        max(coalesce(r.ended_at, r.started_at)) as worked_until
      from public.operation_runs r
      where r.operation_id = o.id
    ) runs
    where o is distinct from b.rebuilt
      or (runs.open_runs, runs.run_count, runs.setup_min, runs.processing_min, runs.worked_until) is distinct from
        (case when o.status = 'IN_PROGRESS' then 1 else 0 end,
          o.run_count, o.logged_setup_min, o.logged_processing_min, o.worked_until);
end
$$;
comment on function app.divergent_operations() is
  'The operations whose row differs from their events; none, unless there is a bug.';

-- supabase/schemas/55_planning/01_creating.sql
-- What: creating an operation, and the rules for its plan.
-- Why: planners own the plan; what changes execution goes through app.record_event.

create function app.ensure_workplace(name text, workplace_group text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if name is not null and not exists (select from public.workplaces w where w.name = ensure_workplace.name) then
    insert into public.workplaces (name, workplace_group)
      values (ensure_workplace.name, ensure_workplace.workplace_group)
    on conflict do nothing;
  end if;
end
$$;
comment on function app.ensure_workplace(text, text) is
  'Adds an unknown workplace, because the first service had no list of workplaces.';

create function app.require_own_workplace(caller app.caller, workplace_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.sees_workplace(caller, workplace_name) then
    perform app.refuse(403, 'forbidden', coalesce(
      'You have no access to workplace "' || workplace_name || '"',
      'Only someone with access to all workplaces may plan without a workplace'));
  end if;
end
$$;
comment on function app.require_own_workplace(app.caller, text) is
  'Raises 403 forbidden when the caller would put an operation where they do not work.';

create function app.plan_problem(operation public.mes_operations) returns app.problem
language sql stable
return coalesce(
  case when (operation).planned_start_at >= (operation).planned_end_at
    then app.field_problem('/planned_end_at', 'not_after_start',
    format('planned_end_at "%s" must be later than planned_start_at "%s"',
      app.iso((operation).planned_end_at), app.iso((operation).planned_start_at))) end,
  case when (operation).actual_start_at > (operation).actual_end_at
    then app.field_problem('/actual_end_at', 'before_start',
    format('actual_end_at "%s" must not be earlier than actual_start_at "%s"',
      app.iso((operation).actual_end_at), app.iso((operation).actual_start_at))) end,
  app.future_problem('/actual_start_at', (operation).actual_start_at),
  app.future_problem('/actual_end_at', (operation).actual_end_at),
  app.quantity_problem(operation, coalesce((operation).qty_processed, 0), coalesce((operation).qty_scrap, 0))
);
comment on function app.plan_problem(public.mes_operations) is
  'The problem validation_failed when times are out of order, invalid_quantity when quantities are.';

create function app.brings_execution(operation public.mes_operations) returns boolean
language sql immutable parallel safe
return coalesce((operation).status, 'PLANNED') not in ('PLANNED', 'RELEASED')
  or coalesce((operation).qty_processed, 0) > 0
  or (operation).actual_start_at is not null or (operation).actual_end_at is not null
  or (operation).t_actual_setup_min is not null or (operation).t_actual_processing_min is not null
  or (operation).t_actual_lead_min is not null;
comment on function app.brings_execution(public.mes_operations) is
  'True for a new operation with a status, quantities, times or minutes of work done elsewhere, which an opening '
  'event explains.';

create function public.create_operation(operation jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('operation', operation);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted public.mes_operations := jsonb_populate_record(null::public.mes_operations, operation);
  stored public.mes_operations;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'supervisor', 'Your role may not create operations');
  perform app.require_own_workplace(caller, wanted.workplace_name);

  wanted.status := coalesce(wanted.status, 'PLANNED');
  wanted.qty_processed := coalesce(wanted.qty_processed, 0);
  wanted.qty_scrap := coalesce(wanted.qty_scrap, 0);
  wanted.overrun_tolerance_pct := coalesce(wanted.overrun_tolerance_pct, 0);
  perform app.raise_problem(coalesce(app.plan_problem(wanted), app.opening_problem(wanted)));
  perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);

  insert into public.mes_operations (
    order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
    workplace_name, workplace_group,
    qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
    t_target_processing_min, t_target_setup_min, t_target_lead_min, timestamp_ms, change_type, created_by
  )
  values (
    wanted.order_no, wanted.asset_id, wanted.operation_no,
    case wanted.status when 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
    wanted.reference_url, wanted.activity_code, wanted.activity_description,
    wanted.workplace_name, wanted.workplace_group,
    wanted.qty_desired, wanted.overrun_tolerance_pct, wanted.planned_start_at, wanted.planned_end_at,
    wanted.t_target_processing_min, wanted.t_target_setup_min, wanted.t_target_lead_min, wanted.timestamp_ms,
    wanted.change_type, caller.user_id
  )
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_operation', format('Operation %s exists already', app.operation_label(wanted)));
  end if;

  if app.brings_execution(wanted) then
    stored := app.record_opening(stored, caller, wanted);
  end if;
  return app.finish_command(command, array[coalesce(stored.workplace_name, '*')],
    json_build_object('status', 201, 'body', app.operation_answer(stored, caller)));
end
$$;
comment on function public.create_operation(jsonb, jsonb) is
  'Creates an operation from the JSON of the API; one that brings execution begins with an opening event. Answers '
  '{"status", "body"}. Raises 403 forbidden, 409 duplicate_operation, 422 invalid_quantity or validation_failed.';
grant execute on function public.create_operation to authenticated, service_role;

-- supabase/schemas/55_planning/02_changing.sql
-- What: PATCH of one operation.
-- Why: an absolute status, quantity or time becomes the actions that lead to it.

-- The status changes of the first service, and the actions they become.
create function app.actions_to_status(operation public.mes_operations, wanted public.status) returns public.action[]
language sql immutable
return case
  when wanted = (operation).status then '{}'::public.action[]
  when (operation).status = 'PLANNED' and wanted = 'RELEASED' then '{RELEASE}'
  when (operation).status = 'RELEASED' and wanted = 'IN_PROGRESS' then '{START}'
  when (operation).status = 'RELEASED' and wanted = 'ON_HOLD' then '{HOLD}'
  when (operation).status = 'IN_PROGRESS' and wanted = 'ON_HOLD' then '{STOP}'
  when (operation).status = 'IN_PROGRESS' and wanted = 'FINISHED' then '{FINISH}'
  when (operation).status = 'ON_HOLD' and wanted = 'IN_PROGRESS'
    and (operation).hold_kind = 'BLOCKED' then '{RELEASE,START}'
  when (operation).status = 'ON_HOLD' and wanted = 'IN_PROGRESS' then '{START}'
  when (operation).status not in ('FINISHED', 'CANCELLED') and wanted = 'CANCELLED' then '{CANCEL}'
end;
comment on function app.actions_to_status(public.mes_operations, public.status) is
  'Actions that a PATCH of the status stands for, in order; null when the first service did not allow the change.';

create function app.plan_fields() returns text[]
language sql immutable parallel safe
return array['reference_url', 'activity_code', 'activity_description', 'workplace_name', 'workplace_group',
  'qty_desired', 'overrun_tolerance_pct', 'planned_start_at', 'planned_end_at',
  't_target_processing_min', 't_target_setup_min', 't_target_lead_min'];
comment on function app.plan_fields() is 'The fields of the plan, which the ERP and planners own.';

create function app.role_to_change(patch jsonb) returns public.role
language sql immutable parallel safe
return case when patch ?| app.plan_fields() then 'supervisor'::public.role else 'operator' end;
comment on function app.role_to_change(jsonb) is
  'Role that a PATCH needs at least; the actions that it becomes may need more.';

create function app.store_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
begin
  update public.mes_operations o
  set (reference_url, activity_code, activity_description, workplace_name, workplace_group,
       qty_desired, overrun_tolerance_pct,
       planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min,
       timestamp_ms, change_type,
       state, hold_reason_code, qty_processed, qty_scrap, qty_parked, actual_start_at, actual_end_at,
       t_actual_processing_min, t_actual_setup_min, t_actual_lead_min, unlogged_processing_min, unlogged_setup_min,
       running_since, running_phase, run_count, worked_until, logged_processing_min, logged_setup_min, counted_since,
       last_op_seq, updated_at)
    = row (operation.reference_url, operation.activity_code, operation.activity_description, operation.workplace_name,
       operation.workplace_group, operation.qty_desired, operation.overrun_tolerance_pct,
       operation.planned_start_at, operation.planned_end_at, operation.t_target_processing_min,
       operation.t_target_setup_min, operation.t_target_lead_min,
       operation.timestamp_ms, operation.change_type,
       operation.state, operation.hold_reason_code, operation.qty_processed, operation.qty_scrap, operation.qty_parked,
       operation.actual_start_at, operation.actual_end_at,
       operation.t_actual_processing_min, operation.t_actual_setup_min, operation.t_actual_lead_min,
       operation.unlogged_processing_min, operation.unlogged_setup_min,
       operation.running_since, operation.running_phase, operation.run_count, operation.worked_until,
       operation.logged_processing_min, operation.logged_setup_min, operation.counted_since,
       operation.last_op_seq, operation.updated_at)
  where o.id = operation.id
  returning o.* into operation;
  return operation;
end
$$;
comment on function app.store_operation(public.mes_operations) is
  'Writes plan and execution of an operation back to its row and returns the row, with its new version.';

create function app.change_operation(
  before public.mes_operations, caller app.caller, patch jsonb
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  execution_fields constant text[] := array['status', 'qty_processed', 'qty_scrap', 'actual_start_at', 'actual_end_at',
    't_actual_setup_min', 't_actual_processing_min', 't_actual_lead_min', 'reason_code', 'note',
    'timestamp_ms', 'change_type'];
  operation public.mes_operations;
  wanted public.mes_operations;
  actions public.action[];
  action public.action;
  report app.report;
  correction app.report;
  ended_at timestamptz;
begin
  perform app.require_role(caller, app.role_to_change(patch),
    format('Your role may not change operation %s', app.operation_label(before)));

  select coalesce(jsonb_object_agg(p.key, p.value), '{}') into patch from jsonb_each(patch) p
    where p.key = any(app.plan_fields() || execution_fields);
  wanted := jsonb_populate_record(before, patch - array['reason_code', 'note']);
  wanted.status := coalesce(wanted.status, before.status);
  wanted.qty_processed := coalesce(wanted.qty_processed, before.qty_processed);
  wanted.qty_scrap := coalesce(wanted.qty_scrap, before.qty_scrap);
  wanted.overrun_tolerance_pct := coalesce(wanted.overrun_tolerance_pct, before.overrun_tolerance_pct);

  actions := app.actions_to_status(before, wanted.status);
  if actions is null then
    perform app.raise_problem(app.transition_problem(before, caller, format('set status "%s" of', wanted.status)));
  end if;
  perform app.raise_problem(app.plan_problem(wanted));
  if wanted.workplace_name is distinct from before.workplace_name then
    perform app.require_own_workplace(caller, wanted.workplace_name);
    perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);
  end if;

  -- takes the wanted plan and keeps the execution, which only actions change
  operation := jsonb_populate_record(before,
    (select jsonb_object_agg(p.key, p.value) from jsonb_each(to_jsonb(wanted)) p
    where p.key = any(app.plan_fields() || array['timestamp_ms', 'change_type'])));

  -- 1. actions that start it
  report.reason_code := patch ->> 'reason_code';
  report.note := patch ->> 'note';
  foreach action in array actions loop
    if action in ('RELEASE', 'START') then
      report.action_type := action;
      report.occurred_at := case
        when action = 'START' and before.actual_start_at is null then wanted.actual_start_at end;
      operation := (app.record_event(operation, caller, report, is_last => false)).operation;
    end if;
  end loop;

  -- 2. corrections of earlier reports
  correction.action_type := 'CORRECT';
  correction.note := patch ->> 'note';
  correction.actual_start_at := case when wanted.actual_start_at is distinct from operation.actual_start_at
    then wanted.actual_start_at end;
  correction.actual_end_at := case
    when not (actions && '{FINISH,CANCEL}') and wanted.actual_end_at is distinct from before.actual_end_at
      then wanted.actual_end_at end;
  -- a read adds the open run to the stored minutes, so they always differ
  correction.t_actual_setup_min := case
    when wanted.t_actual_setup_min is distinct from before.t_actual_setup_min or operation.running_phase = 'SETUP'
    then (patch ->> 't_actual_setup_min')::numeric end;
  correction.t_actual_processing_min := case
    when wanted.t_actual_processing_min is distinct from before.t_actual_processing_min
      or operation.running_phase = 'PROCESSING'
    then (patch ->> 't_actual_processing_min')::numeric end;
  -- with a start and an end, the lead time follows from them
  correction.t_actual_lead_min := case
    when wanted.t_actual_lead_min is distinct from before.t_actual_lead_min and not coalesce(
      coalesce(wanted.actual_start_at, operation.actual_start_at) is not null
        and (actions && '{FINISH,CANCEL}' or coalesce(wanted.actual_end_at, operation.actual_end_at) is not null),
      false)
    then wanted.t_actual_lead_min end;
  ended_at := case when actions && '{FINISH,CANCEL}' then wanted.actual_end_at end;
  if actions && '{STOP,FINISH,CANCEL}'
    and (correction.t_actual_setup_min is not null or correction.t_actual_processing_min is not null) then
    -- the stated minutes hold at the end of the run
    ended_at := coalesce(ended_at,
      greatest(date_trunc('milliseconds', clock_timestamp()), app.timeline_end(operation)));
    correction.occurred_at := ended_at;
  end if;

  report.action_type := 'REPORT_QUANTITY';
  report.occurred_at := case when 'FINISH' = any(actions) then wanted.actual_end_at end;
  report.qty_scrap := wanted.qty_scrap - before.qty_scrap;
  report.qty_good := wanted.qty_processed - wanted.qty_scrap - before.qty_good;
  if report.qty_good < 0 or report.qty_scrap < 0 or before.status = 'FINISHED'
    or wanted.qty_processed = before.qty_processed then
    correction.qty_good := report.qty_good;
    correction.qty_scrap := report.qty_scrap;
    report.qty_good := 0;
    report.qty_scrap := 0;
  end if;
  if correction.qty_good <> 0 or correction.qty_scrap <> 0
    or correction.actual_start_at is not null or correction.actual_end_at is not null
    or correction.t_actual_setup_min is not null or correction.t_actual_processing_min is not null
    or correction.t_actual_lead_min is not null
  then
    operation := (app.record_event(operation, caller, correction, is_last => false)).operation;
  end if;

  -- 3. pieces made since
  if report.qty_good > 0 or report.qty_scrap > 0 then
    report.reason_code := null;
    operation := (app.record_event(operation, caller, report, is_last => false)).operation;
  end if;

  -- 4. parked pieces that now have room; quantities that the caller states already include them
  if operation.qty_parked > 0 and not patch ?| '{qty_processed,qty_scrap}'
    and (operation.qty_desired, operation.overrun_tolerance_pct)
      is distinct from (before.qty_desired, before.overrun_tolerance_pct)
  then
    operation := app.settle_parked(operation, caller, is_last => false);
  end if;

  -- 5. actions that end it; clients of the first service send no reason
  report.qty_good := null;
  report.qty_scrap := null;
  foreach action in array actions loop
    if action not in ('RELEASE', 'START') then
      report.action_type := action;
      report.occurred_at := ended_at;
      report.reason_code := coalesce(patch ->> 'reason_code', case
        when action in ('HOLD', 'CANCEL') or action = 'FINISH' and operation.qty_good < operation.qty_desired
          then 'UNSPECIFIED' end);
      operation := (app.record_event(operation, caller, report, is_last => false)).operation;
    end if;
  end loop;

  return case when operation is distinct from before then app.store_operation(operation) else operation end;
end
$$;
comment on function app.change_operation(public.mes_operations, app.caller, jsonb) is
  'Changes the plan of a locked operation and records the difference to the stated status, quantities and times as '
  'events. Raises 403 forbidden, 422 invalid_state_transition, invalid_quantity or validation_failed, and what '
  'record_event raises.';

create function public.update_operation(
  order_no text, asset_id integer, operation_no text, patch jsonb, if_match integer[] default null,
  idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  operation public.mes_operations;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  operation := app.lock_operation(caller, order_no, asset_id, operation_no);
  perform app.require_version(operation.version, if_match);
  operation := app.change_operation(operation, caller, patch);
  return app.finish_command(command, array[coalesce(operation.workplace_name, '*')],
    json_build_object('status', 200, 'body', app.operation_answer(operation, caller)));
end
$$;
comment on function public.update_operation(text, integer, text, jsonb, integer[], jsonb) is
  'Changes an operation. Answers {"status", "body"}. Raises 404 not_found, 412 stale_version, and what '
  'app.change_operation raises.';
grant execute on function public.update_operation to authenticated, service_role;

-- supabase/schemas/55_planning/03_changing_many.sql
-- What: PATCH of the operations that match a filter.
-- Why: one operation that rejects the change does not stop the rest.

create function app.apply_bulk(operations public.mes_operations[], caller app.caller, patch jsonb) returns json
language plpgsql
set search_path = ''
as $$
declare
  operation public.mes_operations;
  results json[] := '{}'::json[];
  problem app.problem;
  state text;
  message text;
  detail text;
begin
  foreach operation in array operations loop
    begin
      operation := app.change_operation(operation, caller, patch);
      problem := null;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
      problem := app.caught_problem(state, message, detail);
      if problem.code is null then
        raise;
      end if;
    end;
    results := results || json_build_object(
      'index', cardinality(results),
      'status', coalesce(problem.status, 200),
      'id', app.operation_label(operation),
      'version', operation.version,
      'problem', app.problem_json(problem)
    );
  end loop;
  return array_to_json(results);
end
$$;
comment on function app.apply_bulk(public.mes_operations[], app.caller, jsonb) is
  'Changes locked operations one by one; a failure does not stop the rest. Answers one result per operation.';

create function public.update_operations(
  filter jsonb, patch jsonb, is_dry_run boolean default true, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('filter', filter, 65536) and app.require_bounded('patch', patch);
  most constant integer := 500;
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant app.operation_filter := jsonb_populate_record(null::app.operation_filter, filter);
  are_bounded constant boolean := app.require_bounded('statuses', (wanted).statuses::text[])
    and app.require_bounded('workplace_names', (wanted).workplace_names);
  operations public.mes_operations[];
  results json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'supervisor', 'Your role may not change operations in bulk');
  perform app.require_workplace(caller);
  -- The owner has no row security, so the query itself restricts to what the caller sees. It locks in the order of
  -- batches and imports, so they cannot deadlock.
  execute format(
    'with matching as materialized (
      select o.id from public.mes_operations o
      where %1$s and ($2 or o.workplace_name = any($3))
      limit $4
    ), locked as materialized (
      select o from public.mes_operations o
      where o.id in (select m.id from matching m) and %1$s and ($2 or o.workplace_name = any($3))
      order by o.id
      for update
    )
    select array(select l.o from locked l order by (l.o).order_no, (l.o).operation_no, (l.o).asset_id)',
    app.conditions(wanted))
  into operations
  using wanted, caller.sees_all, caller.workplaces, most + 1;
  if patch ->> 'status' = 'IN_PROGRESS' then
    perform from public.workplaces w
    where w.capacity is not null
      and w.name = any(array(select coalesce(patch ->> 'workplace_name', o.workplace_name) from unnest(operations) o))
    order by w.name
    for update;
  end if;
  if cardinality(operations) > most then
    perform app.refuse(422, 'validation_failed', format('The filter matches more than %s operations: narrow it', most),
      jsonb_build_object('limit', most));
  end if;
  if not is_dry_run then
    return app.finish_command(command, array(select distinct coalesce(o.workplace_name, '*') from unnest(operations) o),
      json_build_object('status', 207, 'body', app.apply_bulk(operations, caller, patch)));
  end if;
  begin
    results := app.apply_bulk(operations, caller, patch);
    raise sqlstate 'DRYRN';
  exception when sqlstate 'DRYRN' then
    -- everything since `begin` is undone; the results keep what would have happened
    return json_build_object('status', 207, 'body', results);
  end;
end
$$;
comment on function public.update_operations(jsonb, jsonb, boolean, jsonb) is
  'Changes up to 500 operations that match the filter, as PATCH changes one; is_dry_run stores nothing. '
  'Answers {"status", "body": [{"index", "status", "id", "version", "problem"}]}. Raises 403 forbidden, 422 '
  'validation_failed for too many matches.';
grant execute on function public.update_operations to authenticated, service_role;

-- supabase/schemas/55_planning/04_deleting.sql
-- What: deleting an operation that never started.
-- Why: an older row of the ERP must not create it again.

-- The change feed may deliver rows late and twice: a row from before the deletion must not create the operation again.
create table app.deleted_operations (
  order_no text collate "C" not null,
  operation_no text collate "C" not null,
  asset_id integer not null,
  timestamp_ms timestamptz not null,
  primary key (order_no, operation_no, asset_id),
  constraint deleted_operations_order_no_is_key check (app.is_key(order_no)),
  constraint deleted_operations_operation_no_is_key check (app.is_key(operation_no))
);
comment on table app.deleted_operations is
  'Keys of deleted operations, with the source time up to which an import ignores them.';

alter table app.deleted_operations enable row level security;

create function app.bury_operation(
  order_no text, operation_no text, asset_id integer, timestamp_ms timestamptz
) returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into app.deleted_operations as d (order_no, operation_no, asset_id, timestamp_ms)
  select bury_operation.order_no, bury_operation.operation_no, bury_operation.asset_id, bury_operation.timestamp_ms
  where bury_operation.timestamp_ms is not null
  on conflict on constraint deleted_operations_pkey do update
    set timestamp_ms = greatest(d.timestamp_ms, excluded.timestamp_ms);
end
$$;
comment on function app.bury_operation(text, text, integer, timestamptz) is
  'Remembers that the operation was deleted as of this source time; without one there is nothing that an import could '
  'repeat.';

create function public.delete_operation(
  order_no text, asset_id integer, operation_no text, if_match integer[] default null
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  operation public.mes_operations;
begin
  operation := app.lock_operation(caller, order_no, asset_id, operation_no);
  perform app.require_role(caller, 'supervisor',
    format('Your role may not delete operation %s', app.operation_label(operation)));
  perform app.require_version(operation.version, if_match);
  -- an operation with work is a record of the plant
  if operation.status = 'FINISHED' or operation.actual_start_at is not null or operation.qty_processed > 0 then
    perform app.raise_problem(app.transition_problem(operation, caller, 'delete'));
  end if;
  perform app.bury_operation(operation.order_no, operation.operation_no, operation.asset_id, operation.timestamp_ms);
  delete from public.mes_operations o where o.id = operation.id;
end
$$;
comment on function public.delete_operation(text, integer, text, integer[]) is
  'Deletes an operation on which no work was reported; its events stay in the log. Raises 403 forbidden, 404 '
  'not_found, 412 stale_version, 422 invalid_state_transition.';
grant execute on function public.delete_operation to authenticated, service_role;

-- supabase/schemas/60_import/01_decisions.sql
-- What: the effect of each row of the ERP's change feed.
-- Why: rows come in any order, any number of times.

create type app.import_decision as (
  index integer,
  outcome text,
  problem app.problem,
  body jsonb,
  existing public.mes_operations,
  wanted public.mes_operations,
  actions public.action[]
);

comment on type app.import_decision is
  'What becomes of one row: created, updated, deleted, flagged (kept although the source took it away), skipped_stale '
  'or rejected; and the transitions that it stands for.';

create function app.limit_changed(decision app.import_decision) returns boolean
language sql immutable parallel safe
return ((decision).wanted).qty_desired is distinct from ((decision).existing).qty_desired
  -- null is the same as left out
  or ((decision).wanted).overrun_tolerance_pct <> ((decision).existing).overrun_tolerance_pct;
comment on function app.limit_changed(app.import_decision) is
  'True when the row changes how many good pieces the operation may have, so that parked pieces may fit.';

-- A dry run writes nothing, not even to undo it, so that it holds no locks. This type holds the effect that its earlier
-- rows of an operation would have had.
create type app.imagined_operation as (
  order_no text,
  operation_no text,
  asset_id integer,
  operation public.mes_operations,
  deleted_at timestamptz
);

comment on type app.imagined_operation is
  'An operation as a dry run would have left it; operation is null and deleted_at the source time when it would be '
  'gone.';

create function app.imagine(decision app.import_decision) returns app.imagined_operation
language plpgsql stable
set search_path = ''
as $$
declare
  made app.imagined_operation;
  operation public.mes_operations := (decision).wanted;
  fitting integer;
begin
  made.order_no := (decision).body ->> 'order_no';
  made.operation_no := (decision).body ->> 'operation_no';
  made.asset_id := ((decision).body ->> 'asset_id')::integer;
  if (decision).outcome = 'deleted' then
    made.deleted_at := ((decision).body ->> 'timestamp_ms')::timestamptz;
    return made;
  end if;
  operation.source_conflict := (decision).outcome = 'flagged';
  operation.overrun_tolerance_pct := coalesce(
    operation.overrun_tolerance_pct, ((decision).existing).overrun_tolerance_pct, 0);
  if (decision).outcome = 'created' then
    -- a number that no stored operation has
    operation.id := 0;
    operation.state := case
      when app.brings_execution(operation)
        then case operation.status when 'ON_HOLD' then 'PAUSED' else operation.status::text end::public.state
      when (decision).body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end;
    operation.qty_processed := coalesce(operation.qty_processed, 0);
    operation.qty_scrap := coalesce(operation.qty_scrap, 0);
    operation.actual_start_at := coalesce(operation.actual_start_at,
      case when operation.state in ('IN_PROGRESS', 'PAUSED') then clock_timestamp() end);
  end if;
  operation.state := case
    when 'CANCEL' = any((decision).actions) then 'CANCELLED'::public.state
    when 'RELEASE' = any((decision).actions) then 'RELEASED'
    when 'CORRECT' = any((decision).actions) then 'PLANNED'
    else coalesce(operation.state, 'PLANNED')
  end;
  operation.status := app.status_of(operation.state);
  if operation.qty_parked > 0 and app.limit_changed(decision) then
    fitting := app.fitting(operation);
    operation.qty_processed := operation.qty_processed + fitting;
    operation.qty_good := operation.qty_good + fitting;
    operation.qty_parked := operation.qty_parked - fitting;
  end if;
  made.operation := operation;
  return made;
end
$$;
comment on function app.imagine(app.import_decision) is
  'The operation as app.apply_import would leave it after this decision to create, update, flag or delete.';

-- The ERP owns the plan; of the lifecycle it owns release and cancellation, as long as nothing has begun.
create function app.import_decisions(
  rows jsonb, is_takeover boolean, caller app.caller, refused_workplaces text[] default '{}',
  imagined app.imagined_operation[] default '{}'
) returns setof app.import_decision
language plpgsql stable
set search_path = ''
as $$
declare
  latest_time constant timestamptz := app.latest_time();
begin
  return query
  with parsed as (
    select
      (r.value ->> 'index')::integer as index,
      r.value as body,
      r.value ->> 'order_no' as order_no,
      r.value ->> 'operation_no' as operation_no,
      (r.value ->> 'asset_id')::integer as asset_id,
      coalesce(r.value ->> 'change_type', 'UPDATE') as change_type,
      coalesce(r.value ->> 'status', 'PLANNED') as status,
      (r.value ->> 'timestamp_ms')::timestamptz as timestamp_ms
    from jsonb_array_elements(rows) r
  ),
  -- materialized: `wanted` is made once for each row, not each time that it is named
  matched as materialized (
    select
      r.*, (k.operation).id is not null as exists, k.operation as existing,
      (k.operation).actual_start_at is not null or (k.operation).qty_processed > 0 or (k.operation).status = 'FINISHED'
        as has_begun,
      greatest((k.operation).timestamp_ms, d.timestamp_ms, i.deleted_at) as known_at,
      jsonb_populate_record(
        k.operation,
        case when (k.operation).id is null and is_takeover then r.body - 'index' else (
          select jsonb_object_agg(f.key, f.value) from jsonb_each(r.body) f
          where f.key = any(array['order_no', 'operation_no', 'asset_id', 'timestamp_ms', 'change_type'])
            or r.change_type <> 'DELETE' and f.key = any(app.plan_fields())
              -- null is the same as left out
              and (f.key <> 'overrun_tolerance_pct' or f.value <> 'null')
        ) end
      ) as wanted
    from parsed r
    left join unnest(imagined) i
      on i.order_no = r.order_no and i.operation_no = r.operation_no and i.asset_id = r.asset_id
    left join public.mes_operations o on o.order_no = r.order_no and o.operation_no = r.operation_no
      and o.asset_id = r.asset_id
    cross join lateral (select case when i.order_no is null then o else i.operation end as operation) k
    left join app.deleted_operations d on d.order_no = r.order_no and d.operation_no = r.operation_no
      and d.asset_id = r.asset_id
  ),
  judged as (
    select m.*,
      case
        -- First, so that no other answer reveals the operation. A caller who sees some workplaces only cannot delete an
        -- unknown operation, because that would block its import by others.
        when m.change_type = 'DELETE' and not app.sees_workplace(caller, (m.existing).workplace_name)
        then app.missing_problem()
        when m.change_type <> 'DELETE' and (
          m.exists and not app.sees_workplace(caller, (m.existing).workplace_name)
          or not app.sees_workplace(caller, (m.wanted).workplace_name))
        then app.problem(403, 'forbidden', 'You have no access to the workplace of this operation')
        when m.timestamp_ms <= m.known_at then null
        -- it would make every later row stale
        when m.timestamp_ms > latest_time + interval '24 hours'
        then app.field_problem('/timestamp_ms', 'in_future', app.ahead_of_clock(m.timestamp_ms))
        when m.change_type <> 'DELETE' then coalesce(
          case when (m.wanted).workplace_name = any(refused_workplaces) then app.field_problem(
            '/workplace_name', 'unknown_workplace',
            format('There is no workplace "%s": create it first, or import with unknown_workplaces=create',
              (m.wanted).workplace_name))
          end,
          app.plan_problem(m.wanted),
          case when not m.exists then coalesce(
            app.opening_problem(m.wanted),
            case when not is_takeover and m.status not in ('PLANNED', 'RELEASED', 'CANCELLED')
              then app.field_problem('/status', 'not_planned',
                format('A new operation is PLANNED or RELEASED, not "%s": '
                  'take work of another system over with mode=takeover', m.status))
            end)
          end)
      end as problem
    from matched m
  )
  select
    j.index,
    case
      when (j.problem).code is not null then 'rejected'
      when j.timestamp_ms <= j.known_at then 'skipped_stale'
      when j.change_type = 'DELETE' and j.exists and j.has_begun then 'flagged'
      when j.change_type = 'DELETE' then 'deleted'
      when not j.exists then 'created'
      when j.status = 'CANCELLED' and (j.existing).status <> 'CANCELLED' and j.has_begun then 'flagged'
      else 'updated'
    end,
    j.problem,
    j.body,
    j.existing,
    j.wanted,
    case
      when j.change_type = 'DELETE' or (j.problem).code is not null then '{}'::public.action[]
      when not j.exists and is_takeover then '{}'::public.action[]
      when j.status = 'CANCELLED' and not coalesce(j.has_begun, false)
        and (j.existing).status is distinct from 'CANCELLED' then '{CANCEL}'
      when j.status = 'RELEASED' and (j.existing).status = 'PLANNED' then '{RELEASE}'
      -- only a row with a status: a row without one changes the plan alone
      when j.body ->> 'status' = 'PLANNED' and (j.existing).status = 'RELEASED' and not j.has_begun then '{CORRECT}'
      else '{}'
    end
  from judged j;
end
$$;
comment on function app.import_decisions(jsonb, boolean, app.caller, text[], app.imagined_operation[]) is
  'Judges rows of the change feed, each a JSON object of the API with its index, one per operation; set-based, '
  'changes nothing. An action CORRECT takes a release back.';

-- supabase/schemas/60_import/02_applying.sql
-- What: rows of the change feed, applied as decided.
-- Why: rows are applied as sets in one transaction, each with its own result.

create function app.withdraw_release(operation public.mes_operations, caller app.caller) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  event public.operation_events;
begin
  event.id := gen_random_uuid();
  event.operation_id := operation.id;
  event.op_seq := operation.last_op_seq + 1;
  event.action_type := 'CORRECT';
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := operation.workplace_name;
  event.status_before := operation.status;
  event.status_after := 'PLANNED';
  event.occurred_at := date_trunc('milliseconds', clock_timestamp());
  event.created_at := greatest(clock_timestamp(), operation.updated_at);
  event.qty_good := 0;
  event.qty_scrap := 0;
  event.qty_parked := 0;
  event.user_id := caller.user_id;
  event.reporter_id := app.reporter_of(caller.user_id, caller.email);
  event.changes := app.before_and_after('status', to_jsonb(event.status_before), to_jsonb(event.status_after));
  return app.store_execution(app.append_event(operation, null, event));
end
$$;
comment on function app.withdraw_release(public.mes_operations, app.caller) is
  'Takes the release of a locked operation back, which never started, by a CORRECT event of its status.';

create function app.apply_import(
  rows jsonb, is_takeover boolean, caller app.caller, unknown_workplaces text[], rejects_unknown boolean
) returns json
language plpgsql
set search_path = ''
as $$
declare
  decisions app.import_decision[];
  decision app.import_decision;
  created bigint[];
  operation public.mes_operations;
  opened public.mes_operations;
  report app.report;
  action public.action;
begin
  decisions := array(
    select d from app.import_decisions(
      rows, is_takeover, caller, case when rejects_unknown then unknown_workplaces else '{}' end) d
    order by d.index);

  insert into public.workplaces (name, workplace_group)
  select distinct on ((d.wanted).workplace_name) (d.wanted).workplace_name, (d.wanted).workplace_group
  from unnest(decisions) d
  where d.outcome in ('created', 'updated', 'flagged') and (d.wanted).workplace_name is not null
    and not exists (select from public.workplaces w where w.name = (d.wanted).workplace_name)
  order by (d.wanted).workplace_name, d.index
  on conflict do nothing;

  with inserted as (
    insert into public.mes_operations (
      order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
      workplace_name, workplace_group,
      qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
      t_target_processing_min, t_target_setup_min, t_target_lead_min, timestamp_ms, change_type, created_by
    )
    select
      (d.wanted).order_no, (d.wanted).asset_id, (d.wanted).operation_no,
      case when d.body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
      (d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
      (d.wanted).workplace_name, (d.wanted).workplace_group, (d.wanted).qty_desired,
      coalesce((d.wanted).overrun_tolerance_pct, 0), (d.wanted).planned_start_at, (d.wanted).planned_end_at,
      (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
      (d.wanted).timestamp_ms, (d.wanted).change_type, caller.user_id
    from unnest(decisions) d
    where d.outcome = 'created'
    order by d.index
    on conflict do nothing
    returning id
  )
  select array_agg(i.id) into created from inserted i;
  if cardinality(created) < (select count(*) from unnest(decisions) d where d.outcome = 'created') then
    perform app.refuse(503, 'unavailable',
      'Another request has just created some of these operations: send the rows again');
  end if;

  update public.mes_operations o
  set (reference_url, activity_code, activity_description, workplace_name, workplace_group,
       qty_desired, overrun_tolerance_pct,
       planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min,
       timestamp_ms, change_type, source_conflict)
    = row ((d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
       (d.wanted).workplace_name, (d.wanted).workplace_group,
       (d.wanted).qty_desired, coalesce((d.wanted).overrun_tolerance_pct, o.overrun_tolerance_pct),
       (d.wanted).planned_start_at, (d.wanted).planned_end_at,
       (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
       (d.wanted).timestamp_ms, (d.wanted).change_type, d.outcome = 'flagged')
  from unnest(decisions) d
  where d.outcome in ('updated', 'flagged') and o.id = (d.existing).id;
  perform app.settle_parked(o, caller)
  from public.mes_operations o
  join unnest(decisions) d on d.outcome in ('updated', 'flagged') and o.id = (d.existing).id
    and (d.existing).qty_parked > 0 and app.limit_changed(d);

  insert into app.deleted_operations as known (order_no, operation_no, asset_id, timestamp_ms)
  select d.body ->> 'order_no', d.body ->> 'operation_no', (d.body ->> 'asset_id')::integer,
    (d.body ->> 'timestamp_ms')::timestamptz
  from unnest(decisions) d
  where d.outcome = 'deleted'
  on conflict on constraint deleted_operations_pkey
    do update set timestamp_ms = greatest(known.timestamp_ms, excluded.timestamp_ms);
  delete from public.mes_operations o using unnest(decisions) d where d.outcome = 'deleted' and o.id = (d.existing).id;

  -- Every change of execution is an event: releases and their withdrawal, cancellations, openings.
  for decision in
    select * from unnest(decisions) d
    where d.outcome in ('created', 'updated') and (cardinality(d.actions) > 0 or d.outcome = 'created' and is_takeover)
  loop
    select * into operation from public.mes_operations o
    where o.order_no = decision.body ->> 'order_no' and o.operation_no = decision.body ->> 'operation_no'
      and o.asset_id = (decision.body ->> 'asset_id')::integer
    for update;
    if decision.outcome = 'created' and is_takeover and app.brings_execution(decision.wanted) then
      opened := decision.wanted;
      opened.status := coalesce(opened.status, 'PLANNED');
      opened.qty_processed := coalesce(opened.qty_processed, 0);
      opened.qty_scrap := coalesce(opened.qty_scrap, 0);
      perform app.record_opening(operation, caller, opened);
    end if;
    foreach action in array decision.actions loop
      if action = 'CORRECT' then
        operation := app.withdraw_release(operation, caller);
      else
        report.action_type := action;
        report.reason_code := case action when 'CANCEL' then 'UNSPECIFIED' end;
        operation := (app.record_event(operation, caller, report)).operation;
      end if;
    end loop;
  end loop;

  return app.import_results(decisions, unknown_workplaces);
end
$$;
comment on function app.apply_import(jsonb, boolean, app.caller, text[], boolean) is
  'Applies rows of the change feed, one per operation, whose known operations are locked. Answers one result per row.';

create function app.import_results(decisions app.import_decision[], unknown_workplaces text[]) returns json
language sql stable
begin atomic
  select json_agg(case when d.creates_workplace
    then app.json_with(d.result, 'creates_workplace', to_json((d.wanted).workplace_name))
    else d.result end order by d.index)
  from (
    select d.index, d.wanted,
      d.outcome in ('created', 'updated', 'flagged')
        and (d.wanted).workplace_name = any(unknown_workplaces) as creates_workplace,
      json_build_object(
        'index', d.index,
        'status', case d.outcome when 'rejected' then (d.problem).status when 'created' then 201 else 200 end,
        'id', format('%s/%s/%s', d.body ->> 'order_no', d.body ->> 'asset_id', d.body ->> 'operation_no'),
        'outcome', d.outcome,
        'problem', app.problem_json(d.problem)
      ) as result
    from unnest(decisions) d
  ) d;
end;
comment on function app.import_results(app.import_decision[], text[]) is
  'The result of each row of an import, with the unknown workplace that the row names.';

-- supabase/schemas/60_import/03_import.sql
-- What: the import.
-- Why: rows of one operation are applied in the order of their source times, in one transaction.

create function app.unknown_workplaces(rows jsonb) returns text[]
language sql stable
begin atomic
  select array(
    select distinct r ->> 'workplace_name' from jsonb_array_elements(rows) r
    where r ->> 'workplace_name' is not null
      and not exists (select from public.workplaces w where w.name = r ->> 'workplace_name')
  );
end;
comment on function app.unknown_workplaces(jsonb) is 'The workplaces that rows name and the plant does not know.';

create function app.apply_feed(
  rows jsonb, is_takeover boolean, is_dry_run boolean, rejects_unknown boolean, caller app.caller
) returns json
language plpgsql
set search_path = ''
as $$
declare
  turn jsonb;
  results json[] := '{}'::json[];
  decisions app.import_decision[];
  imagined app.imagined_operation[] := '{}'::app.imagined_operation[];
  unknown_workplaces text[];
begin
  if not is_dry_run then
    -- Imports run one after the other, because two with the same new operation would collide.
    perform pg_advisory_xact_lock(hashtext('app.apply_feed'));
    -- Locks the known operations, in the order in which batches lock them.
    perform from public.mes_operations o
    where (o.order_no, o.operation_no, o.asset_id) in (
      select r ->> 'order_no', r ->> 'operation_no', (r ->> 'asset_id')::integer from jsonb_array_elements(rows) r
    )
      and app.sees_workplace(caller, o.workplace_name)
    order by o.id
    for update;
  end if;
  -- Before the first row, so that all rows of a new workplace name it, in a dry run too.
  unknown_workplaces := app.unknown_workplaces(rows);
  -- Applies the rows of one operation as if each came alone, oldest first: the first rows of all operations as one set,
  -- then all second rows, and so on. Of equal rows it applies one.
  for turn in
    select jsonb_agg(r.body)
    from (
      select b.body, row_number() over (
        partition by b.body ->> 'order_no', b.body ->> 'operation_no', b.body ->> 'asset_id'
        order by (b.body ->> 'timestamp_ms')::timestamptz, (b.body ->> 'index')::integer
      ) as turn_no
      from (
        select distinct on (r.value - 'index') r.value as body
        from jsonb_array_elements(rows) r
        order by r.value - 'index', (r.value ->> 'index')::integer
      ) b
    ) r
    group by r.turn_no
    order by r.turn_no
  loop
    if is_dry_run then
      decisions := array(
        select d from app.import_decisions(
          turn, is_takeover, caller, case when rejects_unknown then unknown_workplaces else '{}' end, imagined) d);
      results := results || array(select json_array_elements(app.import_results(decisions, unknown_workplaces)));
      imagined := array(
        select distinct on (i.order_no, i.operation_no, i.asset_id) i::app.imagined_operation
        from (
          select i.*, 1 as age from unnest(imagined) i
          union all
          select i.*, 0 from unnest(decisions) d cross join app.imagine(d) i
          where d.outcome in ('created', 'updated', 'flagged', 'deleted')
        ) known
        cross join lateral (
          select known.order_no, known.operation_no, known.asset_id, known.operation, known.deleted_at
        ) i
        order by i.order_no, i.operation_no, i.asset_id, known.age
      );
    else
      results := results || array(select json_array_elements(
        app.apply_import(turn, is_takeover, caller, unknown_workplaces, rejects_unknown)));
    end if;
  end loop;
  return (
    select coalesce(json_agg(
      case
        when sent.index = sent.first_index then told.result
        else json_build_object(
          'index', sent.index,
          'status', case when told.result ->> 'outcome' = 'rejected' then told.result -> 'status' else '200' end,
          'id', told.result -> 'id',
          'outcome', case when told.result ->> 'outcome' = 'rejected' then 'rejected' else 'skipped_stale' end,
          'problem', told.result -> 'problem'
        )
      end
      order by sent.index), '[]')
    from (
      select (r.value ->> 'index')::integer as index,
        min((r.value ->> 'index')::integer) over (partition by r.value - 'index') as first_index
      from jsonb_array_elements(rows) r
    ) sent
    join (select (r ->> 'index')::integer as index, r as result from unnest(results) r) told
      on told.index = sent.first_index
  );
end
$$;
comment on function app.apply_feed(jsonb, boolean, boolean, boolean, app.caller) is
  'Applies rows of the change feed in one transaction, each operation''s in the order of their source times; a dry '
  'run writes and locks nothing. Answers one result per row.';

create function public.import_operations(
  rows jsonb, is_takeover boolean default false, is_dry_run boolean default false,
  rejects_unknown_workplaces boolean default false, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('rows', rows, 8388608);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  least_role constant public.role := case when is_takeover then 'manager'::public.role else 'supervisor' end;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, least_role, format('Importing operations needs the role %s', least_role));
  perform app.require_workplace(caller);
  if jsonb_array_length(rows) > 1000 then
    perform app.refuse_field('', 'too_big', 'An import takes at most 1000 rows at once');
  end if;
  answer := json_build_object('status', 207, 'body',
    app.apply_feed(rows, is_takeover, is_dry_run, rejects_unknown_workplaces, caller));
  return case when is_dry_run then answer else app.finish_command(command, null, answer) end;
end
$$;
comment on function public.import_operations(jsonb, boolean, boolean, boolean, jsonb) is
  'Imports up to 1000 rows of the ERP''s change feed, each with its index. Answers {"status", "body": [{"index", '
  '"status", "id", "outcome", "problem", "creates_workplace"}]}; the last one only of a row that names an unknown '
  'workplace, which is created, or the row rejected. Raises 403 forbidden, 422 validation_failed for too many rows.';
grant execute on function public.import_operations to authenticated, service_role;

-- supabase/schemas/70_feed/01_positions.sql
-- What: the feed: every event at a position, in an order that never changes behind a reader.
-- Why: with positions drawn at insert, a later event may commit first, and a reader would miss the earlier one.

create table app.feed (
  pos bigint generated always as identity (cache 1) primary key,
  -- No foreign key: the trigger of the event itself makes the row, and events are never deleted.
  event_id uuid not null,
  workplace_name text collate "C",
  action_type public.action not null,
  order_no text collate "C" not null,
  recorded_at timestamptz not null default clock_timestamp()
);
comment on table app.feed is 'Positions of events. A separate table, because events are never changed.';
comment on column app.feed.pos is
  'Position: gaps are possible (a commit that failed); those of one operation rise with its op_seq.';
comment on column app.feed.workplace_name is
  'The event''s workplace, so that one index serves a reader of few workplaces.';
comment on column app.feed.action_type is
  'The event''s action, likewise order_no: filters pass over events without a look at each.';
comment on column app.feed.recorded_at is
  'When the position was drawn; for retention. It rises with pos, so it needs no index.';
create unique index feed_by_event on app.feed (event_id);
create index feed_by_workplace on app.feed (workplace_name, pos);

alter table app.feed enable row level security;

-- The oldest stored position, and the name of the current generation.
create table app.feed_state (
  only_row boolean primary key default true check (only_row),
  generation uuid not null default gen_random_uuid(),
  floor_pos bigint not null default 0,
  retention interval
);
comment on table app.feed_state is 'One row: generation and retention of the feed.';
comment on column app.feed_state.generation is 'Name of the generation; a new one makes all cursors invalid.';
comment on column app.feed_state.floor_pos is 'Positions up to here are no longer kept.';
comment on column app.feed_state.retention is 'How long positions are kept; null = for ever.';

alter table app.feed_state enable row level security;

insert into app.feed_state default values;

-- An advisory lock of this class says in pg_locks: "I draw positions beyond this one". The locks are shared, so they
-- block nothing, and they vanish when the commit is visible or has failed, whatever the cause.
create function app.drawing_class() returns bigint
language sql immutable parallel safe
return 7206::bigint << 44;
comment on function app.drawing_class() is
  'First key of the advisory locks of commits that draw positions; the position is added to it.';

create function app.settled_position() returns bigint
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- by anybody, whether it is committed or not
  drawn constant bigint := (select s.last_value - case when s.is_called then 0 else 1 end from app.feed_pos_seq s);
begin
  if pg_is_in_recovery() then
    perform app.refuse(503, 'unavailable',
      'A standby does not know what its primary is committing: read the feed there');
  end if;
  -- This order misses no commit: one that takes its lock after this query draws beyond `drawn`.
  return least(drawn, (
    select min((l.classid::bigint << 32) + l.objid::bigint) - app.drawing_class()
    from pg_locks l
    where l.locktype = 'advisory' and l.objsubid = 1
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
      and l.classid::bigint between app.drawing_class() >> 32 and ((app.drawing_class() + (1::bigint << 44)) >> 32) - 1
  ));
end
$$;
comment on function app.settled_position() is
  'The high watermark: every position up to it is committed and visible to the next statement, or failed. It may go '
  'down between two calls and is still correct. Raises 503 unavailable on a standby.';

create function app.draw_position() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  drawn_pos bigint;
begin
  -- Runs at commit, so that an idle transaction does not delay readers. One lock serves all events of the transaction.
  if current_setting('app.drawing_in', true) is distinct from pg_current_xact_id()::text then
    perform pg_advisory_xact_lock_shared(app.drawing_class() + s.last_value - case when s.is_called then 0 else 1 end),
      set_config('app.drawing_in', pg_current_xact_id()::text, true),
      -- one read: the server's clock may step back, the times of the feed never do
      set_config('app.recorded_until', coalesce(
        (select f.recorded_at from app.feed f order by f.pos desc limit 1), '-infinity')::text, true)
    from app.feed_pos_seq s;
  end if;
  insert into app.feed (event_id, workplace_name, action_type, order_no, recorded_at)
  values (new.id, new.workplace_name, new.action_type, new.order_no,
    greatest(clock_timestamp(), current_setting('app.recorded_until')::timestamptz))
  returning pos into drawn_pos;
  -- removes twice as many positions as were added
  if drawn_pos % 16 = 0 then
    perform app.prune_feed(32) from app.feed_state s where s.retention is not null;
  end if;
  return null;
end
$$;
comment on function app.draw_position() is 'Deferred trigger: gives an event its position in the feed, at commit.';

create constraint trigger operation_events_draw_position after insert on public.operation_events
  deferrable initially deferred
  for each row execute function app.draw_position();

create function app.pruning_lock() returns bigint
language sql immutable parallel safe
return 7207::bigint << 44;
comment on function app.pruning_lock() is 'Key of the advisory lock for the removal of old positions.';

-- Adding positions removes old ones, without a scheduler and without a long delete. One transaction at a time prunes,
-- oldest first, so that the rest of the feed has no gap. A second caller returns at once and does not wait.
create function app.prune_feed(most integer) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  kept_since constant timestamptz := (select clock_timestamp() - s.retention from app.feed_state s);
  cut_pos bigint;
begin
  if kept_since is null or not pg_try_advisory_xact_lock(app.pruning_lock()) then
    return null;
  end if;
  select max(f.pos) into cut_pos
  from (select o.pos, o.recorded_at from app.feed o order by o.pos limit most) f
  where f.recorded_at < kept_since;
  if cut_pos is not null then
    update app.feed_state set floor_pos = cut_pos;
    delete from app.feed f where f.pos <= cut_pos;
  end if;
  return cut_pos;
end
$$;
comment on function app.prune_feed(integer) is
  'Removes the oldest positions that are older than the retention, at most so many; the last one removed, or null.';

create function public.prune_feed() returns bigint
language plpgsql security definer
set search_path = ''
as $$
begin
  perform app.require_role(app.current_caller(), 'admin', 'Only an admin may prune the feed');
  return app.prune_feed(app.feed_window());
end
$$;
comment on function public.prune_feed() is
  'Removes at once what is older than the configured retention, up to 10,000 positions a call; answers the last one '
  'removed, null when there is none. Raises 403 forbidden.';
grant execute on function public.prune_feed to authenticated, service_role;

-- supabase/schemas/70_feed/02_cursors.sql
-- What: cursors, the positions of readers.
-- Why: a restored database reuses positions for another history, so a reader must learn that its cursor is invalid.

-- The server's identity and timeline change when a server is restored, the table's own number when a dump is restored.
-- They also change when a standby takes over or the data moves with all of its history: readers then start again
-- without need, which is safe.
create function app.feed_generation() returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return md5(concat_ws('/',
    (select s.generation from app.feed_state s),
    (select c.system_identifier from pg_control_system() c),
    -- of the log that is written now: the control file tells it only after a checkpoint
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    'app.feed'::regclass::oid
  ));
end
$$;
comment on function app.feed_generation() is
  'Name of the feed''s generation, part of every cursor: changes when the database is restored.';

-- A copy of the data folder or of a disk keeps all of these. So a cursor also holds a mark of its event: when the
-- position is missing or has another mark, the history differs. The event's id alone does not suffice, because
-- terminals send lost events again under the same id.
create function app.feed_mark(f app.feed) returns text
language sql stable
return left(md5((f).event_id::text || '/' || extract(epoch from (f).recorded_at)::text), 12);
comment on function app.feed_mark(app.feed) is
  'Mark by which a cursor recognises its position; it reveals nothing of the event, which may be hidden from its '
  'holder.';

create function app.require_position(pos bigint, generation text, mark text) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  floor_pos bigint;
begin
  if generation <> app.feed_generation() then
    perform app.refuse(410, 'feed_reset',
      'The database was restored since: what you have read may differ from what it holds. '
      'Begin again without a cursor');
  elsif pos is null
    or exists (select from app.feed f where f.pos = require_position.pos and app.feed_mark(f) = mark) then
    return;
  end if;
  -- checked last, because the position may have been pruned meanwhile
  select s.floor_pos into floor_pos from app.feed_state s;
  if pos < floor_pos then
    perform app.refuse(410, 'feed_reset', 'The feed is no longer kept that far back. Begin again without a cursor');
  elsif pos > floor_pos then
    perform app.refuse(410, 'feed_reset',
      'The database was restored since: what you have read may differ from what it holds. '
      'Begin again without a cursor');
  end if;
end
$$;
comment on function app.require_position(bigint, text, text) is
  'Raises 410 feed_reset unless this position has the same history as when its cursor was made; null = the '
  'beginning.';

-- Times of drawing rise with positions, but for the moments between two commits that draw at once.
create function app.position_before(instant timestamptz) returns bigint
language plpgsql stable security definer
set search_path = ''
as $$
declare
  low bigint := (select s.floor_pos from app.feed_state s);
  high bigint := (select max(f.pos) from app.feed f);
  middle bigint;
  next app.feed;
begin
  while low < high loop
    middle := (low + high) / 2;
    select * into next from app.feed f where f.pos > middle order by f.pos limit 1;
    if next.recorded_at < instant - interval '1 second' then
      low := next.pos;
    else
      high := middle;
    end if;
  end loop;
  return low;
end
$$;
comment on function app.position_before(timestamptz) is
  'A position behind which all events stand that were recorded then or later, by halving; the floor of the feed when '
  'none is older.';

-- supabase/schemas/70_feed/03_reading.sql
-- What: reading the feed.
-- Why: a read scans a bounded number of positions, whatever it filters.

create view app.followed_events as
select (null::app.event_body).*, null::json as operation, null::text as mark where false;
comment on view app.followed_events is
  'Has no rows: its row type is the event for a server that passes it on, with its operation as it is now, null when '
  'it is gone or not the caller''s to see, and its mark.';

-- Upper bound of one call: a rare filter costs several short calls instead of a long one.
create function app.feed_window() returns integer
language sql immutable parallel safe
return 10000;
comment on function app.feed_window() is 'Most positions that one read of the feed scans.';

create function public.read_feed(
  after_pos bigint default null,
  generation text default null,
  mark text default null,
  workplace_names text[] default null,
  action_types text[] default null,
  order_no text default null,
  take integer default 100,
  with_operations boolean default false
) returns json
-- volatile, so that the query takes a new snapshot after the high watermark was read
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('generation', generation) and app.require_bounded('mark', mark)
    and app.require_bounded('workplace_names', workplace_names) and app.require_bounded('action_types', action_types)
    and app.require_bounded('order_no', order_no);
  caller constant app.caller := app.current_caller();
  with_answers constant boolean := app.sees_webhook_answers(caller);
  from_pos constant bigint := coalesce(after_pos, (select s.floor_pos from app.feed_state s));
  settled_pos constant bigint := app.settled_position();
  -- A cursor is at an event, never in the gap of a failed commit: after a crash, the positions of such a gap may be
  -- drawn again.
  head_pos constant bigint := (select max(f.pos) from app.feed f where f.pos <= settled_pos);
  last_pos constant bigint := (
    select max(f.pos) from app.feed f
    where f.pos > from_pos
      and f.pos <= least(head_pos,
        (select min(n.pos) from app.feed n where n.pos > from_pos and n.pos <= head_pos) + app.feed_window())
  );
  visible text[];
  events json := '[]'::json;
  found integer := 0;
  reached bigint;
begin
  -- a direct call of the Data API may ask for any number
  take := greatest(1, least(take, 500));
  if not app.has_workplace(caller) then
    -- The answer reveals nothing of the feed, not even its length. The caller continues from here once a manager has
    -- given them a workplace.
    return json_build_object(
      'events', '[]'::json,
      'generation', coalesce(generation, app.feed_generation()),
      'pos', coalesce(after_pos, 0),
      'mark', mark,
      'has_more', false,
      'has_workplace', false
    );
  end if;
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform app.refuse(400, 'malformed_request', 'The feed is read in transactions that are READ COMMITTED');
  end if;

  -- null = no condition, for callers who see everything
  visible := case
    when caller.sees_all then workplace_names
    when workplace_names is null then coalesce(caller.workplaces, '{}')
    else array(select w from unnest(workplace_names) w where w = any(caller.workplaces))
  end;
  -- a workplace that is named twice counts once
  visible := case when visible is not null then array(select distinct w from unnest(visible) w) end;

  -- most reads are at the end of the feed
  if last_pos is not null then
    with positions as (
      (
        select f.pos, f.event_id from app.feed f
        where visible is null and f.pos > from_pos and f.pos <= last_pos
          and (action_types is null or f.action_type = any(action_types::public.action[]))
          and (read_feed.order_no is null or f.order_no = read_feed.order_no)
        order by f.pos
        limit take
      )
      union all
      select f.pos, f.event_id from unnest(visible) w cross join lateral (
        select f.pos, f.event_id from app.feed f
        where f.workplace_name = w and f.pos > from_pos and f.pos <= last_pos
          and (action_types is null or f.action_type = any(action_types::public.action[]))
          and (read_feed.order_no is null or f.order_no = read_feed.order_no)
        order by f.pos
        limit take
      ) f
    ),
    page as materialized (
      select p.pos, e.operation_id, app.event_body(
        e, p.pos, r.email, w.is_delivered,
        case when with_answers then w.response end, case when with_answers then w.error_message end
      ) as body
      from (select * from positions order by pos limit take) p
        join public.operation_events e on e.id = p.event_id
        left join app.reporters r on r.id = e.reporter_id
        left join app.webhook_outcomes w on w.event_id = e.id
    ),
    written as (
      select p.pos, case when with_operations then to_json(row((p.body).*,
        (select app.operation_json(o) from public.mes_operations o
         where o.id = p.operation_id and app.sees_workplace(caller, o.workplace_name)),
        (select app.feed_mark(f) from app.feed f where f.pos = p.pos)
      )::app.followed_events) else to_json(p.body) end as event
      from page p
    )
    select
      coalesce(json_agg(p.event order by p.pos), '[]'),
      count(*),
      max(p.pos)
    into events, found, reached
    from written p;
  end if;

  reached := case when found = take then reached else coalesce(last_pos, from_pos) end;
  -- checked last, because a pruning may have removed positions meanwhile; a reader who begins starts after them
  if after_pos is not null then
    perform app.require_position(after_pos, generation, mark);
  elsif reached < (select s.floor_pos from app.feed_state s) then
    return public.read_feed(null, null, null, workplace_names, action_types, read_feed.order_no, take, with_operations);
  end if;
  return json_build_object(
    'events', events,
    'generation', app.feed_generation(),
    'pos', reached,
    'mark', case when reached = after_pos then mark
      else (select app.feed_mark(f) from app.feed f where f.pos = reached) end,
    'has_more', coalesce(reached < head_pos, false),
    'has_workplace', true
  );
end
$$;
comment on function public.read_feed is
  'Events the caller sees, in the order of the feed, after a position: {"events": [...], "generation", "pos", "mark": '
  'where to go on, "has_more", "has_workplace": false when waiting is in vain}. Without after_pos from the oldest '
  'kept. With operations, each event has its operation as it is now, null when it is gone or not the caller''s to '
  'see, and its mark. Raises 410 feed_reset when that position is unknown here.';
grant execute on function public.read_feed to authenticated, service_role;

-- A cheap query for waiting readers. Only servers call it, once for all readers that wait there.
create function public.feed_head() returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  settled_pos constant bigint := app.settled_position();
  head app.feed;
begin
  select * into head from app.feed f where f.pos <= settled_pos order by f.pos desc limit 1;
  return json_build_object(
    'generation', app.feed_generation(),
    'pos', coalesce(head.pos, (select s.floor_pos from app.feed_state s)),
    'mark', app.feed_mark(head),
    'is_announced', exists (
      select from pg_trigger t where t.tgrelid = 'app.feed'::regclass and t.tgname = 'feed_announce')
  );
end
$$;
comment on function public.feed_head() is
  'The end of the feed: {"generation", "pos", "mark", "is_announced": whether Supabase Realtime announces events}. '
  'For the secret key only.';
grant execute on function public.feed_head to service_role;

-- supabase/schemas/70_feed/04_announcing.sql
-- What: a broadcast of Supabase Realtime for each commit that adds to the feed, where Realtime is there.
-- Why: broadcasts replace frequent polling; a slow poll makes up for a lost broadcast.

do $migration$
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null then
    return;
  end if;

  create function app.announce_feed() returns trigger
  language plpgsql security definer
  set search_path = ''
  as $$
  begin
    -- once per transaction, however many events it has
    if current_setting('app.announced_in', true) is distinct from pg_current_xact_id()::text then
      perform set_config('app.announced_in', pg_current_xact_id()::text, true);
      -- private: only the service role listens, and the message is empty
      perform realtime.send('{}'::jsonb, 'moved', 'mes-feed', true);
    end if;
    return null;
  end
  $$;
  comment on function app.announce_feed() is 'Trigger: tells the servers that listen that the feed has moved.';
  revoke execute on function app.announce_feed() from public;

  create trigger feed_announce after insert on app.feed
    for each statement execute function app.announce_feed();
end
$migration$;

-- supabase/schemas/75_stream/01_stream.sql
-- What: places, tickets and access of live streams.
-- Why: a stream outlives its request, so its isolate checks access again, for many streams at once.

-- Places of streams: the database counts them, because a caller's streams are spread over independent isolates.
-- Unlogged: a place lasts 20 seconds, and its isolate renews it every 4, after a crash of the database, too. The time
-- has no index, so that a renewal writes the row only.
create unlogged table app.stream_places (
  id uuid primary key,
  holder text collate "C" not null,
  held_until timestamptz not null,
  constraint stream_places_holder_short check (char_length(holder) between 1 and 200)
) with (fillfactor = 50);
comment on table app.stream_places is
  'One row for each stream that is open, opening or closing: those of one caller are bounded.';
comment on column app.stream_places.id is 'Name of the stream, made by its isolate.';
comment on column app.stream_places.holder is
  'Caller who holds the place: a user''s id, or "secret:" and the name of a secret key.';
comment on column app.stream_places.held_until is
  'End of the place unless its isolate renews it: 20 seconds after the last renewal.';
create index stream_places_by_holder on app.stream_places (holder);

alter table app.stream_places enable row level security;

create function app.stream_holding_time() returns interval
language sql immutable parallel safe
return interval '20 seconds';
comment on function app.stream_holding_time() is 'How long a place lasts without a renewal by its isolate.';

-- For the server of the streams, which asks on behalf of callers whose requests have ended.
create function app.stream_access(holders text[]) returns json
language sql stable
set search_path = ''
as $$
  select coalesce(json_agg(json_build_object(
    'user_id', p.id,
    'sees_all', p.role in ('manager', 'admin') or '*' = any(p.workplace_access),
    'workplaces', p.workplace_access,
    'needs_aal2', p.role in ('manager', 'admin') and (select s.require_aal2 from app.settings s)
  )), '[]')
  from public.profiles p
  where p.id = any(array(select holder::uuid from unnest(holders) holder where holder not like 'secret:%'))
$$;
comment on function app.stream_access(text[]) is
  'What each of the users sees now: [{"user_id", "sees_all", "workplaces", "needs_aal2"}]; without those who have no '
  'profile, and without secret keys.';

create function public.take_stream_place(place uuid, holder text, most integer, given_up uuid[]) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  is_server constant boolean := holder like 'secret:%';
  access constant json := app.stream_access(array[holder]);
  held integer;
begin
  if not is_server and access -> 0 is null then
    perform app.refuse(403, 'forbidden', 'Cannot open a stream: you have no profile');
  end if;
  if not is_server and not (access #>> '{0,sees_all}')::boolean
    and json_array_length(access #> '{0,workplaces}') = 0 then
    perform app.refuse(403, 'forbidden', 'Cannot open a stream: you have no workplace. A manager gives you one');
  end if;
  -- serialises the openings of one caller: of 20 at the same time, exactly `most` get a place
  perform pg_advisory_xact_lock(app.lock_key('app.stream_places ' || holder));
  -- Each opening removes more than it adds. It waits for no row that hold_stream_places has locked, which may wait for
  -- one of this opening: hold_stream_places removes that place itself.
  delete from app.stream_places p where p.id = any(array(
    select gone.id from app.stream_places gone
    where gone.id = any(given_up)
    for update skip locked
  ) || array(
    select stale.id from app.stream_places stale
    where stale.held_until < clock_timestamp()
    order by stale.held_until
    limit 20
    for update skip locked
  ));
  select count(*) into held from app.stream_places p
  where p.holder = take_stream_place.holder and p.held_until >= clock_timestamp() and p.id <> all(given_up);
  if held >= most then
    perform app.refuse(
      429, 'rate_limited',
      format('Cannot open a stream: you have %s of at most %s', held, most),
      jsonb_build_object('limit', most, 'retry_after_s', 5)
    );
  end if;
  insert into app.stream_places (id, holder, held_until)
  values (place, take_stream_place.holder, clock_timestamp() + app.stream_holding_time());
  return access;
end
$$;
comment on function public.take_stream_place(uuid, text, integer, uuid[]) is
  'Takes a place for a stream of the holder, having given up places that its isolate does not need any more. Answers '
  'what the holder sees, as hold_stream_places does. Raises 403 forbidden without a workplace, 429 rate_limited when '
  'the holder has `most` places. For the secret key only.';
grant execute on function public.take_stream_place to service_role;

create function public.hold_stream_places(places uuid[], holders text[], given_up uuid[]) returns json
language plpgsql security definer
set search_path = ''
as $$
begin
  delete from app.stream_places p where p.id = any(given_up);
  insert into app.stream_places (id, holder, held_until)
  select held.id, held.holder, clock_timestamp() + app.stream_holding_time()
  from unnest(places, holders) as held (id, holder)
  order by held.id
  on conflict (id) do update set held_until = excluded.held_until;
  return app.stream_access(holders);
end
$$;
comment on function public.hold_stream_places(uuid[], text[], uuid[]) is
  'Holds the places of an isolate''s streams for another 20 seconds, gives up others, and answers what each of the '
  'holders sees now: [{"user_id", "sees_all", "workplaces", "needs_aal2"}]. For the secret key only.';
grant execute on function public.hold_stream_places to service_role;

-- Browsers cannot send a header with EventSource or WebSocket, so they send a ticket that is valid once.
create table app.stream_tickets (
  digest bytea primary key,
  user_id uuid references auth.users (id) on delete cascade,
  filter jsonb not null,
  session_ends_at timestamptz,
  expires_at timestamptz not null,
  constraint stream_tickets_digest_is_sha256 check (octet_length(digest) = 32),
  constraint stream_tickets_filter_small check (jsonb_typeof(filter) = 'object' and octet_length(filter::text) <= 4096)
);
comment on table app.stream_tickets is
  'Unused tickets of the stream. The table has digests only, so that a reader of it cannot use them.';
comment on column app.stream_tickets.digest is 'SHA-256 of the ticket.';
comment on column app.stream_tickets.user_id is 'Whom the ticket stands for; null = a server with the secret key.';
comment on column app.stream_tickets.filter is
  'What the ticket''s stream follows: {"workplace_name", "action_type", "order_no"}.';
comment on column app.stream_tickets.session_ends_at is
  'When the access token that asked for the ticket expires, and with it the stream.';
create index stream_tickets_by_user on app.stream_tickets (user_id);
create index stream_tickets_by_age on app.stream_tickets (expires_at);

alter table app.stream_tickets enable row level security;

create function public.create_stream_ticket(digest text, filter jsonb) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('digest', digest) and app.require_bounded('filter', filter, 16384);
  caller constant app.caller := app.current_caller();
  most constant integer := 20;
  open_count integer;
  retry_after_s integer;
  made app.stream_tickets;
begin
  perform app.require_workplace(caller);
  if octet_length(filter::text) > 4096 then
    perform app.refuse_field('', 'too_big',
      format('A ticket''s filter takes at most 4096 bytes, not %s', octet_length(filter::text)));
  end if;
  -- serialises the requests of one caller, so that the count stays correct until commit
  perform pg_advisory_xact_lock(app.lock_key('app.stream_tickets ' || app.key_owner(caller)));
  -- Each new ticket deletes the caller's expired tickets and five of others, so that deletion keeps up with creation.
  -- Two deletions at the same time take different tickets.
  delete from app.stream_tickets t where t.digest = any(
    array(
      select own.digest from app.stream_tickets own
      where own.user_id = caller.user_id and own.expires_at < clock_timestamp()
      for update skip locked
    ) || array(
      select old.digest from app.stream_tickets old
      where old.expires_at < clock_timestamp()
      order by old.expires_at
      limit 5
      for update skip locked
    )
  );
  select count(*), ceil(extract(epoch from min(t.expires_at) - clock_timestamp())) into open_count, retry_after_s
  from app.stream_tickets t
  where (t.user_id = caller.user_id or caller.is_server and t.user_id is null) and t.expires_at >= clock_timestamp();
  if open_count >= most then
    perform app.refuse(429, 'rate_limited',
      format('You have %s tickets that nobody has used yet: use one, or wait until it expires', open_count),
      jsonb_build_object('limit', most, 'retry_after_s', greatest(retry_after_s, 1)));
  end if;
  insert into app.stream_tickets (digest, user_id, filter, session_ends_at, expires_at)
  values (
    decode(create_stream_ticket.digest, 'hex'), caller.user_id, create_stream_ticket.filter,
    case when not caller.is_server then to_timestamp((auth.jwt() ->> 'exp')::double precision) end,
    date_trunc('milliseconds', clock_timestamp()) + interval '30 seconds'
  )
  returning * into made;
  return json_build_object('expires_at', app.iso(made.expires_at));
end
$$;
comment on function public.create_stream_ticket(text, jsonb) is
  'Keeps a ticket of the caller for 30 seconds: SHA-256 of the ticket in hex, and the filter it is for. Answers '
  '{"expires_at"}. Raises 403 forbidden without a workplace, 422 validation_failed for a filter of more than 4 KiB, '
  '429 rate_limited beyond 20 tickets that are still open.';
grant execute on function public.create_stream_ticket to authenticated, service_role;

create function public.use_stream_ticket(digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  used app.stream_tickets;
begin
  -- one statement finds and deletes it: of two callers with the same ticket, one gets in
  delete from app.stream_tickets t where t.digest = decode(use_stream_ticket.digest, 'hex') returning * into used;
  if not found or used.expires_at < clock_timestamp() then
    return null;
  end if;
  return json_build_object(
    'user_id', used.user_id,
    'filter', used.filter,
    'session_ends_at', app.iso(used.session_ends_at)
  );
end
$$;
comment on function public.use_stream_ticket(text) is
  'Takes a ticket, once: {"user_id", "filter", "session_ends_at"}, or null when there is no such ticket or it has '
  'expired. For the secret key only.';
grant execute on function public.use_stream_ticket to service_role;

-- supabase/schemas/80_webhooks/01_tables.sql
-- What: webhook endpoints, their secrets, deliveries and attempts.
-- Why: a delivery is queued in the transaction of its event, so that neither exists alone.

create table app.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  url text not null,
  description text,
  action_types public.action[],
  workplace_names text[],
  order_prefix text collate "C",
  enabled boolean not null default true,
  disabled_reason text,
  disabled_at timestamptz,
  deleted_at timestamptz,
  version integer not null default 1,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint webhook_endpoints_url_is_http check (url ~ '^https?://[^/?#@]+([/?#]|$)' and char_length(url) <= 2048),
  constraint webhook_endpoints_description_short check (char_length(description) <= 500),
  constraint webhook_endpoints_action_types_known check (
    cardinality(action_types) > 0 and array_position(action_types, null) is null
  ),
  constraint webhook_endpoints_workplace_names_bounded check (
    cardinality(workplace_names) between 1 and 100 and array_position(workplace_names, null) is null
  ),
  constraint webhook_endpoints_order_prefix_is_key check (app.is_key(order_prefix)),
  constraint webhook_endpoints_disabled_reason_known check (disabled_reason in ('manual', 'gone', 'failing')),
  constraint webhook_endpoints_disabled_with_reason check (
    enabled = (disabled_reason is null) and enabled = (disabled_at is null) and (deleted_at is null or not enabled)
  )
);
comment on table app.webhook_endpoints is 'Where events are sent to, and which. Not exposed: a URL may be a secret.';
comment on column app.webhook_endpoints.url is 'Where to; its address is checked again at each send.';
comment on column app.webhook_endpoints.action_types is 'Only events of these actions; null = all.';
comment on column app.webhook_endpoints.workplace_names is 'Only events at these workplaces; null = all.';
comment on column app.webhook_endpoints.order_prefix is 'Only events of orders whose number begins so; null = all.';
comment on column app.webhook_endpoints.enabled is 'False: nothing is sent, and events of this time are not queued.';
comment on column app.webhook_endpoints.disabled_reason is
  'manual: switched off; gone: it answered 410; failing: nothing but failures for 5 days.';
comment on column app.webhook_endpoints.deleted_at is
  'Deleted ones stay until their deliveries are swept, after 90 days; what is queued for them is cancelled by '
  'dispatchers.';
create index webhook_endpoints_by_creator on app.webhook_endpoints (created_by) where created_by is not null;
create index webhook_endpoints_enabled on app.webhook_endpoints (id) where enabled;
create index webhook_endpoints_listed on app.webhook_endpoints (created_at, id) where deleted_at is null;

alter table app.webhook_endpoints enable row level security;

create trigger webhook_endpoints_bump_version before update on app.webhook_endpoints
  for each row execute function app.bump_version();

create table app.webhook_secrets (
  id bigint generated always as identity primary key,
  endpoint_id uuid not null references app.webhook_endpoints (id) on delete cascade,
  secret text not null,
  expires_at timestamptz
);
comment on table app.webhook_secrets is
  'Secrets that sign: the current one, and during a rotation the one before. See docs/decisions.';
comment on column app.webhook_secrets.expires_at is
  'Until when the previous secret still signs; null = the current one.';
create unique index webhook_secrets_one_current on app.webhook_secrets (endpoint_id) where expires_at is null;
create index webhook_secrets_by_endpoint on app.webhook_secrets (endpoint_id);

alter table app.webhook_secrets enable row level security;

-- Separate from the endpoint: a dispatcher must neither wait for managers nor change the ETag.
create table app.webhook_health (
  endpoint_id uuid primary key references app.webhook_endpoints (id) on delete cascade,
  failing_since timestamptz,
  failed_at timestamptz,
  paused_until timestamptz
);
comment on table app.webhook_health is 'How an endpoint is doing, written by dispatchers.';
comment on column app.webhook_health.failing_since is 'First failure after the last success; null = it works.';
comment on column app.webhook_health.failed_at is 'Last failure since then.';
comment on column app.webhook_health.paused_until is 'It asked for a pause, by 429, 502, 504 or Retry-After.';

alter table app.webhook_health enable row level security;

create table app.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  endpoint_id uuid not null references app.webhook_endpoints (id) on delete cascade,
  event_id uuid references public.operation_events (id),
  type text not null,
  status text not null default 'pending',
  attempt_count integer not null default 0,
  retry_no integer not null default 0,
  next_attempt_at timestamptz not null default clock_timestamp(),
  lease_token uuid,
  response_status integer,
  error_message text,
  created_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  constraint webhook_deliveries_once unique (event_id, endpoint_id),
  constraint webhook_deliveries_status_known
    check (status in ('pending', 'delivering', 'delivered', 'dead', 'cancelled')),
  constraint webhook_deliveries_leased_when_delivering check ((status = 'delivering') = (lease_token is not null))
)
-- every delivery changes status twice at least
with (fillfactor = 80);
comment on table app.webhook_deliveries is 'The queue: one row per event and endpoint, made from the outbox.';
comment on column app.webhook_deliveries.id is 'webhook-id is msg_ and this: the same in every attempt and replay.';
comment on column app.webhook_deliveries.event_id is 'Event to tell of; null = a test ping.';
comment on column app.webhook_deliveries.type is 'Type of the message, e.g. operation.start.';
comment on column app.webhook_deliveries.attempt_count is 'Attempts in all; each is in webhook_attempts.';
comment on column app.webhook_deliveries.retry_no is
  'Failures since it was queued or replayed: where it is in the schedule.';
comment on column app.webhook_deliveries.next_attempt_at is
  'When it is due; while delivering, when the lease ends and it is due again.';
comment on column app.webhook_deliveries.lease_token is
  'Names the dispatcher that has it: only that one may settle it.';

-- Due deliveries are a small part of a table that only grows: claiming reads this index, endpoint by endpoint.
create index webhook_deliveries_due on app.webhook_deliveries (endpoint_id, next_attempt_at)
  where status in ('pending', 'delivering');
create index webhook_deliveries_leased on app.webhook_deliveries (endpoint_id) where status = 'delivering';
create index webhook_deliveries_newest on app.webhook_deliveries (created_at desc, id desc);
create index webhook_deliveries_by_endpoint on app.webhook_deliveries (endpoint_id, created_at desc, id desc);
create index webhook_deliveries_open on app.webhook_deliveries (status, created_at desc, id desc)
  where status <> 'delivered';
create index webhook_deliveries_given_up
  on app.webhook_deliveries (endpoint_id, created_at desc, id desc) where status = 'dead';

alter table app.webhook_deliveries enable row level security;

create table app.webhook_attempts (
  delivery_id uuid not null references app.webhook_deliveries (id) on delete cascade,
  attempt_no integer not null,
  status integer,
  duration_ms integer not null,
  error_message text,
  response text,
  attempted_at timestamptz not null default clock_timestamp(),
  primary key (delivery_id, attempt_no),
  constraint webhook_attempts_response_short check (char_length(response) <= 500)
);
comment on table app.webhook_attempts is 'Result of each attempt.';
comment on column app.webhook_attempts.status is 'HTTP status of the answer; null = there was none.';
comment on column app.webhook_attempts.response is 'First 500 characters of the answer.';

alter table app.webhook_attempts enable row level security;

-- A report writes one row here, however many endpoints want its event: dispatchers make the deliveries.
create table app.webhook_outbox (
  id bigint generated always as identity primary key,
  -- No foreign key: the trigger of the event itself makes the row, and events are never deleted.
  event_id uuid not null,
  type text not null,
  endpoint_ids uuid[] not null,
  queued_at timestamptz not null default clock_timestamp()
);
comment on table app.webhook_outbox is
  'The outbox: events whose deliveries are still to be made, written in the event''s transaction.';
comment on column app.webhook_outbox.endpoint_ids is 'Endpoints that wanted the event when it was recorded.';

alter table app.webhook_outbox enable row level security;

create table app.webhook_outcomes (
  -- No foreign key, likewise.
  event_id uuid primary key,
  is_delivered boolean not null default false,
  response text,
  error_message text
);
comment on table app.webhook_outcomes is
  'What came of an event''s deliveries, once one was tried or cancelled. A separate table, because events are never '
  'changed.';
comment on column app.webhook_outcomes.is_delivered is 'True once all deliveries that are not cancelled are delivered.';
comment on column app.webhook_outcomes.response is 'Last answer: its status and first 500 characters.';
comment on column app.webhook_outcomes.error_message is 'Last error of a delivery that is not delivered.';

alter table app.webhook_outcomes enable row level security;

create function app.wants_event(endpoint app.webhook_endpoints, event public.operation_events) returns boolean
language sql immutable
return (endpoint).enabled
  and ((endpoint).action_types is null or (event).action_type = any((endpoint).action_types))
  and ((endpoint).workplace_names is null or (event).workplace_name = any((endpoint).workplace_names))
  and ((endpoint).order_prefix is null or starts_with((event).order_no, (endpoint).order_prefix));
comment on function app.wants_event(app.webhook_endpoints, public.operation_events) is
  'True when the event is to be sent to the endpoint.';

create function app.webhook_type(action_type public.action) returns text
language sql immutable parallel safe
return 'operation.' || lower(action_type::text);
comment on function app.webhook_type(public.action) is
  'Type of the message about an event, e.g. operation.report_quantity.';

create function app.tell_event(event_id uuid, response text default null) returns void
language plpgsql
set search_path = ''
as $$
begin
  if event_id is null then
    return;
  end if;
  insert into app.webhook_outcomes (event_id) values (tell_event.event_id) on conflict do nothing;
  -- one after the other: the last one sees what all others have done
  perform from app.webhook_outcomes o where o.event_id = tell_event.event_id for no key update;
  update app.webhook_outcomes o
  set is_delivered = now.is_delivered,
    response = coalesce(tell_event.response, o.response),
    error_message = case when not now.is_delivered then now.error_message end
  from (
    select
      coalesce(bool_and(d.status = 'delivered') filter (where d.status <> 'cancelled'), false) as is_delivered,
      (array_agg(d.error_message order by d.next_attempt_at desc)
        filter (where d.error_message is not null and d.status not in ('delivered', 'cancelled')))[1] as error_message
    from app.webhook_deliveries d
    where d.event_id = tell_event.event_id
  ) now
  where o.event_id = tell_event.event_id;
end
$$;
comment on function app.tell_event(uuid, text) is
  'Updates the delivery status of an event: success once all that are not cancelled are delivered, else '
  'the error of one that is not; and the last response, when there is a new one.';

create function app.queue_event() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  endpoint_ids constant uuid[] := array(
    select e.id from app.webhook_endpoints e where e.enabled and app.wants_event(e, new) is true);
begin
  if endpoint_ids <> '{}' then
    insert into app.webhook_outbox (event_id, type, endpoint_ids)
    values (new.id, app.webhook_type(new.action_type), endpoint_ids);
  end if;
  return null;
end
$$;
comment on function app.queue_event() is
  'Trigger: puts an event into the outbox when an endpoint wants it, in the event''s transaction.';

create trigger operation_events_queue after insert on public.operation_events
  for each row execute function app.queue_event();

-- supabase/schemas/80_webhooks/02_endpoints.sql
-- What: the functions behind the endpoints of webhook endpoints.
-- Why: managers decide where events are sent.

create function app.webhook_endpoint_json(e app.webhook_endpoints) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (e).id,
    'url', (e).url,
    'description', (e).description,
    'action_types', (e).action_types,
    'workplace_names', (e).workplace_names,
    'order_prefix', (e).order_prefix,
    'enabled', (e).enabled,
    'disabled_reason', (e).disabled_reason,
    'disabled_at', app.iso((e).disabled_at),
    'failing_since', (select app.iso(h.failing_since) from app.webhook_health h where h.endpoint_id = (e).id),
    'paused_until', (select app.iso(h.paused_until) from app.webhook_health h
      where h.endpoint_id = (e).id and h.paused_until > clock_timestamp()),
    'previous_secret_until', (select app.iso(max(s.expires_at)) from app.webhook_secrets s
      where s.endpoint_id = (e).id and s.expires_at > clock_timestamp()),
    'version', (e).version,
    'created_at', app.iso((e).created_at),
    'updated_at', app.iso((e).updated_at)
  );
end;
comment on function app.webhook_endpoint_json(app.webhook_endpoints) is
  'The endpoint as the API writes it, without its secrets.';

create function app.require_webhook_manager(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.require_role(caller, 'manager', 'Only managers may see and change webhooks');
end
$$;
comment on function app.require_webhook_manager(app.caller) is
  'Raises 403 forbidden below manager, whatever was asked for.';

create function app.lock_webhook_endpoint(endpoint_id uuid) returns app.webhook_endpoints
language plpgsql
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  select * into endpoint from app.webhook_endpoints e
    where e.id = endpoint_id and e.deleted_at is null for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  return endpoint;
end
$$;
comment on function app.lock_webhook_endpoint(uuid) is
  'The endpoint, locked against other changes. Raises 404 not_found.';

create function app.require_enabled(endpoint app.webhook_endpoints) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (endpoint).enabled is not true then
    perform app.refuse(409, 'endpoint_disabled',
      format('Endpoint "%s" is disabled: nothing is sent to it. Enable it first', (endpoint).id));
  end if;
end
$$;
comment on function app.require_enabled(app.webhook_endpoints) is 'Raises 409 endpoint_disabled.';

create function app.require_room_for_endpoint() returns void
language plpgsql
set search_path = ''
as $$
declare
  most constant integer := 100;
begin
  -- serialises enabling until commit, so that the count stays correct
  perform pg_advisory_xact_lock(7209::bigint << 44);
  if (select count(*) from app.webhook_endpoints e where e.enabled) >= most then
    perform app.refuse(
      409, 'limit_reached', format('There are %s enabled webhook endpoints already: disable or delete one first', most),
      jsonb_build_object('limit', most)
    );
  end if;
end
$$;
comment on function app.require_room_for_endpoint() is
  'Raises 409 limit_reached when 100 endpoints are enabled. Call it before one is enabled.';

create function public.list_webhook_endpoints(
  enabled boolean default null,
  after_created_at timestamptz default null,
  after_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows app.webhook_endpoints[];
begin
  perform app.require_webhook_manager(app.current_caller());
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select e from app.webhook_endpoints e
    where e.deleted_at is null
      and (list_webhook_endpoints.enabled is null or e.enabled = list_webhook_endpoints.enabled)
      and (after_created_at is null or (e.created_at, e.id) > (after_created_at, after_id))
    order by e.created_at, e.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.webhook_endpoint_json(e)), '[]') from unnest(rows[1:take]) e),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.webhook_endpoints e
      where e.deleted_at is null
        and (list_webhook_endpoints.enabled is null or e.enabled = list_webhook_endpoints.enabled)
    ) end
  );
end
$$;
comment on function public.list_webhook_endpoints(boolean, timestamptz, uuid, integer, integer, text) is
  'A page of the webhook endpoints, oldest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';
grant execute on function public.list_webhook_endpoints to authenticated, service_role;

create function public.get_webhook_endpoint(endpoint_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  perform app.require_webhook_manager(app.current_caller());
  select * into endpoint from app.webhook_endpoints e where e.id = endpoint_id and e.deleted_at is null;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.webhook_endpoint_json(endpoint);
end
$$;
comment on function public.get_webhook_endpoint(uuid) is
  'One webhook endpoint, without its secrets. Raises 403 forbidden, 404 not_found.';
grant execute on function public.get_webhook_endpoint to authenticated, service_role;

create function public.create_webhook_endpoint(endpoint jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('endpoint', endpoint);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant app.webhook_endpoints := jsonb_populate_record(null::app.webhook_endpoints, endpoint);
  stored app.webhook_endpoints;
begin
  if command.answer is not null then
    return app.with_secret(command.answer);
  end if;
  perform app.require_webhook_manager(caller);
  if wanted.enabled is not false then
    perform app.require_room_for_endpoint();
  end if;
  insert into app.webhook_endpoints (url, description, action_types, workplace_names, order_prefix, enabled,
    disabled_reason, disabled_at, created_by)
  values (
    wanted.url, wanted.description, wanted.action_types, wanted.workplace_names, wanted.order_prefix,
    coalesce(wanted.enabled, true),
    case when not wanted.enabled then 'manual' end,
    case when not wanted.enabled then clock_timestamp() end, caller.user_id
  )
  returning * into stored;
  insert into app.webhook_health (endpoint_id) values (stored.id);
  return app.with_secret(app.finish_command(command, null, json_build_object(
    'status', 201, 'endpoint', app.webhook_endpoint_json(stored), 'secret_id', app.new_webhook_secret(stored.id)
  )));
end
$$;
comment on function public.create_webhook_endpoint(jsonb, jsonb) is
  'Creates a webhook endpoint and its secret, which is shown here only. Answers {"status", "body"}. Raises 403 '
  'forbidden, 409 limit_reached, 410 secret_gone.';
grant execute on function public.create_webhook_endpoint to authenticated, service_role;

create function public.update_webhook_endpoint(
  endpoint_id uuid, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  endpoint app.webhook_endpoints;
  wanted app.webhook_endpoints;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_version(endpoint.version, if_match);
  wanted := jsonb_populate_record(endpoint, patch);
  wanted.enabled := coalesce(wanted.enabled, endpoint.enabled);
  if wanted.enabled and not endpoint.enabled then
    perform app.require_room_for_endpoint();
  end if;
  if wanted.enabled <> endpoint.enabled then
    wanted.disabled_reason := case when not wanted.enabled then 'manual' end;
    wanted.disabled_at := case when not wanted.enabled then clock_timestamp() end;
  else
    wanted.disabled_reason := endpoint.disabled_reason;
    wanted.disabled_at := endpoint.disabled_at;
  end if;
  if wanted.url <> endpoint.url or wanted.enabled and not endpoint.enabled then
    -- a new address or a new start: earlier failures do not count
    update app.webhook_health h set failing_since = null, failed_at = null, paused_until = null
      where h.endpoint_id = endpoint.id;
  end if;
  if wanted is distinct from endpoint then
    update app.webhook_endpoints e
    set (url, description, action_types, workplace_names, order_prefix, enabled, disabled_reason, disabled_at) = row (
      coalesce(wanted.url, endpoint.url), wanted.description, wanted.action_types,
      wanted.workplace_names, wanted.order_prefix, wanted.enabled, wanted.disabled_reason, wanted.disabled_at
    )
    where e.id = endpoint.id
    returning * into endpoint;
  end if;
  return app.finish_command(command, null,
    json_build_object('status', 200, 'body', app.webhook_endpoint_json(endpoint)));
end
$$;
comment on function public.update_webhook_endpoint(uuid, jsonb, integer[], jsonb) is
  'Changes a webhook endpoint; what is queued goes to the new address. Answers {"status", "body"}. Raises 403 '
  'forbidden, 404 not_found, 409 limit_reached, 412 stale_version.';
grant execute on function public.update_webhook_endpoint to authenticated, service_role;

create function public.delete_webhook_endpoint(endpoint_id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  endpoint app.webhook_endpoints;
begin
  perform app.require_webhook_manager(app.current_caller());
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_version(endpoint.version, if_match);
  delete from app.webhook_secrets s where s.endpoint_id = endpoint.id;
  update app.webhook_endpoints e
  set enabled = false, disabled_reason = 'manual', disabled_at = clock_timestamp(), deleted_at = clock_timestamp()
  where e.id = endpoint.id;
end
$$;
comment on function public.delete_webhook_endpoint(uuid, integer[]) is
  'Deletes a webhook endpoint and its secrets; what is queued is cancelled by the next dispatcher, its deliveries can '
  'still be read. Raises 403 forbidden, 404 not_found, 412 stale_version.';
grant execute on function public.delete_webhook_endpoint to authenticated, service_role;

-- supabase/schemas/80_webhooks/03_secrets.sql
-- What: secrets that sign messages.
-- Why: an answer is stored without its secret, so that a deleted secret remains nowhere.

create function app.new_webhook_secret(endpoint_id uuid) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  secret_id bigint;
begin
  insert into app.webhook_secrets (endpoint_id, secret)
  values (new_webhook_secret.endpoint_id, 'whsec_' || encode(extensions.gen_random_bytes(32), 'base64'))
  returning id into secret_id;
  return secret_id;
end
$$;
comment on function app.new_webhook_secret(uuid) is
  'Makes the current secret of an endpoint: whsec_ and 32 random bytes in base64. Answers its number.';

-- A stored answer holds the number of a secret only, so a deleted or expired secret is in no answer.
create function app.with_secret(answer json) returns json
language plpgsql
set search_path = ''
as $$
declare
  secret constant text := (
    select s.secret from app.webhook_secrets s
    where s.id = (answer ->> 'secret_id')::bigint and (s.expires_at is null or s.expires_at > clock_timestamp())
  );
begin
  if secret is null then
    perform app.refuse(410, 'secret_gone',
      'The secret that this request made signs no more: the endpoint was deleted, or its secret rotated');
  end if;
  return json_build_object(
    'status', answer -> 'status',
    'body', app.json_with(answer -> 'endpoint', 'secret', to_json(secret)),
    'request_id', answer -> 'request_id',
    'replayed', coalesce((answer ->> 'replayed')::boolean, false)
  );
end
$$;
comment on function app.with_secret(json) is
  'Turns {"status", "endpoint", "secret_id"}, as it is stored, into {"status", "body"}: the endpoint with the secret. '
  'Raises 410 secret_gone when that signs no more.';

create function public.rotate_webhook_secret(
  endpoint_id uuid, overlap_h integer default 24, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  endpoint app.webhook_endpoints;
  secret_id bigint;
begin
  if command.answer is not null then
    return app.with_secret(command.answer);
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  -- an endpoint has at most two secrets: an older one ends now
  delete from app.webhook_secrets s where s.endpoint_id = endpoint.id and s.expires_at is not null;
  update app.webhook_secrets s
  set expires_at = clock_timestamp() + least(greatest(overlap_h, 0), 168) * interval '1 hour'
  where s.endpoint_id = endpoint.id;
  secret_id := app.new_webhook_secret(endpoint.id);
  return app.with_secret(app.finish_command(command, null, json_build_object(
    'status', 200, 'endpoint', app.webhook_endpoint_json(endpoint), 'secret_id', secret_id
  )));
end
$$;
comment on function public.rotate_webhook_secret(uuid, integer, jsonb) is
  'Makes a new secret, shown here only; the one before signs too for overlap_h hours (0..168). Answers {"status", '
  '"body"}. Raises 403 forbidden, 404 not_found.';
grant execute on function public.rotate_webhook_secret to authenticated, service_role;

-- supabase/schemas/80_webhooks/04_deliveries.sql
-- What: the functions behind the endpoints of deliveries.
-- Why: managers read deliveries and replay them.

create function app.webhook_delivery_json(d app.webhook_deliveries) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (d).id,
    'webhook_id', 'msg_' || (d).id,
    'endpoint_id', (d).endpoint_id,
    'event_id', (d).event_id,
    'type', (d).type,
    'status', (d).status,
    'attempt_count', (d).attempt_count,
    'next_attempt_at', case when (d).status in ('pending', 'delivering') then app.iso((d).next_attempt_at) end,
    'response_status', (d).response_status,
    'error_message', (d).error_message,
    'created_at', app.iso((d).created_at),
    'settled_at', app.iso((d).settled_at)
  );
end;
comment on function app.webhook_delivery_json(app.webhook_deliveries) is
  'The delivery as the API writes it, without its attempts.';

create function public.test_webhook_endpoint(endpoint_id uuid, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  endpoint app.webhook_endpoints;
  delivery app.webhook_deliveries;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_enabled(endpoint);
  insert into app.webhook_deliveries (endpoint_id, type) values (endpoint.id, 'webhook.ping') returning * into delivery;
  return app.finish_command(command, null,
    json_build_object('status', 202, 'body', app.webhook_delivery_json(delivery)));
end
$$;
comment on function public.test_webhook_endpoint(uuid, jsonb) is
  'Queues a ping. Answers {"status", "body": the delivery}. Raises 403 forbidden, 404 not_found, 409 '
  'endpoint_disabled.';
grant execute on function public.test_webhook_endpoint to authenticated, service_role;

create function public.list_webhook_deliveries(
  endpoint_id uuid default null,
  event_id uuid default null,
  status text default null,
  before_created_at timestamptz default null,
  before_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile: it makes deliveries of what is in the outbox
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('status', status) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  -- the status is written out, so that the planner sees which partial index serves it
  filter constant text := concat_ws(' and ', 'true',
    case when endpoint_id is not null then 'd.endpoint_id = $1' end,
    case when event_id is not null then 'd.event_id = $2' end,
    case when status is not null then format('d.status = %L', status) end
  );
  page constant text := filter
    || case when before_created_at is not null then ' and (d.created_at, d.id) < ($3, $4)' else '' end;
  rows app.webhook_deliveries[];
  total bigint;
begin
  perform app.require_webhook_manager(app.current_caller());
  take := least(take, 500);
  perform app.expand_outbox(case when endpoint_id is not null then array[endpoint_id] end, event_id);
  execute format(
    'select array(
      select d from app.webhook_deliveries d where %s order by d.created_at desc, d.id desc limit $5 offset $6)',
    page)
  into rows
  using endpoint_id, event_id, before_created_at, before_id, take + 1, skip;
  if count is not null then
    execute format('select count(*) from app.webhook_deliveries d where %s', filter) into total
      using endpoint_id, event_id;
  end if;
  return json_build_object(
    'items', (select coalesce(json_agg(app.webhook_delivery_json(d)), '[]') from unnest(rows[1:take]) d),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', total
  );
end
$$;
comment on function public.list_webhook_deliveries(uuid, uuid, text, timestamptz, uuid, integer, integer, text) is
  'A page of the deliveries, newest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';
grant execute on function public.list_webhook_deliveries to authenticated, service_role;

create function public.get_webhook_delivery(delivery_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  delivery app.webhook_deliveries;
begin
  perform app.require_webhook_manager(app.current_caller());
  select * into delivery from app.webhook_deliveries d where d.id = delivery_id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.json_with(app.webhook_delivery_json(delivery), 'attempts', (
    select coalesce(json_agg(json_build_object(
      'attempt_no', a.attempt_no,
      'status', a.status,
      'duration_ms', a.duration_ms,
      'error_message', a.error_message,
      'response', a.response,
      'attempted_at', app.iso(a.attempted_at)
    ) order by a.attempt_no), '[]')
    from app.webhook_attempts a where a.delivery_id = delivery.id
  ));
end
$$;
comment on function public.get_webhook_delivery(uuid) is
  'One delivery with its attempts. Raises 403 forbidden, 404 not_found.';
grant execute on function public.get_webhook_delivery to authenticated, service_role;

create function public.replay_webhook_delivery(delivery_id uuid, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  delivery app.webhook_deliveries;
  endpoint app.webhook_endpoints;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  select * into delivery from app.webhook_deliveries d where d.id = delivery_id for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  select * into endpoint from app.webhook_endpoints e where e.id = delivery.endpoint_id;
  if endpoint.deleted_at is not null then
    perform app.refuse_missing();
  end if;
  perform app.require_enabled(endpoint);
  -- a delivery in flight is not sent a second time
  if delivery.status <> 'delivering' then
    update app.webhook_deliveries d
    set status = 'pending', retry_no = 0, next_attempt_at = clock_timestamp(), settled_at = null
    where d.id = delivery.id
    returning * into delivery;
    perform app.tell_event(delivery.event_id);
  end if;
  return app.finish_command(command, null,
    json_build_object('status', 202, 'body', app.webhook_delivery_json(delivery)));
end
$$;
comment on function public.replay_webhook_delivery(uuid, jsonb) is
  'Makes a delivery due now, whatever its status, with its whole retry schedule. Answers {"status", "body"}. '
  'Raises 403 forbidden, 404 not_found, 409 endpoint_disabled.';
grant execute on function public.replay_webhook_delivery to authenticated, service_role;

create function public.replay_webhook_events(
  endpoint_id uuid,
  after_pos bigint default null,
  after_mark text default null,
  until_pos bigint default null,
  until_mark text default null,
  generation text default null,
  since timestamptz default null,
  take integer default 1000,
  idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('after_mark', after_mark)
    and app.require_bounded('until_mark', until_mark) and app.require_bounded('generation', generation);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  floor_pos constant bigint := (select s.floor_pos from app.feed_state s);
  from_pos bigint := coalesce(after_pos, floor_pos);
  head_pos bigint;
  endpoint app.webhook_endpoints;
  positions bigint[];
  has_more boolean;
  event_ids uuid[];
  replayed integer;
  reached bigint;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_enabled(endpoint);
  -- waits for the dispatcher that makes deliveries of the same events
  perform pg_advisory_xact_lock(app.expanding_lock());
  -- up to the high watermark, like readers of the feed
  head_pos := app.settled_position();
  perform app.require_position(after_pos, generation, after_mark);
  perform app.require_position(until_pos, generation, until_mark);
  if after_pos is null and since is not null then
    from_pos := app.position_before(since);
    if from_pos = floor_pos and floor_pos > 0
      and (since >= clock_timestamp() - (select s.retention from app.feed_state s)) is not true
    then
      perform app.refuse(410, 'feed_reset',
        'The feed is no longer kept that far back: leave out since to replay all that is kept');
    end if;
  end if;
  take := least(take, 1000);
  positions := array(
    select f.pos from app.feed f
    where f.pos > from_pos and f.pos <= least(until_pos, head_pos)
    order by f.pos
    limit take + 1
  );
  has_more := cardinality(positions) > take;
  positions := positions[1:take];
  reached := positions[cardinality(positions)];
  with queued as (
    insert into app.webhook_deliveries as d (endpoint_id, event_id, type)
    select endpoint.id, e.id, app.webhook_type(e.action_type)
    from app.feed f join public.operation_events e on e.id = f.event_id
    where f.pos = any(positions) and app.wants_event(endpoint, e) is true
    order by f.pos
    on conflict on constraint webhook_deliveries_once do update
      set status = 'pending', retry_no = 0, next_attempt_at = clock_timestamp(), settled_at = null
      where d.status <> 'delivering'
    returning d.event_id
  )
  select array_agg(q.event_id order by q.event_id) into event_ids from queued q;
  replayed := coalesce(cardinality(event_ids), 0);
  perform app.tell_event(id) from unnest(event_ids) id;
  -- With no position passed, the end is the beginning; a range by time begins after the last earlier event.
  reached := coalesce(reached, after_pos, (select max(f.pos) from app.feed f where f.pos <= from_pos), floor_pos);
  return app.finish_command(command, null, json_build_object('status', 202, 'body', json_build_object(
    'replayed', replayed,
    'generation', app.feed_generation(),
    'pos', reached,
    'mark', (select app.feed_mark(f) from app.feed f where f.pos = reached),
    'has_more', has_more
  )));
end
$$;
comment on function public.replay_webhook_events(uuid, bigint, text, bigint, text, text, timestamptz, integer, jsonb) is
  'Queues the events of a stretch of the feed that the endpoint wants, sent before or not: after a position or a '
  'time, up to a position, at most 1,000 positions a call. Answers {"status", "body": {"replayed", "generation", '
  '"pos", "mark", "has_more"}}. Raises 403 forbidden, 404 not_found, 409 endpoint_disabled, 410 feed_reset.';
grant execute on function public.replay_webhook_events to authenticated, service_role;

-- supabase/schemas/80_webhooks/05_claiming.sql
-- What: the deliveries that a dispatcher takes.
-- Why: endpoints take turns, so that a slow one delays no other.

-- Deliveries in flight to one endpoint; a failing endpoint gets one, so that its timeouts cannot block a dispatcher.
create function app.claim_limit(failing_since timestamptz) returns integer
language sql immutable parallel safe
return case when failing_since is null then 16 else 1 end;
comment on function app.claim_limit(timestamptz) is 'Deliveries that may be under way to one endpoint.';

create function app.fair_share() returns integer
language sql immutable parallel safe
return 4;
comment on function app.fair_share() is
  'Deliveries under way to one endpoint that it may always have; beyond that it takes what a dispatcher has left over.';

-- Longer than a send can take (15 s and its name look-up); short, so that a crashed dispatcher's work resumes soon.
create function app.delivery_lease() returns interval
language sql immutable parallel safe
return interval '60 seconds';
comment on function app.delivery_lease() is 'How long a dispatcher has a delivery before it is due again.';

create function app.has_due(health app.webhook_health, endpoint app.webhook_endpoints, at timestamptz) returns boolean
language sql stable
return (endpoint).enabled
  and ((health).paused_until is null or (health).paused_until <= at)
  and exists (
    select from app.webhook_deliveries d
    where d.endpoint_id = (endpoint).id and d.status in ('pending', 'delivering') and d.next_attempt_at <= at
  );
comment on function app.has_due(app.webhook_health, app.webhook_endpoints, timestamptz) is
  'True when something is to be sent to the endpoint now.';

-- Deleting an endpoint only marks it. This function cancels its queued deliveries in portions, also those that a
-- concurrent report has queued.
create function app.clear_deleted_endpoints() returns void
language plpgsql
set search_path = ''
as $$
declare
  event_ids uuid[];
begin
  with cancelled as (
    update app.webhook_deliveries d set status = 'cancelled', lease_token = null, settled_at = clock_timestamp()
    where d.id = any(array(
      select open.id from app.webhook_endpoints e
      cross join lateral (
        select o.id from app.webhook_deliveries o
        where o.endpoint_id = e.id and o.status in ('pending', 'delivering')
        limit 200
        for no key update skip locked
      ) open
      where e.deleted_at is not null
      limit 200
    ))
    returning d.event_id
  )
  select array_agg(distinct c.event_id order by c.event_id) into event_ids from cancelled c
    where c.event_id is not null;
  perform app.tell_event(id) from unnest(event_ids) id;

  delete from app.webhook_endpoints e where e.id = any(array(
    select gone.id from app.webhook_endpoints gone
    where gone.deleted_at is not null
      and not exists (select from app.webhook_deliveries d where d.endpoint_id = gone.id)
      and not app.is_queued(array[gone.id], null)
    limit 10
    for update skip locked
  ));
end
$$;
comment on function app.clear_deleted_endpoints() is
  'Cancels up to 200 deliveries of deleted endpoints, and removes those endpoints that have no delivery left.';

create function app.expanding_lock() returns bigint
language sql immutable parallel safe
return 7208::bigint << 44;
comment on function app.expanding_lock() is
  'Key of the advisory lock of the transaction that makes deliveries from the outbox.';

create function app.is_queued(to_endpoints uuid[], of_event uuid) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  return exists (
    select from app.webhook_outbox q
    where (to_endpoints is null or q.endpoint_ids && to_endpoints) and (of_event is null or q.event_id = of_event)
  );
end
$$;
comment on function app.is_queued(uuid[], uuid) is
  'True when the outbox has an event for one of these endpoints, or this event; null = any.';

-- One transaction at a time makes deliveries. The next one waits for its commit and then finds them.
create function app.expand_outbox(to_endpoints uuid[] default null, of_event uuid default null) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  most constant integer := 1000;
begin
  if not app.is_queued(to_endpoints, of_event) then
    return false;
  end if;
  perform pg_advisory_xact_lock(app.expanding_lock());
  with oldest as (
    select o.id,
      sum(cardinality(o.endpoint_ids)) over (order by o.id) - cardinality(o.endpoint_ids) as deliveries_before
    from (
      select q.id, q.endpoint_ids from app.webhook_outbox q
      where (to_endpoints is null or q.endpoint_ids && to_endpoints) and (of_event is null or q.event_id = of_event)
      order by q.id
      limit most
    ) o
  ),
  taken as (
    delete from app.webhook_outbox q using oldest o where q.id = o.id and o.deliveries_before < most
    returning q.id, q.event_id, q.type, q.endpoint_ids, q.queued_at
  )
  insert into app.webhook_deliveries (endpoint_id, event_id, type, next_attempt_at, created_at)
  select e.id, t.event_id, t.type, t.queued_at, t.queued_at
  from taken t join app.webhook_endpoints e on e.id = any(t.endpoint_ids)
  order by t.id
  -- a replay of the feed may have made it
  on conflict on constraint webhook_deliveries_once do nothing;
  return app.is_queued(to_endpoints, of_event);
end
$$;
comment on function app.expand_outbox(uuid[], uuid) is
  'Makes about 1,000 deliveries from the outbox, the oldest events first, or from those for these endpoints or of '
  'this event alone; true when more are left.';

create function app.lease_due(
  take integer, beyond_share integer, to_endpoints uuid[], started_at timestamptz
) returns uuid[]
language plpgsql
set search_path = ''
as $$
declare
  endpoint_ids uuid[];
  ids uuid[];
begin
  -- A dispatcher locks the health row of an endpoint before it counts deliveries in flight, so that the count stays
  -- correct. It skips rows that others have locked.
  endpoint_ids := array(
    select h.endpoint_id from app.webhook_health h
    join app.webhook_endpoints e on e.id = h.endpoint_id
    where app.has_due(h, e, started_at) and (to_endpoints is null or h.endpoint_id = any(to_endpoints))
    for no key update of h skip locked
  );
  -- a statement of its own, which sees the deliveries of the previous holder of the lock
  with endpoints as (
    select h.endpoint_id, app.claim_limit(h.failing_since) as places, (
      select count(*) from app.webhook_deliveries d
      where d.endpoint_id = h.endpoint_id and d.status = 'delivering' and d.next_attempt_at > started_at
    ) as leased
    from app.webhook_health h where h.endpoint_id = any(endpoint_ids)
  ),
  due as (
    -- One to each endpoint, then a second to each, counting those in flight. So no endpoint's backlog delays the first
    -- delivery of another.
    select d.id, d.next_attempt_at,
      e.leased + row_number() over (partition by d.endpoint_id order by d.next_attempt_at) as turn
    from endpoints e
    cross join lateral (
      select d.id, d.endpoint_id, d.next_attempt_at from app.webhook_deliveries d
      where d.endpoint_id = e.endpoint_id and d.status in ('pending', 'delivering') and d.next_attempt_at <= started_at
      order by d.next_attempt_at
      limit least(greatest(e.places - e.leased, 0), lease_due.take)
      for no key update skip locked
    ) d
  ),
  placed as (
    select d.*, row_number() over (partition by d.turn > app.fair_share() order by d.turn, d.next_attempt_at) as place
    from due d
  )
  select array(
    select p.id from placed p
    where p.turn <= app.fair_share() or p.place <= beyond_share
    order by p.turn, p.next_attempt_at
    limit least(lease_due.take, 100)
  ) into ids;

  update app.webhook_deliveries d
  set status = 'delivering', lease_token = gen_random_uuid(), next_attempt_at = clock_timestamp() + app.delivery_lease()
  where d.id = any(ids);
  return ids;
end
$$;
comment on function app.lease_due(integer, integer, uuid[], timestamptz) is
  'Leases deliveries that are due, as claim_deliveries says, and answers their ids in turn.';

create function public.claim_deliveries(
  take integer default 32, beyond_share integer default 100, to_endpoints uuid[] default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  started_at constant timestamptz := clock_timestamp();
  has_more boolean;
  ids uuid[];
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;

  -- Each claim deletes a few old deliveries, without a scheduler and without a long delete. A replayed one is not old.
  delete from app.webhook_deliveries d where d.id = any(array(
    select old.id from app.webhook_deliveries old
    where old.created_at < started_at - interval '90 days' and old.settled_at < started_at - interval '90 days'
    order by old.created_at
    limit 50
    for update skip locked
  ));
  -- Until something is due: the oldest events of the outbox may be for endpoints that are paused.
  for round in 1..10 loop
    has_more := app.expand_outbox(to_endpoints);
    ids := app.lease_due(take, beyond_share, to_endpoints, clock_timestamp());
    exit when cardinality(ids) > 0 or not has_more;
  end loop;
  -- last, because it waits for others that settle deliveries of the same events
  perform app.clear_deleted_endpoints();

  return (
    select coalesce(json_agg(json_build_object(
      'id', d.id,
      'webhook_id', 'msg_' || d.id,
      'lease_token', d.lease_token,
      'url', e.url,
      'secrets', (
        select json_agg(s.secret order by s.id desc) from app.webhook_secrets s
        where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > started_at)
      ),
      -- text, because the signature covers these bytes
      'body', case when d.event_id is null then
        json_build_object('type', d.type, 'timestamp', app.iso(d.created_at),
          'data', json_build_object('endpoint_id', e.id))
      else
        json_build_object('type', d.type, 'timestamp', app.iso(v.occurred_at), 'data', json_build_object(
          -- this receiver must not see the answers of others
          'event', app.event_json(v)::jsonb - array['webhook_success', 'webhook_response', 'error_message'],
          'operation', (select app.operation_json(o) from public.mes_operations o where o.id = v.operation_id)
        ))
      end::text
    ) order by t.turn), '[]')
    from unnest(ids) with ordinality t (id, turn)
    join app.webhook_deliveries d on d.id = t.id
    join app.webhook_endpoints e on e.id = d.endpoint_id
    left join public.operation_events v on v.id = d.event_id
  );
end
$$;
comment on function public.claim_deliveries(integer, integer, uuid[]) is
  'For dispatchers: takes up to take (100 at most) due deliveries, to these endpoints or to all, under a lease of 60 '
  's, endpoints in turn; at most beyond_share of them to endpoints that have their fair share under way: [{"id", '
  '"webhook_id", "lease_token", "url", "secrets", "body"}]. Raises 403 forbidden.';
grant execute on function public.claim_deliveries to service_role;

-- supabase/schemas/80_webhooks/06_settling.sql
-- What: results of attempts.
-- Why: failed deliveries are retried by a schedule that ends.

create function app.retry_delay(retry_no integer) returns interval
language sql immutable parallel safe
return (array['5 seconds', '5 minutes', '30 minutes', '2 hours', '5 hours', '10 hours', '14 hours', '20 hours',
  '24 hours']::interval[])[retry_no];
comment on function app.retry_delay(integer) is 'Time before the retry after so many failures; null = no further one.';

create function public.settle_delivery(
  delivery_id uuid,
  lease_token uuid,
  duration_ms integer,
  url text,
  status integer default null,
  error_message text default null,
  response text default null,
  retry_after_s integer default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  is_delivered constant boolean := coalesce(settle_delivery.status between 200 and 299, false);
  -- the receiver asks for a pause, with or without a time
  pause constant interval := case
    when is_delivered then null
    when retry_after_s is not null then least(greatest(retry_after_s, 1), 86400) * interval '1 second'
    when settle_delivery.status in (429, 502, 504) then interval '30 seconds'
  end;
  heard_at timestamptz;
  endpoint app.webhook_endpoints;
  delivery app.webhook_deliveries;
  health app.webhook_health;
  delay interval;
  is_moved boolean;
  is_given_up boolean;
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;
  -- Locks the endpoint before its deliveries, as every change of an endpoint does.
  select d.endpoint_id into delivery.endpoint_id from app.webhook_deliveries d where d.id = delivery_id;
  select * into health from app.webhook_health h where h.endpoint_id = delivery.endpoint_id;
  if settle_delivery.status = 410
    or not is_delivered and health.failing_since < clock_timestamp() - interval '5 days' then
    perform from app.webhook_endpoints e where e.id = delivery.endpoint_id for no key update;
  end if;
  select * into delivery from app.webhook_deliveries d
  where d.id = delivery_id and d.status = 'delivering' and d.lease_token = settle_delivery.lease_token
  for no key update;
  if not found then
    -- the lease ended and another dispatcher took the delivery: its result stands
    return json_build_object('settled', false,
      'status', (select d.status from app.webhook_deliveries d where d.id = delivery_id));
  end if;
  heard_at := clock_timestamp();
  delivery.attempt_count := delivery.attempt_count + 1;
  insert into app.webhook_attempts (delivery_id, attempt_no, status, duration_ms, error_message, response)
  values (
    delivery.id, delivery.attempt_count, settle_delivery.status, settle_delivery.duration_ms,
    left(settle_delivery.error_message, 500), left(settle_delivery.response, 500)
  );
  select * into endpoint from app.webhook_endpoints e where e.id = delivery.endpoint_id;
  -- a failure at the previous URL does not count against the current one
  is_moved := not is_delivered and endpoint.url <> settle_delivery.url;
  if is_moved then
    delivery.retry_no := 0;
  else
    delivery.retry_no := delivery.retry_no + 1;
    delay := app.retry_delay(delivery.retry_no) * (1 + 0.2 * random());
  end if;
  is_given_up := not is_delivered and not is_moved and (settle_delivery.status = 410 or delay is null);
  update app.webhook_deliveries d
  set status = case when is_delivered then 'delivered' when is_given_up then 'dead' else 'pending' end,
    lease_token = null,
    attempt_count = delivery.attempt_count,
    retry_no = delivery.retry_no,
    next_attempt_at = case when is_moved then heard_at
      else heard_at + coalesce(greatest(delay, pause), interval '0') end,
    response_status = settle_delivery.status,
    error_message = left(settle_delivery.error_message, 500),
    settled_at = case when is_delivered or is_given_up then heard_at end
  where d.id = delivery.id
  returning * into delivery;
  perform app.tell_event(
    delivery.event_id, settle_delivery.status || rtrim(' ' || left(coalesce(settle_delivery.response, ''), 500)));

  if is_delivered then
    -- only its time ends a pause: this delivery was sent before the receiver asked for it
    update app.webhook_health h set failing_since = null, failed_at = null
    where h.endpoint_id = endpoint.id and h.failing_since is not null;
  elsif not is_moved then
    -- after two days without an attempt, the endpoint was not failing all the time
    update app.webhook_health h
    set failing_since = case when h.failed_at > heard_at - interval '2 days' then h.failing_since else heard_at end,
      failed_at = heard_at,
      paused_until = greatest(h.paused_until, heard_at + pause)
    where h.endpoint_id = endpoint.id
    returning * into health;
    if settle_delivery.status = 410 or health.failing_since < heard_at - interval '5 days' then
      update app.webhook_endpoints e
      set enabled = false,
        disabled_reason = case when settle_delivery.status = 410 then 'gone' else 'failing' end,
        disabled_at = heard_at
      where e.id = endpoint.id and e.enabled;
    end if;
  end if;
  return json_build_object('settled', true, 'status', delivery.status);
end
$$;
comment on function public.settle_delivery(uuid, uuid, integer, text, integer, text, text, integer) is
  'For dispatchers: stores the result of an attempt under this lease, at the claimed URL: delivered, retried by '
  'the schedule, or dead. Answers {"settled": false} when another dispatcher has the lease. Raises 403 forbidden.';
grant execute on function public.settle_delivery to service_role;

-- supabase/schemas/80_webhooks/07_scheduling.sql
-- What: the schedule of the dispatcher.
-- Why: with pg_cron and pg_net, the database calls the dispatcher; without them any scheduler does.

-- With pg_cron and pg_net, the database calls the dispatcher; without them any scheduler does.
create function app.is_dispatch_due() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return app.is_queued(null, null) or exists (
    select from app.webhook_endpoints e
    join app.webhook_health h on h.endpoint_id = e.id
    where app.has_due(h, e, clock_timestamp())
      or e.deleted_at is not null and exists (
        select from app.webhook_deliveries d where d.endpoint_id = e.id and d.status in ('pending', 'delivering')
      )
  );
end
$$;
comment on function app.is_dispatch_due() is 'True when a dispatcher would find something to send or to clear.';

create function app.request_dispatch() returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  functions_url text;
  secret_key text;
begin
  if not app.is_dispatch_due() then
    return;
  end if;
  execute 'select max(decrypted_secret) filter (where name = ''mes_functions_url''),
      max(decrypted_secret) filter (where name = ''mes_secret_key'')
    from vault.decrypted_secrets' into functions_url, secret_key;
  if functions_url is not null and secret_key is not null then
    execute 'select net.http_post(url := $1, headers := $2, body := ''{}''::jsonb, timeout_milliseconds := 60000)'
    using functions_url || '/webhooks/v1/dispatch',
      jsonb_build_object('apikey', secret_key, 'Content-Type', 'application/json');
  end if;
end
$$;
comment on function app.request_dispatch() is
  'Calls the dispatcher by pg_net when something is due; URL and key are the Vault''s mes_functions_url and '
  'mes_secret_key.';

create function app.schedule_dispatch() returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- not to_regproc, which returns null for overloaded functions
  if to_regclass('vault.decrypted_secrets') is null or (
    select count(distinct p.proname) from pg_proc p
    where p.pronamespace = to_regnamespace('cron') and p.proname = 'schedule'
      or p.pronamespace = to_regnamespace('net') and p.proname = 'http_post'
  ) < 2 then
    return false;
  end if;
  execute 'select cron.schedule(''mes-dispatch-webhooks'', ''2 seconds'', ''select app.request_dispatch()'')';
  return true;
end
$$;
comment on function app.schedule_dispatch() is
  'Has pg_cron look every 2 s whether something is due; false where pg_cron, pg_net or Vault is not installed. Call '
  'it again once they are.';

do $$
begin
  perform app.schedule_dispatch();
exception when others then
  raise notice 'Webhooks are not scheduled: %. See docs/webhooks.md', sqlerrm;
end
$$;

-- supabase/schemas/85_privacy/01_forgetting.sql
-- What: erasing the name and address of a person.
-- Why: the log and its sums must stay.

create table app.forgotten_users (
  user_id uuid primary key,
  forgotten_at timestamptz not null default clock_timestamp(),
  forgotten_by text not null,
  events integer not null,
  runs integer not null,
  addresses integer not null,
  profiles integer not null,
  stored_answers integer not null
);
comment on table app.forgotten_users is
  'The record of people who were forgotten, append-only. It holds no name and no address.';
comment on column app.forgotten_users.user_id is
  'The id that their events and runs keep; it identifies no person any more.';
comment on column app.forgotten_users.forgotten_by is
  'Id of the admin, "server" for the secret key, "database" for a deletion in Supabase Auth or by SQL.';
comment on column app.forgotten_users.events is 'Events that had an address and have none any more.';
comment on column app.forgotten_users.runs is 'Runs, likewise.';
comment on column app.forgotten_users.addresses is 'Rows of app.reporters that were emptied.';
comment on column app.forgotten_users.profiles is 'Profiles that were deleted: 1, or 0 when there was none.';
comment on column app.forgotten_users.stored_answers is
  'Stored answers that were deleted, or changed where they are another caller''s.';

alter table app.forgotten_users enable row level security;

create function app.keep_record() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(403, 'forbidden', 'The record of forgotten people is append-only');
  return null;
end
$$;
comment on function app.keep_record() is 'Trigger: refuses updates and deletes, the owner''s included.';

create trigger forgotten_users_keep_as_written before update or delete or truncate on app.forgotten_users
  for each statement execute function app.keep_record();

create function app.forgotten_json(f app.forgotten_users) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (f).user_id,
    'forgotten_at', app.iso((f).forgotten_at),
    'events', (f).events,
    'runs', (f).runs,
    'stored_answers', (f).stored_answers
  );
end;
comment on function app.forgotten_json(app.forgotten_users) is 'The record as the API writes it.';

create function app.redacted_answer(answer json, user_id uuid, addresses text[]) returns json
language plpgsql
set search_path = ''
as $$
declare
  redacted text := answer::text;
  address text;
begin
  -- as json_build_object, to_json and jsonb write it; quotes within texts are escaped, so it is found as a member only
  foreach address in array addresses loop
    redacted := replace(redacted, 'email" : ' || to_json(address), 'email" : null');
    redacted := replace(redacted, 'email":' || to_json(address), 'email":null');
    redacted := replace(redacted, 'email": ' || to_json(address), 'email": null');
  end loop;
  -- the answer to a change of the profile
  if answer #>> '{body,id}' = user_id::text then
    redacted := regexp_replace(redacted, '"full_name" : "(?:[^"\\]|\\.)*"', '"full_name" : null');
  end if;
  return redacted::json;
end
$$;
comment on function app.redacted_answer(json, uuid, text[]) is
  'A stored answer without these addresses and, where it is the profile of this user, without the name.';

-- Runs before auth.users loses the row, in the transaction that deletes it. The row is locked already, so a new report
-- of the user waits, and then the foreign key of app.reporters rejects it.
create function app.erase_person(user_id uuid, auth_email text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  record app.forgotten_users;
  addresses text[];
  own_reporters bigint[];
begin
  if exists (select from app.forgotten_users f where f.user_id = erase_person.user_id) then
    return;
  end if;
  record.user_id := user_id;
  record.forgotten_by := coalesce(app.key_owner(caller), 'database');
  -- waits for reports under way, which hold these rows: their answers are found below
  perform from app.reporters r where r.user_id = erase_person.user_id order by r.id for update;
  addresses := array(
    select r.email from app.reporters r where r.user_id = erase_person.user_id and r.email is not null
    union
    select p.email from public.profiles p where p.id = erase_person.user_id and p.email is not null
    union
    select auth_email where auth_email is not null
  );
  -- a server may have named the address alone
  own_reporters := array(
    select r.id from app.reporters r where r.user_id = erase_person.user_id
    union
    select r.id from app.reporters r
      where r.user_id is null and lower(r.email) = any(array(select lower(a) from unnest(addresses) a))
    order by 1
  );
  perform from app.reporters r where r.id = any(own_reporters) order by r.id for update;
  addresses := array(
    select unnest(addresses) union select r.email from app.reporters r
      where r.id = any(own_reporters) and r.email is not null
  );

  update app.reporters r set email = null, forgotten_at = clock_timestamp() where r.id = any(own_reporters);
  get diagnostics record.addresses = row_count;
  record.events := (select count(*) from public.operation_events e where e.user_id = erase_person.user_id);
  record.runs := (select count(*) from public.operation_runs r where r.user_id = erase_person.user_id);
  -- likewise waits for changes of the profile
  delete from public.profiles p where p.id = erase_person.user_id;
  get diagnostics record.profiles = row_count;
  record.stored_answers := app.erase_answers(user_id, addresses);

  record.forgotten_at := clock_timestamp();
  insert into app.forgotten_users select record.*;
end
$$;
comment on function app.erase_person(uuid, text) is
  'Removes name and addresses of a user from reports, runs, profiles and stored answers, and records that. Does '
  'nothing when it was done before.';

-- Answers of other callers stay, without the person: a retry without its answer would be recorded twice.
create function app.erase_answers(user_id uuid, addresses text[]) returns integer
language plpgsql
set search_path = ''
as $$
declare
  own integer;
  others integer;
begin
  delete from app.idempotency_keys k where k.caller = user_id::text;
  get diagnostics own = row_count;
  update app.idempotency_keys k
  set answer = app.redacted_answer(k.answer, user_id, addresses), mentions = null
  where k.mentions && (user_id::text || array(select app.json_text(a) from unnest(addresses) a));
  get diagnostics others = row_count;
  return own + others;
end
$$;
comment on function app.erase_answers(uuid, text[]) is
  'Deletes the stored answers of a user, and takes the addresses out of those of others. The number of both.';

create function app.forget_deleted_user() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  perform app.erase_person(old.id, old.email);
  return old;
end
$$;
comment on function app.forget_deleted_user() is
  'Trigger on auth.users: a user who is deleted there is forgotten here.';

create trigger mes_forget_user before delete on auth.users
  for each row execute function app.forget_deleted_user();

create function app.forget_user(user_id uuid) returns app.forgotten_users
language plpgsql security definer
set search_path = ''
as $$
declare
  record app.forgotten_users;
begin
  delete from auth.users u where u.id = forget_user.user_id;
  select * into record from app.forgotten_users f where f.user_id = forget_user.user_id;
  return record;
end
$$;
comment on function app.forget_user(uuid) is
  'Deletes a user from Supabase Auth and forgets the person: the trigger on auth.users does the rest. Answers the '
  'record, that of the first time when they were forgotten before; null for an unknown id.';

create function public.forget_profile(id uuid) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  profile public.profiles;
  record app.forgotten_users;
begin
  select * into profile from public.profiles p where p.id = forget_profile.id;
  if app.role_rank(caller.role) < app.role_rank('admin')
    and (profile.id is null or not app.sees_profile(caller, profile)) then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'admin', 'Only an admin may forget people');
  record := app.forget_user(id);
  if record.user_id is null then
    perform app.refuse_missing();
  end if;
  return app.forgotten_json(record);
end
$$;
comment on function public.forget_profile(uuid) is
  'Forgets a person for good, with or without a profile: {"id", "forgotten_at", "events", "runs", "stored_answers"}. '
  'Raises 403 forbidden, 404 not_found.';
grant execute on function public.forget_profile to authenticated, service_role;

-- supabase/schemas/90_figures/01_figures.sql
-- What: figures of the running system for a monitoring exporter.
-- Why: an exporter needs one statement and one right, and must not read the rows that the figures come from.

-- Each figure is read by an index or from statistics, so that reading them costs milliseconds in a plant of any size.
-- The view reads as its owner, and calls no function of this schema: a function would need a right of the exporter.
create view app.figures as
-- The plant: work that runs, and reports that arrive.
select 'operations_running' as figure, '' as label,
  (select count(*)::numeric from public.mes_operations o where o.status = 'IN_PROGRESS') as value,
  'Operations that are in progress.' as meaning
union all
select 'longest_run_s', '',
  (select extract(epoch from clock_timestamp() - min(r.started_at)) from public.operation_runs r
    where r.ended_at is null),
  'Seconds since the start of the oldest open run.'
union all
select 'events_total', '',
  (select (s.last_value - case when s.is_called then 0 else 1 end)::numeric from app.feed_pos_seq s),
  'Positions that events have drawn in the feed: a counter.'
union all
select 'newest_event_age_s', '',
  (select extract(epoch from clock_timestamp() - f.recorded_at) from app.feed f order by f.pos desc limit 1),
  'Seconds since the last event.'
union all
-- Delivery.
select 'streams_open', '',
  (select count(*)::numeric from app.stream_places p where p.held_until > clock_timestamp()),
  'Live streams that are open.'
union all
select 'webhook_outbox_age_s', '',
  (select extract(epoch from clock_timestamp() - o.queued_at) from app.webhook_outbox o order by o.id limit 1),
  'Seconds that the oldest event waits for its deliveries: it grows when no dispatcher runs.'
union all
select 'webhook_overdue_s', '', (
  select extract(epoch from clock_timestamp() - min(d.next_attempt_at))
  from app.webhook_endpoints e
  left join app.webhook_health h on h.endpoint_id = e.id
  cross join lateral (
    select w.next_attempt_at from app.webhook_deliveries w
    where w.endpoint_id = e.id and w.status in ('pending', 'delivering') and w.next_attempt_at <= clock_timestamp()
    order by w.next_attempt_at limit 1
  ) d
  where e.enabled and coalesce(h.paused_until, '-infinity') <= clock_timestamp()
  ), 'Seconds that the oldest due delivery is late, at endpoints that are enabled and not paused.'
union all
select 'webhook_endpoints_failing', '', (
  select count(*)::numeric from app.webhook_health h join app.webhook_endpoints e on e.id = h.endpoint_id
  where e.enabled and h.failing_since is not null
  ), 'Enabled endpoints whose last delivery failed.'
union all
select 'webhook_endpoints_disabled', e.disabled_reason, count(*)::numeric,
  'Endpoints that the server disabled, by reason.'
from app.webhook_endpoints e
where e.deleted_at is null and e.disabled_reason in ('gone', 'failing')
group by e.disabled_reason
union all
select 'webhook_deliveries_dead', '', (
  select count(*)::numeric
  from (select from app.webhook_deliveries d where d.status = 'dead' limit 10000) dead
  ), 'Deliveries that were given up in the last 90 days, counted to 10,000.'
union all
-- The database.
select 'stored_answers_age_s', '',
  (select extract(epoch from clock_timestamp() - k.created_at) from app.idempotency_keys k
    order by k.created_at limit 1),
  'Seconds since the oldest answer was stored under an Idempotency-Key.'
union all
select 'connections', coalesce(a.state, 'starting'), count(*)::numeric, 'Connections of clients, by state.'
from pg_catalog.pg_stat_activity a
where a.backend_type = 'client backend' and a.datname = current_database()
group by a.state
union all
select 'connections_max', '', current_setting('max_connections')::numeric, 'Connections that the server accepts.'
union all
select 'longest_transaction_s', '', (
  select coalesce(extract(epoch from clock_timestamp() - min(a.xact_start)), 0)
  from pg_catalog.pg_stat_activity a
  where a.backend_type = 'client backend' and a.datname = current_database() and a.pid <> pg_backend_pid()
  ), 'Seconds since the start of the oldest open transaction.'
union all
select 'database_bytes', '', pg_database_size(current_database())::numeric, 'Size of the database.'
union all
select 'table_bytes', t.name, pg_total_relation_size(t.name::regclass)::numeric,
  'Size of a table that grows, with its indexes.'
from (values
  ('public.mes_operations'), ('public.operation_events'), ('public.operation_runs'), ('app.feed'),
  ('app.idempotency_keys'), ('app.webhook_deliveries'), ('app.webhook_attempts')
) t (name)
union all
select 'table_rows', t.name,
  (select greatest(c.reltuples, 0)::numeric from pg_catalog.pg_class c where c.oid = t.name::regclass),
  'Rows of a table that grows, as the last ANALYZE estimated them.'
from (values ('public.mes_operations'), ('public.operation_events')) t (name);
comment on view app.figures is
  'Figures for a monitoring exporter: members of pg_monitor may read it, and none of the roles of the API.';

grant usage on schema app to pg_monitor;
grant select on app.figures to pg_monitor;
