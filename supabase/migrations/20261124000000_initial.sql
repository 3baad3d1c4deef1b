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
  plant_name text,
  time_zone text,
  constraint settings_has_one_row check (only_row),
  constraint settings_report_age_limit_at_least_a_day check (report_age_limit >= interval '1 day'),
  constraint settings_batch_slots_positive check (batch_slots > 0),
  constraint settings_plant_name_short check (char_length(plant_name) between 1 and 100),
  constraint settings_time_zone_short check (char_length(time_zone) between 1 and 64)
);
comment on table app.settings is 'One row: the settings of the plant.';
comment on column app.settings.report_age_limit is
  'How old a report of a machine or an operator may be; supervisors may report what is older.';
comment on column app.settings.batch_slots is
  'Most large batches that run at the same time; the server rejects the next one with a time to retry.';
comment on column app.settings.require_aal2 is
  'True when managers and admins need a token of a session with a second factor. The functions store what '
  'REQUIRE_AAL2 says.';
comment on column app.settings.plant_name is 'How language models are told the plant is called; null = no name.';
comment on column app.settings.time_zone is
  'IANA name of the zone in which language models are told times; null = that of the calendars in use.';
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
    when octet_length((problem).more::text) > 4096 then '{}'
    -- the person may be pseudonymised before the answer is stored
    else (problem).more #- '{person,display_name}' end
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
    'migration', app.newest_migration(),
    'request_hook', app.is_hook_active(),
    'time_zone', app.plant_zone()
  );
end
$$;
comment on function public.health(boolean) is
  'Returns the newest migration, whether app.before_request has run, the zone of the plant and, when asked, whether '
  'the database can write.';
grant execute on function public.health to service_role;

-- supabase/schemas/05_access/01_caller.sql
-- What: the caller, with role and visible workplaces.
-- Why: each request looks access up in the table, so that a revoked role or workplace has no effect from the next one.

-- Closed sets are types of `public`: the generated TypeScript takes their values from there.
create type public.role as enum ('readonly', 'machine', 'operator', 'supervisor', 'manager', 'admin');
comment on type public.role is 'What a user may do; a machine may do what an operator may.';

create type public.scope as enum (
  'operations:read', 'operations:plan', 'operations:import', 'events:read', 'events:report', 'events:correct',
  'downtimes:report', 'reports:read', 'webhooks:manage', 'stream:read', 'people:act', 'people:manage', 'board:read'
);
comment on type public.scope is 'What an API key may do, within the rights of its role.';

create type public.profile_kind as enum ('person', 'integration');
comment on type public.profile_kind is 'A person signs in; an integration is an API key.';

create type app.caller as (
  user_id uuid,
  email text,
  role public.role,
  workplaces text[],
  sees_all boolean,
  is_server boolean,
  key_id uuid,
  key_name text,
  scopes public.scope[],
  person_id uuid
);

comment on type app.caller is
  'Who calls, with role and workplaces: a user, an API key (key_id, no user), or a server with the secret key (role '
  'admin, no user). scopes bound what a key may do; null = no bound. person_id is the person at a shared terminal.';

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
  kind public.profile_kind;
  name text;
begin
  if not app.is_hook_active() then
    perform app.refuse_unjudged_person();
  end if;
  if current_setting('role') = 'service_role' then
    perform app.refuse_unjudged_key();
    return row(null, null, 'admin', '{}'::text[], true, true, null, null, null, null)::app.caller;
  elsif current_setting('role') <> 'authenticated' then
    return null;
  end if;
  claims := auth.jwt();
  if claims ->> 'is_anonymous' = 'true' then
    return null;
  end if;
  select p.id, p.email, p.role, p.workplace_access,
    p.role in ('manager', 'admin') or '*' = any(p.workplace_access), false, p.kind, p.full_name
  into caller.user_id, caller.email, caller.role, caller.workplaces, caller.sees_all, caller.is_server, kind, name
  from public.profiles p
  where p.id = (claims ->> 'sub')::uuid;
  if not found then
    return null;
  end if;
  if kind = 'integration' then
    -- only app.before_request makes a transaction that of a key
    caller.key_id := nullif(current_setting('mes.key_id', true), '')::uuid;
    if caller.key_id is distinct from caller.user_id then
      return null;
    end if;
    caller.key_name := name;
    caller.scopes := current_setting('mes.key_scopes')::public.scope[];
    if 'board:read' = any(caller.scopes) then
      caller.workplaces := coalesce(app.ticket_workplaces(caller.key_id), caller.workplaces);
    end if;
    caller.user_id := null;
  elsif caller.role in ('manager', 'admin') then
    perform app.refuse_single_factor(caller.role, claims ->> 'aal');
  end if;
  if current_setting('mes.person_id', true) <> '' then
    caller := app.acting_person(caller, current_setting('mes.person_id')::uuid);
  end if;
  return caller;
end
$$;
comment on function app.current_caller() is
  'The caller of this transaction, or null for a signed-in user without a profile, for an anonymous user and for '
  'anon. While a person acts at a terminal, the terminal with what that person may do. Raises 403 forbidden without a '
  'demanded second factor, which an API key does not need, and for a board ticket that shows nothing any more.';
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

-- supabase/schemas/05_access/02_scopes.sql
-- What: which scopes open a function to API keys.
-- Why: one table decides it, so that a new function is closed to keys until somebody opens it.

create table app.function_scopes (
  function_name text primary key,
  scopes public.scope[],
  constraint function_scopes_name_short check (char_length(function_name) between 1 and 63)
);
comment on table app.function_scopes is
  'For each function of public that users may call: what an API key needs for it. app.before_request reads it.';
comment on column app.function_scopes.scopes is
  'A key needs one of them; an empty array opens the function to every key, null closes it to all keys.';

alter table app.function_scopes enable row level security;

-- A function that serves several scopes judges the rest itself, as app.decide judges the scope of an action.
insert into app.function_scopes (function_name, scopes) values
  ('get_operation', '{operations:read}'),
  ('list_operations', '{operations:read}'),
  ('list_runs', '{operations:read}'),
  ('list_all_runs', '{operations:read}'),
  ('list_queue', '{operations:read}'),
  ('create_operation', '{operations:plan}'),
  ('update_operation', '{operations:plan,events:report,events:correct}'),
  ('update_operations', '{operations:plan}'),
  ('delete_operation', '{operations:plan}'),
  ('import_operations', '{operations:import}'),
  ('transition_operation', '{operations:plan,events:report,events:correct}'),

  ('get_event', '{events:read}'),
  ('list_events', '{events:read}'),
  ('read_feed', '{events:read}'),
  ('report_event', '{operations:plan,events:report,events:correct}'),
  ('report_events', '{operations:plan,events:report,events:correct,downtimes:report}'),

  ('get_downtime', '{events:read,downtimes:report,reports:read}'),
  ('list_downtimes', '{events:read,downtimes:report,reports:read}'),
  ('report_downtime', '{downtimes:report}'),
  ('report_machine_state', '{downtimes:report}'),

  ('report_oee', '{reports:read}'),
  ('report_timeline', '{reports:read}'),
  ('report_losses', '{reports:read}'),
  ('report_scrap', '{reports:read}'),
  ('report_operations', '{reports:read}'),
  ('report_summary', '{reports:read}'),
  ('report_board', '{reports:read,board:read}'),

  -- parts that need another scope are null in the answer
  ('floor_now', '{reports:read}'),
  ('get_operation_history', '{operations:read}'),
  ('find_problems', '{operations:read}'),
  ('describe_caller', '{}'),

  -- what a client needs to show or to send names of the plant
  ('get_workplace',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('list_workplaces',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('get_reason_code',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('list_reason_codes',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('get_calendar', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('list_calendars', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('list_shifts', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('list_calendar_exceptions', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('create_calendar', null),
  ('update_calendar', null),
  ('delete_calendar', null),
  ('put_calendar_exceptions', null),
  ('delete_calendar_exception', null),
  ('create_workplace', null),
  ('update_workplace', null),
  ('delete_workplace', null),
  ('create_reason_code', null),
  ('update_reason_code', null),
  ('delete_reason_code', null),

  -- every key, but not a board ticket
  ('get_own_profile', array_remove(enum_range(null::public.scope), 'board:read')),
  ('get_profile', null),
  ('list_profiles', null),
  ('create_profile', null),
  ('update_profile', null),
  ('delete_profile', null),
  ('forget_profile', null),

  ('admit_key', '{}'),
  ('admit_key_stream', '{stream:read,board:read}'),
  -- browsers ask for tickets, and a browser is no place for a key
  ('create_stream_ticket', null),
  ('prune_feed', null),

  ('list_webhook_endpoints', '{webhooks:manage}'),
  ('get_webhook_endpoint', '{webhooks:manage}'),
  ('create_webhook_endpoint', '{webhooks:manage}'),
  ('update_webhook_endpoint', '{webhooks:manage}'),
  ('delete_webhook_endpoint', '{webhooks:manage}'),
  ('rotate_webhook_secret', '{webhooks:manage}'),
  ('test_webhook_endpoint', '{webhooks:manage}'),
  ('replay_webhook_events', '{webhooks:manage}'),
  ('list_webhook_deliveries', '{webhooks:manage}'),
  ('get_webhook_delivery', '{webhooks:manage}'),
  ('replay_webhook_delivery', '{webhooks:manage}'),

  ('list_people', '{people:manage}'),
  ('get_person', '{people:manage}'),
  ('create_person', '{people:manage}'),
  ('update_person', '{people:manage}'),
  ('delete_person', '{people:manage}'),
  ('pseudonymise_person', '{people:manage}'),
  ('sign_in_person', '{people:act}'),
  ('sign_out_person', '{people:act}'),
  ('get_acting_person', '{people:act}'),

  -- a ticket ends with the access of the person who made it, and a key is no person
  ('create_board_ticket', null),
  ('list_board_tickets', null),
  ('revoke_board_ticket', null),

  -- keys are managed by a signed-in admin only
  ('create_api_key', null),
  ('list_api_keys', null),
  ('get_api_key', null),
  ('update_api_key', null),
  ('rotate_api_key', null),
  ('revoke_api_key', null);

create function app.scope_problem(caller app.caller, scope public.scope, sentence text) returns app.problem
language sql stable parallel safe
return case when scope <> all((caller).scopes)
  then app.problem(403, 'forbidden', sentence, jsonb_build_object('required_scope', scope)) end;
comment on function app.scope_problem(app.caller, public.scope, text) is
  'Makes the problem forbidden for an API key without the scope. Users and the secret key have no such bound.';

create function app.require_scope(caller app.caller, scope public.scope, sentence text) returns void
language sql
return app.raise_problem(app.scope_problem(caller, scope, sentence));
comment on function app.require_scope(app.caller, public.scope, text) is
  'Raises 403 forbidden for an API key without the scope.';

-- supabase/schemas/05_access/03_request_hook.sql
-- What: app.before_request, which the Data API calls first in the transaction of each request.
-- Why: an API key becomes the caller within the one call of a request, under row level security like a user.

-- A database whose hook is not active would run the call of a key with the rights of the service role.
create function app.refuse_unjudged_key() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if position('"x-mes-key"' in current_setting('request.headers', true)) > 0 then
    perform app.refuse(503, 'unavailable',
      'The database''s request hook is not active: API keys cannot be used');
  end if;
end
$$;
comment on function app.refuse_unjudged_key() is
  'Raises 503 unavailable for the service role with the header of an API key.';
grant execute on function app.refuse_unjudged_key to authenticated, service_role;

-- Without the hook, a report would be recorded without its person.
create function app.refuse_unjudged_person() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if position('"x-acting-for"' in current_setting('request.headers', true)) > 0 then
    perform app.refuse(503, 'unavailable',
      'The database''s request hook is not active: nobody can act at a terminal');
  end if;
end
$$;
comment on function app.refuse_unjudged_person() is
  'Raises 503 unavailable for a request with an acting token, in a transaction without the hook.';

create type app.admitted_key as (id uuid, scopes public.scope[]);
comment on type app.admitted_key is 'An API key that may make this call.';

-- Runs as the caller's role: a function with its owner's rights may not change the role. A read is a READ ONLY
-- transaction, so it writes nothing. Only the functions send the headers of a key, with their own credential.
create function app.before_request() returns void
language plpgsql
set search_path = ''
as $$
declare
  headers json;
  key app.admitted_key;
begin
  -- settings of another request must not stay in a pooled session
  perform set_config('mes.hook', 'active', true), set_config('mes.key_id', '', true),
    set_config('mes.key_scopes', '', true), set_config('mes.person_id', '', true);
  -- a text that the headers lack is found at once: no JSON is parsed for a request without a key
  if current_setting('role') = 'service_role'
    and position('"x-mes-key"' in current_setting('request.headers', true)) > 0
  then
    headers := current_setting('request.headers')::json;
    key := app.admit_key(headers ->> 'x-mes-key', headers ->> 'x-mes-client', current_setting('request.path', true));
    perform set_config('mes.key_id', key.id::text, true), set_config('mes.key_scopes', key.scopes::text, true),
      set_config('request.jwt.claims', json_build_object('sub', key.id, 'role', 'authenticated')::text, true),
      set_config('request.jwt.claim.sub', key.id::text, true),
      set_config('request.jwt.claim.role', 'authenticated', true),
      set_config('role', 'authenticated', true);
  end if;
  -- after the key, which may be that of the terminal
  if position('"x-acting-for"' in current_setting('request.headers', true)) > 0 then
    perform app.act_for(current_setting('request.headers')::json ->> 'x-acting-for');
  end if;
end
$$;
comment on function app.before_request() is
  'Makes an API key the caller of this transaction, and the person of an acting token the one who acts. Raises 401 '
  'unauthenticated, 403 forbidden.';
grant usage on schema app to anon;
grant execute on function app.before_request to anon, authenticated, service_role;

-- PostgREST's db-pre-request; Supabase reads it from this role.
alter role authenticator set pgrst.db_pre_request = 'app.before_request';
notify pgrst, 'reload config';

create function app.is_hook_active() returns boolean
language sql stable
return coalesce(current_setting('mes.hook', true) = 'active', false);
comment on function app.is_hook_active() is 'True when app.before_request has run in this transaction.';

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
  'Id of the user or the API key, or "server" for the secret key: equal keys of others are independent.';
comment on column app.idempotency_keys.fingerprint is
  'Digest of path and body, to refuse the same key with another request.';
comment on column app.idempotency_keys.least_role is 'Role that the caller had, which a replay needs.';
comment on column app.idempotency_keys.workplace_names is
  'Workplaces that a replay needs to be seen; * = all of them, null = none.';
comment on column app.idempotency_keys.mentions is
  'People other than the caller whom the answer names: their addresses as JSON writes them, and ids of profiles and of '
  'people at terminals. See app.forget_user and app.pseudonymise.';
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
return case when (caller).is_server then 'server' else coalesce((caller).user_id, (caller).key_id)::text end;
comment on function app.key_owner(app.caller) is
  'Owner of the caller''s idempotency keys, at a shared terminal the terminal: it makes them, and repeats a request '
  'after the person has left. Null for a user without a profile.';

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
    select person[1] from regexp_matches(answer::text, '"person" ?: ?\{"id" ?: ?"([0-9a-f-]{36})"', 'g') person
    union all
    select answer #>> '{body,id}'
      where coalesce(answer #>> '{body,full_name}', answer #>> '{body,display_name}') is not null
  ) person
  where person.name not in ((caller).user_id::text, app.json_text((caller).email)) is not false
);
comment on function app.mentioned_people(json, app.caller) is
  'People whom an answer names, the caller left out: addresses as JSON writes them, without quotes, ids of people at '
  'terminals, and the id of a profile with a name; null when there is none.';

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
  id uuid primary key,
  kind public.profile_kind not null default 'person',
  user_id uuid generated always as (case when kind = 'person' then id end) stored
    references auth.users (id) on delete cascade,
  email text,
  full_name text,
  role public.role not null default 'operator',
  workplace_access text[] not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_integration_has_no_email check (kind = 'person' or email is null),
  -- a key that leaks must not be able to give rights
  constraint profiles_integration_is_no_admin check (kind = 'person' or role <> 'admin'),
  constraint profiles_email_short check (char_length(email) <= 320),
  constraint profiles_full_name_short check (char_length(full_name) between 1 and 200),
  constraint profiles_workplace_access_bounded check (
    -- 1,000 names of 64 characters
    cardinality(workplace_access) <= 1000 and array_position(workplace_access, null) is null
    and octet_length(array_to_string(workplace_access, '')) <= 262144
  )
);
comment on table public.profiles is
  'Who may do what, where: one row per user of Supabase Auth, and one per API key.';
comment on column public.profiles.kind is 'A person, who signs in, or an integration: the profile of an API key.';
comment on column public.profiles.user_id is 'User of Supabase Auth; null for an integration.';
comment on column public.profiles.workplace_access is 'Names of the workplaces the user works at; * = all.';
comment on column public.profiles.version is 'Number of the last change, the ETag.';
create unique index profiles_by_user on public.profiles (user_id);
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
  (profile).id = coalesce((caller).user_id, (caller).key_id)
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
    'kind', (p).kind,
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
  caller constant app.caller := app.current_caller();
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
  return app.json_with(app.json_with(app.json_with(app.profile_json(profile),
    'scopes', coalesce(to_json(caller.scopes), 'null')),
    'person', coalesce(to_json(app.person_of(caller.person_id)), 'null')),
    'may', app.rights_json(caller));
end
$$;
comment on function public.get_own_profile() is
  'The profile of the caller, with the scopes of an API key, the person who acts, and what they may do. Raises 403 '
  'forbidden for the secret key, 404 not_found for a user without a profile.';
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

-- The profile of an API key changes together with the key.
create function app.refuse_integration(profile public.profiles) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (profile).kind = 'integration' then
    perform app.refuse(403, 'forbidden',
      format('The profile belongs to an API key: an admin changes and revokes it at /keys/v1/%s', (profile).id));
  end if;
end
$$;
comment on function app.refuse_integration(public.profiles) is
  'Raises 403 forbidden for the profile of an API key, and names the endpoint that changes it.';

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

  perform app.refuse_integration(profile);
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
  perform app.refuse_integration(profile);
  perform app.require_version(profile.version, if_match);
  delete from public.profiles p where p.id = profile.id;
end
$$;
comment on function public.delete_profile(uuid, integer[]) is
  'Deletes a profile: its user can still sign in and may do nothing. Raises 403 forbidden, 404 not_found, 412 '
  'stale_version.';
grant execute on function public.delete_profile to authenticated, service_role;

-- supabase/schemas/15_profiles/03_reporters.sql
-- What: who reported, in a table of its own.
-- Why: the log is append-only and refers to these rows, so that erasing a person changes one table.

create table app.reporters (
  id bigint generated always as identity primary key,
  user_id uuid references auth.users (id) on delete set null,
  email text,
  key_id uuid references public.profiles (id),
  forgotten_at timestamptz,
  constraint reporters_email_short check (char_length(email) <= 320),
  constraint reporters_forgotten_have_no_email check (forgotten_at is null or email is null)
);
comment on table app.reporters is
  'Each address under which a user has reported, and each API key: the only place that links events and runs to a '
  'person. Rows are never deleted.';
comment on column app.reporters.user_id is
  'User of Supabase Auth; null for a server that named an address alone, and once the user is deleted.';
comment on column app.reporters.key_id is 'The API key that reported; null for users and servers.';
comment on column app.reporters.email is
  'Address at the time of the report; null when there was none, and once the person is forgotten.';

-- Written as expressions, since = does not find null.
create unique index reporters_known on app.reporters
  (coalesce(user_id::text, ''), coalesce('=' || email, ''), coalesce(key_id::text, ''))
  where forgotten_at is null;
create index reporters_by_user on app.reporters (user_id) where user_id is not null;
create index reporters_by_key on app.reporters (key_id) where key_id is not null;
create index reporters_by_email on app.reporters (lower(email)) where user_id is null;

alter table app.reporters enable row level security;

create function app.reporter_of(caller app.caller, user_id uuid, email text) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  reporter_id bigint;
begin
  if user_id is null and email is null and caller.key_id is null then
    return null;
  end if;
  loop
    select r.id into reporter_id from app.reporters r
    where r.forgotten_at is null
      and coalesce(r.user_id::text, '') = coalesce(reporter_of.user_id::text, '')
      and coalesce('=' || r.email, '') = coalesce('=' || reporter_of.email, '')
      and coalesce(r.key_id::text, '') = coalesce(caller.key_id::text, '')
    -- Either the erasure waits for this report and finds the address in its answer, or this report waits and finds the
    -- row erased.
    for key share;
    exit when found;
    -- waits for a concurrent deletion of this user; the foreign key then rejects the row
    insert into app.reporters (user_id, email, key_id)
    values (reporter_of.user_id, reporter_of.email, caller.key_id)
    on conflict do nothing
    returning id into reporter_id;
    exit when found;
  end loop;
  return reporter_id;
end
$$;
comment on function app.reporter_of(app.caller, uuid, text) is
  'The number that events and runs refer to a reporter by; null when neither user nor address is named and the '
  'caller is no API key. Raises 400 integrity_error for an unknown user.';

create function app.reporting_key(reporter_id bigint) returns uuid
language plpgsql stable
set search_path = ''
as $$
begin
  return (select r.key_id from app.reporters r where r.id = reporting_key.reporter_id);
end
$$;
comment on function app.reporting_key(bigint) is
  'The API key that a stored report is of; null for users and servers. All keys have user_id null: this tells them '
  'apart.';

create type app.reporter_body as (user_email text, reported_by jsonb);
comment on type app.reporter_body is 'What an event says of its reporter, besides the user''s id.';

create function app.reported_by(key_id uuid, name text) returns jsonb
language sql immutable
return case when key_id is not null
  then jsonb_build_object('kind', 'integration', 'id', key_id, 'name', name) end;
comment on function app.reported_by(uuid, text) is
  'The API key that reported, {"kind", "id", "name"}; null for users and servers.';

create function app.reporter_body(reporter app.reporters) returns app.reporter_body
language sql stable
return row(
  (reporter).email,
  case when (reporter).key_id is not null then app.reported_by(
    (reporter).key_id, (select p.full_name from public.profiles p where p.id = (reporter).key_id)) end
)::app.reporter_body;
comment on function app.reporter_body(app.reporters) is 'What an event says of a stored reporter.';

create function app.reporter_body(caller app.caller, user_email text) returns app.reporter_body
language sql immutable
return row(
  coalesce(user_email, (caller).email), app.reported_by((caller).key_id, (caller).key_name)
)::app.reporter_body;
comment on function app.reporter_body(app.caller, text) is
  'What an event says of its reporter as long as they are the caller; a server may name a user''s address.';

create function app.stored_reporter(reporter_id bigint) returns app.reporter_body
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (select app.reporter_body(r) from app.reporters r where r.id = stored_reporter.reporter_id);
end
$$;
comment on function app.stored_reporter(bigint) is
  'What an event or a run says of its reporter. The address is null when there was none, or the person is forgotten.';
grant execute on function app.stored_reporter to authenticated, service_role;

-- supabase/schemas/16_rates/01_limits.sql
-- What: how much a caller may ask for.
-- Why: limits differ between plants and callers, so they are rows that change without a deployment.

create type public.rate_class as enum ('reads', 'writes', 'heavy', 'sign_in', 'unauthenticated');
comment on type public.rate_class is
  'What is counted together: reads; single writes; the rows of batches and imports, and reports; sign-ins at '
  'terminals; requests whose credential is refused.';

create type public.rate_kind as enum (
  'readonly', 'machine', 'operator', 'supervisor', 'manager', 'admin', 'model', 'secret_key', 'address'
);
comment on type public.rate_kind is
  'Who is limited alike: the users and keys of a role, language models, secret keys, addresses without a credential.';

-- Changed by the plant's administrator in SQL, or by the functions' secret RATE_LIMITS:
--   update app.rate_limits set units_per_minute = 6000 where kind = 'machine' and class = 'writes';
create table app.rate_limits (
  kind public.rate_kind not null,
  class public.rate_class not null,
  units_per_minute integer not null,
  burst integer not null,
  primary key (kind, class),
  constraint rate_limits_units_per_minute_in_range check (units_per_minute between 1 and 100000000),
  constraint rate_limits_burst_in_range check (burst between 1 and 100000000)
);
comment on table app.rate_limits is
  'The limits of each kind of caller. A class without a row is not limited for that kind.';
comment on column app.rate_limits.units_per_minute is
  'Units that a caller gets back per minute. A unit is a request; of class heavy, a row of a batch or an import.';
comment on column app.rate_limits.burst is 'Units that a caller can use at once after a pause.';
alter table app.rate_limits enable row level security;

insert into app.rate_limits (kind, class, units_per_minute, burst)
values
  ('readonly', 'reads', 1200, 600),
  ('readonly', 'writes', 120, 60),
  ('readonly', 'heavy', 3000, 1500),
  ('readonly', 'sign_in', 60, 60),
  ('machine', 'reads', 3000, 600),
  ('machine', 'writes', 3000, 600),
  ('machine', 'heavy', 12000, 6000),
  ('machine', 'sign_in', 60, 60),
  ('operator', 'reads', 3000, 600),
  ('operator', 'writes', 3000, 600),
  ('operator', 'heavy', 12000, 6000),
  ('operator', 'sign_in', 60, 60),
  ('supervisor', 'reads', 3000, 600),
  ('supervisor', 'writes', 3000, 600),
  ('supervisor', 'heavy', 12000, 6000),
  ('supervisor', 'sign_in', 60, 60),
  ('manager', 'reads', 3000, 600),
  ('manager', 'writes', 3000, 600),
  ('manager', 'heavy', 30000, 15000),
  ('manager', 'sign_in', 60, 60),
  ('admin', 'reads', 3000, 600),
  ('admin', 'writes', 3000, 600),
  ('admin', 'heavy', 30000, 15000),
  ('admin', 'sign_in', 60, 60),
  ('model', 'reads', 120, 60),
  ('model', 'writes', 30, 15),
  ('model', 'heavy', 600, 300),
  ('model', 'sign_in', 6, 3),
  ('secret_key', 'reads', 60000, 30000),
  ('secret_key', 'writes', 60000, 30000),
  ('secret_key', 'heavy', 600000, 300000),
  ('secret_key', 'sign_in', 600, 600),
  ('address', 'reads', 600, 600),
  ('address', 'unauthenticated', 300, 300);

create table app.rate_limit_overrides (
  caller text collate "C" not null,
  class public.rate_class not null,
  units_per_minute integer not null,
  burst integer not null,
  primary key (caller, class),
  constraint rate_limit_overrides_caller_named
    check (caller ~ '^(user|key|model|secret_key|address):' and char_length(caller) <= 200),
  constraint rate_limit_overrides_units_per_minute_in_range check (units_per_minute between 1 and 100000000),
  constraint rate_limit_overrides_burst_in_range check (burst between 1 and 100000000)
);
comment on table app.rate_limit_overrides is 'Limits of single callers, in place of those of their kind.';
comment on column app.rate_limit_overrides.caller is
  'user:<id>, key:<id>, model:<user id>, secret_key:<name> or address:<IP address, or the /64 of an IPv6 address>.';
alter table app.rate_limit_overrides enable row level security;

-- Called by the functions with the service role, once for each isolate that has the secret RATE_LIMITS.
create function public.set_rate_limits(limits jsonb) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('limits', limits, 65536);
  changed integer;
begin
  with wanted as (
    -- a name wins over "*", in whatever order they stand
    select distinct on (l.kind, l.class) l.kind, l.class,
      (given.value ->> 'units_per_minute')::integer as units_per_minute, (given.value ->> 'burst')::integer as burst
    from jsonb_each(limits) of_kind (name, classes)
    cross join jsonb_each(of_kind.classes) given (name, value)
    join app.rate_limits l
      on of_kind.name in (l.kind::text, '*') and given.name in (l.class::text, '*')
    order by l.kind, l.class, of_kind.name = '*', given.name = '*'
  )
  update app.rate_limits l
  set units_per_minute = coalesce(w.units_per_minute, l.units_per_minute), burst = coalesce(w.burst, l.burst)
  from wanted w
  where w.kind = l.kind and w.class = l.class
    and (coalesce(w.units_per_minute, l.units_per_minute), coalesce(w.burst, l.burst))
      is distinct from (l.units_per_minute, l.burst);
  get diagnostics changed = row_count;
  return json_build_object('changed', changed);
end
$$;
comment on function public.set_rate_limits(jsonb) is
  'Changes limits: {"<kind>": {"<class>": {"units_per_minute", "burst"}}}, where "*" stands for every kind or class. '
  'Answers {"changed"}. For the secret key only.';
grant execute on function public.set_rate_limits to service_role;

-- supabase/schemas/16_rates/02_settling.sql
-- What: the shared budgets of callers.
-- Why: isolates judge requests from memory and settle here in the background, so that they share one budget.

-- A budget is one instant, by the generic cell rate algorithm: each unit moves it by 1/units_per_minute. A caller has
-- used up the budget when it is as far ahead as the burst lasts. The rate stands beside it, because what was used is
-- units: a rate that changes changes the instant. Unlogged: a budget that a crash of the database loses
-- is full again. The time has no index, so that a settlement writes the row only.
create unlogged table app.rate_budgets (
  caller text collate "C" not null,
  class public.rate_class not null,
  full_at timestamptz not null,
  units_per_minute integer not null,
  settled_at timestamptz not null,
  primary key (caller, class),
  constraint rate_budgets_caller_short check (char_length(caller) <= 200)
) with (fillfactor = 50);
comment on table app.rate_budgets is
  'When the budget of a caller is full again. A row whose time has passed means the same as no row.';
comment on column app.rate_budgets.settled_at is
  'By the server''s clock. When it lies ahead, the clock stepped back, and the budget moves back as far.';
alter table app.rate_budgets enable row level security;

create function app.rate_kind_of(caller text, role public.role) returns public.rate_kind
language sql immutable parallel safe
return case split_part(caller, ':', 1)
  when 'user' then coalesce(role::text, 'readonly')
  when 'key' then coalesce(role::text, 'readonly')
  when 'model' then 'model'
  when 'secret_key' then 'secret_key'
  else 'address'
end::public.rate_kind;
comment on function app.rate_kind_of(text, public.role) is
  'The kind whose limits apply to a caller, by the role of its profile.';

create function public.settle_rates(counted jsonb, sweeps boolean default false) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('counted', counted, 262144);
  -- one clock for all isolates: they are told how far ahead a budget is, not when it is full
  now_at constant timestamptz := clock_timestamp();
  settled json;
begin
  with counts as (
    select c.caller, c.class, sum(c.units) as units
    from jsonb_to_recordset(counted) as c (caller text, class public.rate_class, units integer)
    group by c.caller, c.class
  ), limited as (
    select c.caller, c.class, c.units,
      coalesce(o.units_per_minute, l.units_per_minute) as units_per_minute, coalesce(o.burst, l.burst) as burst
    from counts c
    left join public.profiles p
      on p.id = case when c.caller ~ '^(user|key):[0-9a-f-]{36}$' then split_part(c.caller, ':', 2)::uuid end
    left join app.rate_limit_overrides o on o.caller = c.caller and o.class = c.class
    left join app.rate_limits l on l.kind = app.rate_kind_of(c.caller, p.role) and l.class = c.class
    where coalesce(o.burst, l.burst) is not null
  ), written as (
    insert into app.rate_budgets as budget (caller, class, full_at, units_per_minute, settled_at)
    select l.caller, l.class,
      -- at most the burst and 10 minutes: no number that an isolate tells locks a caller out for good
      now_at + least(l.units, l.burst + 10::bigint * l.units_per_minute) * interval '1 minute' / l.units_per_minute,
      l.units_per_minute, now_at
    from limited l
    -- every isolate locks the budgets in this order
    order by l.caller, l.class
    on conflict (caller, class) do update
    -- excluded.full_at is ahead of now_at by what was counted
    set full_at = excluded.full_at
        + greatest(budget.full_at - greatest(budget.settled_at, now_at), interval '0')
        * budget.units_per_minute / excluded.units_per_minute,
      units_per_minute = excluded.units_per_minute,
      settled_at = excluded.settled_at
    returning budget.caller, budget.class, budget.full_at
  )
  select coalesce(json_agg(json_build_object(
    'caller', l.caller,
    'class', l.class,
    'units_per_minute', l.units_per_minute,
    'burst', l.burst,
    'ahead_ms', greatest(extract(epoch from w.full_at - now_at) * 1000, 0)::double precision
  )), '[]') into settled
  from limited l
  join written w on w.caller = l.caller and w.class = l.class;
  if sweeps then
    -- waits for no budget that another settlement has locked
    delete from app.rate_budgets b where b.ctid = any(array(
      select whole.ctid from app.rate_budgets whole
      where whole.full_at < now_at
      limit 10000
      for update skip locked
    ));
  end if;
  return settled;
end
$$;
comment on function public.settle_rates(jsonb, boolean) is
  'Adds what an isolate counted, [{"caller", "class", "units"}], to the shared budgets. Answers the limits and how far '
  'each budget is ahead: [{"caller", "class", "units_per_minute", "burst", "ahead_ms"}], without callers that have no '
  'limit. Deletes full budgets when asked. For the secret key only.';
grant execute on function public.settle_rates to service_role;

-- supabase/schemas/17_keys/01_api_keys.sql
-- What: API keys, their secrets, and how a key becomes the caller.
-- Why: each machine and integration has a credential that does its work only and can be revoked alone.

-- Name, role, workplaces and version of a key are those of its profile, so that every rule of access holds for keys.
create table app.api_keys (
  id uuid primary key references public.profiles (id),
  scopes public.scope[] not null,
  expires_at timestamptz,
  allowed_cidrs cidr[],
  last_used_at timestamptz,
  revoked_at timestamptz,
  board_group text collate "C",
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default clock_timestamp(),
  constraint api_keys_scopes_bounded check (
    cardinality(scopes) between 1 and 20 and array_position(scopes, null) is null
  ),
  constraint api_keys_allowed_cidrs_bounded check (
    cardinality(allowed_cidrs) between 1 and 50 and array_position(allowed_cidrs, null) is null
  ),
  constraint api_keys_board_group_is_key check (app.is_key(board_group)),
  -- a link that hangs on a wall opens the board, and nothing else
  constraint api_keys_ticket_opens_board_only check (board_group is null or scopes = '{board:read}')
);
comment on table app.api_keys is
  'Credentials of machines and integrations. A revoked key stays, because events name it.';
comment on column app.api_keys.allowed_cidrs is 'Networks that the key may be used from; null = all.';
comment on column app.api_keys.last_used_at is 'To about a minute: a request does not write it.';
comment on column app.api_keys.board_group is
  'Group of workplaces whose board the key opens: it is a board ticket. null = every other key.';
comment on column app.api_keys.created_by is 'The admin, or who made the board ticket; null once they are deleted.';
create index api_keys_listed on app.api_keys (created_at, id);
create index api_keys_by_board_group on app.api_keys (board_group, created_at, id) where board_group is not null;
create index api_keys_by_creator on app.api_keys (created_by) where created_by is not null;

alter table app.api_keys enable row level security;

create table app.api_key_secrets (
  key_id uuid not null references app.api_keys (id) on delete cascade,
  digest bytea not null,
  valid_until timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (key_id, digest),
  constraint api_key_secrets_digest_is_sha256 check (octet_length(digest) = 32)
);
comment on table app.api_key_secrets is
  'SHA-256 of each secret of a key: a reader of this table cannot use the key.';
comment on column app.api_key_secrets.valid_until is 'End of a secret that was replaced; null = the current one.';
create unique index api_key_secrets_one_current on app.api_key_secrets (key_id) where valid_until is null;

alter table app.api_key_secrets enable row level security;

-- Comparing digests of digests and a number that is new each time tells a stopwatch nothing about the stored digest.
create function app.same_digest(a bytea, b bytea) returns boolean
language plpgsql volatile
set search_path = ''
as $$
declare
  salt constant bytea := uuid_send(gen_random_uuid());
begin
  return sha256(a || salt) = sha256(b || salt);
end
$$;
comment on function app.same_digest(bytea, bytea) is 'Compares two digests in a time that tells neither.';

-- The credential is "<id>.<SHA-256 of the secret in hex>". An unknown id costs what a wrong secret costs, and both give
-- the same answer. What follows is told to holders of a right secret only.
create function app.admit_key(credential text, address text, path text) returns app.admitted_key
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  nobody constant bytea := decode(repeat('00', 32), 'hex');
  called constant text := substring(path from '[^/]+$');
  judged_at constant timestamptz := clock_timestamp();
  given bytea := nobody;
  key_id uuid;
  key app.api_keys;
  secret app.api_key_secrets;
  candidate app.api_key_secrets;
  wanted public.scope[];
begin
  if credential ~ '^[0-9a-f-]{36}\.[0-9a-f]{64}$' then
    key_id := left(credential, 36)::uuid;
    given := decode(right(credential, 64), 'hex');
  end if;
  select * into key from app.api_keys k where k.id = key_id;
  for candidate in
    select * from app.api_key_secrets s where s.key_id = key.id
    union all
    select key_id, nobody, null, null where key.id is null
  loop
    if app.same_digest(candidate.digest, given) then
      secret := candidate;
    end if;
  end loop;
  if key.id is null or secret.digest is null then
    perform app.refuse(401, 'unauthenticated', 'The API key is not known');
  elsif key.revoked_at is not null then
    perform app.refuse(401, 'unauthenticated', 'The API key was revoked');
  elsif key.expires_at <= judged_at then
    perform app.refuse(401, 'unauthenticated', 'The API key has expired');
  elsif secret.valid_until <= judged_at then
    perform app.refuse(401, 'unauthenticated', 'The secret of the API key was replaced: use its new one');
  elsif not app.is_allowed_address(key.allowed_cidrs, address) then
    perform app.refuse(403, 'forbidden', format('The API key may not be used from the address %s', address));
  end if;
  select f.scopes into wanted from app.function_scopes f where f.function_name = called;
  if wanted is null then
    perform app.refuse(403, 'forbidden', 'API keys may not do this, whatever their scopes',
      jsonb_build_object('required_scopes', null));
  elsif wanted <> '{}' and not wanted && key.scopes then
    perform app.refuse(403, 'forbidden',
      format('The API key needs the scope %s', array_to_string(wanted, ' or ')),
      jsonb_build_object('required_scopes', wanted));
  end if;
  return row(key.id, key.scopes)::app.admitted_key;
end
$$;
comment on function app.admit_key(text, text, text) is
  'The API key of a request, when its secret, its time, the client''s address and its scopes allow the call. Raises '
  '401 unauthenticated, 403 forbidden.';
grant execute on function app.admit_key to service_role;

create function app.is_allowed_address(allowed cidr[], address text) returns boolean
language plpgsql immutable
set search_path = ''
as $$
begin
  return allowed is null or coalesce(address::inet <<= any(allowed), false);
exception when invalid_text_representation then
  return false;
end
$$;
comment on function app.is_allowed_address(cidr[], text) is
  'True for an address within one of the networks, or without such a bound; false for what is no address.';

create function app.has_key_status(key app.api_keys, status text) returns boolean
language sql stable
return case status
  when 'revoked' then (key).revoked_at is not null
  when 'expired' then (key).revoked_at is null and coalesce((key).expires_at <= clock_timestamp(), false)
  when 'active' then (key).revoked_at is null and coalesce((key).expires_at > clock_timestamp(), true)
  else status is null
end;
comment on function app.has_key_status(app.api_keys, text) is
  'True for a key of this status: active, expired or revoked; for every key when none is named.';

create function app.distinct_scopes(scopes public.scope[]) returns public.scope[]
language sql immutable
return array(select distinct s from unnest(scopes) s order by s);
comment on function app.distinct_scopes(public.scope[]) is 'Each scope once, in the order of the type.';

-- supabase/schemas/17_keys/02_functions.sql
-- What: the functions behind the endpoints of API keys.
-- Why: only a signed-in admin makes, changes and revokes credentials. Board tickets, which are keys, have functions of
-- their own.

create function app.api_key_json(key app.api_keys, profile public.profiles) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (key).id,
    'name', (profile).full_name,
    'role', (profile).role,
    'workplace_access', (profile).workplace_access,
    'scopes', (key).scopes,
    'status', case
      when (key).revoked_at is not null then 'revoked'
      when (key).expires_at <= clock_timestamp() then 'expired'
      else 'active'
    end,
    'expires_at', app.iso((key).expires_at),
    'allowed_cidrs', (key).allowed_cidrs,
    'previous_secret_until', (
      select app.iso(max(s.valid_until)) from app.api_key_secrets s
      where s.key_id = (key).id and s.valid_until > clock_timestamp() and (key).revoked_at is null
    ),
    'last_used_at', app.iso((key).last_used_at),
    'revoked_at', app.iso((key).revoked_at),
    'created_by', (key).created_by,
    'version', (profile).version,
    'created_at', app.iso((key).created_at),
    'updated_at', app.iso((profile).updated_at)
  );
end;
comment on function app.api_key_json(app.api_keys, public.profiles) is
  'The key as the API writes it, without its secrets.';

-- The secret key of a server stays out as well: every API key names the admin who made it.
create function app.require_key_admin(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if caller.user_id is null or app.role_rank(caller.role) < app.role_rank('admin') then
    perform app.refuse(403, 'forbidden', 'Only a signed-in admin may see and change API keys',
      jsonb_build_object('required_role', 'admin'));
  end if;
end
$$;
comment on function app.require_key_admin(app.caller) is
  'Raises 403 forbidden for everybody but a signed-in admin, whatever was asked for.';

-- The profile is the lock, since every change of a key is one of its profile.
create function app.lock_api_key(key_id uuid, if_match integer[]) returns app.api_keys
language plpgsql
set search_path = ''
as $$
declare
  profile public.profiles;
  key app.api_keys;
begin
  select * into profile from public.profiles p where p.id = key_id and p.kind = 'integration' for no key update;
  select * into key from app.api_keys k where k.id = key_id and k.board_group is null;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_version(profile.version, if_match);
  return key;
end
$$;
comment on function app.lock_api_key(uuid, integer[]) is
  'The key, locked against other changes. Raises 404 not_found, 412 stale_version.';

create function app.touch_profile(key_id uuid) returns public.profiles
language plpgsql
set search_path = ''
as $$
declare
  profile public.profiles;
begin
  update public.profiles p set kind = p.kind where p.id = key_id returning * into profile;
  return profile;
end
$$;
comment on function app.touch_profile(uuid) is 'The profile of a key after a change of the key: its next version.';

create function app.require_unrevoked(key app.api_keys) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (key).revoked_at is not null then
    perform app.refuse(409, 'key_revoked',
      format('The API key was revoked at %s: create another one', app.iso((key).revoked_at)));
  end if;
end
$$;
comment on function app.require_unrevoked(app.api_keys) is 'Raises 409 key_revoked.';

-- An address without a length is a network of one; bits beyond the length are cut off.
create function app.read_cidrs(texts jsonb) returns cidr[]
language plpgsql
set search_path = ''
as $$
declare
  cidrs cidr[];
  item record;
begin
  if jsonb_typeof(texts) = 'null' then
    return null;
  end if;
  for item in select t.value, t.ordinality - 1 as index from jsonb_array_elements_text(texts) with ordinality t loop
    begin
      cidrs := cidrs || network(item.value::inet);
    exception when invalid_text_representation then
      perform app.refuse_field('/allowed_cidrs/' || item.index, 'invalid_format',
        'must be an address or a network, such as 203.0.113.0/24 or 2001:db8::/32');
    end;
  end loop;
  return cidrs;
end
$$;
comment on function app.read_cidrs(jsonb) is
  'The networks of a request; null for null. Raises 422 validation_failed for a text that is none.';

-- What a request says of a key; null where it says nothing.
create type app.wanted_key as (
  name text, role public.role, workplace_access text[], scopes public.scope[], expires_at timestamptz
);
comment on type app.wanted_key is 'Fields of a key that a request sets, without its networks.';

create function app.require_key_fields(wanted app.wanted_key) returns void
language plpgsql
set search_path = ''
as $$
begin
  if wanted.role = 'admin' then
    perform app.refuse_field('/role', 'invalid_value', 'a key cannot have the role admin');
  elsif wanted.scopes is null or cardinality(wanted.scopes) = 0 then
    perform app.refuse_field('/scopes', 'too_small', 'must have at least one scope');
  elsif wanted.name is null then
    perform app.refuse_field('/name', 'invalid_type', 'must be a text');
  end if;
end
$$;
comment on function app.require_key_fields(app.wanted_key) is 'Raises 422 validation_failed.';

create function public.create_api_key(key jsonb, digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('key', key) and app.require_bounded('digest', digest);
  caller constant app.caller := app.current_caller();
  wanted constant app.wanted_key := jsonb_populate_record(null::app.wanted_key, key);
  most constant integer := 1000;
  profile public.profiles;
  stored app.api_keys;
begin
  perform app.require_key_admin(caller);
  perform app.require_key_fields(wanted);
  if wanted.expires_at <= clock_timestamp() then
    perform app.refuse_field('/expires_at', 'too_small', 'must lie in the future');
  end if;
  perform pg_advisory_xact_lock(app.lock_key('app.api_keys'));
  if (select count(*) from app.api_keys k where k.revoked_at is null and k.board_group is null) >= most then
    perform app.refuse(409, 'limit_reached', format('There are %s API keys already: revoke one first', most),
      jsonb_build_object('limit', most));
  end if;
  insert into public.profiles (id, kind, full_name, role, workplace_access)
  values (
    (key ->> 'id')::uuid, 'integration', wanted.name, coalesce(wanted.role, 'readonly'),
    coalesce(wanted.workplace_access, '{}')
  )
  returning * into profile;
  insert into app.api_keys (id, scopes, expires_at, allowed_cidrs, created_by)
  values (
    profile.id, app.distinct_scopes(wanted.scopes), wanted.expires_at, app.read_cidrs(key -> 'allowed_cidrs'),
    caller.user_id
  )
  returning * into stored;
  insert into app.api_key_secrets (key_id, digest) values (stored.id, decode(create_api_key.digest, 'hex'));
  return app.api_key_json(stored, profile);
end
$$;
comment on function public.create_api_key(jsonb, text) is
  'Creates an API key: {"id", "name", "role", "workplace_access", "scopes", "expires_at", "allowed_cidrs"} and SHA-256 '
  'of its secret in hex, which the caller made. Raises 403 forbidden, 409 limit_reached, 422 validation_failed.';
grant execute on function public.create_api_key to authenticated, service_role;

create function public.get_api_key(key_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  answer json;
begin
  perform app.require_key_admin(app.current_caller());
  select app.api_key_json(k, p) into answer
  from app.api_keys k join public.profiles p on p.id = k.id
  where k.id = key_id and k.board_group is null;
  if not found then
    perform app.refuse_missing();
  end if;
  return answer;
end
$$;
comment on function public.get_api_key(uuid) is
  'One API key, without its secrets. Raises 403 forbidden, 404 not_found.';
grant execute on function public.get_api_key to authenticated, service_role;

create function public.list_api_keys(
  status text default null,
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
  bounded constant boolean := app.require_bounded('status', status) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  rows app.api_keys[];
begin
  perform app.require_key_admin(app.current_caller());
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select k from app.api_keys k
    where app.has_key_status(k, list_api_keys.status) and k.board_group is null
      and (after_created_at is null or (k.created_at, k.id) > (after_created_at, after_id))
    order by k.created_at, k.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (
      select coalesce(json_agg(app.api_key_json(k, p) order by k.created_at, k.id), '[]')
      from unnest(rows[1:take]) k join public.profiles p on p.id = k.id
    ),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.api_keys k where app.has_key_status(k, list_api_keys.status) and k.board_group is null
    ) end
  );
end
$$;
comment on function public.list_api_keys(text, timestamptz, uuid, integer, integer, text) is
  'A page of the API keys, oldest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';
grant execute on function public.list_api_keys to authenticated, service_role;

create function public.update_api_key(key_id uuid, patch jsonb, if_match integer[] default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  key app.api_keys;
  profile public.profiles;
  wanted app.wanted_key;
begin
  perform app.require_key_admin(app.current_caller());
  key := app.lock_api_key(key_id, if_match);
  perform app.require_unrevoked(key);
  select * into profile from public.profiles p where p.id = key.id;
  wanted := jsonb_populate_record(
    row(profile.full_name, profile.role, profile.workplace_access, key.scopes, key.expires_at)::app.wanted_key, patch);
  perform app.require_key_fields(wanted);
  update public.profiles p
  set (full_name, role, workplace_access)
    = row (wanted.name, coalesce(wanted.role, profile.role), coalesce(wanted.workplace_access, '{}'))
  where p.id = key.id
  returning * into profile;
  update app.api_keys k
  set (scopes, expires_at, allowed_cidrs) = row (
    app.distinct_scopes(wanted.scopes), wanted.expires_at,
    case when patch ? 'allowed_cidrs' then app.read_cidrs(patch -> 'allowed_cidrs') else key.allowed_cidrs end
  )
  where k.id = key.id
  returning * into key;
  return app.api_key_json(key, profile);
end
$$;
comment on function public.update_api_key(uuid, jsonb, integer[]) is
  'Changes an API key. Raises 403 forbidden, 404 not_found, 409 key_revoked, 412 stale_version, 422 '
  'validation_failed.';
grant execute on function public.update_api_key to authenticated, service_role;

-- Each replaced secret keeps the time that it was given: a rotation whose answer was lost can be repeated, and cuts off
-- no client.
create function public.rotate_api_key(
  key_id uuid, digest text, overlap_h integer default 24, if_match integer[] default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('digest', digest) and app.require_bounded('overlap_h', overlap_h)
    and app.require_bounded('if_match', if_match);
  most constant integer := 5;
  key app.api_keys;
begin
  perform app.require_key_admin(app.current_caller());
  key := app.lock_api_key(key_id, if_match);
  perform app.require_unrevoked(key);
  overlap_h := least(greatest(overlap_h, 0), 168);
  delete from app.api_key_secrets s
  where s.key_id = key.id and (overlap_h = 0 or s.valid_until <= clock_timestamp() - interval '30 days');
  if (select count(*) from app.api_key_secrets s where s.key_id = key.id and coalesce(s.valid_until, 'infinity')
    > clock_timestamp()) >= most then
    perform app.refuse(409, 'limit_reached',
      format('The API key has %s valid secrets already: wait until one ends, or end them with overlap_h 0', most),
      jsonb_build_object('limit', most));
  end if;
  update app.api_key_secrets s set valid_until = clock_timestamp() + overlap_h * interval '1 hour'
  where s.key_id = key.id and s.valid_until is null;
  insert into app.api_key_secrets (key_id, digest) values (key.id, decode(rotate_api_key.digest, 'hex'));
  return app.api_key_json(key, app.touch_profile(key.id));
end
$$;
comment on function public.rotate_api_key(uuid, text, integer, integer[]) is
  'Gives an API key another secret, by its SHA-256 in hex; the one before is valid for overlap_h hours more (0..168), '
  'and with 0 all earlier ones end now. Raises 403 forbidden, 404 not_found, 409 key_revoked or limit_reached, 412 '
  'stale_version.';
grant execute on function public.rotate_api_key to authenticated, service_role;

create function public.revoke_api_key(key_id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  key app.api_keys;
begin
  perform app.require_key_admin(app.current_caller());
  key := app.lock_api_key(key_id, if_match);
  if key.revoked_at is null then
    update app.api_keys k set revoked_at = clock_timestamp() where k.id = key.id;
    perform app.touch_profile(key.id);
  end if;
end
$$;
comment on function public.revoke_api_key(uuid, integer[]) is
  'Revokes an API key for good; does nothing when it is revoked. Raises 403 forbidden, 404 not_found, 412 '
  'stale_version.';
grant execute on function public.revoke_api_key to authenticated, service_role;

-- supabase/schemas/17_keys/03_admitting.sql
-- What: what the functions ask about a key besides their requests.
-- Why: a guessed key is refused before its body is read, and a stream outlives its request.

-- The functions tell it in the background, at most once a minute for each key.
create function public.note_key_use(key_ids uuid[]) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  update app.api_keys k set last_used_at = clock_timestamp()
  where k.id = any(array(
    select used.id from app.api_keys used
    where used.id = any(key_ids)
      and (used.last_used_at is null or used.last_used_at < clock_timestamp() - interval '30 seconds')
    order by used.id
    for no key update skip locked
  ));
end
$$;
comment on function public.note_key_use(uuid[]) is
  'Stores that these keys have been used just now. For the secret key only.';
grant execute on function public.note_key_use to service_role;

-- Judges nothing itself: app.before_request has. The functions ask it before they read the body of an unknown key.
create function public.admit_key() returns json
language plpgsql stable
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if caller.key_id is null then
    perform app.refuse(403, 'forbidden', 'Only API keys ask for this');
  end if;
  return json_build_object('id', caller.key_id);
end
$$;
comment on function public.admit_key() is
  'The id of the API key that calls. Raises 401 unauthenticated, 403 forbidden for every other caller.';
grant execute on function public.admit_key to authenticated, service_role;

-- A stream outlives its request: its isolate asks again, as the key.
create function public.admit_key_stream() returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if caller.key_id is null then
    perform app.refuse(403, 'forbidden', 'Only API keys ask for this');
  end if;
  perform app.require_workplace(caller);
  return json_build_object(
    'user_id', caller.key_id,
    'sees_all', caller.sees_all,
    'workplaces', caller.workplaces,
    'needs_aal2', false,
    'is_nameless', 'stream:read' <> all(caller.scopes)
  );
end
$$;
comment on function public.admit_key_stream() is
  'What an API key with the scope stream:read or board:read sees now: {"user_id", "sees_all", "workplaces", '
  '"needs_aal2", "is_nameless"}; the latter alone sees no names. Raises 403 forbidden for every other caller.';
grant execute on function public.admit_key_stream to authenticated, service_role;

-- supabase/schemas/17_people/01_people.sql
-- What: people who work at shared terminals, and who may see and change them.
-- Why: a tablet on the floor has one credential, and the log must still say who stood before it.

-- A reader of the digests alone learns no badge code: see decision 0085.
create table app.badge_key (
  only_row boolean primary key default true,
  key bytea not null default extensions.gen_random_bytes(32),
  decoy_pin_hash text not null
    default extensions.crypt(encode(extensions.gen_random_bytes(32), 'hex'), extensions.gen_salt('bf', 10)),
  constraint badge_key_has_one_row check (only_row),
  constraint badge_key_has_256_bits check (octet_length(key) = 32)
);
comment on table app.badge_key is 'One row: the key of the digests of badge codes. No role of the API reads it.';
comment on column app.badge_key.decoy_pin_hash is
  'The hash that a PIN is compared with where there is no person: the answer for unknown people takes as long.';
insert into app.badge_key default values;
alter table app.badge_key enable row level security;

create table app.people (
  id uuid primary key default gen_random_uuid(),
  display_name text,
  person_no text collate "C",
  badge_digest bytea,
  pin_hash text,
  workplace_access text[] not null default '{}',
  active boolean not null default true,
  profile_id uuid references public.profiles (id) on delete set null,
  pseudonymised_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint people_display_name_short check (char_length(display_name) between 1 and 200),
  constraint people_person_no_is_key check (app.is_key(person_no)),
  constraint people_person_no_unique unique (person_no),
  constraint people_badge_unique unique (badge_digest),
  constraint people_profile_unique unique (profile_id),
  constraint people_badge_digest_is_sha256 check (octet_length(badge_digest) = 32),
  constraint people_pin_hash_is_bcrypt check (pin_hash ~ '^\$2a\$'),
  constraint people_have_a_name_until_pseudonymised check ((display_name is null) = (pseudonymised_at is not null)),
  constraint people_pseudonymised_keep_nothing check (
    pseudonymised_at is null
    or person_no is null and badge_digest is null and pin_hash is null and profile_id is null and not active
  ),
  constraint people_workplace_access_bounded check (
    -- 1,000 names of 64 characters
    cardinality(workplace_access) <= 1000 and array_position(workplace_access, null) is null
    and octet_length(array_to_string(workplace_access, '')) <= 262144
  )
);
comment on table app.people is
  'People who sign in at shared terminals. Events refer to these rows, so one with events is never deleted.';
comment on column app.people.display_name is 'Name that terminals show; null once the person is pseudonymised.';
comment on column app.people.person_no is 'Number of the person in the plant, e.g. of the payroll.';
comment on column app.people.badge_digest is 'HMAC-SHA-256 of the badge code under app.badge_key.';
comment on column app.people.pin_hash is 'bcrypt of the PIN; null = the person has none.';
comment on column app.people.workplace_access is
  'Names of the workplaces the person works at; * = all. They bound what the terminal may do for this person.';
comment on column app.people.active is 'False: the person cannot sign in, and is signed out everywhere.';
comment on column app.people.profile_id is 'The same person as a user, if they are one.';
comment on column app.people.version is 'Number of the last change, the ETag.';
create index people_by_name on app.people (coalesce(display_name, '') collate "C", id);

create trigger people_bump_version before update on app.people
  for each row execute function app.bump_version();

alter table app.people enable row level security;

-- The functions send digests in place of badge codes and PINs, so that no log of the database can hold one.
create function app.secret_problem(field text, value text) returns app.problem
language sql stable parallel safe
return case when octet_length(value) <> 64 or value ~ '[^0-9a-f]'
  then app.field_problem('/' || field, 'invalid_format', format('%s must be the digest that the functions make', field))
end;
comment on function app.secret_problem(text, text) is
  'The problem validation_failed of a badge code or PIN that is not a digest of 64 hex digits. It does not quote it.';

create function app.badge_digest(code text) returns bytea
language plpgsql stable
set search_path = ''
as $$
begin
  return extensions.hmac(convert_to(code, 'UTF8'), (select k.key from app.badge_key k), 'sha256');
end
$$;
comment on function app.badge_digest(text) is 'The keyed digest under which a badge code is stored; null for null.';

create function app.pin_hash(pin text) returns text
language sql volatile
return extensions.crypt(pin, extensions.gen_salt('bf', 10));
comment on function app.pin_hash(text) is 'The bcrypt hash under which a PIN is stored; null for null.';

create function app.person_json(p app.people) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (p).id,
    'display_name', (p).display_name,
    'person_no', (p).person_no,
    'has_badge', (p).badge_digest is not null,
    'has_pin', (p).pin_hash is not null,
    'workplace_access', (p).workplace_access,
    'active', (p).active,
    'profile_id', (p).profile_id,
    'pseudonymised_at', app.iso((p).pseudonymised_at),
    'version', (p).version,
    'created_at', app.iso((p).created_at),
    'updated_at', app.iso((p).updated_at)
  );
end;
comment on function app.person_json(app.people) is 'The person as the API writes it, without badge and PIN.';

-- A person as events name them.
create type app.named_person as (id uuid, display_name text);
comment on type app.named_person is 'A person in other answers; display_name is null once they are pseudonymised.';

create function app.person_of(person_id uuid) returns app.named_person
language plpgsql stable security definer
set search_path = ''
as $$
begin
  -- most events have none
  if person_id is null then
    return null;
  end if;
  return (select row(p.id, p.display_name)::app.named_person from app.people p where p.id = person_of.person_id);
end
$$;
comment on function app.person_of(uuid) is 'The person as events name them; null for null.';
grant execute on function app.person_of to authenticated, service_role;

create function app.sees_person(caller app.caller, person app.people) returns boolean
language sql immutable parallel safe
return coalesce(
  app.role_rank((caller).role) >= 3
  or app.role_rank((caller).role) = 2
    and app.has_workplace(caller)
    and ((caller).sees_all or (person).workplace_access && (caller).workplaces
      or '*' = any((person).workplace_access)),
  false
);
comment on function app.sees_person(app.caller, app.people) is
  'True for supervisors who share a workplace with the person, for managers and admins.';

-- A supervisor who could give another plant's workplaces, or a PIN to somebody who has them, would have them.
create function app.manages_workplaces(caller app.caller, workplace_names text[]) returns boolean
language sql immutable parallel safe
return coalesce(
  app.role_rank((caller).role) >= 3
  or app.role_rank((caller).role) = 2
    and ((caller).sees_all or cardinality(workplace_names) > 0 and workplace_names <@ (caller).workplaces),
  false
);
comment on function app.manages_workplaces(app.caller, text[]) is
  'True when the caller may manage people of exactly these workplaces: supervisors at least one, and their own only.';

create function app.require_managed(caller app.caller, workplace_names text[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.require_role(caller, 'supervisor', 'Only supervisors may manage people');
  if not app.manages_workplaces(caller, workplace_names) then
    perform app.refuse(403, 'forbidden',
      'You may manage people of your own workplaces only, and they need at least one of these');
  end if;
end
$$;
comment on function app.require_managed(app.caller, text[]) is
  'Raises 403 forbidden unless the caller may manage people of these workplaces.';

create function app.lock_person(caller app.caller, id uuid) returns app.people
language plpgsql
set search_path = ''
as $$
declare
  person app.people;
begin
  select * into person from app.people p where p.id = lock_person.id for update;
  if not found or not app.sees_person(caller, person) then
    perform app.refuse_missing();
  end if;
  perform app.require_managed(caller, person.workplace_access);
  return person;
end
$$;
comment on function app.lock_person(app.caller, uuid) is
  'The person, locked until commit, for a caller who manages them. Raises 403 forbidden, 404 not_found.';

-- supabase/schemas/17_people/02_functions.sql
-- What: the functions behind the endpoints of people.
-- Why: badge codes and PINs go in and never come out.

create function public.get_person(id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  person app.people;
begin
  select * into person from app.people p where p.id = get_person.id;
  if not found or not app.sees_person(caller, person) then
    perform app.refuse_missing();
  end if;
  return app.person_json(person);
end
$$;
comment on function public.get_person(uuid) is 'One person. Raises 404 not_found.';
grant execute on function public.get_person to authenticated, service_role;

create function public.list_people(
  q text default null,
  workplace_name text default null,
  active boolean default null,
  after_name text default null,
  after_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('q', q) and app.require_bounded('workplace_name', workplace_name)
    and app.require_bounded('after_name', after_name) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  caller constant app.caller := app.current_caller();
  rows app.people[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select p from app.people p
    where app.sees_person(caller, p)
      and (after_id is null or (coalesce(p.display_name, '') collate "C", p.id) > (after_name, after_id))
      and (q is null or app.begins_with(p.display_name, q) or app.begins_with(p.person_no, q))
      and (list_people.active is null or p.active = list_people.active)
      and (list_people.workplace_name is null or p.workplace_access && array[list_people.workplace_name, '*'])
    order by coalesce(p.display_name, '') collate "C", p.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.person_json(p)), '[]') from unnest(rows[1:take]) p),
    'next', case when cardinality(rows) > take
      then json_build_array(coalesce(rows[take].display_name, ''), rows[take].id) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from app.people p
      where app.sees_person(caller, p)
        and (q is null or app.begins_with(p.display_name, q) or app.begins_with(p.person_no, q))
        and (list_people.active is null or p.active = list_people.active)
        and (list_people.workplace_name is null or p.workplace_access && array[list_people.workplace_name, '*'])
    ) end
  );
end
$$;
comment on function public.list_people(text, text, boolean, text, uuid, integer, integer, text) is
  'A page of the people the caller sees, of those whose name or number begins with q and who work at a workplace, '
  'ordered by name: {"items": [...], "next": key of the last item or null, "total": number when asked}.';
grant execute on function public.list_people to authenticated, service_role;

create function app.require_linkable(caller app.caller, profile_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
  if profile_id is not null and not exists (
    select from public.profiles p
    where p.id = require_linkable.profile_id and p.kind = 'person' and app.sees_profile(caller, p)
  ) then
    perform app.refuse_field('/profile_id', 'unknown_profile', 'There is no such profile, or it is not yours to see');
  end if;
end
$$;
comment on function app.require_linkable(app.caller, uuid) is
  'Raises 422 validation_failed for a profile that is no user''s, does not exist or is hidden from the caller.';

create function app.person_taken_problem(constraint_name text) returns app.problem
language sql immutable
return app.problem(409, 'duplicate_person', case constraint_name
  when 'people_person_no_unique' then 'Another person has this number'
  when 'people_badge_unique' then 'Another person has this badge'
  when 'people_profile_unique' then 'Another person is linked to this profile'
end);
comment on function app.person_taken_problem(text) is
  'The problem duplicate_person of a unique constraint of people; null for any other.';

-- The fingerprint that a function sends leaves badge and PIN out, because it could be reversed by trying all PINs. Here
-- it comes to tell which of them the request brings: a request without a PIN, repeated with one, would try that PIN.
create function app.request_of_secrets(idempotency jsonb, wanted jsonb) returns jsonb
language sql volatile
return (
  select idempotency || jsonb_build_object('fingerprint', encode(sha256(convert_to(
    request.fingerprint || (
      select string_agg(case when not wanted ? secret then '-' when wanted ->> secret is null then '0' else '1' end, '')
      from unnest(array['badge_code', 'pin']) secret
    ), 'UTF8')), 'hex'))
  from app.idempotency(idempotency) request
  where request.key is not null
);
comment on function app.request_of_secrets(jsonb, jsonb) is
  'The idempotency argument of a command, its fingerprint made to differ by whether badge and PIN are left out, '
  'removed or given. Raises what app.idempotency raises.';

-- A person who has changed since is compared with nothing: the answers would tell the new PIN to a caller who tries
-- all.
create function app.require_same_secrets(person_id uuid, answered_version integer, wanted jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  person app.people;
begin
  select * into person from app.people p where p.id = person_id;
  if person.version is distinct from answered_version and wanted ?| array['badge_code', 'pin']
    or wanted ? 'badge_code' and person.badge_digest is distinct from app.badge_digest(wanted ->> 'badge_code')
    or wanted ? 'pin' and person.pin_hash is distinct from extensions.crypt(wanted ->> 'pin', person.pin_hash)
  then
    perform app.refuse(422, 'idempotency_key_reused',
      'The Idempotency-Key was used with another badge or PIN, or these have changed since');
  end if;
end
$$;
comment on function app.require_same_secrets(uuid, integer, jsonb) is
  'Raises 422 idempotency_key_reused unless badge and PIN of a repeated request are those of the person now, who has '
  'not changed since the answer.';

create function public.create_person(person jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('person', person);
  command constant app.command := app.begin_command(app.request_of_secrets(idempotency, person));
  caller constant app.caller := command.caller;
  wanted constant app.people := jsonb_populate_record(null::app.people, person - array['badge_digest', 'pin_hash']);
  stored app.people;
  taken text;
begin
  perform app.raise_problem(app.secret_problem('badge_code', person ->> 'badge_code')),
    app.raise_problem(app.secret_problem('pin', person ->> 'pin'));
  if command.answer is not null then
    perform app.require_same_secrets(
      (command.answer #>> '{body,id}')::uuid, (command.answer #>> '{body,version}')::integer, person);
    return command.answer;
  end if;
  perform app.require_managed(caller, coalesce(wanted.workplace_access, '{}'));
  perform app.require_linkable(caller, wanted.profile_id);
  begin
    insert into app.people (display_name, person_no, badge_digest, pin_hash, workplace_access, active, profile_id)
    values (
      wanted.display_name, wanted.person_no, app.badge_digest(person ->> 'badge_code'), app.pin_hash(person ->> 'pin'),
      coalesce(wanted.workplace_access, '{}'), coalesce(wanted.active, true), wanted.profile_id
    )
    returning * into stored;
  exception when unique_violation then
    get stacked diagnostics taken = constraint_name;
    perform app.raise_problem(app.person_taken_problem(taken));
    raise;
  end;
  return app.finish_command(
    command, stored.workplace_access, json_build_object('status', 201, 'body', app.person_json(stored)));
end
$$;
comment on function public.create_person(jsonb, jsonb) is
  'Creates a person {"display_name", "person_no", "badge_code", "pin", "workplace_access", "active", "profile_id"}; '
  'badge_code and pin are digests. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_person.';
grant execute on function public.create_person to authenticated, service_role;

create function public.update_person(
  id uuid, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(app.request_of_secrets(idempotency, patch));
  caller constant app.caller := command.caller;
  person app.people;
  wanted app.people;
  taken text;
begin
  perform app.raise_problem(app.secret_problem('badge_code', patch ->> 'badge_code')),
    app.raise_problem(app.secret_problem('pin', patch ->> 'pin'));
  if command.answer is not null then
    perform app.require_same_secrets(update_person.id, (command.answer #>> '{body,version}')::integer, patch);
    return command.answer;
  end if;
  person := app.lock_person(caller, id);
  perform app.require_version(person.version, if_match);
  if person.pseudonymised_at is not null then
    perform app.refuse(409, 'pseudonymised', 'The person is pseudonymised: create a new person instead');
  end if;

  wanted := jsonb_populate_record(person,
    patch - array['id', 'badge_digest', 'pin_hash', 'pseudonymised_at', 'version', 'created_at', 'updated_at']);
  wanted.display_name := coalesce(wanted.display_name, person.display_name);
  wanted.workplace_access := coalesce(wanted.workplace_access, person.workplace_access);
  wanted.active := coalesce(wanted.active, person.active);
  if patch ? 'badge_code' then
    wanted.badge_digest := app.badge_digest(patch ->> 'badge_code');
  end if;
  if patch ? 'pin' then
    wanted.pin_hash := app.pin_hash(patch ->> 'pin');
  end if;
  perform app.require_managed(caller, wanted.workplace_access);
  if wanted.profile_id is distinct from person.profile_id then
    perform app.require_linkable(caller, wanted.profile_id);
  end if;
  if wanted is distinct from person then
    begin
      update app.people p
      set (display_name, person_no, badge_digest, pin_hash, workplace_access, active, profile_id) = row (
        wanted.display_name, wanted.person_no, wanted.badge_digest, wanted.pin_hash, wanted.workplace_access,
        wanted.active, wanted.profile_id)
      where p.id = person.id
      returning * into wanted;
    exception when unique_violation then
      get stacked diagnostics taken = constraint_name;
      perform app.raise_problem(app.person_taken_problem(taken));
      raise;
    end;
    if (wanted.badge_digest, wanted.pin_hash) is distinct from (person.badge_digest, person.pin_hash)
      or not wanted.active then
      -- somebody else may hold the lost badge, or know the old PIN
      delete from app.acting_sessions s where s.person_id = person.id;
    end if;
    if patch ? 'pin' then
      -- the supervisor who gives a new PIN ends a lock, too
      delete from app.failed_sign_ins f where f.subject = app.sign_in_subject(person.id);
    end if;
  end if;
  return app.finish_command(
    command, wanted.workplace_access, json_build_object('status', 200, 'body', app.person_json(wanted)));
end
$$;
comment on function public.update_person(uuid, jsonb, integer[], jsonb) is
  'Changes a person, as create_person takes them. A new badge or PIN and a deactivation end the person''s sessions at '
  'terminals. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, 409 duplicate_person or pseudonymised, '
  '412 stale_version.';
grant execute on function public.update_person to authenticated, service_role;

create function public.delete_person(id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  person constant app.people := app.lock_person(caller, id);
begin
  perform app.require_version(person.version, if_match);
  perform app.erase_person_answers(person.id);
  delete from app.people p where p.id = person.id;
  delete from app.failed_sign_ins f where f.subject = app.sign_in_subject(person.id);
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use',
    'The person has reported events: set them inactive instead, or pseudonymise them');
end
$$;
comment on function public.delete_person(uuid, integer[]) is
  'Deletes a person who has reported nothing. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';
grant execute on function public.delete_person to authenticated, service_role;

-- supabase/schemas/17_people/03_signing_in.sql
-- What: signing in and out at a shared terminal.
-- Why: a PIN has few digits, so that only a bound on the tries, kept under races, makes it worth something.

create table app.failed_sign_ins (
  id bigint generated always as identity primary key,
  terminal_id uuid not null,
  subject text collate "C" not null,
  failed_at timestamptz not null default clock_timestamp()
);
comment on table app.failed_sign_ins is
  'Failed sign-ins of the last minutes: five within app.sign_in_lock_time() lock their terminal and their person.';
comment on column app.failed_sign_ins.terminal_id is 'Profile of the terminal.';
comment on column app.failed_sign_ins.subject is
  'The person, as app.sign_in_subject names them; for nobody, a keyed digest of the badge or number that was tried.';
create index failed_sign_ins_by_terminal on app.failed_sign_ins (terminal_id, failed_at);
create index failed_sign_ins_by_subject on app.failed_sign_ins (subject, failed_at);
create index failed_sign_ins_by_age on app.failed_sign_ins (failed_at);
alter table app.failed_sign_ins enable row level security;

-- A session ends with its terminal, and one person has one session at a terminal.
create table app.acting_sessions (
  terminal_id uuid not null references public.profiles (id) on delete cascade,
  person_id uuid not null references app.people (id) on delete cascade,
  token_digest bytea not null,
  signed_in_at timestamptz not null default clock_timestamp(),
  last_used_at timestamptz not null default clock_timestamp(),
  primary key (terminal_id, person_id),
  constraint acting_sessions_token_unique unique (token_digest),
  constraint acting_sessions_token_digest_is_sha256 check (octet_length(token_digest) = 32)
);
comment on table app.acting_sessions is
  'Who is signed in at which terminal. The table has digests only, so that a reader of it cannot use them.';
comment on column app.acting_sessions.token_digest is 'SHA-256 of the acting token.';
comment on column app.acting_sessions.last_used_at is
  'When the token was last used for a command or for /people/v1/me, to the minute.';
create index acting_sessions_by_person on app.acting_sessions (person_id);
create index acting_sessions_by_age on app.acting_sessions (last_used_at);
alter table app.acting_sessions enable row level security;

create function app.idle_time() returns interval
language sql immutable parallel safe
return interval '30 minutes';
comment on function app.idle_time() is 'How long an acting token stays valid without being used.';

create function app.sign_in_lock_time() returns interval
language sql immutable parallel safe
return interval '15 minutes';
comment on function app.sign_in_lock_time() is
  'Within which time five failed sign-ins lock a person or a terminal, and for how long.';

create function app.sign_in_subject(person_id uuid) returns text
language sql immutable parallel safe
return 'person ' || person_id::text;
comment on function app.sign_in_subject(uuid) is 'Name of a person among the failed sign-ins; null for null.';

create function app.terminal_of(caller app.caller) returns uuid
language sql immutable parallel safe
return coalesce((caller).key_id, (caller).user_id);
comment on function app.terminal_of(app.caller) is 'Profile of the caller as a terminal: of a key or of a user.';

create function app.require_terminal(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if caller.role is distinct from 'machine' or caller.is_server or app.terminal_of(caller) is null then
    perform app.refuse(403, 'forbidden', 'People sign in at terminals: only a key or user of role machine is one',
      jsonb_build_object('required_role', 'machine'));
  elsif caller.person_id is not null then
    perform app.refuse(400, 'malformed_request', 'A sign-in has no X-Acting-For: leave the header out');
  end if;
end
$$;
comment on function app.require_terminal(app.caller) is
  'Raises 403 forbidden unless the caller is a terminal, 400 malformed_request when somebody acts already.';

create function app.locked_until(failures timestamptz[]) returns timestamptz
language sql stable
return case when cardinality(failures) = 5
  and failures[1] - failures[5] < app.sign_in_lock_time()
  and failures[1] + app.sign_in_lock_time() > clock_timestamp()
  then failures[1] + app.sign_in_lock_time() end;
comment on function app.locked_until(timestamptz[]) is
  'The end of the lock that the last five failures make, newest first; null when they make none.';

create function app.sign_in_lock(terminal_id uuid, subject text) returns timestamptz
language plpgsql volatile
set search_path = ''
as $$
begin
  return greatest(
    app.locked_until(array(
      select f.failed_at from app.failed_sign_ins f where f.terminal_id = sign_in_lock.terminal_id
      order by f.failed_at desc limit 5)),
    app.locked_until(array(
      select f.failed_at from app.failed_sign_ins f where f.subject = sign_in_lock.subject
      order by f.failed_at desc limit 5))
  );
end
$$;
comment on function app.sign_in_lock(uuid, text) is
  'The end of the lock of a terminal or of a person; null when neither is locked.';

-- Raised problems would undo the record of the failure: these are answered.
create function app.failed_sign_in(terminal_id uuid, subject text) returns json
language plpgsql
set search_path = ''
as $$
begin
  insert into app.failed_sign_ins (terminal_id, subject) values (failed_sign_in.terminal_id, failed_sign_in.subject);
  delete from app.failed_sign_ins f where f.id = any(array(
    select old.id from app.failed_sign_ins old
    where old.failed_at < clock_timestamp() - 2 * app.sign_in_lock_time()
    order by old.failed_at
    limit 20
    for update skip locked
  ));
  return json_build_object('problem', app.problem_json(app.problem(403, 'sign_in_failed',
    'Nobody signs in with this badge or number and this PIN')));
end
$$;
comment on function app.failed_sign_in(uuid, text) is
  'Records a failed sign-in and answers the problem sign_in_failed, the same for every cause.';

create function app.places_json(caller app.caller) returns json
language sql stable
return to_json(case when (caller).sees_all then array['*'] else coalesce((caller).workplaces, '{}') end);
comment on function app.places_json(app.caller) is 'Names of the workplaces that the caller has access to; * = all.';

create function app.acting_json(session app.acting_sessions, person app.people, caller app.caller) returns json
language sql stable
begin atomic
  select json_build_object(
    'person', json_build_object('id', (person).id, 'display_name', (person).display_name,
      'person_no', (person).person_no),
    'terminal', json_build_object('id', (session).terminal_id,
      'name', (select coalesce(p.full_name, p.email) from public.profiles p where p.id = (session).terminal_id)),
    'role', (caller).role,
    'workplace_access', app.places_json(caller),
    'signed_in_at', app.iso((session).signed_in_at),
    'expires_at', app.iso((session).last_used_at + app.idle_time())
  );
end;
comment on function app.acting_json(app.acting_sessions, app.people, app.caller) is
  'Who acts at which terminal, what they may do there, and when their token expires unless it is used.';

create function app.common_workplaces(names text[], others text[]) returns text[]
language sql immutable parallel safe
begin atomic
  select case
    when '*' = any(others) then names
    when '*' = any(names) then others
    else array(select n from unnest(names) n where n = any(others))
  end;
end;
comment on function app.common_workplaces(text[], text[]) is 'The workplaces in both sets; * = all.';

create function app.acting_as(caller app.caller, person app.people) returns app.caller
language plpgsql stable
set search_path = ''
as $$
begin
  caller.workplaces := app.common_workplaces(
    case when caller.sees_all then array['*'] else caller.workplaces end, person.workplace_access);
  caller.sees_all := '*' = any(caller.workplaces);
  caller.person_id := person.id;
  -- the reports are the person's, not those of the address of the terminal
  caller.email := null;
  return caller;
end
$$;
comment on function app.acting_as(app.caller, app.people) is
  'The terminal while the person acts there: with the workplaces that both have, and without the terminal''s address.';

create function app.find_person(credentials jsonb) returns app.people
language plpgsql volatile
set search_path = ''
as $$
declare
  badge constant bytea := app.badge_digest(credentials ->> 'badge_code');
  person app.people;
begin
  -- a change of the person that is under way ends this sign-in, or the session that it makes
  if badge is not null then
    select * into person from app.people p where p.badge_digest = badge and p.active for key share;
  else
    select * into person from app.people p
    where p.person_no = credentials ->> 'person_no' and p.active for key share;
  end if;
  return person;
end
$$;
comment on function app.find_person(jsonb) is
  'The active person of a badge or number, locked against changes until commit, or null.';

-- A number is known to colleagues, a badge is in one hand: only the badge of a person without a PIN is enough alone.
create function app.proves_person(person app.people, credentials jsonb) returns boolean
language plpgsql volatile
set search_path = ''
as $$
declare
  hash constant text := coalesce(person.pin_hash, (select k.decoy_pin_hash from app.badge_key k));
begin
  if credentials ->> 'pin' is null then
    return person.id is not null and person.pin_hash is null and credentials ? 'badge_code';
  end if;
  -- computed for unknown people, too: the time of the answer must not tell them from others
  return extensions.crypt(credentials ->> 'pin', hash) = hash and person.pin_hash is not null;
end
$$;
comment on function app.proves_person(app.people, jsonb) is
  'True when the PIN is the person''s, or the badge needs none. Takes as long for nobody.';

create function public.sign_in_person(credentials jsonb, token_digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('credentials', credentials, 4096)
    and app.require_bounded('token_digest', token_digest);
  caller constant app.caller := app.current_caller();
  terminal constant uuid := app.terminal_of(caller);
  person app.people;
  acting app.caller;
  session app.acting_sessions;
  who text;
  locked_until timestamptz;
begin
  perform app.require_terminal(caller), app.require_workplace(caller);
  if (credentials ? 'badge_code') = (credentials ? 'person_no') then
    perform app.refuse_field('', 'invalid_value', 'Sign in with either badge_code or person_no');
  end if;
  perform app.raise_problem(app.secret_problem('badge_code', credentials ->> 'badge_code')),
    app.raise_problem(app.secret_problem('pin', credentials ->> 'pin')),
    app.raise_problem(app.secret_problem('token_digest', token_digest));
  if credentials ->> 'pin' is null and credentials ? 'person_no' then
    perform app.refuse_field('/pin', 'required', 'A sign-in by person_no needs the PIN');
  end if;

  person := app.find_person(credentials);
  who := coalesce(app.sign_in_subject(person.id), 'nobody ' || encode(
    app.badge_digest(coalesce(credentials ->> 'badge_code', 'person_no ' || (credentials ->> 'person_no'))), 'hex'));
  -- One try at a time for each terminal and each person: parallel guesses do not get past the count. Nobody waits,
  -- because those who wait would hold all connections.
  if not pg_try_advisory_xact_lock(app.lock_key('app.failed_sign_ins ' || terminal))
    or not pg_try_advisory_xact_lock(app.lock_key('app.failed_sign_ins ' || who)) then
    perform app.refuse(429, 'rate_limited',
      'One sign-in at a time: another one of this terminal or this person is under way',
      jsonb_build_object('limit', 1, 'retry_after_s', 1));
  end if;
  locked_until := app.sign_in_lock(terminal, who);
  if locked_until is not null then
    perform app.refuse(429, 'sign_in_locked',
      'Five sign-ins have failed: this terminal or this person is locked for 15 minutes',
      jsonb_build_object('retry_after_s', ceil(extract(epoch from locked_until - clock_timestamp()))::integer));
  end if;
  if not app.proves_person(person, credentials) then
    return app.failed_sign_in(terminal, who);
  end if;

  -- the person's own mistakes are forgiven, also at the terminal; guesses at others are not
  delete from app.failed_sign_ins f where f.subject = who;
  acting := app.acting_as(caller, person);
  if not app.has_workplace(acting) then
    perform app.refuse(403, 'forbidden', 'You work at none of the workplaces of this terminal');
  end if;
  delete from app.acting_sessions s where (s.terminal_id, s.person_id) in (
    select old.terminal_id, old.person_id from app.acting_sessions old
    where old.last_used_at < clock_timestamp() - app.idle_time()
    order by old.last_used_at
    limit 20
    for update skip locked
  );
  insert into app.acting_sessions as s (terminal_id, person_id, token_digest)
  values (terminal, person.id, decode(sign_in_person.token_digest, 'hex'))
  on conflict on constraint acting_sessions_pkey do update
    set token_digest = excluded.token_digest, signed_in_at = excluded.signed_in_at,
      last_used_at = excluded.last_used_at
  returning * into session;
  return json_build_object('body', app.acting_json(session, person, acting));
end
$$;
comment on function public.sign_in_person(jsonb, text) is
  'Signs a person in at the calling terminal: {"badge_code" or "person_no", "pin"}, badge_code and pin as digests, and '
  'the SHA-256 of the acting token in hex. Answers {"body"}, or {"problem": sign_in_failed}, which must be recorded. '
  'Raises 403 forbidden, 429 sign_in_locked or rate_limited.';
grant execute on function public.sign_in_person to authenticated, service_role;

-- supabase/schemas/17_people/04_acting.sql
-- What: acting at a terminal by the token of a sign-in.
-- Why: the token is judged in the one call of a request, and bounds what it may do by the person's workplaces.

-- The Data API's hook calls it for the header X-Acting-For, before the main query. A read is a READ ONLY transaction.
create function app.act_for(token text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  session app.acting_sessions;
begin
  if token is null then
    return;
  end if;
  select s.* into session from app.acting_sessions s
  join app.people p on p.id = s.person_id and p.active
  where s.token_digest = sha256(convert_to(token, 'UTF8')) and s.terminal_id = auth.uid()
    and s.last_used_at > clock_timestamp() - app.idle_time();
  if not found then
    perform app.refuse(401, 'unauthenticated',
      'X-Acting-For is not the token of a person who is signed in at this terminal: they were signed out, or have not '
      'used it for 30 minutes. Sign in again', jsonb_build_object('credential', 'X-Acting-For'));
  end if;
  if session.last_used_at < clock_timestamp() - interval '1 minute'
    and current_setting('transaction_read_only') = 'off' then
    -- The person first, as changes of a person lock them: otherwise both could wait for each other. While a change is
    -- under way, the token is not renewed, because the report need not wait for that.
    perform from app.people p where p.id = session.person_id for key share skip locked;
    if found then
      -- does not wait for another request of the same person
      update app.acting_sessions s set last_used_at = clock_timestamp()
      where s.ctid = any(array(
        select u.ctid from app.acting_sessions u where u.token_digest = session.token_digest for update skip locked
      ));
    end if;
  end if;
  perform set_config('mes.person_id', session.person_id::text, true);
end
$$;
comment on function app.act_for(text) is
  'Makes the person of an acting token the one who acts in this transaction; null is no token. Raises 401 '
  'unauthenticated for any other token. Renews the token, to the minute, in transactions that write.';
grant execute on function app.act_for to anon, authenticated, service_role;

create function app.acting_person(caller app.caller, person_id uuid) returns app.caller
language plpgsql stable security definer
set search_path = ''
as $$
declare
  person app.people;
begin
  select * into person from app.people p where p.id = acting_person.person_id and p.active;
  -- a user has no scopes, and null is no reason to refuse
  if not found or caller.role <> 'machine' or coalesce('people:act' <> all(caller.scopes), false) then
    perform app.refuse(401, 'unauthenticated', 'The person of X-Acting-For may not act at this terminal any more',
      jsonb_build_object('credential', 'X-Acting-For'));
  end if;
  return app.acting_as(caller, person);
end
$$;
comment on function app.acting_person(app.caller, uuid) is
  'The terminal while this person acts there. Raises 401 unauthenticated once the person is not active, or the caller '
  'no terminal any more.';

create function app.acting_session(caller app.caller) returns app.acting_sessions
language plpgsql stable
set search_path = ''
as $$
declare
  session app.acting_sessions;
begin
  if caller.person_id is null then
    perform app.refuse(404, 'not_found',
      'Nobody acts in this request: sign in, and send the acting token as X-Acting-For');
  end if;
  select * into session from app.acting_sessions s
  where s.terminal_id = app.terminal_of(caller) and s.person_id = caller.person_id;
  return session;
end
$$;
comment on function app.acting_session(app.caller) is
  'The session of the person who acts. Raises 404 not_found when nobody does.';

-- Volatile: it runs in a transaction that writes, so that the hook renews the token.
create function public.get_acting_person() returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  session constant app.acting_sessions := app.acting_session(caller);
  person app.people;
begin
  select * into person from app.people p where p.id = caller.person_id;
  return app.json_with(app.json_with(app.acting_json(session, person, caller), 'actions', app.actions_of(caller)),
    'downtime_actions', app.downtime_actions_of(caller));
end
$$;
comment on function public.get_acting_person() is
  'Who acts in this request, and what they may do. Raises 404 not_found when nobody does.';
grant execute on function public.get_acting_person to authenticated, service_role;

create function public.sign_out_person() returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  session constant app.acting_sessions := app.acting_session(caller);
begin
  delete from app.acting_sessions s where s.token_digest = session.token_digest;
end
$$;
comment on function public.sign_out_person() is
  'Ends the session of the person who acts. Raises 404 not_found when nobody does.';
grant execute on function public.sign_out_person to authenticated, service_role;

-- supabase/schemas/18_boards/01_tickets.sql
-- What: board tickets: keys that open the board of one group of workplaces, for a television.
-- Why: a supervisor hangs a board up without an admin, and what hangs on a wall shows and may do nothing else.

-- Judged at each request: a ticket shows what is in its group now, as far as the person who made it sees it now.
create function app.board_workplaces(key_id uuid) returns text[]
language plpgsql stable security definer
set search_path = ''
as $$
declare
  ticket app.api_keys;
begin
  select * into ticket from app.api_keys k where k.id = key_id and k.board_group is not null;
  if not found then
    return null;
  end if;
  return array(
    select w.name from public.workplaces w
    join public.profiles maker on maker.id = ticket.created_by
    where w.workplace_group = ticket.board_group and app.role_rank(maker.role) >= app.role_rank('supervisor')
      and (maker.role in ('manager', 'admin') or maker.workplace_access && array['*', w.name])
    order by w.name
  );
end
$$;
comment on function app.board_workplaces(uuid) is
  'The workplaces that a board ticket shows now; none once its maker is gone or may see none of them; null for a key '
  'that is no ticket.';

create function app.ticket_workplaces(key_id uuid) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  names constant text[] := app.board_workplaces(key_id);
begin
  if names = '{}' then
    perform app.refuse(403, 'forbidden',
      'The board ticket shows nothing any more: no workplace is in its group that the person who made it sees. Make '
      'another one');
  end if;
  return names;
end
$$;
comment on function app.ticket_workplaces(uuid) is
  'The workplaces that a board ticket shows now; null for a key that is no ticket. Raises 403 forbidden for none.';

create function app.require_board_maker(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if caller.user_id is null or caller.person_id is not null
    or app.role_rank(caller.role) < app.role_rank('supervisor') then
    perform app.refuse(403, 'forbidden', 'Only a signed-in supervisor, manager or admin may make and see board tickets',
      jsonb_build_object('required_role', 'supervisor'));
  end if;
  perform app.require_workplace(caller);
end
$$;
comment on function app.require_board_maker(app.caller) is
  'Raises 403 forbidden for everybody below supervisor, for keys and servers, and for who acts at a terminal: a ticket '
  'ends with the access of its maker, so it has one.';

create function app.holds_group(caller app.caller, workplace_group text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return (caller).sees_all or (
    select coalesce(bool_and(w.name = any((caller).workplaces)), false) from public.workplaces w
    where w.workplace_group = holds_group.workplace_group
  );
end
$$;
comment on function app.holds_group(app.caller, text) is
  'True for a caller who sees all workplaces of the group, of which there is at least one, or all of the plant.';

create function app.manages_ticket(caller app.caller, ticket app.api_keys) returns boolean
language sql stable
return (ticket).board_group is not null
  and ((ticket).created_by = (caller).user_id or app.holds_group(caller, (ticket).board_group));
comment on function app.manages_ticket(app.caller, app.api_keys) is
  'True for the maker of a ticket, and for who could have made it.';

create function app.board_ticket_json(ticket app.api_keys, profile public.profiles) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (ticket).id,
    'name', (profile).full_name,
    'workplace_group', (ticket).board_group,
    'workplace_names', app.board_workplaces((ticket).id),
    'status', case when (ticket).expires_at <= clock_timestamp() then 'expired' else 'active' end,
    'expires_at', app.iso((ticket).expires_at),
    'last_used_at', app.iso((ticket).last_used_at),
    'created_by', (ticket).created_by,
    'created_at', app.iso((ticket).created_at)
  );
end;
comment on function app.board_ticket_json(app.api_keys, public.profiles) is
  'The ticket as the API writes it, without its secret.';

create type app.wanted_ticket as (id uuid, name text, workplace_group text, expires_at timestamptz);
comment on type app.wanted_ticket is 'What a request says of a new board ticket, and the id that the function made.';

create function public.create_board_ticket(ticket jsonb, digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('ticket', ticket) and app.require_bounded('digest', digest);
  caller constant app.caller := app.current_caller();
  wanted constant app.wanted_ticket := jsonb_populate_record(null::app.wanted_ticket, ticket);
  most constant integer := 20;
  profile public.profiles;
  stored app.api_keys;
begin
  perform app.require_board_maker(caller);
  if wanted.name is null then
    perform app.refuse_field('/name', 'invalid_type', 'must be a text');
  -- a supervisor who calls the Data API could take the id of a user whose profile was deleted
  elsif wanted.id is null or exists (select from auth.users u where u.id = wanted.id)
    or exists (select from public.profiles p where p.id = wanted.id) then
    perform app.refuse_field('/id', 'invalid_value', 'must be new');
  elsif wanted.workplace_group is null
    or not exists (select from public.workplaces w where w.workplace_group = wanted.workplace_group) then
    perform app.refuse_field('/workplace_group', 'unknown_group',
      format('There is no workplace of the group "%s"', wanted.workplace_group));
  elsif wanted.expires_at <= clock_timestamp() then
    perform app.refuse_field('/expires_at', 'too_small', 'must lie in the future');
  elsif not app.holds_group(caller, wanted.workplace_group) then
    perform app.refuse(403, 'forbidden',
      format('A board shows all workplaces of the group "%s", and some of them are not yours', wanted.workplace_group));
  end if;
  perform pg_advisory_xact_lock(app.lock_key('app.board_tickets ' || wanted.workplace_group));
  if (select count(*) from app.api_keys k where k.board_group = wanted.workplace_group) >= most then
    perform app.refuse(409, 'limit_reached',
      format('The group "%s" has %s board tickets already: revoke one first', wanted.workplace_group, most),
      jsonb_build_object('limit', most));
  end if;
  insert into public.profiles (id, kind, full_name, role)
  values (wanted.id, 'integration', wanted.name, 'readonly')
  returning * into profile;
  insert into app.api_keys (id, scopes, board_group, expires_at, created_by)
  values (profile.id, '{board:read}', wanted.workplace_group, wanted.expires_at, caller.user_id)
  returning * into stored;
  insert into app.api_key_secrets (key_id, digest) values (stored.id, decode(create_board_ticket.digest, 'hex'));
  return app.board_ticket_json(stored, profile);
end
$$;
comment on function public.create_board_ticket(jsonb, text) is
  'Makes a board ticket: {"id", "name", "workplace_group", "expires_at"} and SHA-256 of its secret in hex, which the '
  'caller made. Raises 403 forbidden, 409 limit_reached, 422 validation_failed.';
grant execute on function public.create_board_ticket to authenticated, service_role;

create function public.list_board_tickets(
  workplace_group text default null,
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
  bounded constant boolean := app.require_bounded('workplace_group', workplace_group)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  caller constant app.caller := app.current_caller();
  rows app.api_keys[];
begin
  perform app.require_board_maker(caller);
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select k from app.api_keys k
    where k.board_group is not null and app.manages_ticket(caller, k)
      and (list_board_tickets.workplace_group is null or k.board_group = list_board_tickets.workplace_group)
      and (after_created_at is null or (k.created_at, k.id) > (after_created_at, after_id))
    order by k.created_at, k.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (
      select coalesce(json_agg(app.board_ticket_json(k, p) order by k.created_at, k.id), '[]')
      from unnest(rows[1:take]) k join public.profiles p on p.id = k.id
    ),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.api_keys k
      where k.board_group is not null and app.manages_ticket(caller, k)
        and (list_board_tickets.workplace_group is null or k.board_group = list_board_tickets.workplace_group)
    ) end
  );
end
$$;
comment on function public.list_board_tickets(text, timestamptz, uuid, integer, integer, text) is
  'A page of the board tickets that the caller may revoke, oldest first: {"items": [...], "next", "total"}. Raises 403 '
  'forbidden.';
grant execute on function public.list_board_tickets to authenticated, service_role;

-- Nothing names a ticket, because it reports nothing: its row does not have to stay.
create function public.revoke_board_ticket(ticket_id uuid) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  ticket app.api_keys;
begin
  perform app.require_board_maker(caller);
  select * into ticket from app.api_keys k where k.id = ticket_id for update;
  if not coalesce(app.manages_ticket(caller, ticket), false) then
    perform app.refuse_missing();
  end if;
  delete from app.api_keys k where k.id = ticket.id;
  delete from public.profiles p where p.id = ticket.id;
end
$$;
comment on function public.revoke_board_ticket(uuid) is
  'Ends a board ticket for good. Raises 403 forbidden, 404 not_found.';
grant execute on function public.revoke_board_ticket to authenticated, service_role;

-- supabase/schemas/20_plant/01_workplaces.sql
-- What: workplaces and the functions behind their endpoints.
-- Why: operations are made at workplaces, whose capacity limits what runs at once.

create type public.time_basis as enum ('UNIT', 'SLOTS');
comment on type public.time_basis is
  'How time is counted where operations overlap: once, or for each of the places that capacity says.';

create table public.workplaces (
  name text collate "C" primary key,
  workplace_group text collate "C",
  capacity integer,
  active boolean not null default true,
  calendar_name text collate "C",
  time_basis public.time_basis not null default 'UNIT',
  micro_stop_s integer not null default 0,
  signal_timeout_s integer,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint workplaces_name_is_key check (app.is_key(name)),
  constraint workplaces_group_is_key check (app.is_key(workplace_group)),
  constraint workplaces_capacity_positive check (capacity > 0),
  constraint workplaces_micro_stop_within_a_day check (micro_stop_s between 0 and 86400),
  constraint workplaces_signal_timeout_within_a_day check (signal_timeout_s between 1 and 86400)
);
comment on table public.workplaces is
  'Where operations are made: a machine, a cell, a bench. An operation that names an unknown workplace adds it.';
comment on column public.workplaces.name is 'Name on the shop floor, e.g. TruLaser 5060 (L76).';
comment on column public.workplaces.workplace_group is 'Group of interchangeable workplaces, e.g. Laser.';
comment on column public.workplaces.capacity is 'Operations that may run here at once; null = no limit.';
comment on column public.workplaces.active is 'False once the workplace is no longer used.';
comment on column public.workplaces.calendar_name is
  'Calendar by which the workplace plans to work; null = none, and no planned time in reports.';
comment on column public.workplaces.time_basis is
  'How reports count the time in which operations overlap.';
comment on column public.workplaces.micro_stop_s is
  'The machine is DOWN longer than these seconds: that is downtime. A shorter stop is a micro stop.';
comment on column public.workplaces.signal_timeout_s is
  'Without a signal for these seconds the state of the machine is UNKNOWN; null = it stays what it was.';
comment on column public.workplaces.version is 'Number of the last change, the ETag.';
create index workplaces_by_group on public.workplaces (workplace_group, name) where workplace_group is not null;
create index workplaces_by_calendar on public.workplaces (calendar_name) where calendar_name is not null;
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
    'calendar_name', (w).calendar_name,
    'time_basis', (w).time_basis,
    'micro_stop_s', (w).micro_stop_s,
    'signal_timeout_s', (w).signal_timeout_s,
    'version', (w).version,
    'created_at', app.iso((w).created_at),
    'updated_at', app.iso((w).updated_at)
  );
end;
comment on function app.workplace_json(public.workplaces) is 'The workplace as lists and commands answer it.';
grant execute on function app.workplace_json to authenticated, service_role;

create function app.running_operations(workplace_name text, most integer default null) returns json
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(json_agg(app.operation_json(o) order by o.running_since), '[]')
    from (
      select * from public.mes_operations o
      where o.workplace_name = running_operations.workplace_name and o.status = 'IN_PROGRESS'
      order by o.running_since
      limit most
    ) o
  );
end
$$;
comment on function app.running_operations(text, integer) is
  'Operations that run at the workplace now, as far as the caller sees them, the longest first; at most so many.';
grant execute on function app.running_operations to authenticated, service_role;

create function public.get_workplace(name text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  workplace public.workplaces;
  answer json;
begin
  select * into workplace from public.workplaces w where w.name = get_workplace.name;
  if not found then
    perform app.refuse_missing();
  end if;
  answer := app.json_with(
    app.workplace_json(workplace), 'running_operations', app.running_operations(workplace.name));
  answer := app.json_with(answer, 'stopped_by', coalesce(app.stop_json(workplace), 'null'));
  return app.json_with(answer, 'machine_state', coalesce(app.machine_state_json(workplace), 'null'));
end
$$;
comment on function public.get_workplace(text) is
  'One workplace with the operations that run there now, what stops it and the state of its machine, as far as the '
  'caller sees them. Raises 404 not_found.';
grant execute on function public.get_workplace to authenticated, service_role;

create function public.list_workplaces(
  workplace_group text default null,
  active boolean default null,
  q text default null,
  after_name text default null,
  skip integer default 0,
  take integer default 100,
  count text default null,
  with_running boolean default false
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
    'items', (
      select coalesce(json_agg(case
        when with_running
        then app.json_with(app.workplace_json(w), 'running_operations', app.running_operations(w.name, 100))
        else app.workplace_json(w)
      end), '[]')
      from unnest(rows[1:take]) w
    ),
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
comment on function public.list_workplaces(text, boolean, text, text, integer, integer, text, boolean) is
  'A page of the workplaces, of those whose name begins with q, ordered by name: {"items": [...], "next": key of the '
  'last item or null, "total": number when asked}. On request, each has the operations that run there now, at most '
  '100.';
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
  perform app.require_calendar(wanted.calendar_name);
  insert into public.workplaces (
    name, workplace_group, capacity, active, calendar_name, time_basis, micro_stop_s, signal_timeout_s
  )
  values (
    wanted.name, wanted.workplace_group, wanted.capacity, coalesce(wanted.active, true), wanted.calendar_name,
    coalesce(wanted.time_basis, 'UNIT'), coalesce(wanted.micro_stop_s, 0), wanted.signal_timeout_s
  )
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
    perform app.require_calendar(wanted.calendar_name);
    update public.workplaces w
    set (workplace_group, capacity, active, calendar_name, time_basis, micro_stop_s, signal_timeout_s) = row (
      wanted.workplace_group, wanted.capacity, coalesce(wanted.active, workplace.active), wanted.calendar_name,
      coalesce(wanted.time_basis, workplace.time_basis), coalesce(wanted.micro_stop_s, workplace.micro_stop_s),
      wanted.signal_timeout_s
    )
    where w.name = workplace.name
    returning * into workplace;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.workplace_json(workplace)));
end
$$;
comment on function public.update_workplace(text, jsonb, integer[], jsonb) is
  'Changes fields of a workplace; open runs continue. Answers {"status", "body"}. Raises 403 '
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
  perform app.refuse(409, 'in_use',
    format('Workplace "%s" has operations, downtimes or machine states: set it inactive instead', workplace.name));
end
$$;
comment on function public.delete_workplace(text, integer[]) is
  'Deletes a workplace without operations, downtimes and machine states. Raises 403 forbidden, 404 not_found, 409 '
  'in_use, 412 stale_version.';
grant execute on function public.delete_workplace to authenticated, service_role;

-- supabase/schemas/20_plant/02_reason_codes.sql
-- What: reason codes and the functions behind their endpoints.
-- Why: stops, scrap, holds, cancellations, shortfalls and downtime are explained by codes that can be counted.

create type public.reason_kind as enum ('STOP', 'SCRAP', 'HOLD', 'CANCEL', 'SHORTFALL', 'DOWNTIME');
comment on type public.reason_kind is 'What a reason explains.';

create type public.downtime_category as enum ('PLANNED', 'UNPLANNED');
comment on type public.downtime_category is
  'Whether time in which a workplace stands still is planned, such as maintenance, or a loss.';

create type public.loss as enum ('PLANNED', 'UNPLANNED', 'NONE');
comment on type public.loss is
  'What the time after a STOP is in reports: planned, such as a break, an unplanned loss, or neither by itself.';

create table public.reason_codes (
  kind public.reason_kind not null,
  code text collate "C" not null,
  description text,
  category public.downtime_category,
  parent text collate "C",
  loss public.loss,
  active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  level integer not null generated always as (case when parent is null then 1 else 2 end) stored,
  parent_level integer generated always as (case when parent is not null then 1 end) stored,
  primary key (kind, code),
  constraint reason_codes_code_is_key check (app.is_key(code)),
  constraint reason_codes_description_short check (char_length(description) <= 500),
  constraint reason_codes_category_of_downtime check ((kind = 'DOWNTIME') = (category is not null)),
  constraint reason_codes_parent_of_downtime check (parent is null or kind = 'DOWNTIME'),
  constraint reason_codes_loss_of_stop check ((kind = 'STOP') = (loss is not null)),
  -- Two levels: a parent is of level 1, also when a code that is a parent gets one itself.
  constraint reason_codes_by_level unique (kind, code, level),
  constraint reason_codes_parent_is_first_level
    foreign key (kind, parent, parent_level) references public.reason_codes (kind, code, level)
);
comment on table public.reason_codes is
  'Why something stopped, was scrapped, held, cancelled or closed short, and why a workplace stood still.';
comment on column public.reason_codes.kind is 'What the reason explains.';
comment on column public.reason_codes.code is 'Short code, unique within its kind, e.g. MATERIAL.';
comment on column public.reason_codes.category is
  'Of DOWNTIME: category of a downtime that states none itself; null for other kinds.';
comment on column public.reason_codes.parent is 'Of DOWNTIME: the code that this one belongs to; null = none.';
comment on column public.reason_codes.loss is 'Of STOP: what the time after the stop is; null for other kinds.';
comment on column public.reason_codes.level is '1, or 2 for a code with a parent.';
comment on column public.reason_codes.parent_level is 'Level that the parent must have.';
comment on column public.reason_codes.active is 'False once the code is no longer offered; events keep it.';
create index reason_codes_by_parent on public.reason_codes (kind, parent, parent_level) where parent is not null;
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
    'category', (r).category,
    'parent', (r).parent,
    'loss', (r).loss,
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

create function app.reason_code_problem(r public.reason_codes) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  parent public.reason_codes;
begin
  if r.kind <> 'DOWNTIME' and r.category is not null then
    return app.field_problem('/category', 'not_used', format('%s takes no category: DOWNTIME does', r.kind));
  elsif r.kind <> 'DOWNTIME' and r.parent is not null then
    return app.field_problem('/parent', 'not_used', format('%s takes no parent: DOWNTIME does', r.kind));
  elsif r.kind <> 'STOP' and r.loss is not null then
    return app.field_problem('/loss', 'not_used', format('%s takes no loss: STOP does', r.kind));
  elsif r.parent is null then
    return null;
  end if;
  select * into parent from public.reason_codes p where p.kind = r.kind and p.code = r.parent;
  return case
    when parent.code is null then app.field_problem('/parent', 'unknown_reason',
      format('"%s" is not a reason code of kind %s', r.parent, r.kind))
    when parent.parent is not null or parent.code = r.code
      or exists (select from public.reason_codes c where c.kind = r.kind and c.parent = r.code)
    then app.field_problem('/parent', 'too_many_levels',
      format('Reason codes have two levels: "%s" cannot belong to "%s"', r.code, r.parent))
  end;
end
$$;
comment on function app.reason_code_problem(public.reason_codes) is
  'The problem validation_failed of a reason code with a field that its kind does not take, or with a parent that is '
  'missing or leads to a third level.';

create function public.create_reason_code(reason_code jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reason_code', reason_code);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted public.reason_codes := jsonb_populate_record(null::public.reason_codes, reason_code);
  stored public.reason_codes;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create reason codes');
  perform app.raise_problem(app.reason_code_problem(wanted));
  if wanted.kind = 'DOWNTIME' then
    wanted.category := coalesce(wanted.category, 'UNPLANNED');
  elsif wanted.kind = 'STOP' then
    wanted.loss := coalesce(wanted.loss, 'NONE');
  end if;
  insert into public.reason_codes (kind, code, description, category, parent, loss, active)
  values (wanted.kind, wanted.code, wanted.description, wanted.category, wanted.parent, wanted.loss,
    coalesce(wanted.active, true))
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
    perform app.raise_problem(app.reason_code_problem(wanted));
    update public.reason_codes r
    set (description, category, parent, loss, active) = row (
      wanted.description, coalesce(wanted.category, reason.category), wanted.parent, coalesce(wanted.loss, reason.loss),
      coalesce(wanted.active, reason.active)
    )
    where r.kind = reason.kind and r.code = reason.code
    returning * into reason;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.reason_code_json(reason)));
end
$$;
comment on function public.update_reason_code(text, text, jsonb, integer[], jsonb) is
  'Changes fields of a reason code. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, '
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
    format('Reason code %s/%s stands in events, or is a parent: set it inactive instead', reason.kind, reason.code));
end
$$;
comment on function public.delete_reason_code(text, text, integer[]) is
  'Deletes a reason code that no event and no other code has. Raises 403 forbidden, 404 not_found, 409 in_use, 412 '
  'stale_version.';
grant execute on function public.delete_reason_code to authenticated, service_role;

-- supabase/schemas/22_calendars/01_calendars.sql
-- What: calendars: when a plant plans to work, by shifts and exceptions.
-- Why: planned time comes from here, so a report of the past must not move when the pattern changes.

create type public.exception_kind as enum ('CLOSED', 'EXTRA');
comment on type public.exception_kind is 'What is unusual about a date: shifts that do not take place, or one more.';

create table public.calendars (
  name text collate "C" primary key,
  time_zone text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint calendars_name_is_key check (app.is_key(name)),
  constraint calendars_time_zone_short check (char_length(time_zone) between 1 and 64)
);
comment on table public.calendars is 'Plans of working time: a time zone, shifts and exceptions.';
comment on column public.calendars.name is 'Name of the calendar, e.g. Two shifts.';
comment on column public.calendars.time_zone is 'IANA name of the zone whose local times the shifts have.';
comment on column public.calendars.version is
  'Number of the last change of the calendar, its shifts or its exceptions: the ETag.';
grant select on public.calendars to authenticated, service_role;

-- A change of the pattern is a new row with its own valid_from: the old rows keep the past.
create table public.calendar_shifts (
  id bigint generated always as identity primary key,
  calendar_name text collate "C" not null references public.calendars (name) on delete cascade,
  shift_code text collate "C" not null,
  weekdays integer[] not null,
  start_time time not null,
  end_time time not null,
  breaks jsonb not null default '[]',
  valid_from date not null,
  valid_to date,
  created_at timestamptz not null default now(),
  constraint calendar_shifts_code_is_key check (app.is_key(shift_code)),
  constraint calendar_shifts_weekdays_known check (
    cardinality(weekdays) between 1 and 7 and weekdays <@ array[1, 2, 3, 4, 5, 6, 7]
  ),
  constraint calendar_shifts_start_time_is_minute check (extract(second from start_time) = 0 and start_time < '24:00'),
  constraint calendar_shifts_end_time_is_minute check (extract(second from end_time) = 0 and end_time < '24:00'),
  constraint calendar_shifts_breaks_are_list check (jsonb_typeof(breaks) = 'array'
    and jsonb_array_length(breaks) <= 20),
  constraint calendar_shifts_valid_in_order check (valid_from <= valid_to),
  constraint calendar_shifts_valid_is_real check (
    valid_from >= '1970-01-01' and coalesce(valid_to, valid_from) < '2200-01-01' and valid_from < '2200-01-01'
  )
);
comment on table public.calendar_shifts is 'Shifts of a calendar, each with the dates on which its pattern holds.';
comment on column public.calendar_shifts.shift_code is 'Code of the shift, e.g. EARLY.';
comment on column public.calendar_shifts.weekdays is 'Days on which it begins: 1 = Monday to 7 = Sunday.';
comment on column public.calendar_shifts.start_time is 'Local time at which it begins.';
comment on column public.calendar_shifts.end_time is
  'Local time at which it ends: on the next day unless it is later than the start.';
comment on column public.calendar_shifts.breaks is 'Breaks in local times: [{"start": "09:30", "end": "10:00"}].';
comment on column public.calendar_shifts.valid_from is 'First date on which it begins.';
comment on column public.calendar_shifts.valid_to is 'Last date on which it begins; null = until further notice.';
create index calendar_shifts_by_calendar on public.calendar_shifts (calendar_name, valid_from, start_time);
grant select on public.calendar_shifts to authenticated, service_role;

create table public.calendar_exceptions (
  calendar_name text collate "C" not null references public.calendars (name) on delete cascade,
  on_date date not null,
  kind public.exception_kind not null,
  shift_code text collate "C",
  start_time time,
  end_time time,
  note text,
  created_at timestamptz not null default now(),
  primary key (calendar_name, on_date),
  constraint calendar_exceptions_code_is_key check (app.is_key(shift_code)),
  constraint calendar_exceptions_times_together check ((start_time is null) = (end_time is null)),
  constraint calendar_exceptions_extra_has_times check (kind <> 'EXTRA' or start_time is not null),
  constraint calendar_exceptions_start_time_is_minute
    check (extract(second from start_time) = 0 and start_time < '24:00'),
  constraint calendar_exceptions_end_time_is_minute check (extract(second from end_time) = 0 and end_time < '24:00'),
  constraint calendar_exceptions_note_short check (char_length(note) <= 500),
  constraint calendar_exceptions_date_is_real check (on_date >= '1970-01-01' and on_date < '2200-01-01')
);
comment on table public.calendar_exceptions is
  'Dates of a calendar that are unlike its pattern: closed, wholly or in part, or with one more shift.';
comment on column public.calendar_exceptions.shift_code is
  'The shift that is closed, null = all of the date; the code of the additional shift, null = EXTRA.';
comment on column public.calendar_exceptions.start_time is
  'Local time from which it is closed, null = the whole shift; at which the additional shift begins.';
comment on column public.calendar_exceptions.note is 'Why, in words.';
grant select on public.calendar_exceptions to authenticated, service_role;

create trigger calendars_bump_version before update on public.calendars
  for each row execute function app.bump_version();

create trigger calendars_refuse_direct_write before insert or update or delete or truncate on public.calendars
  for each statement execute function app.refuse_direct_write();

create trigger calendar_shifts_refuse_direct_write
  before insert or update or delete or truncate on public.calendar_shifts
  for each statement execute function app.refuse_direct_write();

create trigger calendar_exceptions_refuse_direct_write
  before insert or update or delete or truncate on public.calendar_exceptions
  for each statement execute function app.refuse_direct_write();

alter table public.calendars enable row level security;
alter table public.calendar_shifts enable row level security;
alter table public.calendar_exceptions enable row level security;

create policy "Users with a workplace read all calendars"
  on public.calendars for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create policy "Users with a workplace read all shifts"
  on public.calendar_shifts for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create policy "Users with a workplace read all exceptions"
  on public.calendar_exceptions for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

-- The column is older than this table.
alter table public.workplaces add constraint workplaces_calendar_known
  foreign key (calendar_name) references public.calendars (name);

create function app.require_calendar(name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if name is not null and not exists (select from public.calendars c where c.name = require_calendar.name) then
    perform app.refuse_field('/calendar_name', 'unknown_calendar', format('There is no calendar "%s"', name));
  end if;
end
$$;
comment on function app.require_calendar(text) is
  'Raises 422 validation_failed for the name of a calendar that does not exist; null = none.';

create function app.clock_text(t time) returns text
language sql immutable parallel safe
return to_char(t, 'HH24:MI');
comment on function app.clock_text(time) is 'A time of day as the API writes it: 06:00.';
grant execute on function app.clock_text to authenticated, service_role;

create function app.calendar_json(c public.calendars) returns json
language sql stable
begin atomic
  select json_build_object(
    'name', (c).name,
    'time_zone', (c).time_zone,
    'shifts', (
      select coalesce(json_agg(json_build_object(
        'shift_code', s.shift_code,
        'weekdays', s.weekdays,
        'start_time', app.clock_text(s.start_time),
        'end_time', app.clock_text(s.end_time),
        'breaks', s.breaks,
        'valid_from', s.valid_from,
        'valid_to', s.valid_to
      ) order by s.valid_from, s.start_time, s.shift_code, s.id), '[]')
      from public.calendar_shifts s
      where s.calendar_name = (c).name
    ),
    'version', (c).version,
    'created_at', app.iso((c).created_at),
    'updated_at', app.iso((c).updated_at)
  );
end;
comment on function app.calendar_json(public.calendars) is 'The calendar with its shifts, as the API writes it.';
grant execute on function app.calendar_json to authenticated, service_role;

create function app.exception_json(x public.calendar_exceptions) returns json
language sql stable
return json_build_object(
  'date', (x).on_date,
  'kind', (x).kind,
  'shift_code', (x).shift_code,
  'start_time', app.clock_text((x).start_time),
  'end_time', app.clock_text((x).end_time),
  'note', (x).note
);
comment on function app.exception_json(public.calendar_exceptions) is 'The exception as the API writes it.';
grant execute on function app.exception_json to authenticated, service_role;

-- supabase/schemas/22_calendars/02_occurrences.sql
-- What: shifts as they take place: instants, breaks and closed time of each.
-- Why: reports, the list of shifts and the check for overlaps read one expansion, so that all see the same nights.

create type app.occurrence as (
  shift_date date,
  shift_code text,
  starts_at timestamptz,
  ends_at timestamptz,
  breaks tstzmultirange,
  closed tstzmultirange,
  is_extra boolean
);
comment on type app.occurrence is
  'One shift as it takes place: the local date on which it begins, its instants, and what of it is break or closed.';

create function app.local_instant(on_date date, clock time, time_zone text) returns timestamptz
language sql stable parallel safe
return (on_date + clock) at time zone time_zone;
comment on function app.local_instant(date, time, text) is
  'The instant of a local time. One that does not exist or exists twice is read as PostgreSQL reads it.';

create function app.local_range(on_date date, from_clock time, to_clock time, time_zone text) returns tstzrange
language sql stable parallel safe
return tstzrange(
  app.local_instant(on_date, from_clock, time_zone),
  -- where clocks are put forward, a later local time can be an earlier instant
  greatest(
    app.local_instant(on_date, from_clock, time_zone),
    app.local_instant(on_date + (to_clock <= from_clock)::integer, to_clock, time_zone)
  )
);
comment on function app.local_range(date, time, time, text) is
  'From a local time to the first other one after it: on the next day unless it is later.';

create function app.occurrences(calendar public.calendars, dates date[]) returns setof app.occurrence
language sql stable
begin atomic
  with planned as (
    select d.on_date, s.shift_code,
      app.local_range(d.on_date, s.start_time, s.end_time, (calendar).time_zone) as span,
      s.start_time, s.breaks, false as is_extra
    from unnest(dates) d (on_date)
    join public.calendar_shifts s on s.calendar_name = (calendar).name
      and d.on_date between s.valid_from and coalesce(s.valid_to, 'infinity')
      and extract(isodow from d.on_date)::integer = any(s.weekdays)
    union all
    select x.on_date, coalesce(x.shift_code, 'EXTRA'),
      app.local_range(x.on_date, x.start_time, x.end_time, (calendar).time_zone),
      x.start_time, '[]', true
    from public.calendar_exceptions x
    where x.calendar_name = (calendar).name and x.on_date = any(dates) and x.kind = 'EXTRA'
  )
  select p.on_date, p.shift_code, lower(p.span), upper(p.span),
    coalesce((
      select range_agg(p.span * app.local_range(
        p.on_date + ((b.value ->> 'start')::time < p.start_time)::integer,
        (b.value ->> 'start')::time, (b.value ->> 'end')::time, (calendar).time_zone))
      from jsonb_array_elements(p.breaks) b
    ), '{}'),
    case
      when x.on_date is null or p.is_extra then '{}'
      when x.start_time is null then tstzmultirange(p.span)
      -- the hours after midnight of a night shift are hours of its date, too
      else tstzmultirange(
        p.span * app.local_range(x.on_date, x.start_time, x.end_time, (calendar).time_zone),
        p.span * app.local_range(x.on_date + 1, x.start_time, x.end_time, (calendar).time_zone))
    end,
    p.is_extra
  from planned p
  left join public.calendar_exceptions x on x.calendar_name = (calendar).name and x.on_date = p.on_date
    and x.kind = 'CLOSED' and (x.shift_code is null or x.shift_code = p.shift_code)
  where not isempty(p.span);
end;
comment on function app.occurrences(public.calendars, date[]) is
  'The shifts of a calendar that begin on these local dates, closed ones and additional ones included.';

create function app.dates_around(calendar public.calendars, from_at timestamptz, to_at timestamptz) returns date[]
language sql stable
begin atomic
  -- a shift that began the day before reaches into the window
  select array(
    select d::date from generate_series(
      date_trunc('day', from_at at time zone (calendar).time_zone) - interval '1 day',
      date_trunc('day', to_at at time zone (calendar).time_zone),
      interval '1 day') d);
end;
comment on function app.dates_around(public.calendars, timestamptz, timestamptz) is
  'The local dates on which a shift can begin that reaches into the window.';

-- The pattern repeats every week. It can overlap itself only in a week that is different: where a row begins or ends,
-- at an exception, and where the zone's offset changes.
create function app.dates_to_check(calendar public.calendars) returns date[]
language sql stable
begin atomic
  with bounds as (
    select min(s.valid_from) as first_date, least(
      max(coalesce(s.valid_to, 'infinity')),
      greatest(max(s.valid_from), current_date) + 3653) as last_date
    from public.calendar_shifts s
    where s.calendar_name = (calendar).name
  ),
  marks (on_date, reach) as (
    select s.valid_from, 8 from public.calendar_shifts s where s.calendar_name = (calendar).name
    union all
    select s.valid_to, 8 from public.calendar_shifts s
    where s.calendar_name = (calendar).name and s.valid_to is not null
    union all
    select x.on_date, 2 from public.calendar_exceptions x where x.calendar_name = (calendar).name and x.kind = 'EXTRA'
    union all
    select d.on_date, 2
    from bounds b
    cross join lateral (
      select g::date as on_date
      from generate_series(b.first_date::timestamp, b.last_date::timestamp, interval '1 day') g
    ) d
    where app.local_instant(d.on_date + 1, '00:00', (calendar).time_zone)
      - app.local_instant(d.on_date, '00:00', (calendar).time_zone) <> interval '24 hours'
  )
  select array(select distinct m.on_date + step from marks m, generate_series(-m.reach, m.reach) step);
end;
comment on function app.dates_to_check(public.calendars) is
  'The dates on which shifts of the calendar can overlap, if they ever do within ten years.';

create function app.overlap_problem(calendar public.calendars) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  clash record;
begin
  select o.shift_code, o.shift_date, o.starts_at, o.before_code, o.before_date, o.before_end into clash
  from (
    select o.shift_code, o.shift_date, o.starts_at,
      lag(o.shift_code) over w as before_code, lag(o.shift_date) over w as before_date,
      lag(o.ends_at) over w as before_end,
      count(*) over (partition by o.shift_date, o.shift_code) as times
    from app.occurrences(calendar, app.dates_to_check(calendar)) o
    window w as (order by o.starts_at, o.ends_at, o.shift_code)
  ) o
  where o.starts_at < o.before_end or o.times > 1
  order by o.starts_at
  limit 1;
  if not found then
    return null;
  end if;
  return app.problem(
    409, 'shift_overlap',
    case when clash.starts_at < clash.before_end then format(
      'Shift "%s" of %s begins at %s, before shift "%s" of %s ends at %s',
      clash.shift_code, clash.shift_date, app.iso(clash.starts_at), clash.before_code, clash.before_date,
      app.iso(clash.before_end))
    else format('Shift "%s" takes place more than once on %s', clash.shift_code, clash.shift_date) end,
    jsonb_build_object('shift_code', clash.shift_code, 'shift_date', clash.shift_date)
  );
end
$$;
comment on function app.overlap_problem(public.calendars) is
  'The problem shift_overlap when two shifts of the calendar take place at once, or one of them twice on a date; where '
  'clocks change, too.';

create function app.occurrence_json(o app.occurrence, time_zone text) returns json
language sql stable
begin atomic
  select json_build_object(
    'shift_date', (o).shift_date,
    'shift_code', (o).shift_code,
    'from', app.iso((o).starts_at),
    'to', app.iso((o).ends_at),
    'from_local', to_char((o).starts_at at time zone time_zone, 'YYYY-MM-DD"T"HH24:MI'),
    'to_local', to_char((o).ends_at at time zone time_zone, 'YYYY-MM-DD"T"HH24:MI'),
    'is_extra', (o).is_extra,
    'breaks', (select coalesce(json_agg(json_build_object('from', app.iso(lower(b)), 'to', app.iso(upper(b)))), '[]')
      from unnest((o).breaks) b),
    'closed', (select coalesce(json_agg(json_build_object('from', app.iso(lower(b)), 'to', app.iso(upper(b)))), '[]')
      from unnest((o).closed) b),
    'length_min', app.minutes_between((o).starts_at, (o).ends_at),
    'planned_min', app.minutes_between((o).starts_at, (o).ends_at) - (
      select coalesce(sum(app.minutes_between(lower(b), upper(b))), 0) from unnest((o).breaks + (o).closed) b)
  );
end;
comment on function app.occurrence_json(app.occurrence, text) is
  'The shift as it takes place, as the API writes it: planned_min is its length without breaks and closed time.';

-- supabase/schemas/22_calendars/03_reading.sql
-- What: reading calendars, their shifts and exceptions.
-- Why: occurrences are expanded when read, so a calendar has no rows of the future to maintain.

create function public.get_calendar(name text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  calendar public.calendars;
begin
  select * into calendar from public.calendars c where c.name = get_calendar.name;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.calendar_json(calendar);
end
$$;
comment on function public.get_calendar(text) is 'One calendar with its shifts. Raises 404 not_found.';
grant execute on function public.get_calendar to authenticated, service_role;

create function public.list_calendars(
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
  bounded constant boolean := app.require_bounded('q', q) and app.require_bounded('after_name', after_name)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.calendars[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select c from public.calendars c
    where (q is null or app.begins_with(c.name, q)) and (after_name is null or c.name > after_name)
    order by c.name
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.calendar_json(c)), '[]') from unnest(rows[1:take]) c),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].name) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.calendars c where q is null or app.begins_with(c.name, q)
    ) end
  );
end
$$;
comment on function public.list_calendars(text, text, integer, integer, text) is
  'A page of the calendars, of those whose name begins with q, ordered by name: {"items": [...], "next": key of the '
  'last item or null, "total": number when asked}.';
grant execute on function public.list_calendars to authenticated, service_role;

create function app.date_of(pointer text, value text) returns date
language plpgsql immutable
set search_path = ''
as $$
begin
  if value ~ '^\d{4}-\d\d-\d\d$' is false then
    raise exception sqlstate '22007';
  end if;
  return value::date;
exception when datetime_field_overflow or invalid_datetime_format then
  perform app.refuse_field(pointer, 'invalid_format',
    format('"%s" is not a date such as 2026-11-24', left(value, 40)));
  return null;
end
$$;
comment on function app.date_of(text, text) is 'The date of an argument; null for null. Raises 422 validation_failed.';
grant execute on function app.date_of to authenticated, service_role;

create function app.require_window(from_at timestamptz, to_at timestamptz) returns void
language plpgsql
set search_path = ''
as $$
begin
  if from_at is null or to_at is null then
    perform app.refuse_field(case when from_at is null then '/from' else '/to' end, 'missing',
      'A window needs from and to');
  elsif not isfinite(from_at) or not isfinite(to_at) or to_at < from_at then
    perform app.refuse_field('/to', 'before_from', 'to must not be earlier than from');
  elsif to_at - from_at > interval '400 days' then
    perform app.refuse_field('/to', 'too_big', 'A window has at most 400 days');
  end if;
end
$$;
comment on function app.require_window(timestamptz, timestamptz) is
  'Raises 422 validation_failed unless from <= to, at most 400 days apart.';
grant execute on function app.require_window to authenticated, service_role;

-- Runs as its owner, which may expand the shifts; it checks the caller as the policies do.
create function public.list_shifts(
  name text, from_at timestamptz default null, to_at timestamptz default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  calendar public.calendars;
begin
  perform app.require_plant(app.current_caller());
  select * into calendar from public.calendars c where c.name = list_shifts.name;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_window(from_at, to_at);
  return (
    select coalesce(json_agg(app.occurrence_json(o, calendar.time_zone) order by o.starts_at), '[]')
    from app.occurrences(calendar, app.dates_around(calendar, from_at, to_at)) o
    where o.starts_at < to_at and o.ends_at > from_at
  );
end
$$;
comment on function public.list_shifts(text, timestamptz, timestamptz) is
  'The shifts of a calendar that take place in the window of at most 400 days, whole, in order. Raises 404 not_found, '
  '422 validation_failed.';
grant execute on function public.list_shifts to authenticated, service_role;

create function public.list_calendar_exceptions(
  name text, from_date text default null, to_date text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('from_date', from_date)
    and app.require_bounded('to_date', to_date);
begin
  if not exists (select from public.calendars c where c.name = list_calendar_exceptions.name) then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(app.exception_json(x) order by x.on_date), '[]')
    from (
      select * from public.calendar_exceptions e
      where e.calendar_name = list_calendar_exceptions.name
        and (from_date is null or e.on_date >= app.date_of('/from', from_date))
        and (to_date is null or e.on_date <= app.date_of('/to', to_date))
      order by e.on_date
      limit 1000
    ) x
  );
end
$$;
comment on function public.list_calendar_exceptions(text, text, text) is
  'The exceptions of a calendar between two dates, both included, in order; the first 1,000. Raises 404 not_found.';
grant execute on function public.list_calendar_exceptions to authenticated, service_role;

-- supabase/schemas/22_calendars/04_changing.sql
-- What: creating, changing and deleting calendars and their exceptions.
-- Why: a change is checked for overlaps in the transaction that makes it, so no two changes overlap together.

create function app.zone_problem(time_zone text) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case when not exists (select from pg_catalog.pg_timezone_names z where z.name = time_zone)
    then app.field_problem('/time_zone', 'unknown_time_zone',
      format('"%s" is not an IANA time zone such as Europe/Amsterdam', left(time_zone, 64))) end;
end
$$;
comment on function app.zone_problem(text) is 'The problem validation_failed for a zone that PostgreSQL does not know.';

create function app.minutes_after(clock time, from_clock time) returns integer
language sql immutable parallel safe
return mod((extract(epoch from clock - from_clock) / 60)::integer + 1440, 1440);
comment on function app.minutes_after(time, time) is 'Minutes on a clock from one time to the next other one.';

create function app.breaks_problem(shift public.calendar_shifts, pointer text) returns app.problem
language sql immutable
begin atomic
  select app.field_problem(pointer || '/breaks', 'outside_shift', format(
    'The break %s-%s does not lie in shift "%s"', b.value ->> 'start', b.value ->> 'end', (shift).shift_code))
  from jsonb_array_elements((shift).breaks) b
  cross join lateral (
    select (b.value ->> 'start')::time as starts, (b.value ->> 'end')::time as ends,
      coalesce(nullif(app.minutes_after((shift).end_time, (shift).start_time), 0), 1440) as length_min
  ) t
  where t.starts = t.ends
    or app.minutes_after(t.starts, (shift).start_time) + app.minutes_after(t.ends, t.starts) > t.length_min
  limit 1;
end;
comment on function app.breaks_problem(public.calendar_shifts, text) is
  'The problem validation_failed of a break that is not wholly within its shift, on local clocks.';

create function app.add_shifts(calendar public.calendars, shifts jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  shift public.calendar_shifts;
  item record;
begin
  if jsonb_typeof(shifts) <> 'array' or jsonb_array_length(shifts) > 50 then
    perform app.refuse_field('/shifts', 'too_big', 'A calendar takes at most 50 shifts in one call');
  end if;
  for item in select s.value, s.ordinality - 1 as index from jsonb_array_elements(shifts) with ordinality s loop
    shift := jsonb_populate_record(null::public.calendar_shifts, item.value);
    shift.breaks := coalesce((
      select jsonb_agg(jsonb_build_object(
        'start', app.clock_text((b.value ->> 'start')::time), 'end', app.clock_text((b.value ->> 'end')::time))
        order by b.ordinality)
      from jsonb_array_elements(case when jsonb_typeof(shift.breaks) = 'array' then shift.breaks else '[]' end)
        with ordinality b
    ), '[]');
    perform app.raise_problem(coalesce(
      case when shift.valid_to < shift.valid_from then app.field_problem(
        format('/shifts/%s/valid_to', item.index), 'before_start',
        format('valid_to "%s" must not be earlier than valid_from "%s"', shift.valid_to, shift.valid_from)) end,
      app.breaks_problem(shift, format('/shifts/%s', item.index))));
    insert into public.calendar_shifts (
      calendar_name, shift_code, weekdays, start_time, end_time, breaks, valid_from, valid_to
    )
    values (
      calendar.name, shift.shift_code, array(select distinct w from unnest(shift.weekdays) w order by w),
      shift.start_time, shift.end_time, shift.breaks, shift.valid_from, shift.valid_to
    );
  end loop;
  if (select count(*) from public.calendar_shifts s where s.calendar_name = calendar.name) > 500 then
    perform app.refuse(409, 'limit_reached', 'A calendar has at most 500 shifts, closed ones included: begin a new one',
      jsonb_build_object('limit', 500));
  end if;
end
$$;
comment on function app.add_shifts(public.calendars, jsonb) is
  'Adds shifts to a calendar from the JSON of the API. Raises 409 limit_reached, 422 validation_failed.';

create function public.create_calendar(calendar jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('calendar', calendar);
  command constant app.command := app.begin_command(idempotency);
  stored public.calendars;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(command.caller, 'manager', 'Only managers may create calendars');
  perform app.raise_problem(app.zone_problem(calendar ->> 'time_zone'));
  insert into public.calendars (name, time_zone) values (calendar ->> 'name', calendar ->> 'time_zone')
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_calendar', format('Calendar "%s" exists already', calendar ->> 'name'));
  end if;
  perform app.add_shifts(stored, coalesce(nullif(calendar -> 'shifts', 'null'), '[]'));
  perform app.raise_problem(app.overlap_problem(stored));
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.calendar_json(stored)));
end
$$;
comment on function public.create_calendar(jsonb, jsonb) is
  'Creates a calendar with its shifts. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_calendar or '
  'shift_overlap, 422 validation_failed.';
grant execute on function public.create_calendar to authenticated, service_role;

create function app.lock_calendar(
  caller app.caller, name text, if_match integer[], sentence text
) returns public.calendars
language plpgsql
set search_path = ''
as $$
declare
  calendar public.calendars;
begin
  perform app.require_plant(caller);
  select * into calendar from public.calendars c where c.name = lock_calendar.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', sentence);
  perform app.require_version(calendar.version, if_match);
  return calendar;
end
$$;
comment on function app.lock_calendar(app.caller, text, integer[], text) is
  'The calendar of a change, locked until commit. Raises 403 forbidden, 404 not_found, 412 stale_version.';

create function app.touch_calendar(inout calendar public.calendars)
language plpgsql
set search_path = ''
as $$
begin
  perform app.raise_problem(app.overlap_problem(calendar));
  update public.calendars c set time_zone = calendar.time_zone where c.name = calendar.name
  returning * into calendar;
end
$$;
comment on function app.touch_calendar(public.calendars) is
  'Gives a changed calendar its next version. Raises 409 shift_overlap.';

-- What was reported of the past must not move: rows that a workplace has used are closed, not deleted.
create function app.replace_shifts(calendar public.calendars, shifts jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  today constant date := (clock_timestamp() at time zone calendar.time_zone)::date;
  from_date constant date := coalesce(
    (select min(app.date_of('/shifts', s.value ->> 'valid_from')) from jsonb_array_elements(shifts) s), today);
begin
  if from_date < today and exists (select from public.workplaces w where w.calendar_name = calendar.name) then
    perform app.refuse(409, 'in_use',
      format('Workplaces use calendar "%s": its shifts change from today, %s, on', calendar.name, today));
  end if;
  delete from public.calendar_shifts s where s.calendar_name = calendar.name and s.valid_from >= from_date;
  update public.calendar_shifts s set valid_to = from_date - 1
  where s.calendar_name = calendar.name and coalesce(s.valid_to, 'infinity') >= from_date;
  perform app.add_shifts(calendar, shifts);
end
$$;
comment on function app.replace_shifts(public.calendars, jsonb) is
  'Replaces the shifts of a calendar from the first valid_from of the new ones on, of none from today on; earlier rows '
  'are closed. Raises 409 in_use for the past of a calendar that workplaces use.';

create function public.update_calendar(
  name text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  calendar public.calendars;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  calendar := app.lock_calendar(command.caller, name, if_match, 'Only managers may change calendars');
  if patch ->> 'time_zone' <> calendar.time_zone then
    perform app.raise_problem(app.zone_problem(patch ->> 'time_zone'));
    if exists (select from public.workplaces w where w.calendar_name = calendar.name) then
      perform app.refuse(409, 'in_use', format(
        'Workplaces use calendar "%s": another time zone would move what was reported of the past', calendar.name));
    end if;
    calendar.time_zone := patch ->> 'time_zone';
  end if;
  if jsonb_typeof(patch -> 'shifts') = 'array' then
    perform app.replace_shifts(calendar, patch -> 'shifts');
  end if;
  calendar := app.touch_calendar(calendar);
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.calendar_json(calendar)));
end
$$;
comment on function public.update_calendar(text, jsonb, integer[], jsonb) is
  'Changes the zone or, from a date on, the shifts of a calendar. Answers {"status", "body"}. Raises 403 forbidden, '
  '404 not_found, 409 in_use or shift_overlap, 412 stale_version, 422 validation_failed.';
grant execute on function public.update_calendar to authenticated, service_role;

create function public.delete_calendar(name text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('if_match', if_match);
  calendar public.calendars;
begin
  calendar := app.lock_calendar(app.current_caller(), name, if_match, 'Only managers may delete calendars');
  delete from public.calendars c where c.name = calendar.name;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use', format('Workplaces use calendar "%s"', name));
end
$$;
comment on function public.delete_calendar(text, integer[]) is
  'Deletes a calendar that no workplace uses. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';
grant execute on function public.delete_calendar to authenticated, service_role;

create function public.put_calendar_exceptions(
  name text, exceptions jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('exceptions', exceptions)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  calendar public.calendars;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  calendar := app.lock_calendar(command.caller, name, if_match, 'Only managers may change calendars');
  if jsonb_typeof(exceptions) <> 'array' or jsonb_array_length(exceptions) > 400 then
    perform app.refuse_field('/exceptions', 'too_big', 'A call takes at most 400 exceptions');
  elsif exists (select from jsonb_array_elements(exceptions) x group by x.value ->> 'date' having count(*) > 1) then
    perform app.refuse_field('/exceptions', 'duplicate_date', 'A date has one exception');
  elsif exists (
    select from jsonb_array_elements(exceptions) x
    where (x.value ->> 'start_time' is null) <> (x.value ->> 'end_time' is null)
      or x.value ->> 'kind' = 'EXTRA' and x.value ->> 'start_time' is null
  ) then
    perform app.refuse_field('/start_time', 'times_needed',
      'start_time and end_time are given together, and an EXTRA shift needs them');
  end if;
  insert into public.calendar_exceptions as e (
    calendar_name, on_date, kind, shift_code, start_time, end_time, note
  )
  select calendar.name, app.date_of('/date', x.value ->> 'date'), (x.value ->> 'kind')::public.exception_kind,
    x.value ->> 'shift_code', (x.value ->> 'start_time')::time, (x.value ->> 'end_time')::time, x.value ->> 'note'
  from jsonb_array_elements(exceptions) x
  on conflict on constraint calendar_exceptions_pkey do update
    set (kind, shift_code, start_time, end_time, note)
      = (excluded.kind, excluded.shift_code, excluded.start_time, excluded.end_time, excluded.note);
  calendar := app.touch_calendar(calendar);
  return app.finish_command(command, null, json_build_object('status', 200, 'body', json_build_object(
    'calendar_name', calendar.name,
    'version', calendar.version,
    'exceptions', (
      select coalesce(json_agg(app.exception_json(e) order by e.on_date), '[]')
      from public.calendar_exceptions e
      where e.calendar_name = calendar.name
        and e.on_date = any(array(select (x.value ->> 'date')::date from jsonb_array_elements(exceptions) x))
    ))));
end
$$;
comment on function public.put_calendar_exceptions(text, jsonb, integer[], jsonb) is
  'Stores up to 400 exceptions of a calendar, each in place of the one of its date. Answers {"status", "body"}: the '
  'exceptions and the new version of the calendar. Raises 403 forbidden, 404 not_found, 409 shift_overlap, 412 '
  'stale_version, 422 validation_failed.';
grant execute on function public.put_calendar_exceptions to authenticated, service_role;

create function public.delete_calendar_exception(
  name text, on_date text, if_match integer[] default null
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('on_date', on_date)
    and app.require_bounded('if_match', if_match);
  calendar public.calendars;
begin
  calendar := app.lock_calendar(app.current_caller(), name, if_match, 'Only managers may change calendars');
  delete from public.calendar_exceptions e
  where e.calendar_name = calendar.name and e.on_date = app.date_of('/date', delete_calendar_exception.on_date);
  if not found then
    perform app.refuse_missing();
  end if;
  calendar := app.touch_calendar(calendar);
end
$$;
comment on function public.delete_calendar_exception(text, text, integer[]) is
  'Deletes the exception of a date. Raises 403 forbidden, 404 not_found, 409 shift_overlap, 412 stale_version.';
grant execute on function public.delete_calendar_exception to authenticated, service_role;

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
  t_target_per_piece_min numeric(15, 6),

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
    coalesce(least(t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min,
      t_actual_lead_min), 0) >= 0
    -- a correction may state fewer minutes than the open run will add
    and (coalesce(t_actual_processing_min, 0) >= 0 or running_phase = 'PROCESSING')
    and (coalesce(t_actual_setup_min, 0) >= 0 or running_phase = 'SETUP')
    and coalesce(greatest(t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min,
      t_actual_processing_min, t_actual_setup_min, t_actual_lead_min), 0) < 1e9
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
comment on column public.mes_operations.t_target_per_piece_min is
  'Planned minutes per piece run; null = t_target_processing_min / qty_desired.';
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
create index mes_operations_with_source_conflict on public.mes_operations (order_no, operation_no, asset_id)
  where source_conflict;
-- For reports: operations that ended while they were paused. Few were paused for days.
create index mes_operations_ended_paused on public.mes_operations (workplace_name, actual_end_at)
  where actual_end_at > worked_until;
create index mes_operations_ended_long_paused on public.mes_operations (workplace_name, actual_end_at)
  where actual_end_at - worked_until > interval '3 days';
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
  t_target_per_piece_min numeric,
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
  (o).t_target_per_piece_min,
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
  has_parked boolean,
  updated_after timestamptz,
  source_conflict boolean
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
    case (filter).source_conflict when true then 'o.source_conflict' when false then 'not o.source_conflict' end,
    -- the index has the hours of the changes
    case when (filter).updated_after is not null then
      'o.updated_hour >= date_trunc(''hour'', ($1).updated_after at time zone ''UTC'')
        and o.updated_at >= ($1).updated_after'
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
  updated_after timestamptz default null,
  source_conflict boolean default null,
  sort text default 'order_no',
  after_value timestamptz default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null,
  with_actions boolean default false
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
    planned_start_after, planned_start_before, has_remaining_qty, is_overdue, open_longer_than_h, q, has_parked,
    updated_after, source_conflict);
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
    'items', case
      when with_actions then app.operations_json(rows[1:take], app.current_caller())
      else (select coalesce(json_agg(app.operation_json(o)), '[]') from unnest(rows[1:take]) o)
    end,
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
  'after the given value and key; count is null, exact or estimated. with_actions: each has what the caller may do.';
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
  scope public.scope not null,
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
comment on column app.actions.scope is 'What an API key needs for it.';
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
  (position, action, least_role, scope, run_effect, follows, quantities, reason_kind, reason_needed, takes)
values
  (1, 'RELEASE', 'supervisor', 'operations:plan', 'none', 'all work', 'none', null, 'never', '{}'),
  (2, 'START', 'operator', 'events:report', 'opens', 'all work', 'none', null, 'never', '{phase}'),
  (3, 'STOP', 'operator', 'events:report', 'closes', 'all work', 'none', 'STOP', 'never', '{reason_code}'),
  (4, 'REPORT_QUANTITY', 'operator', 'events:report', 'none', 'the start', 'added', 'SCRAP', 'never',
    '{qty_good,qty_scrap,overrun,reason_code}'),
  (5, 'COMPLETE', 'operator', 'events:report', 'closes', 'all work', 'added', 'SHORTFALL', 'when short',
    '{qty_good,qty_scrap,overrun,reason_code}'),
  (6, 'FINISH', 'operator', 'events:report', 'closes', 'all work', 'none', 'SHORTFALL', 'when short', '{reason_code}'),
  (7, 'HOLD', 'supervisor', 'operations:plan', 'closes', 'all work', 'none', 'HOLD', 'always', '{reason_code}'),
  (8, 'CANCEL', 'supervisor', 'operations:plan', 'closes', 'all work', 'none', 'CANCEL', 'always', '{reason_code}'),
  (9, 'REVERSE', 'operator', 'events:correct', 'none', 'the start', 'taken back', null, 'never',
    '{qty_good,qty_scrap,reverses_event_id}'),
  (10, 'CORRECT', 'supervisor', 'events:correct', 'none', 'nothing', 'signed', null, 'never',
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
  a.scope, a.run_effect, a.follows, a.quantities, a.reason_kind, a.reason_needed
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

-- An API key may take fewer actions than its role.
create function app.actions_in_scope(actions json, scopes public.scope[]) returns json
language sql stable
return case when scopes is null then actions else (
  select json_agg(
    case when a.scope = any(scopes) then possible.value
      else app.possible_action(a.action, coalesce(possible.value ->> 'blocked_by', 'forbidden')) end
    order by possible.ordinality
  )
  from json_array_elements(actions) with ordinality possible
    join app.actions a on a.action = (possible.value ->> 'action')::public.action
) end;
comment on function app.actions_in_scope(json, public.scope[]) is
  'The actions, those beyond the scopes of an API key blocked by "forbidden"; unchanged without scopes.';

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
  if possible.depends_on_room then
    select w.capacity into capacity from public.workplaces w where w.name = operation.workplace_name;
  end if;
  if capacity is not null and capacity <= (
    select count(*) from public.mes_operations o
    where o.workplace_name = operation.workplace_name and o.status = 'IN_PROGRESS' and o.id <> operation.id
  ) then
    possible.actions := possible.actions_at_full_workplace;
  end if;
  return case when caller.scopes is null then possible.actions
    else app.actions_in_scope(possible.actions, caller.scopes) end;
end
$$;
comment on function app.allowed_actions(public.mes_operations, app.caller) is
  'For each action whether this caller may take it now, and if not the machine code of the cause. The shape is '
  '{"action", "allowed", "blocked_by"}.';
grant execute on function app.allowed_actions to authenticated, service_role;

create function app.actions_of(caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(json_agg(a.action order by a.position), '[]') from app.actions a
    where app.role_rank(a.least_role) <= app.role_rank(caller.role)
      and (caller.scopes is null or a.scope = any(caller.scopes))
  );
end
$$;
comment on function app.actions_of(app.caller) is
  'The actions that the caller may take at all; the state of an operation decides the rest.';

create function app.rights_json(caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return json_build_object(
    'workplace_access', app.places_json(caller),
    'actions', app.actions_of(caller),
    'downtime_actions', app.downtime_actions_of(caller),
    'machine_states', app.speaks_for_machines(caller)
  );
end
$$;
comment on function app.rights_json(app.caller) is
  'What the caller may do: {"workplace_access": names, * = all, "actions", "downtime_actions", "machine_states"}.';
grant execute on function app.rights_json to authenticated, service_role;

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

-- A page costs 3 ms more with it for 100 operations. app.allowed_actions for each of them would cost 7 ms: it looks at
-- the workplace each time.
create function app.operations_json(operations public.mes_operations[], caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    with full_workplaces as materialized (
      select w.name from public.workplaces w
      where w.name = any(array(select distinct o.workplace_name from unnest(operations) o))
        and w.capacity <= (
          select count(*) from public.mes_operations o where o.workplace_name = w.name and o.status = 'IN_PROGRESS'
        )
    )
    select coalesce(json_agg(app.json_with(app.operation_json(o), 'allowed_actions',
      case
        when p.depends_on_room and o.workplace_name in (select w.name from full_workplaces w)
          then p.actions_at_full_workplace
        else p.actions
      end)), '[]')
    from unnest(operations) o
      -- one look-up for each operation keeps the order of the page
      cross join lateral (
        select * from app.possible_actions p
        where p.state = o.state and p.rank = app.role_rank(caller.role)
          and p.is_processing = (o.running_phase is not distinct from 'PROCESSING')
        offset 0
      ) p
  );
end
$$;
comment on function app.operations_json(public.mes_operations[], app.caller) is
  'The operations of a page in their order, each with its allowed_actions, as app.operation_answer has them.';
grant execute on function app.operations_json to authenticated, service_role;

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
  person_id uuid references app.people (id),
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
comment on column public.operation_events.person_id is
  'Person who acted at the terminal that reported; null when nobody was signed in there.';
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
create index operation_events_by_person on public.operation_events (person_id, created_at desc, id desc)
  where person_id is not null;
create index operation_events_late on public.operation_events (created_at desc, id desc, occurred_at)
  where created_at - occurred_at > interval '1 hour';
create index operation_events_by_reversed on public.operation_events (reverses_event_id)
  where reverses_event_id is not null;
create index operation_events_with_pieces on public.operation_events (workplace_name, occurred_at)
  where qty_good <> 0 or qty_scrap <> 0;
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

-- An event is a row of the log with the rows that other tables have for it: position, reporter, person, answers of
-- receivers.
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
  reported_by jsonb,
  person app.named_person,
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
  e public.operation_events, pos bigint, reporter app.reporter_body, person app.named_person, is_delivered boolean,
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
  (reporter).user_email,
  (reporter).reported_by,
  person,
  coalesce(is_delivered, false),
  webhook_response,
  error_message,
  app.iso((e).created_at)
)::app.event_body;
comment on function
  app.event_body(public.operation_events, bigint, app.reporter_body, app.named_person, boolean, text, text) is
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
  reporter app.reporter_body;
  is_delivered boolean;
  response text;
  error_message text;
begin
  select
    (select f.pos from app.feed f where f.event_id = e.id),
    w.is_delivered, w.response, w.error_message
  into feed_pos, is_delivered, response, error_message
  from (select e.id) event left join app.webhook_outcomes w on w.event_id = event.id;
  reporter := (select app.reporter_body(r) from app.reporters r where r.id = e.reporter_id);
  if coalesce(response, error_message) is not null and not app.sees_webhook_answers(app.current_caller()) then
    response := null;
    error_message := null;
  end if;
  return to_json(app.event_body(
    e, feed_pos, reporter, app.person_of(e.person_id), is_delivered, response, error_message));
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
  workplace_name text collate "C",
  waited_since timestamptz,
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
comment on column public.operation_runs.workplace_name is 'Workplace of the START, where the work was done.';
comment on column public.operation_runs.waited_since is
  'End of the run before, when the operation was paused or blocked in between.';
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
-- Lists of a window: first what runs at its beginning, which is little, then what starts in it.
create index operation_runs_by_range on public.operation_runs using gist (tstzrange(started_at, ended_at));
create index operation_runs_by_start on public.operation_runs (started_at, operation_id, run_no);
-- Reports read what a workplace did in a window, with the pauses before it: almost every run and its pause fit into
-- three days, so a range of starts holds them. The few longer ones and the open ones have indexes of their own.
create index operation_runs_by_workplace on public.operation_runs (workplace_name, started_at, operation_id, run_no);
create index operation_runs_long on public.operation_runs (workplace_name, ended_at)
  where ended_at - coalesce(waited_since, started_at) > interval '3 days';
create index operation_runs_open_by_workplace on public.operation_runs (workplace_name) where ended_at is null;
grant select on public.operation_runs to authenticated, service_role;

create trigger operation_runs_refuse_direct_write before insert or update or delete or truncate on public.operation_runs
  for each statement execute function app.refuse_direct_write();

alter table public.operation_runs enable row level security;

create policy "Users read the runs of operations they see"
  on public.operation_runs for select to authenticated
  using (exists (select from public.mes_operations o where o.id = operation_id));

create function app.event_person(event_id uuid) returns app.named_person
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    select app.person_of(e.person_id) from public.operation_events e
    where e.id = event_person.event_id and e.person_id is not null
  );
end
$$;
comment on function app.event_person(uuid) is 'The person who acted when the event was reported; null when nobody did.';
grant execute on function app.event_person to authenticated, service_role;

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
    'user_email', reporter.user_email,
    'reported_by', reporter.reported_by,
    'person', app.event_person((r).start_event_id)
  )
  from app.stored_reporter((r).reporter_id) reporter;
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

-- Runs at the beginning of the window are found by their range, whatever the history; they come first in the order of
-- the list. The others begin within the window, in one range of an index for each workplace.
create function public.list_all_runs(
  workplace_names text[] default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  after_started_at timestamptz default null,
  after_operation_id bigint default null,
  after_run_no integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  caller constant app.caller := app.current_caller();
  places constant text[] := app.places_to_list(app.distinct_values(workplace_names));
  scope constant text := concat_ws(' and ', 'true',
    case when places is not null then 'r.workplace_name = any($1)' end,
    case when not coalesce(caller.sees_all, false) then
      'exists (select from public.mes_operations o where o.id = r.operation_id and o.workplace_name = any($2))' end,
    case when to_at is not null then 'r.started_at < $4' end);
  running constant text := scope || ' and tstzrange(r.started_at, r.ended_at) @> $3 and r.started_at < $3';
  starting constant text := scope || case when from_at is not null then ' and r.started_at >= $3' else '' end;
  after_key constant text := case when after_started_at is not null
    then ' and (r.started_at, r.operation_id, r.run_no) > ($5, $6, $7)' else '' end;
  rows public.operation_runs[] := '{}'::public.operation_runs[];
  others public.operation_runs[];
  passed integer := 0;
  total bigint;
  plan json;
begin
  -- a direct call of the Data API may ask for any number
  take := greatest(least(take, 500), 1);
  skip := greatest(coalesce(skip, 0), 0);
  if from_at >= to_at then
    return json_build_object('items', '[]'::json, 'next', null, 'total', case when count is not null then 0 end);
  end if;
  if from_at is not null then
    execute format('select array(select r from public.operation_runs r where %s
      order by r.started_at, r.operation_id, r.run_no)', running || after_key)
    into rows
    using places, caller.workplaces, from_at, to_at, after_started_at, after_operation_id, after_run_no;
    passed := least(skip, cardinality(rows));
    rows := rows[passed + 1:passed + take + 1];
  end if;
  if cardinality(rows) <= take then
    execute app.page_query('public.operation_runs', 'r', 'r', starting || after_key,
      app.alternatives('r.workplace_name', '$1',
        -- each alternative costs planning time
        case when cardinality(places) <= 16 then cardinality(places) end),
      'started_at, operation_id, run_no', 'started_at, operation_id, run_no', '$8', '$9')
    into others
    using places, caller.workplaces, from_at, to_at, after_started_at, after_operation_id, after_run_no,
      take + 1 - cardinality(rows), skip - passed;
    rows := rows || others;
  end if;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not coalesce(caller.sees_all, false) then
    execute format('select (select count(*) from public.operation_runs r where %s)
        + (select count(*) from public.operation_runs r where %s)',
      starting, case when from_at is not null then running else 'false' end)
    into total
    using places, caller.workplaces, from_at, to_at;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.operation_runs r where %s', starting) into plan
    using places, caller.workplaces, from_at, to_at;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', (
      select coalesce(json_agg(json_build_object(
        'order_no', o.order_no,
        'asset_id', o.asset_id,
        'operation_no', o.operation_no,
        'workplace_name', r.workplace_name,
        'run_no', r.run_no,
        'phase', r.phase,
        'started_at', app.iso(r.started_at),
        'ended_at', app.iso(r.ended_at),
        'duration_min', greatest(app.minutes_between(r.started_at, coalesce(r.ended_at, now())), 0),
        'start_event_id', r.start_event_id,
        'end_event_id', r.end_event_id,
        'user_id', r.user_id,
        'user_email', p.email,
        'reported_by', (app.reporter_body(p)).reported_by,
        'person', app.event_person(r.start_event_id)
      ) order by r.started_at, r.operation_id, r.run_no), '[]')
      from unnest(rows[1:take]) r
        join public.mes_operations o on o.id = r.operation_id
        left join app.reporters p on p.id = r.reporter_id
    ),
    'next', case when cardinality(rows) > take then json_build_array(
      rows[take].started_at, rows[take].operation_id, rows[take].run_no) end,
    'total', case when count is not null then total end
  );
end
$$;
comment on function public.list_all_runs is
  'A page of the runs that overlap a window, those at workplaces of the caller and of operations that the caller sees, '
  'by start: {"items": [...], "next": key of the last item or null, "total": number when asked}. The window is from '
  'from_at until before to_at; null = no bound.';
grant execute on function public.list_all_runs to authenticated, service_role;

create function app.running_problem(operation public.mes_operations) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  run public.operation_runs;
  reporter app.reporter_body;
begin
  select * into run from public.operation_runs r where r.operation_id = operation.id and r.run_no = operation.run_count;
  reporter := app.stored_reporter(run.reporter_id);
  return app.problem(
    409, 'already_running',
    format('Cannot START operation %s: it has been running since %s',
      app.operation_label(operation), app.iso(operation.running_since)),
    jsonb_build_object('running_since', app.iso(operation.running_since), 'phase', operation.running_phase,
      'user_id', run.user_id, 'user_email', reporter.user_email, 'reported_by', reporter.reported_by,
      'person', to_jsonb(app.event_person(run.start_event_id)))
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

-- PL/pgSQL: an import calls it for each row, and a SQL function would cost several times as much.
create function app.source_time_problem(instant timestamptz) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case
    -- most times are in the past and need no look-up of the last record
    when instant > clock_timestamp() + interval '24 hours' and instant > app.latest_time() + interval '24 hours'
    then app.field_problem('/timestamp_ms', 'in_future', app.ahead_of_clock(instant))
  end;
end
$$;
comment on function app.source_time_problem(timestamptz) is
  'The problem validation_failed (in_future) for a timestamp_ms more than 24 h after app.latest_time(): it would make '
  'every later row of the source stale.';

create function app.is_too_old(caller app.caller, instant timestamptz) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  if app.role_rank(caller.role) >= app.role_rank('supervisor') then
    return false;
  end if;
  return instant < clock_timestamp() - (select s.report_age_limit from app.settings s);
end
$$;
comment on function app.is_too_old(app.caller, timestamptz) is
  'True for machines and operators when it happened longer ago than app.settings allows: their device''s clock is '
  'wrong.';

create function app.too_old_problem(attempt text, instant timestamptz) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  age_limit constant interval := (select s.report_age_limit from app.settings s);
begin
  return app.problem(
    422, 'too_old',
    format('%s: that is %s behind the server''s clock, %s; a supervisor may report it',
      attempt, app.in_words(heard_at - instant), app.iso(heard_at)),
    jsonb_build_object('server_time', app.iso(heard_at), 'limit', app.iso(heard_at - age_limit),
      'limit_days', round(extract(epoch from age_limit) / 86400, 2)));
end
$$;
comment on function app.too_old_problem(text, timestamptz) is
  'The problem too_old for an attempt to report of this time, with the offset in words and the limit.';

create function app.age_problem(
  operation public.mes_operations, caller app.caller, action public.action, instant timestamptz
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case when app.is_too_old(caller, instant) then app.too_old_problem(
    format('Cannot %s operation %s at %s', action, app.operation_label(operation), app.iso(instant)), instant) end;
end
$$;
comment on function app.age_problem(public.mes_operations, app.caller, public.action, timestamptz) is
  'The problem too_old for an action that the caller may not report of that time any more.';

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
  event.person_id := caller.person_id;
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
  elsif transition.scope <> all(caller.scopes) then
    problem := app.scope_problem(caller, transition.scope,
      format('The API key may not %s operation %s', report.action_type, app.operation_label(operation)));
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
  waited_since constant timestamptz := case when operation.running_since is null then operation.worked_until end;
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
    opened_run.workplace_name := event.workplace_name;
    opened_run.waited_since := waited_since;
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
    caller, coalesce(report.user_id, caller.user_id), coalesce(report.user_email, caller.email));
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
  -- this follows from a change that the key was allowed to make
  caller.scopes := null;
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
  event.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  event.person_id := caller.person_id;
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

-- Position, reporter, person and answers of webhooks are in private tables: one call looks them up for a whole page.
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
      e, f.pos, app.reporter_body(r),
      case when p.id is not null then row(p.id, p.display_name)::app.named_person end, w.is_delivered,
      case when with_answers then w.response end, case when with_answers then w.error_message end
    )) order by k.created_at desc, k.id desc), '[]')
    from unnest(keys) k
      join public.operation_events e on e.id = k.id and app.sees_workplace(caller, e.workplace_name)
      left join app.feed f on f.event_id = e.id
      left join app.reporters r on r.id = e.reporter_id
      left join app.people p on p.id = e.person_id
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
  person_id uuid default null,
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
    case when person_id is not null then 'e.person_id = $9' end,
    -- an event is recorded after it occurred, except for the error of a device's clock
    case when occurred_after is not null then 'e.occurred_at >= $7 and e.created_at >= $7 - interval ''2 minutes''' end,
    case when occurred_before is not null then 'e.occurred_at < $8' end
  );
  -- The planner takes the two times of an event for independent and would sort everything that happened in the span;
  -- `is true` keeps it on the order of the list, where the page begins within an hour of the span's end.
  page constant text := regexp_replace(filter, 'e.occurred_at \S+ \$\d', '(\&) is true', 'g')
    || case when before_created_at is not null then ' and (e.created_at, e.id) < ($10, $11)' else '' end;
  actions constant public.action[] := app.distinct_values(action_types)::public.action[];
  places constant text[] := app.places_to_list(case when workplace_name is not null then array[workplace_name] end);
  alternatives text[] := app.all_pairs(
    app.alternatives('e.workplace_name', '$14', cardinality(places)),
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
    'created_at, id', 'created_at desc, id desc', '$12', '$13')
  into keys
  using order_no, operation_no, asset_id, actions, workplace_name, user_id, occurred_after, occurred_before,
    person_id, before_created_at, before_id, take + 1, skip, places;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.operation_events e where %s', filter) into total
    using order_no, operation_no, asset_id, action_types, workplace_name, user_id, occurred_after, occurred_before,
      person_id;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.operation_events e where %s', filter) into plan
    using order_no, operation_no, asset_id, action_types, workplace_name, user_id, occurred_after, occurred_before,
      person_id;
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
  reporter app.reporter_body
);

comment on type app.outcome is
  'status is 201 for a new event, 200 for one that is known already or for a dry run. reporter is that of an event '
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
  elsif report.user_id is distinct from caller.user_id and report.user_id is not null
    or lower(report.user_email) is distinct from lower(caller.email) and report.user_email is not null then
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
  body := app.event_body(
    outcome.event, null, outcome.reporter, app.person_of((outcome.event).person_id), false, null, null);
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
  if event.report_digest is distinct from (report).digest or event.user_id is distinct from (report).user_id
    or app.reporting_key(event.reporter_id) is distinct from caller.key_id
  then
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

-- A dry run shows what a report would do to the operation as it was then.
create function app.require_unchanged(operation public.mes_operations, seen jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  if operation.version <> (seen ->> 'version')::integer then
    perform app.refuse(412, 'stale_version',
      format('Operation %s has changed since the dry run: its version is %s now', app.operation_label(operation),
        operation.version),
      jsonb_build_object(
        'current_version', operation.version,
        'current_status', operation.status,
        'events_since', (
          select coalesce(jsonb_agg(jsonb_build_object(
            'op_seq', e.op_seq, 'action_type', e.action_type, 'status_after', e.status_after,
            'occurred_at', app.iso(e.occurred_at)) order by e.op_seq), '[]')
          from (
            select * from public.operation_events e
            where e.operation_id = operation.id and e.op_seq > (seen ->> 'op_seq')::integer
            order by e.op_seq
            limit 20
          ) e)));
  end if;
end
$$;
comment on function app.require_unchanged(public.mes_operations, jsonb) is
  'Raises 412 stale_version unless the operation has the version that a dry run has seen: {"version", "op_seq"}; null '
  '= no condition. The problem lists the events since then.';

create function app.carry_out(
  operation public.mes_operations, caller app.caller, report app.report, dry_run boolean, seen jsonb
) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  recorded app.recorded;
begin
  perform app.require_unchanged(operation, seen);
  if not coalesce(dry_run, false) then
    recorded := app.record_event(operation, caller, report);
    return row(
      201, recorded.event, recorded.operation, false, app.reporter_body(caller, report.user_email))::app.outcome;
  end if;
  begin
    recorded := app.record_event(operation, caller, report);
    raise sqlstate 'DRYRN';
  exception when sqlstate 'DRYRN' then
    -- everything since `begin` is undone; the variables keep what would have happened
    return row(
      200, recorded.event, recorded.operation, false, app.reporter_body(caller, report.user_email))::app.outcome;
  end;
end
$$;
comment on function app.carry_out(public.mes_operations, app.caller, app.report, boolean, jsonb) is
  'Records a report on a locked operation; a dry run returns the same outcome and undoes it. Raises what '
  'app.require_unchanged and app.record_event raise.';

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
  -- before a key learns anything of the operation
  if caller.scopes is not null then
    perform app.require_scope(caller, (select a.scope from app.actions a where a.action = made.action_type),
      format('The API key may not %s', made.action_type));
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
  return app.carry_out(operation, caller, made, (report ->> 'dry_run')::boolean, report -> 'seen');
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
  made.operation_data := transition -> 'operation_data';
  outcome := app.carry_out(operation, caller, app.attribute_report(made, caller),
    (transition ->> 'dry_run')::boolean, transition -> 'seen');
  answer := app.report_answer(outcome, caller);
  return case outcome.status
    when 201 then app.finish_command(command, array[coalesce(operation.workplace_name, '*')], answer)
    else answer
  end;
end
$$;
comment on function public.transition_operation(text, integer, text, jsonb, jsonb) is
  'Performs one transition {"action", "reason_code", "note", "occurred_at", "operation_data", "dry_run", "seen"} on '
  'the operation. Answers {"status", "body"} as report_event does. Raises 404 not_found and what app.carry_out raises.';
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
-- What: the reports of a batch, recorded on locked operations, with commands on downtimes between them.
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

create function app.is_downtime_command(report jsonb) returns boolean
language sql immutable parallel safe
return coalesce(starts_with(report ->> 'action_type', 'DOWNTIME_'), false);
comment on function app.is_downtime_command(jsonb) is
  'True for an item of a batch that is a command on a downtime, not a report on an operation.';

-- Operations of the batch are in memory: a run that the batch began is where its operation is planned.
create function app.running_positions(
  operations public.mes_operations[], started_by integer[], workplace_name text
) returns integer[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select u.ordinality::integer from unnest(operations) with ordinality u
    where u.running_since is not null and case
      when started_by[u.ordinality] is not null then u.workplace_name
      else app.running_place(u.id)
    end = running_positions.workplace_name
    order by u.ordinality
  );
end
$$;
comment on function app.running_positions(public.mes_operations[], integer[], text) is
  'The positions of those operations of a batch that run at a workplace at this point of it.';

create function app.downtime_ends(reports jsonb) returns timestamptz[]
language sql stable
set search_path = ''
as $$
  select array(
    select case when n.next_action = 'DOWNTIME_END' then n.next_at::timestamptz end
    from (
      select r.ordinality, lead(r.value ->> 'action_type') over places as next_action,
        lead(r.value ->> 'occurred_at') over places as next_at
      from jsonb_array_elements(reports) with ordinality r
      window places as (
        partition by r.value ->> 'workplace_name', r.value ->> 'action_type' in ('DOWNTIME_START', 'DOWNTIME_END')
        order by r.ordinality
      )
    ) n
    order by n.ordinality
  )
$$;
comment on function app.downtime_ends(jsonb) is
  'For each item of a batch the time of the DOWNTIME_END that follows it at its workplace, else null. An offline '
  'terminal reports a downtime in two items, and what others have reported since then may be later than both.';

create function app.record_batch(
  caller app.caller, reports jsonb, is_atomic boolean, looks_ahead boolean,
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
  outcome record;
  stopped integer[];
  stops app.decision[];
  downtime_ends timestamptz[];
  problem app.problem;
  state text;
  message text;
  detail text;
begin
  if looks_ahead and exists (select from jsonb_array_elements(reports) r where app.is_downtime_command(r)) then
    downtime_ends := app.downtime_ends(reports);
    set constraints public.downtimes_do_not_overlap deferred;
  end if;
  for item in
    select r.value as report, (r.ordinality - 1)::integer as index from jsonb_array_elements(reports) with ordinality r
  loop
    place := positions[item.index + 1];
    operation := operations[place];
    problem := null;
    known := null;
    decision := null;
    if app.is_downtime_command(item.report) then
      begin
        stopped := '{}'::integer[];
        stops := '{}'::app.decision[];
        outcome := app.record_downtime(caller, item.report, downtime_ends[item.index + 1]);
        if not outcome.is_known and (item.report ->> 'stop_runs')::boolean
          and item.report ->> 'action_type' = 'DOWNTIME_START'
        then
          stopped := app.running_positions(operations, started_by, (outcome.downtime).workplace_name);
          made := app.stop_report(caller, outcome.downtime);
          made.reporter_id := (outcome.downtime).reporter_id;
          foreach place in array stopped loop
            decision := app.decide(operations[place], caller, made);
            perform app.raise_problem(decision.problem);
            stops := stops || decision;
          end loop;
        end if;
      exception when others then
        -- the downtime is undone too
        get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
        problem := app.caught_problem(state, message, detail);
        if problem.code is null then
          raise;
        end if;
      end;
      if problem.code is null then
        results := results || json_build_object('index', item.index, 'status', case
          when outcome.is_known then 200 else 201 end, 'id', outcome.event_id, 'problem', null);
        for place in 1..cardinality(stopped) loop
          decision := stops[place];
          evolved := app.evolve(operations[stopped[place]], null, decision.event, decision.transition);
          events := events || decision.event;
          event_ids := event_ids || (decision.event).id;
          operations[stopped[place]] := evolved.operation;
          started_by[stopped[place]] := null;
          run := (evolved.runs)[1];
          if open_runs[stopped[place]] is not null then
            runs[open_runs[stopped[place]]].ended_at := run.ended_at;
            runs[open_runs[stopped[place]]].end_event_id := run.end_event_id;
            open_runs[stopped[place]] := null;
          else
            runs := runs || run;
          end if;
        end loop;
        continue;
      elsif is_atomic then
        problem.more := problem.more || jsonb_build_object('index', item.index);
        perform app.raise_problem(problem);
      end if;
      results := results || json_build_object('index', item.index, 'status', problem.status,
        'id', left(item.report ->> 'id', 64), 'problem', app.problem_json(problem));
      continue;
    end if;
    begin
      made := app.read_report(caller, item.report);
      if reporter.action_type is null
        or (reporter.user_id, reporter.user_email) is distinct from (made.user_id, made.user_email) then
        made.reporter_id := app.reporter_of(caller, made.user_id, made.user_email);
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
  if downtime_ends is not null then
    set constraints public.downtimes_do_not_overlap immediate;
  end if;
  return row(operations, started_by, results)::app.batch;
end
$$;
comment on function
  app.record_batch(app.caller, jsonb, boolean, boolean, public.mes_operations[], public.workplaces[], app.denial[]) is
  'Records reports on locked operations in their order: writes their events and runs, but does not store the '
  'operations. Rejects a START of an operation in `denied` from its index on, and accepts any other without regard to '
  'room. looks_ahead: a downtime that a later item ends may begin before others. Raises what concerns the whole batch, '
  'and for is_atomic the problem of the first refused report with its index.';

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
  looks_ahead boolean := true;
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
    ) || app.moved_operations(caller, reports) || app.running_at(array(
      select distinct r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where (r ->> 'stop_runs')::boolean and app.sees_workplace(caller, r ->> 'workplace_name')
    )))
    order by o.id
    for update
  );
  places := array(
    select w from public.workplaces w
    where w.capacity is not null and w.name in (
      select r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where r ->> 'action_type' = 'START' and app.sees_workplace(caller, r ->> 'workplace_name')
    ) or w.name in (
      -- as app.lock_workplace does for a command alone
      select r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where app.is_downtime_command(r) and app.sees_workplace(caller, r ->> 'workplace_name')
    )
    order by w.name
    for no key update
  );

  loop
    begin
      batch := app.record_batch(caller, reports, is_atomic, looks_ahead, operations, places, denied);
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
    when exclusion_violation then
      -- an item that was to end a downtime was refused: the next try judges each item by itself
      if not looks_ahead then
        raise;
      end if;
      looks_ahead := false;
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
  'then nothing is recorded. Commands on downtimes stand among them. A START that is ended by a later report needs no '
  'room at its workplace. Answers {"status", "body": [{"index", "status", "id", "problem"}]}. Raises 403 forbidden, '
  '422 validation_failed for too many reports, and for is_atomic the problem of the first refused report with its '
  'index.';
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
  -- a call cannot be inlined and reads the last record: most plans have no such time
  case when (operation).actual_start_at is not null
    then app.future_problem('/actual_start_at', (operation).actual_start_at) end,
  case when (operation).actual_end_at is not null
    then app.future_problem('/actual_end_at', (operation).actual_end_at) end,
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
  perform app.raise_problem(coalesce(
    app.source_time_problem(wanted.timestamp_ms), app.plan_problem(wanted), app.opening_problem(wanted)));
  perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);

  insert into public.mes_operations (
    order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
    workplace_name, workplace_group,
    qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
    t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min, timestamp_ms, change_type,
    created_by
  )
  values (
    wanted.order_no, wanted.asset_id, wanted.operation_no,
    case wanted.status when 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
    wanted.reference_url, wanted.activity_code, wanted.activity_description,
    wanted.workplace_name, wanted.workplace_group,
    wanted.qty_desired, wanted.overrun_tolerance_pct, wanted.planned_start_at, wanted.planned_end_at,
    wanted.t_target_processing_min, wanted.t_target_setup_min, wanted.t_target_lead_min,
    wanted.t_target_per_piece_min, wanted.timestamp_ms, wanted.change_type, caller.user_id
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
  't_target_processing_min', 't_target_setup_min', 't_target_lead_min', 't_target_per_piece_min'];
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
       t_target_per_piece_min, timestamp_ms, change_type,
       state, hold_reason_code, qty_processed, qty_scrap, qty_parked, actual_start_at, actual_end_at,
       t_actual_processing_min, t_actual_setup_min, t_actual_lead_min, unlogged_processing_min, unlogged_setup_min,
       running_since, running_phase, run_count, worked_until, logged_processing_min, logged_setup_min, counted_since,
       last_op_seq, updated_at)
    = row (operation.reference_url, operation.activity_code, operation.activity_description, operation.workplace_name,
       operation.workplace_group, operation.qty_desired, operation.overrun_tolerance_pct,
       operation.planned_start_at, operation.planned_end_at, operation.t_target_processing_min,
       operation.t_target_setup_min, operation.t_target_lead_min, operation.t_target_per_piece_min,
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
  if patch ?| (app.plan_fields() || array['timestamp_ms', 'change_type']) then
    perform app.require_scope(caller, 'operations:plan',
      format('The API key may not change the plan of operation %s', app.operation_label(before)));
  end if;

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
  if patch ? 'timestamp_ms' then
    perform app.raise_problem(app.source_time_problem(wanted.timestamp_ms));
  end if;
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

-- supabase/schemas/57_downtimes/01_machine_states.sql
-- What: the states of machines: changes as they were signalled, and the spans derived from them.
-- Why: a machine says more than an operator reports, and its silence is a state of its own.

create type public.machine_state as enum ('RUNNING', 'IDLE', 'DOWN', 'SETUP', 'UNKNOWN');
comment on type public.machine_state is 'What a machine says of itself. UNKNOWN is neither idle nor down.';

create table public.workplace_state_events (
  id uuid primary key default gen_random_uuid(),
  workplace_name text collate "C" not null references public.workplaces (name),
  seq integer not null,
  state public.machine_state not null,
  occurred_at timestamptz not null,
  silent_since timestamptz,
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  report_digest bytea,
  created_at timestamptz not null default clock_timestamp(),
  constraint workplace_state_events_seq_unique unique (workplace_name, seq),
  constraint workplace_state_events_silent_before check (silent_since < occurred_at),
  constraint workplace_state_events_occurred_at_is_real
    check (occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z')
);
comment on table public.workplace_state_events is
  'Changes of machine states, append-only. A signal that repeats the state in time is no change and adds no row.';
comment on column public.workplace_state_events.id is
  'Made by the machine or the database; a signal with a known id is the same one.';
comment on column public.workplace_state_events.seq is 'Position among the changes of the workplace: 1, 2, 3, ...';
comment on column public.workplace_state_events.silent_since is
  'Since when the state before was UNKNOWN, because no signal had come; null = signals came in time.';
comment on column public.workplace_state_events.person_id is
  'Person who acted at the terminal that reported; null when nobody did.';
comment on column public.workplace_state_events.report_digest is
  'SHA-256 of the signal under a client-made id, which distinguishes a retry from another signal.';

create index workplace_state_events_by_user on public.workplace_state_events (user_id) where user_id is not null;
create index workplace_state_events_by_person on public.workplace_state_events (person_id)
  where person_id is not null;
grant select on public.workplace_state_events to authenticated, service_role;

create function app.keep_downtime_event() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(403, 'forbidden', 'The log of downtimes and machine states is append-only');
  return null;
end
$$;
comment on function app.keep_downtime_event() is
  'Trigger: refuses updates and deletes of events of downtimes and machine states, the owner''s included.';
grant execute on function app.keep_downtime_event to authenticated, service_role;

create trigger workplace_state_events_keep_as_written
  before update or delete or truncate on public.workplace_state_events
  for each statement execute function app.keep_downtime_event();

create trigger workplace_state_events_refuse_direct_write
  before insert or update or delete or truncate on public.workplace_state_events
  for each statement execute function app.refuse_direct_write();

alter table public.workplace_state_events enable row level security;

create policy "Users read the state events of their own workplaces"
  on public.workplace_state_events for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

create table public.workplace_states (
  workplace_name text collate "C" not null references public.workplaces (name),
  span_no integer not null,
  state public.machine_state not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  heard_at timestamptz not null,
  event_id uuid not null references public.workplace_state_events (id),
  primary key (workplace_name, span_no),
  constraint workplace_states_end_after_start check (started_at <= ended_at),
  constraint workplace_states_do_not_overlap exclude using gist (
    workplace_name with =,
    tstzrange(started_at, ended_at) with &&
  )
)
-- every signal moves heard_at, which no index has
with (fillfactor = 80);
comment on table public.workplace_states is
  'Spans of machine states, derived from workplace_state_events; gapless from the first signal on. The last one is '
  'open. Read them by app.state_spans: the silence of the open one is UNKNOWN only when read.';
comment on column public.workplace_states.span_no is 'Number of the span at its workplace: 1, 2, 3, ...';
comment on column public.workplace_states.ended_at is 'null = the latest span.';
comment on column public.workplace_states.heard_at is 'Last signal of this state.';
comment on column public.workplace_states.event_id is 'Change that began the span, or that ended its silence.';

create index workplace_states_by_time on public.workplace_states (workplace_name, started_at);
create index workplace_states_by_event on public.workplace_states (event_id);
create unique index workplace_states_one_open on public.workplace_states (workplace_name) where ended_at is null;
grant select on public.workplace_states to authenticated, service_role;

create trigger workplace_states_refuse_direct_write
  before insert or update or delete or truncate on public.workplace_states
  for each statement execute function app.refuse_direct_write();

alter table public.workplace_states enable row level security;

create policy "Users read the machine states of their own workplaces"
  on public.workplace_states for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

create type app.state_span as (state public.machine_state, started_at timestamptz, ended_at timestamptz);
comment on type app.state_span is 'A span of a machine state; ended_at is null for what lasts.';

create function app.state_spans(
  workplace_name text, from_at timestamptz, to_at timestamptz, read_at timestamptz default clock_timestamp()
) returns setof app.state_span
language plpgsql stable
set search_path = ''
as $$
declare
  span public.workplace_states;
  timeout constant interval := (
    select make_interval(secs => w.signal_timeout_s) from public.workplaces w where w.name = workplace_name);
begin
  for span in
    select * from public.workplace_states s
    where s.workplace_name = state_spans.workplace_name
      and tstzrange(s.started_at, s.ended_at) && tstzrange(from_at, to_at)
    order by s.span_no
  loop
    if span.ended_at is null and span.state <> 'UNKNOWN' and span.heard_at + timeout < read_at then
      if span.heard_at + timeout > from_at then
        return next row(span.state, span.started_at, span.heard_at + timeout)::app.state_span;
      end if;
      if span.heard_at + timeout < to_at then
        return next row('UNKNOWN', span.heard_at + timeout, null)::app.state_span;
      end if;
    else
      return next row(span.state, span.started_at, span.ended_at)::app.state_span;
    end if;
  end loop;
end
$$;
comment on function app.state_spans(text, timestamptz, timestamptz, timestamptz) is
  'The spans of machine states of a workplace that overlap a window, as they are read at a time: after '
  'signal_timeout_s without a signal, the open span is UNKNOWN.';

-- supabase/schemas/57_downtimes/02_downtimes.sql
-- What: downtimes, the spans of time in which a workplace stood still.
-- Why: what was lost to what cause is a sum over these rows, so no two of one workplace may overlap.

create type public.downtime_source as enum ('OPERATOR', 'MACHINE', 'SYSTEM');
comment on type public.downtime_source is
  'Who opened a downtime: a person, also one who acts at a terminal, the machine or its state, or a server.';

create type public.downtime_action as enum (
  'DOWNTIME_START', 'DOWNTIME_END', 'DOWNTIME_CLASSIFY', 'DOWNTIME_SPLIT', 'DOWNTIME_CANCEL'
);
comment on type public.downtime_action is 'What happened to a downtime.';

create table public.downtimes (
  id uuid primary key,
  workplace_name text collate "C" not null references public.workplaces (name),
  category public.downtime_category not null,
  reason_kind public.reason_kind not null generated always as ('DOWNTIME') stored,
  reason_code text collate "C",
  started_at timestamptz not null,
  ended_at timestamptz,
  source public.downtime_source not null,
  note text,
  split_from uuid references public.downtimes (id),
  state_event_id uuid references public.workplace_state_events (id),
  cancelled_at timestamptz,
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint downtimes_reason_known
    foreign key (reason_kind, reason_code) references public.reason_codes (kind, code),
  constraint downtimes_end_after_start check (started_at <= ended_at),
  constraint downtimes_note_short check (char_length(note) <= 2000),
  constraint downtimes_started_at_is_real check (started_at >= '1970-01-01Z' and started_at < '10000-01-01Z'),
  constraint downtimes_ended_at_is_real check (ended_at < '10000-01-01Z'),
  -- also at most one open downtime per workplace: two open ranges overlap
  constraint downtimes_do_not_overlap exclude using gist (
    workplace_name with =,
    tstzrange(started_at, ended_at) with &&
  ) where (cancelled_at is null) deferrable initially immediate
);
comment on table public.downtimes is
  'When workplaces stood still, and why; derived from downtime_events. Rows are never deleted.';
comment on column public.downtimes.id is 'Id of its DOWNTIME_START, made by the client or the database.';
comment on column public.downtimes.category is 'Planned, or a loss.';
comment on column public.downtimes.reason_code is 'A code of kind DOWNTIME; null = unexplained.';
comment on column public.downtimes.ended_at is 'null while the workplace stands still.';
comment on column public.downtimes.split_from is 'Downtime of which this one is the later part.';
comment on column public.downtimes.state_event_id is
  'Change to DOWN that opened it, which ends it too; null when it was reported.';
comment on column public.downtimes.cancelled_at is 'When it was cancelled; it counts in no report from then on.';
comment on column public.downtimes.user_id is 'User who opened it. It stays when the user is deleted.';
comment on column public.downtimes.reporter_id is 'Their address at the time: a row of app.reporters.';
comment on column public.downtimes.person_id is
  'Person who acted at the terminal that opened it; null when nobody did.';
comment on column public.downtimes.version is 'Number of its last event, the ETag.';

create index downtimes_newest on public.downtimes (started_at desc, id desc);
create index downtimes_by_workplace on public.downtimes (workplace_name, started_at desc, id desc);
create index downtimes_open on public.downtimes (started_at desc, id desc)
  where ended_at is null and cancelled_at is null;
create index downtimes_unexplained on public.downtimes (started_at desc, id desc)
  where reason_code is null and cancelled_at is null;
create index downtimes_by_category on public.downtimes (category, started_at desc, id desc);
create index downtimes_cancelled on public.downtimes (started_at desc, id desc) where cancelled_at is not null;
create index downtimes_by_reason on public.downtimes (reason_kind, reason_code) where reason_code is not null;
create index downtimes_by_origin on public.downtimes (split_from) where split_from is not null;
create index downtimes_by_state_event on public.downtimes (state_event_id) where state_event_id is not null;
create index downtimes_by_range on public.downtimes using gist (tstzrange(started_at, ended_at));
create index downtimes_by_user on public.downtimes (user_id) where user_id is not null;
create index downtimes_by_person on public.downtimes (person_id) where person_id is not null;
grant select on public.downtimes to authenticated, service_role;

create trigger downtimes_refuse_direct_write before insert or update or delete or truncate on public.downtimes
  for each statement execute function app.refuse_direct_write();

alter table public.downtimes enable row level security;

create policy "Users read the downtimes of their own workplaces"
  on public.downtimes for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

create table public.downtime_events (
  id uuid primary key,
  downtime_id uuid not null references public.downtimes (id),
  seq integer not null,
  action_type public.downtime_action not null,
  workplace_name text collate "C" not null,
  occurred_at timestamptz not null,
  category public.downtime_category not null,
  reason_kind public.reason_kind not null generated always as ('DOWNTIME') stored,
  reason_code text collate "C",
  source public.downtime_source not null,
  note text,
  split_from uuid,
  state_event_id uuid,
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  operation_data jsonb,
  report_digest bytea,
  created_at timestamptz not null default clock_timestamp(),
  constraint downtime_events_seq_unique unique (downtime_id, seq),
  constraint downtime_events_first_is_start check ((seq = 1) = (action_type = 'DOWNTIME_START')),
  constraint downtime_events_start_names_downtime check ((id = downtime_id) = (action_type = 'DOWNTIME_START')),
  constraint downtime_events_origin_of_start
    check (coalesce(split_from, state_event_id) is null or action_type = 'DOWNTIME_START'),
  constraint downtime_events_reason_known
    foreign key (reason_kind, reason_code) references public.reason_codes (kind, code),
  constraint downtime_events_note_short check (char_length(note) <= 2000),
  constraint downtime_events_operation_data_is_object check (jsonb_typeof(operation_data) = 'object'),
  constraint downtime_events_operation_data_small check (octet_length(operation_data::text) <= 1024),
  constraint downtime_events_occurred_at_is_real check (occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z')
);
comment on table public.downtime_events is
  'What happened to downtimes, append-only. A downtime is a fold over these rows.';
comment on column public.downtime_events.id is
  'Made by the client or the database; a command with a known id is the same event.';
comment on column public.downtime_events.downtime_id is 'The downtime. Its DOWNTIME_START has the same id.';
comment on column public.downtime_events.seq is
  'Position among the events of the downtime, and its version: 1, 2, 3, ... without gaps.';
comment on column public.downtime_events.occurred_at is
  'START: its begin. END and SPLIT: its end. CLASSIFY and CANCEL: when it was decided.';
comment on column public.downtime_events.category is 'Category after the event.';
comment on column public.downtime_events.reason_code is 'Reason after the event; null = unexplained.';
comment on column public.downtime_events.source is 'Who caused the event.';
comment on column public.downtime_events.note is 'Free words of the reporter.';
comment on column public.downtime_events.operation_data is
  'Of a command by a language model: {"via": "mcp", "client"}, as in the events of operations; else null.';
comment on column public.downtime_events.split_from is 'Of a START by a split: the downtime that was split.';
comment on column public.downtime_events.state_event_id is
  'Of a START by the state of the machine: the change to DOWN.';
comment on column public.downtime_events.person_id is
  'Person who acted at the terminal that reported; null when nobody did.';
comment on column public.downtime_events.report_digest is
  'SHA-256 of the command under a client-made id, which distinguishes a retry from another command.';
comment on column public.downtime_events.created_at is 'When the server received it.';

create index downtime_events_by_reason on public.downtime_events (reason_kind, reason_code)
  where reason_code is not null;
create index downtime_events_by_user on public.downtime_events (user_id) where user_id is not null;
create index downtime_events_by_person on public.downtime_events (person_id) where person_id is not null;
grant select on public.downtime_events to authenticated, service_role;

create trigger downtime_events_keep_as_written before update or delete or truncate on public.downtime_events
  for each statement execute function app.keep_downtime_event();

create trigger downtime_events_refuse_direct_write
  before insert or update or delete or truncate on public.downtime_events
  for each statement execute function app.refuse_direct_write();

alter table public.downtime_events enable row level security;

create policy "Users read the downtime events of their own workplaces"
  on public.downtime_events for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

-- supabase/schemas/57_downtimes/03_reading.sql
-- What: one downtime, and lists by filter.
-- Why: terminals ask what stands still and what is unexplained, reports what overlaps a window.

create function app.downtime_status(d public.downtimes) returns text
language sql immutable parallel safe
return case when (d).cancelled_at is not null then 'CANCELLED' when (d).ended_at is null then 'OPEN' else 'ENDED' end;
comment on function app.downtime_status(public.downtimes) is 'OPEN, ENDED or CANCELLED.';
grant execute on function app.downtime_status to authenticated, service_role;

create function app.downtime_json(d public.downtimes) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (d).id,
    'workplace_name', (d).workplace_name,
    'status', app.downtime_status(d),
    'category', (d).category,
    'reason_code', (d).reason_code,
    'started_at', app.iso((d).started_at),
    'ended_at', app.iso((d).ended_at),
    'duration_min', greatest(app.minutes_between((d).started_at, coalesce((d).ended_at, now())), 0),
    'source', (d).source,
    'note', (d).note,
    'split_from', (d).split_from,
    'cancelled_at', app.iso((d).cancelled_at),
    'user_id', (d).user_id,
    'user_email', (app.stored_reporter((d).reporter_id)).user_email,
    'reported_by', (app.stored_reporter((d).reporter_id)).reported_by,
    'person', app.person_of((d).person_id),
    'version', (d).version,
    'created_at', app.iso((d).created_at),
    'updated_at', app.iso((d).updated_at)
  );
end;
comment on function app.downtime_json(public.downtimes) is
  'The downtime as the API writes it; the open one as far as it has come.';
grant execute on function app.downtime_json to authenticated, service_role;

create function app.downtime_event_json(e public.downtime_events, pos bigint) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (e).id,
    'pos', pos,
    'action_type', (e).action_type,
    'downtime_id', (e).downtime_id,
    'seq', (e).seq,
    'workplace_name', (e).workplace_name,
    'occurred_at', app.iso((e).occurred_at),
    'category', (e).category,
    'reason_code', (e).reason_code,
    'source', (e).source,
    'note', (e).note,
    'split_from', (e).split_from,
    'operation_data', (e).operation_data,
    'user_id', (e).user_id,
    'user_email', (app.stored_reporter((e).reporter_id)).user_email,
    'reported_by', (app.stored_reporter((e).reporter_id)).reported_by,
    'person', app.person_of((e).person_id),
    'created_at', app.iso((e).created_at)
  );
end;
comment on function app.downtime_event_json(public.downtime_events, bigint) is
  'The event of a downtime as the API writes it, with its position in the feed.';

create function public.get_downtime(id uuid) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  downtime public.downtimes;
begin
  select * into downtime from public.downtimes d where d.id = get_downtime.id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.downtime_json(downtime);
end
$$;
comment on function public.get_downtime(uuid) is 'One downtime. Raises 404 not_found.';
grant execute on function public.get_downtime to authenticated, service_role;

create function public.list_downtimes(
  workplace_names text[] default null,
  open boolean default null,
  unexplained boolean default null,
  category text default null,
  reason_codes text[] default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  cancelled boolean default false,
  before_started_at timestamptz default null,
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
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('category', category) and app.require_bounded('reason_codes', reason_codes)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  filter constant text := concat_ws(' and ',
    case when cancelled then 'd.cancelled_at is not null' else 'd.cancelled_at is null' end,
    case when workplace_names is not null then 'd.workplace_name = any($1)' end,
    case open when true then 'd.ended_at is null' when false then 'd.ended_at is not null' end,
    case unexplained when true then 'd.reason_code is null' when false then 'd.reason_code is not null' end,
    case when category is not null then 'd.category = $2::public.downtime_category' end,
    case when reason_codes is not null then 'd.reason_code = any($3)' end,
    case when from_at is not null then '(d.ended_at is null or d.ended_at > $4)' end,
    case when to_at is not null then 'd.started_at < $5' end
  );
  page constant text := filter
    || case when before_started_at is not null then ' and (d.started_at, d.id) < ($6, $7)' else '' end;
  places constant text[] := app.places_to_list(app.distinct_values(workplace_names));
  -- What began within the window is a range of the list's order. Of the rest only few are left at its start.
  windows constant text[] := case when from_at is null then array['true'] else array[
    'd.started_at >= $4', 'd.started_at < $4 and tstzrange(d.started_at, d.ended_at) @> $4'] end;
  rows public.downtimes[];
  total bigint;
  plan json;
begin
  if from_at > to_at then
    perform app.refuse_field('/to', 'too_small', 'The window ends before it begins');
  end if;
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  execute app.page_query('public.downtimes', 'd', 'd', page,
    case when cardinality(places) > 8 then windows
      else app.all_pairs(app.alternatives('d.workplace_name', '$10', cardinality(places)), windows) end,
    'started_at, id', 'started_at desc, id desc', '$8', '$9')
  into rows
  using workplace_names, category, reason_codes, from_at, to_at, before_started_at, before_id, take + 1, skip, places;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.downtimes d where %s', filter) into total
    using workplace_names, category, reason_codes, from_at, to_at;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.downtimes d where %s', filter) into plan
    using workplace_names, category, reason_codes, from_at, to_at;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', (select coalesce(json_agg(app.downtime_json(d) order by d.started_at desc, d.id desc), '[]')
      from unnest(rows[1:take]) d),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].started_at, rows[take].id) end,
    'total', total
  );
end
$$;
comment on function public.list_downtimes is
  'A page of the downtimes the caller sees, latest start first: {"items": [...], "next": key of the last item or null, '
  '"total": number when asked}. from_at and to_at: those that overlap this window. Cancelled ones are listed alone.';
grant execute on function public.list_downtimes to authenticated, service_role;

-- supabase/schemas/57_downtimes/04_deciding.sql
-- What: the rules of downtimes: a command becomes events, or meets a problem.
-- Why: single commands, batches and machine states share them.

-- Fields that a command does not use are null.
create type app.downtime_report as (
  id uuid,
  digest bytea,
  action_type public.downtime_action,
  downtime_id uuid,
  workplace_name text,
  occurred_at timestamptz,
  ended_at timestamptz,
  at timestamptz,
  category public.downtime_category,
  reason_code text,
  note text,
  stop_runs boolean,
  source public.downtime_source,
  split_from uuid,
  state_event_id uuid,
  operation_data jsonb,
  user_id uuid,
  reporter_id bigint,
  person_id uuid,
  ends_at timestamptz
);
comment on type app.downtime_report is
  'A command on a downtime. ended_at is of a DOWNTIME_START in the past, at of a DOWNTIME_SPLIT; '
  'ends_at is when a later item of the same batch ends what a DOWNTIME_START opens.';

create type app.downtime_outcome as (
  status integer,
  downtime public.downtimes,
  event_id uuid,
  is_known boolean,
  seen_version integer
);
comment on type app.downtime_outcome is
  'Result of a command: status is 201 for a new downtime, 200 for a change and for what is known already. The downtime '
  'of a split is its later part. seen_version stands for what the command found, as app.require_unchanged compares it.';

create function app.downtime_actions_of(caller app.caller) returns json
language sql stable
return to_json(case
  when app.role_rank((caller).role) >= app.role_rank('operator')
    and ((caller).scopes is null or 'downtimes:report' = any((caller).scopes))
  then enum_range(null::public.downtime_action) else '{}'::public.downtime_action[]
end);
comment on function app.downtime_actions_of(app.caller) is
  'The commands on downtimes that the caller may give at all, at the workplaces of the caller.';

create function app.downtime_label(d public.downtimes) returns text
language sql immutable parallel safe
return format('"%s" at workplace "%s"', (d).id, (d).workplace_name);
comment on function app.downtime_label(public.downtimes) is 'How sentences name a downtime.';

create function app.closed_downtime_problem(d public.downtimes, verb text) returns app.problem
language sql stable
return app.problem(422, 'invalid_state_transition',
  format('Cannot %s downtime %s: its status is "%s"', verb, app.downtime_label(d), app.downtime_status(d)),
  jsonb_build_object('current_status', app.downtime_status(d), 'downtime_id', (d).id));
comment on function app.closed_downtime_problem(public.downtimes, text) is
  'Makes the problem invalid_state_transition of a downtime that has ended or was cancelled.';

create function app.overlap_problem(
  workplace_name text, started_at timestamptz, ended_at timestamptz
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  other public.downtimes;
begin
  -- Those of a workplace do not overlap each other: the last one that begins before the end of the span is the only
  -- one to look at. One without a length overlaps nothing.
  select * into other from public.downtimes d
  where d.workplace_name = overlap_problem.workplace_name and d.cancelled_at is null
    and d.started_at < coalesce(overlap_problem.ended_at, 'infinity') and d.started_at is distinct from d.ended_at
  order by d.started_at desc, d.id desc
  limit 1;
  if not found or other.ended_at <= overlap_problem.started_at
    or overlap_problem.started_at = overlap_problem.ended_at
  then
    return null;
  end if;
  return app.problem(
    409, 'downtime_overlap',
    format('Workplace "%s" has downtime "%s" from %s to %s already', workplace_name, other.id,
      app.iso(other.started_at), coalesce(app.iso(other.ended_at), 'now')),
    jsonb_build_object('downtime_id', other.id, 'started_at', app.iso(other.started_at),
      'ended_at', app.iso(other.ended_at)));
end
$$;
comment on function app.overlap_problem(text, timestamptz, timestamptz) is
  'The problem downtime_overlap with the last downtime of the workplace that overlaps this span.';

create function app.downtime_age_problem(caller app.caller, instant timestamptz) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case when app.is_too_old(caller, instant)
    then app.too_old_problem(format('Cannot report of %s', app.iso(instant)), instant) end;
end
$$;
comment on function app.downtime_age_problem(app.caller, timestamptz) is
  'The problem too_old for a downtime that the caller may not report of that time any more.';

create function app.downtime_reason_problem(reason_code text) returns app.problem
language sql stable
return case when reason_code is not null and not app.is_reason('DOWNTIME', reason_code)
  then app.field_problem('/reason_code', 'unknown_reason',
    format('"%s" is not an active reason code of kind DOWNTIME', reason_code)) end;
comment on function app.downtime_reason_problem(text) is
  'The problem validation_failed for what is not an active reason code of kind DOWNTIME.';

create function app.category_of(
  stated public.downtime_category, reason_code text, otherwise public.downtime_category
) returns public.downtime_category
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce(stated,
    (select r.category from public.reason_codes r where r.kind = 'DOWNTIME' and r.code = category_of.reason_code),
    otherwise);
end
$$;
comment on function app.category_of(public.downtime_category, text, public.downtime_category) is
  'The category as stated, else that of the reason, else the other one.';

create function app.evolve_downtime(inout downtime public.downtimes, event public.downtime_events)
language plpgsql immutable
set search_path = ''
as $$
begin
  case event.action_type
    when 'DOWNTIME_START' then
      downtime := null;
      downtime.id := event.downtime_id;
      downtime.workplace_name := event.workplace_name;
      downtime.category := event.category;
      downtime.reason_kind := 'DOWNTIME';
      downtime.reason_code := event.reason_code;
      downtime.started_at := event.occurred_at;
      downtime.source := event.source;
      downtime.note := event.note;
      downtime.split_from := event.split_from;
      downtime.state_event_id := event.state_event_id;
      downtime.user_id := event.user_id;
      downtime.reporter_id := event.reporter_id;
      downtime.person_id := event.person_id;
      downtime.created_at := event.created_at;
    when 'DOWNTIME_END', 'DOWNTIME_SPLIT' then
      downtime.ended_at := event.occurred_at;
    when 'DOWNTIME_CLASSIFY' then
      downtime.category := event.category;
      downtime.reason_code := event.reason_code;
      downtime.note := coalesce(event.note, downtime.note);
    when 'DOWNTIME_CANCEL' then
      downtime.cancelled_at := event.created_at;
  end case;
  downtime.version := event.seq;
  downtime.updated_at := event.created_at;
end
$$;
comment on function app.evolve_downtime(public.downtimes, public.downtime_events) is
  'The downtime after the event. A downtime is this fold over its events, and nothing else.';

-- supabase/schemas/57_downtimes/05_recording.sql
-- What: the log of downtimes: how a command becomes an event, and an event the row.
-- Why: commands of one workplace follow each other under its lock.

-- Commands of one workplace follow each other, so that each sees what the one before has done; the constraint of the
-- table is the proof. Operations are locked before workplaces, as by reports.
create function app.lock_workplace(name text) returns public.workplaces
language plpgsql
set search_path = ''
as $$
declare
  workplace public.workplaces;
begin
  select * into workplace from public.workplaces w where w.name = lock_workplace.name for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  return workplace;
end
$$;
comment on function app.lock_workplace(text) is
  'The workplace, locked until commit against other downtimes and signals. Raises 404 not_found.';

create function app.downtime_event(
  downtime public.downtimes, action_type public.downtime_action, report app.downtime_report
) returns public.downtime_events
language plpgsql
set search_path = ''
as $$
declare
  event public.downtime_events;
begin
  event.action_type := action_type;
  event.id := coalesce(report.id, gen_random_uuid());
  event.downtime_id := coalesce(downtime.id, event.id);
  event.seq := coalesce(downtime.version, 0) + 1;
  event.workplace_name := coalesce(downtime.workplace_name, report.workplace_name);
  event.occurred_at := report.occurred_at;
  event.category := coalesce(report.category, downtime.category);
  event.reason_code := coalesce(report.reason_code, downtime.reason_code);
  event.source := report.source;
  event.note := report.note;
  event.split_from := report.split_from;
  event.state_event_id := report.state_event_id;
  event.operation_data := report.operation_data;
  event.user_id := report.user_id;
  event.reporter_id := report.reporter_id;
  event.person_id := report.person_id;
  event.report_digest := report.digest;
  -- the server's clock may have stepped back
  event.created_at := greatest(clock_timestamp(), downtime.updated_at);
  return event;
end
$$;
comment on function app.downtime_event(public.downtimes, public.downtime_action, app.downtime_report) is
  'The next event of a downtime, or the first one of a new downtime.';

create function app.store_downtime_event(event public.downtime_events) returns void
language sql
set search_path = ''
as $$
  insert into public.downtime_events (id, downtime_id, seq, action_type, workplace_name, occurred_at, category,
    reason_code, source, note, split_from, state_event_id, operation_data, user_id, reporter_id, person_id,
    report_digest, created_at)
  values ((event).id, (event).downtime_id, (event).seq, (event).action_type, (event).workplace_name,
    (event).occurred_at, (event).category, (event).reason_code, (event).source, (event).note, (event).split_from,
    (event).state_event_id, (event).operation_data, (event).user_id, (event).reporter_id, (event).person_id,
    (event).report_digest, (event).created_at)
$$;
comment on function app.store_downtime_event(public.downtime_events) is 'Writes an event to the log.';

create function app.append_downtime_event(
  downtime public.downtimes, action_type public.downtime_action, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  event constant public.downtime_events := app.downtime_event(downtime, action_type, report);
begin
  downtime := app.evolve_downtime(downtime, event);
  update public.downtimes d
  set category = downtime.category, reason_code = downtime.reason_code, ended_at = downtime.ended_at,
    note = downtime.note, cancelled_at = downtime.cancelled_at, version = downtime.version,
    updated_at = downtime.updated_at
  where d.id = downtime.id;
  perform app.store_downtime_event(event);
  return downtime;
end
$$;
comment on function app.append_downtime_event(public.downtimes, public.downtime_action, app.downtime_report) is
  'Appends an event to a downtime and stores the downtime after it.';

create function app.open_downtime(report app.downtime_report) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  start constant public.downtime_events := app.downtime_event(null, 'DOWNTIME_START', report);
  downtime public.downtimes := app.evolve_downtime(null, start);
  ending app.downtime_report;
  ending_event public.downtime_events;
begin
  if report.ended_at is not null then
    ending.occurred_at := report.ended_at;
    ending.source := report.source;
    ending.user_id := report.user_id;
    ending.reporter_id := report.reporter_id;
    ending.person_id := report.person_id;
    ending.operation_data := report.operation_data;
    ending_event := app.downtime_event(downtime, 'DOWNTIME_END', ending);
    downtime := app.evolve_downtime(downtime, ending_event);
  end if;
  insert into public.downtimes (id, workplace_name, category, reason_code, started_at, ended_at, source, note,
    split_from, state_event_id, user_id, reporter_id, person_id, version, created_at, updated_at)
  values (downtime.id, downtime.workplace_name, downtime.category, downtime.reason_code, downtime.started_at,
    downtime.ended_at, downtime.source, downtime.note, downtime.split_from, downtime.state_event_id, downtime.user_id,
    downtime.reporter_id, downtime.person_id, downtime.version, downtime.created_at, downtime.updated_at);
  perform app.store_downtime_event(start);
  if report.ended_at is not null then
    perform app.store_downtime_event(ending_event);
  end if;
  return downtime;
end
$$;
comment on function app.open_downtime(app.downtime_report) is
  'Stores a new downtime, with its end when the report has one.';

create function app.read_downtime_report(caller app.caller, report jsonb) returns app.downtime_report
language plpgsql
set search_path = ''
as $$
declare
  made app.downtime_report := jsonb_populate_record(null::app.downtime_report,
    report - array[
      'digest', 'source', 'split_from', 'state_event_id', 'user_id', 'reporter_id', 'person_id', 'ends_at']);
begin
  if made.action_type is null then
    raise check_violation using message = 'A command on a downtime without an action';
  elsif char_length(made.note) > 2000
    or least(made.occurred_at, made.ended_at, made.at) < '1970-01-01Z'
    or greatest(made.occurred_at, made.ended_at, made.at) >= '10000-01-01Z'
  then
    raise check_violation using message = 'A command on a downtime with a value that none can have';
  end if;
  made.occurred_at := date_trunc('milliseconds', coalesce(made.at, made.occurred_at));
  made.ended_at := date_trunc('milliseconds', made.ended_at);
  made.source := case
    when caller.is_server then 'SYSTEM'
    when caller.role = 'machine' and caller.person_id is null then 'MACHINE'
    else 'OPERATOR'
  end::public.downtime_source;
  made.user_id := caller.user_id;
  made.person_id := caller.person_id;
  if made.id is not null then
    made.digest := sha256(convert_to(report::text, 'UTF8'));
  end if;
  return made;
end
$$;
comment on function app.read_downtime_report(app.caller, jsonb) is
  'A command in the JSON of the API, attributed to the caller.';

create function app.known_downtime(report app.downtime_report, caller app.caller) returns app.downtime_outcome
language plpgsql stable
set search_path = ''
as $$
declare
  event public.downtime_events;
  downtime public.downtimes;
begin
  select * into event from public.downtime_events e where e.id = (report).id;
  if not found then
    return null;
  end if;
  if event.report_digest is distinct from (report).digest or event.user_id is distinct from (report).user_id
    or app.reporting_key(event.reporter_id) is distinct from caller.key_id
    or not app.sees_workplace(caller, event.workplace_name) then
    perform app.refuse(409, 'idempotency_conflict', format('Event id "%s" belongs to another event', (report).id));
  end if;
  select * into downtime from public.downtimes d where d.id = event.downtime_id;
  return row(200, downtime, event.id, true, null)::app.downtime_outcome;
end
$$;
comment on function app.known_downtime(app.downtime_report, app.caller) is
  'The outcome of a command whose event is known under its id already, else null. Raises 409 idempotency_conflict '
  'when the id is that of another one.';

create function app.find_downtime(caller app.caller, report app.downtime_report) returns public.downtimes
language plpgsql stable
set search_path = ''
as $$
declare
  downtime public.downtimes;
begin
  if report.downtime_id is not null then
    select * into downtime from public.downtimes d
    where d.id = report.downtime_id and d.workplace_name = coalesce(report.workplace_name, d.workplace_name);
  else
    -- one, but for a batch that has begun another one earlier and will end it
    select * into downtime from public.downtimes d
    where d.workplace_name = report.workplace_name and d.ended_at is null and d.cancelled_at is null
    order by d.started_at <= coalesce(report.occurred_at, 'infinity') desc, d.started_at desc
    limit 1;
    if not found and app.sees_workplace(caller, report.workplace_name) then
      perform app.refuse(422, 'invalid_state_transition',
        format('Workplace "%s" has no open downtime', report.workplace_name),
        jsonb_build_object('current_status', null));
    end if;
  end if;
  if downtime.id is null or not app.sees_workplace(caller, downtime.workplace_name) then
    perform app.refuse_missing();
  end if;
  return downtime;
end
$$;
comment on function app.find_downtime(app.caller, app.downtime_report) is
  'The downtime that a command names, or the open one of its workplace. Raises 404 not_found, 422 '
  'invalid_state_transition when the workplace has no open one.';

-- supabase/schemas/57_downtimes/06_commands.sql
-- What: opening, ending, classifying, splitting and cancelling downtimes.
-- Why: each command appends to the log and changes the row in one transaction.

-- The workplace is locked.
create function app.start_downtime(caller app.caller, report app.downtime_report) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  heard_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  perform app.raise_problem(coalesce(
    app.future_problem('/ended_at', report.ended_at),
    app.downtime_age_problem(caller, report.occurred_at),
    app.downtime_reason_problem(report.reason_code)));
  -- the clock of the device that ended the previous one may be ahead
  report.occurred_at := coalesce(report.occurred_at, greatest(heard_at, (
    select d.ended_at from public.downtimes d
    where d.workplace_name = report.workplace_name and d.cancelled_at is null
    order by d.started_at desc, d.id desc
    limit 1)));
  if report.ended_at < report.occurred_at then
    perform app.refuse_field('/ended_at', 'too_small', 'A downtime cannot end before it begins');
  end if;
  perform app.raise_problem(app.overlap_problem(
    report.workplace_name, report.occurred_at, coalesce(report.ended_at, report.ends_at)));
  report.category := app.category_of(report.category, report.reason_code, 'UNPLANNED');
  return app.open_downtime(report);
end
$$;
comment on function app.start_downtime(app.caller, app.downtime_report) is
  'Opens a downtime. Raises 409 downtime_overlap, 422 too_old or validation_failed.';

create function app.end_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
begin
  if app.downtime_status(downtime) <> 'OPEN' then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'end'));
  end if;
  perform app.raise_problem(app.downtime_age_problem(caller, report.occurred_at));
  report.category := null;
  report.reason_code := null;
  report.occurred_at := coalesce(report.occurred_at,
    greatest(date_trunc('milliseconds', clock_timestamp()), downtime.started_at));
  if report.occurred_at < downtime.started_at then
    perform app.refuse(409, 'out_of_order',
      format('Cannot end downtime %s at %s: it began at %s', app.downtime_label(downtime),
        app.iso(report.occurred_at), app.iso(downtime.started_at)),
      jsonb_build_object('last_occurred_at', app.iso(downtime.started_at)));
  end if;
  return app.append_downtime_event(downtime, 'DOWNTIME_END', report);
end
$$;
comment on function app.end_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Ends an open downtime. Raises 409 out_of_order, 422 invalid_state_transition, too_old or validation_failed.';

create function app.classify_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
begin
  if downtime.cancelled_at is not null then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'classify'));
  elsif report.reason_code is null then
    perform app.refuse(422, 'reason_required',
      format('Cannot classify downtime %s: a reason code of kind DOWNTIME is required', app.downtime_label(downtime)),
      jsonb_build_object('kind', 'DOWNTIME'));
  end if;
  perform app.raise_problem(coalesce(
    app.downtime_age_problem(caller, downtime.ended_at), app.downtime_reason_problem(report.reason_code)));
  report.occurred_at := coalesce(report.occurred_at, date_trunc('milliseconds', clock_timestamp()));
  report.category := app.category_of(report.category, report.reason_code, downtime.category);
  return app.append_downtime_event(downtime, 'DOWNTIME_CLASSIFY', report);
end
$$;
comment on function app.classify_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Says why, again if need be. Raises 422 invalid_state_transition of a cancelled one, reason_required, too_old or '
  'validation_failed.';

create function app.split_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  first_part app.downtime_report := report;
begin
  if downtime.cancelled_at is not null then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'split'));
  elsif report.occurred_at is null or report.occurred_at <= downtime.started_at
    or report.occurred_at >= coalesce(downtime.ended_at, clock_timestamp())
  then
    perform app.refuse_field('/at', 'not_within', format('Cannot split downtime %s at %s: it lasts from %s to %s',
      app.downtime_label(downtime), coalesce(app.iso(report.occurred_at), 'no time'), app.iso(downtime.started_at),
      coalesce(app.iso(downtime.ended_at), 'now')));
  end if;
  perform app.raise_problem(coalesce(
    app.downtime_age_problem(caller, report.occurred_at), app.downtime_reason_problem(report.reason_code)));
  -- the id of the command is that of the later part
  first_part.id := null;
  first_part.digest := null;
  first_part.category := null;
  first_part.reason_code := null;
  first_part.note := null;
  perform app.append_downtime_event(downtime, 'DOWNTIME_SPLIT', first_part);
  report.workplace_name := downtime.workplace_name;
  report.split_from := downtime.id;
  report.state_event_id := downtime.state_event_id;
  report.source := downtime.source;
  report.ended_at := downtime.ended_at;
  report.category := app.category_of(report.category, report.reason_code, downtime.category);
  return app.open_downtime(report);
end
$$;
comment on function app.split_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Ends a downtime at a moment within it and begins another one there, which is unexplained without a reason; returns '
  'that. Raises 422 invalid_state_transition of a cancelled one, too_old or validation_failed.';

create function app.cancel_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
begin
  if downtime.cancelled_at is not null then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'cancel'));
  elsif report.note is null or report.note = '' then
    perform app.refuse_field('/note', 'required', 'A note says why the downtime is cancelled');
  end if;
  perform app.raise_problem(app.downtime_age_problem(caller, downtime.ended_at));
  report.occurred_at := coalesce(report.occurred_at, date_trunc('milliseconds', clock_timestamp()));
  report.category := null;
  report.reason_code := null;
  return app.append_downtime_event(downtime, 'DOWNTIME_CANCEL', report);
end
$$;
comment on function app.cancel_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Cancels a downtime, which stays in the log and counts no more. Raises 422 invalid_state_transition of a cancelled '
  'one, too_old or validation_failed.';

-- A dry run shows what a command would do to the downtime as it was then.
create function app.require_unchanged(downtime public.downtimes, seen jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  if downtime.version <> (seen ->> 'version')::integer then
    perform app.refuse(412, 'stale_version',
      format('Downtime %s has changed since the dry run: its version is %s now', app.downtime_label(downtime),
        downtime.version),
      jsonb_build_object(
        'current_version', downtime.version,
        'current_status', app.downtime_status(downtime),
        'events_since', (
          select coalesce(jsonb_agg(jsonb_build_object(
            'seq', e.seq, 'action_type', e.action_type, 'occurred_at', app.iso(e.occurred_at)) order by e.seq), '[]')
          from (
            select * from public.downtime_events e
            where e.downtime_id = downtime.id and e.seq > (seen ->> 'version')::integer
            order by e.seq
            limit 20
          ) e)));
  end if;
end
$$;
comment on function app.require_unchanged(public.downtimes, jsonb) is
  'Raises 412 stale_version unless the downtime has the version that a dry run has seen: {"version"}; null = no '
  'condition. The problem lists the events since then.';

create function app.record_downtime(
  caller app.caller, report jsonb, ends_at timestamptz default null
) returns app.downtime_outcome
language plpgsql
set search_path = ''
as $$
declare
  made app.downtime_report := app.read_downtime_report(caller, report);
  outcome app.downtime_outcome;
  downtime public.downtimes;
begin
  -- before a key learns what exists
  perform app.require_scope(caller, 'downtimes:report', 'The API key may not report downtimes');
  if made.stop_runs and made.action_type = 'DOWNTIME_START' then
    perform app.require_scope(caller, 'events:report', 'The API key may not stop what runs: leave out stop_runs');
  end if;
  if made.workplace_name is not null and not app.sees_workplace(caller, made.workplace_name)
    or made.workplace_name is null and made.downtime_id is null
  then
    perform app.refuse_missing();
  end if;
  if made.action_type <> 'DOWNTIME_START' and made.downtime_id is not null then
    downtime := app.find_downtime(caller, made);
    made.workplace_name := downtime.workplace_name;
  end if;
  perform app.require_role(caller, 'operator', 'Your role may not report downtimes');
  perform app.lock_workplace(made.workplace_name);
  if made.id is not null then
    outcome := app.known_downtime(made, caller);
    if outcome.is_known then
      return outcome;
    end if;
  end if;
  if made.action_type <> 'DOWNTIME_SPLIT' then
    perform app.raise_problem(app.future_problem('/occurred_at', made.occurred_at));
  end if;
  made.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  made.ends_at := record_downtime.ends_at;
  if made.action_type = 'DOWNTIME_START' then
    downtime := app.start_downtime(caller, made);
    return row(201, downtime, downtime.id, false, null)::app.downtime_outcome;
  end if;
  -- again, now that nobody else changes it
  downtime := app.find_downtime(caller, made);
  perform app.require_unchanged(downtime, report -> 'seen');
  made.id := coalesce(made.id, gen_random_uuid());
  downtime := case made.action_type
    when 'DOWNTIME_END' then app.end_downtime(caller, downtime, made)
    when 'DOWNTIME_CLASSIFY' then app.classify_downtime(caller, downtime, made)
    when 'DOWNTIME_SPLIT' then app.split_downtime(caller, downtime, made)
    when 'DOWNTIME_CANCEL' then app.cancel_downtime(caller, downtime, made)
  end;
  return row(case made.action_type when 'DOWNTIME_SPLIT' then 201 else 200 end, downtime, made.id, false, null)
    ::app.downtime_outcome;
end
$$;
comment on function app.record_downtime(app.caller, jsonb, timestamptz) is
  'Carries out one command in the JSON of the API, without stop_runs. ends_at: when a later item of the batch ends '
  'what this one opens. Raises 403 forbidden, 404 not_found, 409 '
  'downtime_overlap, idempotency_conflict or out_of_order, 422 invalid_state_transition, reason_required, too_old or '
  'validation_failed.';

-- supabase/schemas/57_downtimes/07_reporting.sql
-- What: one command on a downtime as a request, with what it stops.
-- Why: the downtime and the STOP of what runs there are one transaction, and a dry run undoes both.

create function app.running_at(workplace_names text[]) returns bigint[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select r.operation_id from public.operation_runs r
    join public.operation_events e on e.id = r.start_event_id
    where r.ended_at is null and e.workplace_name = any(workplace_names)
  );
end
$$;
comment on function app.running_at(text[]) is
  'Operations with an open run that was started at one of the workplaces.';

-- A code of kind STOP explains a STOP: the reason of the downtime is one, when the plant has it by that name.
create function app.stop_report(
  caller app.caller, downtime public.downtimes, operation_data jsonb default null
) returns app.report
language plpgsql stable
set search_path = ''
as $$
declare
  made app.report;
begin
  made.action_type := 'STOP';
  made.workplace_name := downtime.workplace_name;
  made.occurred_at := downtime.started_at;
  if app.is_reason('STOP', downtime.reason_code) then
    made.reason_code := downtime.reason_code;
  end if;
  made.operation_data := stop_report.operation_data;
  made.user_id := caller.user_id;
  made.user_email := caller.email;
  return made;
end
$$;
comment on function app.stop_report(app.caller, public.downtimes, jsonb) is
  'The STOP of an operation that runs where a downtime begins.';

-- Stands for what a dry run of stop_runs has seen: an operation that starts, stops or is changed makes another number.
create function app.running_version(running public.mes_operations[]) returns integer
language sql immutable
return coalesce((
  select hashtext(string_agg(o.id || ':' || o.version, ' ' order by o.id)) & 2147483647 from unnest(running) o), 0);
comment on function app.running_version(public.mes_operations[]) is
  'A number for these operations at these versions; 0 for none.';

create function app.carry_out_downtime(caller app.caller, report jsonb) returns app.downtime_outcome
language plpgsql
set search_path = ''
as $$
declare
  stops constant boolean := coalesce((report ->> 'stop_runs')::boolean, false)
    and report ->> 'action_type' = 'DOWNTIME_START';
  running public.mes_operations[];
  operation public.mes_operations;
  outcome app.downtime_outcome;
begin
  if stops and app.sees_workplace(caller, report ->> 'workplace_name') then
    running := array(
      select o from public.mes_operations o
      where o.id = any(app.running_at(array[report ->> 'workplace_name']))
      order by o.id
      for update
    );
  end if;
  outcome := app.record_downtime(caller, report);
  outcome.seen_version := case report ->> 'action_type'
    when 'DOWNTIME_START' then app.running_version(running)
    when 'DOWNTIME_SPLIT' then (select d.version - 1 from public.downtimes d where d.id = (outcome.downtime).split_from)
    else (outcome.downtime).version - 1
  end;
  if stops and outcome.seen_version <> (report #>> '{seen,version}')::integer then
    perform app.refuse(412, 'stale_version',
      format('What runs at workplace "%s" has changed since the dry run', report ->> 'workplace_name'),
      jsonb_build_object('running_operations', (
        select coalesce(jsonb_agg(jsonb_build_object('order_no', o.order_no, 'asset_id', o.asset_id,
          'operation_no', o.operation_no, 'running_since', app.iso(o.running_since)) order by o.id), '[]')
        from unnest(running) o)));
  end if;
  if stops and not outcome.is_known then
    foreach operation in array coalesce(running, '{}') loop
      -- what has stopped while this waited for it stays as it is
      if operation.running_since is not null then
        perform app.record_event(
          operation, caller, app.stop_report(caller, outcome.downtime, report -> 'operation_data'));
      end if;
    end loop;
  end if;
  return outcome;
end
$$;
comment on function app.carry_out_downtime(app.caller, jsonb) is
  'Carries out one command in the JSON of the API, with stop_runs. Raises what app.record_downtime and, for stop_runs, '
  'app.record_event raise, and 412 stale_version for what has changed since a dry run.';

create function public.report_downtime(report jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('report', report);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  outcome app.downtime_outcome;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  if (report ->> 'dry_run')::boolean then
    begin
      outcome := app.carry_out_downtime(caller, report);
      answer := json_build_object('status', 200, 'body', app.downtime_json(outcome.downtime),
        'seen_version', outcome.seen_version);
      raise sqlstate 'DRYRN';
    exception when sqlstate 'DRYRN' then
      -- everything since `begin` is undone; the variables keep what would have happened
      return answer;
    end;
  end if;
  outcome := app.carry_out_downtime(caller, report);
  answer := json_build_object('status', outcome.status, 'body', app.downtime_json(outcome.downtime));
  return case
    when outcome.is_known then answer
    else app.finish_command(command, array[(outcome.downtime).workplace_name], answer)
  end;
end
$$;
comment on function public.report_downtime(jsonb, jsonb) is
  'Opens, ends, classifies, splits or cancels a downtime, by action_type; with stop_runs, an opening STOPs what runs '
  'there. Answers {"status", "body": the downtime}: 201 for a new one, 200 for a change, for a command known by its id '
  'and, with "seen_version", for a dry run. Raises what app.carry_out_downtime raises.';
grant execute on function public.report_downtime to authenticated, service_role;

-- supabase/schemas/57_downtimes/08_signals.sql
-- What: signals of machines, and the downtime that follows from them.
-- Why: nothing polls: what a machine has not said yet is recorded at its next signal, from the moment it began.

create function app.store_spans(event public.workplace_state_events, open_span public.workplace_states) returns void
language plpgsql
set search_path = ''
as $$
declare
  span_no integer := coalesce(open_span.span_no, 0) + 1;
begin
  update public.workplace_states s set ended_at = coalesce(event.silent_since, event.occurred_at)
  where s.workplace_name = event.workplace_name and s.span_no = open_span.span_no;
  if event.silent_since is not null then
    insert into public.workplace_states (workplace_name, span_no, state, started_at, ended_at, heard_at, event_id)
    values (event.workplace_name, span_no, 'UNKNOWN', event.silent_since, event.occurred_at, event.silent_since,
      event.id);
    span_no := span_no + 1;
  end if;
  insert into public.workplace_states (workplace_name, span_no, state, started_at, heard_at, event_id)
  values (event.workplace_name, span_no, event.state, event.occurred_at, event.occurred_at, event.id);
end
$$;
comment on function app.store_spans(public.workplace_state_events, public.workplace_states) is
  'Ends the open span, where the silence began or at the event, and begins the span of the event.';

create function app.undowned(span public.workplace_states, until timestamptz) returns tstzmultirange
language plpgsql stable
set search_path = ''
as $$
declare
  down constant tstzrange := tstzrange(span.started_at, until);
begin
  return tstzmultirange(down) - coalesce((
    select range_agg(tstzrange(d.started_at, d.ended_at)) from public.downtimes d
    where d.workplace_name = span.workplace_name and tstzrange(d.started_at, d.ended_at) && down
      -- a downtime of this span that was cancelled is not opened again
      and (d.cancelled_at is null or d.state_event_id = span.event_id)
  ), '{}');
end
$$;
comment on function app.undowned(public.workplace_states, timestamptz) is
  'The parts of a DOWN span, up to a time or without an end (null), that no downtime covers.';

create function app.open_machine_downtimes(
  span public.workplace_states, until timestamptz, signal app.downtime_report
) returns void
language plpgsql
set search_path = ''
as $$
declare
  gap tstzrange;
  made app.downtime_report;
begin
  foreach gap in array array(select g from unnest(app.undowned(span, until)) g order by g) loop
    -- a downtime that ends later than this signal, by another clock: the next signal looks again
    continue when lower(gap) > signal.occurred_at;
    made := signal;
    made.workplace_name := span.workplace_name;
    made.category := 'UNPLANNED';
    made.state_event_id := span.event_id;
    made.occurred_at := lower(gap);
    made.ended_at := upper(gap);
    perform app.open_downtime(made);
  end loop;
end
$$;
comment on function app.open_machine_downtimes(public.workplace_states, timestamptz, app.downtime_report) is
  'Opens unexplained downtimes for the parts of a DOWN span that none covers; the last one stays open when until is '
  'null.';

create function app.end_machine_downtimes(
  span public.workplace_states, until timestamptz, signal app.downtime_report
) returns void
language plpgsql
set search_path = ''
as $$
declare
  downtime public.downtimes;
begin
  select * into downtime from public.downtimes d
  where d.state_event_id = span.event_id and d.ended_at is null and d.cancelled_at is null;
  if found then
    -- a split may lie after the signal, by another clock
    signal.occurred_at := greatest(until, downtime.started_at);
    perform app.append_downtime_event(downtime, 'DOWNTIME_END', signal);
  end if;
end
$$;
comment on function app.end_machine_downtimes(public.workplace_states, timestamptz, app.downtime_report) is
  'Ends the open downtime that a DOWN span has opened.';

-- DOWN for longer than micro_stop_s is downtime from the moment it began. The workplace is locked.
create function app.follow_down(
  workplace public.workplaces, span public.workplace_states, until timestamptz, lasts boolean,
  signal app.downtime_report
) returns void
language plpgsql
set search_path = ''
as $$
begin
  if workplace.micro_stop_s = 0 or until - span.started_at > make_interval(secs => workplace.micro_stop_s) then
    perform app.open_machine_downtimes(span, case when not lasts then until end, signal);
  end if;
  if not lasts then
    perform app.end_machine_downtimes(span, until, signal);
  end if;
end
$$;
comment on function
  app.follow_down(public.workplaces, public.workplace_states, timestamptz, boolean, app.downtime_report) is
  'Opens what a DOWN span that reaches a time is as downtime, and ends it unless it lasts.';

create type app.signal as (id uuid, state public.machine_state, occurred_at timestamptz);
comment on type app.signal is 'What a machine says: its state, since when, and an id of its own.';

create function app.machine_state_json(workplace public.workplaces) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  span app.state_span;
  heard_at timestamptz;
begin
  select s.heard_at into heard_at from public.workplace_states s
  where s.workplace_name = workplace.name and s.ended_at is null;
  if not found then
    return null;
  end if;
  -- two rows, when the state has become UNKNOWN by silence
  select * into span from app.state_spans(workplace.name, heard_at, 'infinity') s order by s.started_at desc limit 1;
  return json_build_object('state', span.state, 'since', app.iso(span.started_at), 'heard_at', app.iso(heard_at));
end
$$;
comment on function app.machine_state_json(public.workplaces) is
  'The state of the machine now, as the API writes it: {"state", "since", "heard_at"}; null before its first signal.';

create function app.stop_json(workplace public.workplaces) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  downtime public.downtimes;
  state constant json := app.machine_state_json(workplace);
begin
  select * into downtime from public.downtimes d
  where d.workplace_name = workplace.name and d.ended_at is null and d.cancelled_at is null;
  if found then
    return json_build_object('downtime_id', downtime.id, 'category', downtime.category,
      'reason_code', downtime.reason_code, 'since', app.iso(downtime.started_at), 'source', downtime.source);
  end if;
  -- its next signal will record it
  return case when state ->> 'state' = 'DOWN'
    and clock_timestamp() - (state ->> 'since')::timestamptz > make_interval(secs => workplace.micro_stop_s)
    and not exists (
      select from public.workplace_states s join public.downtimes d on d.state_event_id = s.event_id
      where s.workplace_name = workplace.name and s.ended_at is null and d.cancelled_at is not null
        and d.ended_at is null
    )
  then json_build_object('downtime_id', null, 'category', 'UNPLANNED', 'reason_code', null,
    'since', state -> 'since', 'source', 'MACHINE') end;
end
$$;
comment on function app.stop_json(public.workplaces) is
  'What stops the workplace now: its open downtime, or a machine that is DOWN for longer than a micro stop; null when '
  'nothing does.';
grant execute on function app.state_spans, app.machine_state_json, app.stop_json to authenticated, service_role;

-- A machine has a credential of its own: an operator's word about it is a downtime.
create function app.speaks_for_machines(caller app.caller) returns boolean
language sql immutable parallel safe
return coalesce(
  (caller).role in ('machine', 'admin')
  or (caller).key_id is not null and app.role_rank((caller).role) >= app.role_rank('operator'), false)
  and ((caller).scopes is null or 'downtimes:report' = any((caller).scopes));
comment on function app.speaks_for_machines(app.caller) is
  'True for machines, API keys that may report, admins and servers.';

create function app.require_machine(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.require_scope(caller, 'downtimes:report', 'The API key may not report the state of a machine');
  if not app.speaks_for_machines(caller) then
    perform app.refuse(403, 'forbidden', 'Only machines, API keys and servers report the state of a machine',
      jsonb_build_object('required_role', 'machine'));
  end if;
end
$$;
comment on function app.require_machine(app.caller) is
  'Raises 403 forbidden for callers who may not speak for machines: app.speaks_for_machines.';

create function app.record_signal(caller app.caller, name text, signal jsonb) returns integer
language plpgsql
set search_path = ''
as $$
declare
  made app.signal := jsonb_populate_record(null::app.signal, signal);
  workplace public.workplaces;
  span public.workplace_states;
  event public.workplace_state_events;
  known public.workplace_state_events;
  report app.downtime_report;
  timeout interval;
begin
  if not app.sees_workplace(caller, name) then
    perform app.refuse_missing();
  end if;
  perform app.require_machine(caller);
  if made.state is null or made.occurred_at < '1970-01-01Z' or made.occurred_at >= '10000-01-01Z' then
    raise check_violation using message = 'A signal without a state, or of a time that cannot be';
  end if;
  workplace := app.lock_workplace(name);
  timeout := make_interval(secs => workplace.signal_timeout_s);
  event.report_digest := case when made.id is not null
    then sha256(convert_to(name || ' ' || signal::text, 'UTF8')) end;
  select * into known from public.workplace_state_events e where e.id = made.id;
  if found then
    if known.report_digest is distinct from event.report_digest or known.user_id is distinct from caller.user_id
      or app.reporting_key(known.reporter_id) is distinct from caller.key_id
    then
      perform app.refuse(409, 'idempotency_conflict', format('Event id "%s" belongs to another event', made.id));
    end if;
    return 200;
  end if;
  select * into span from public.workplace_states s where s.workplace_name = name and s.ended_at is null;
  perform app.raise_problem(coalesce(
    app.future_problem('/occurred_at', made.occurred_at), app.downtime_age_problem(caller, made.occurred_at)));
  event.occurred_at := date_trunc('milliseconds',
    coalesce(made.occurred_at, greatest(clock_timestamp(), span.heard_at)));
  if event.occurred_at < span.heard_at then
    if exists (
      select from public.workplace_states s
      where s.workplace_name = name and s.state = made.state
        and s.started_at <= event.occurred_at and (s.ended_at is null or s.ended_at > event.occurred_at)
    ) then
      -- it says nothing new
      return 200;
    end if;
    perform app.refuse(409, 'out_of_order',
      format('Cannot set workplace "%s" %s at %s: its last signal is of %s', name, made.state,
        app.iso(event.occurred_at), app.iso(span.heard_at)),
      jsonb_build_object('last_occurred_at', app.iso(span.heard_at)));
  end if;

  report.source := 'MACHINE';
  report.user_id := caller.user_id;
  report.person_id := caller.person_id;
  report.occurred_at := event.occurred_at;
  if span.state <> 'UNKNOWN' and event.occurred_at > span.heard_at + timeout then
    event.silent_since := span.heard_at + timeout;
  elsif span.state = made.state then
    update public.workplace_states s set heard_at = event.occurred_at
    where s.workplace_name = name and s.span_no = span.span_no;
    if span.state = 'DOWN' then
      report.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
      perform app.follow_down(workplace, span, event.occurred_at, true, report);
    end if;
    return 200;
  end if;

  report.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  event.id := coalesce(made.id, gen_random_uuid());
  event.workplace_name := name;
  event.seq := coalesce((
    select max(e.seq) from public.workplace_state_events e where e.workplace_name = name), 0) + 1;
  event.state := made.state;
  event.user_id := caller.user_id;
  event.reporter_id := report.reporter_id;
  event.person_id := caller.person_id;
  event.created_at := clock_timestamp();
  insert into public.workplace_state_events select event.*;
  perform app.store_spans(event, span);
  if span.state = 'DOWN' then
    perform app.follow_down(workplace, span, coalesce(event.silent_since, event.occurred_at), false, report);
  end if;
  if made.state = 'DOWN' then
    select * into span from public.workplace_states s where s.workplace_name = name and s.ended_at is null;
    perform app.follow_down(workplace, span, event.occurred_at, true, report);
  end if;
  return 201;
end
$$;
comment on function app.record_signal(app.caller, text, jsonb) is
  'Records what a machine says. 201 when that is a change, 200 when it is none. Raises 403 forbidden, 404 not_found, '
  '409 idempotency_conflict or out_of_order, 422 too_old or validation_failed.';

create function public.report_machine_state(name text, signal jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('signal', signal);
  command constant app.command := app.begin_command(idempotency);
  status integer;
  workplace public.workplaces;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  status := app.record_signal(command.caller, name, signal);
  select * into workplace from public.workplaces w where w.name = report_machine_state.name;
  return app.finish_command(command, array[name], json_build_object('status', status, 'body', json_build_object(
    'workplace_name', name,
    'machine_state', app.machine_state_json(workplace),
    'stopped_by', app.stop_json(workplace)
  )));
end
$$;
comment on function public.report_machine_state(text, jsonb, jsonb) is
  'Takes a signal {"state", "occurred_at", "id"} of a machine. Answers {"status", "body": {"workplace_name", '
  '"machine_state", "stopped_by"}}: 201 for a change of the state, 200 for its repetition. Raises what '
  'app.record_signal raises.';
grant execute on function public.report_machine_state to authenticated, service_role;

-- supabase/schemas/57_downtimes/09_rebuild.sql
-- What: the proof that downtimes and machine states follow from their events.
-- Why: what is stored is a fold over an append-only log, and nothing else.

create function app.rebuild_downtime(downtime public.downtimes) returns public.downtimes
language plpgsql stable
set search_path = ''
as $$
declare
  rebuilt public.downtimes;
  event public.downtime_events;
begin
  for event in select * from public.downtime_events e where e.downtime_id = downtime.id order by e.seq loop
    -- the log has no gap in its numbers
    if event.seq <> coalesce(rebuilt.version, 0) + 1 then
      return null;
    end if;
    rebuilt := app.evolve_downtime(rebuilt, event);
  end loop;
  return rebuilt;
end
$$;
comment on function app.rebuild_downtime(public.downtimes) is
  'The downtime computed from its events alone. It must equal the stored row.';

create function app.divergent_downtimes() returns table (stored public.downtimes, rebuilt public.downtimes)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select d, b.rebuilt
    from public.downtimes d
    cross join lateral (select app.rebuild_downtime(d) as rebuilt offset 0) b
    where d is distinct from b.rebuilt;
end
$$;
comment on function app.divergent_downtimes() is
  'The downtimes whose row differs from their events; none, unless there is a bug.';

create function app.rebuilt_states() returns setof public.workplace_states
language sql stable
set search_path = ''
as $$
  select spans.workplace_name, (row_number() over (partition by spans.workplace_name order by spans.seq, spans.part))
    ::integer as span_no, spans.state, spans.started_at, spans.ended_at, null::timestamptz as heard_at, spans.event_id
  from (
    select e.workplace_name, e.seq, 1 as part, 'UNKNOWN'::public.machine_state as state, e.silent_since as started_at,
      e.occurred_at as ended_at, e.id as event_id
    from public.workplace_state_events e
    where e.silent_since is not null
    union all
    select e.workplace_name, e.seq, 2, e.state, e.occurred_at,
      lead(coalesce(e.silent_since, e.occurred_at)) over (partition by e.workplace_name order by e.seq), e.id
    from public.workplace_state_events e
  ) spans
$$;
comment on function app.rebuilt_states() is
  'All spans of machine states, computed from their events alone; without heard_at, which repetitions move.';

create function app.divergent_states()
returns table (stored public.workplace_states, rebuilt public.workplace_states)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select s, r
    from public.workplace_states s
    full join app.rebuilt_states() r on r.workplace_name = s.workplace_name and r.span_no = s.span_no
    where (s.state, s.started_at, s.ended_at, s.event_id)
      is distinct from (r.state, r.started_at, r.ended_at, r.event_id);
end
$$;
comment on function app.divergent_states() is
  'The spans of machine states that differ from their events; none, unless there is a bug.';

-- supabase/schemas/60_import/01_decisions.sql
-- What: the effect of each row of the ERP's change feed.
-- Why: rows come in any order, any number of times.

create type app.import_row as (
  index integer,
  first_index integer,
  turn_no bigint,
  order_no text,
  operation_no text,
  asset_id integer,
  timestamp_ms timestamptz,
  change_type text,
  status text,
  workplace_name text,
  body jsonb
);

comment on type app.import_row is
  'A row of the change feed: body is the row as it came, and the rest is read from it, once. first_index is the index '
  'of the first of equal rows. turn_no is the place among the rows of its operation; null for a repeated equal row.';

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

create function app.import_fields() returns text[]
language sql immutable parallel safe
return array['order_no', 'operation_no', 'asset_id', 'timestamp_ms', 'change_type'];
comment on function app.import_fields() is 'The fields that a row has besides those of the plan.';

create function app.columns_but(fields text[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select a.attname::text from pg_catalog.pg_attribute a
    where a.attrelid = 'public.mes_operations'::regclass and a.attnum > 0 and a.attname <> all(fields)
  );
end
$$;
comment on function app.columns_but(text[]) is
  'The columns of an operation except these: a row of the feed must not set them.';

-- The ERP owns the plan; of the lifecycle it owns release and cancellation, as long as nothing has begun.
-- `offset 0` keeps the steps apart: merged, they would compute a value each time that a later step names it.
create function app.import_decisions(
  rows app.import_row[], is_takeover boolean, caller app.caller, refused_workplaces text[],
  imagined app.imagined_operation[]
) returns setof app.import_decision
language sql stable
begin atomic
  select
    j.index,
    case
      when (j.problem).code is not null then 'rejected'
      when j.is_stale then 'skipped_stale'
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
  from (
    select w.*,
      case
        -- First, so that no other answer reveals the operation. A caller who sees some workplaces only cannot delete an
        -- unknown operation, because that would block its import by others.
        when w.change_type = 'DELETE' and not app.sees_workplace(caller, (w.existing).workplace_name)
        then app.missing_problem()
        when w.change_type <> 'DELETE' and (
          w.exists and not app.sees_workplace(caller, (w.existing).workplace_name)
          or not app.sees_workplace(caller, w.workplace_name))
        then app.problem(403, 'forbidden', 'You have no access to the workplace of this operation')
        when w.is_stale then null
        when w.change_type = 'DELETE' then app.source_time_problem(w.timestamp_ms)
        else coalesce(
          app.source_time_problem(w.timestamp_ms),
          case when w.workplace_name = any(refused_workplaces) then app.field_problem(
            '/workplace_name', 'unknown_workplace',
            format('There is no workplace "%s": create it first, or import with unknown_workplaces=create',
              w.workplace_name))
          end,
          app.plan_problem(w.wanted),
          case when not w.exists then coalesce(
            app.opening_problem(w.wanted),
            case when not is_takeover and w.status not in ('PLANNED', 'RELEASED', 'CANCELLED')
              then app.field_problem('/status', 'not_planned',
                format('A new operation is PLANNED or RELEASED, not "%s": '
                  'take work of another system over with mode=takeover', w.status))
            end)
          end)
      end as problem
    from (
      select m.index, m.change_type, m.status, m.timestamp_ms, m.body, m.existing,
        (m.existing).id is not null as exists,
        (m.existing).actual_start_at is not null or (m.existing).qty_processed > 0
          or (m.existing).status = 'FINISHED' as has_begun,
        m.timestamp_ms <= m.known_at as is_stale,
        case when m.body ? 'workplace_name' then m.workplace_name else (m.existing).workplace_name end
          as workplace_name,
        case when (m.timestamp_ms <= m.known_at) is not true then jsonb_populate_record(m.existing, case
          when (m.existing).id is null and is_takeover then m.body
          else m.body - case
            when m.change_type = 'DELETE' then (select app.columns_but(app.import_fields()))
            -- null is the same as left out
            when m.body ->> 'overrun_tolerance_pct' is null then (select app.columns_but(
              array_remove(app.import_fields() || app.plan_fields(), 'overrun_tolerance_pct')))
            else (select app.columns_but(app.import_fields() || app.plan_fields()))
          end
        end) end as wanted
      from (
        select r.index, r.change_type, r.status, r.timestamp_ms, r.workplace_name, r.body,
          case when i.order_no is null then o else i.operation end as existing,
          greatest(
            case when i.order_no is null then o.timestamp_ms else (i.operation).timestamp_ms end,
            d.timestamp_ms, i.deleted_at) as known_at
        from unnest(rows) r
        left join unnest(imagined) i
          on i.order_no = r.order_no and i.operation_no = r.operation_no and i.asset_id = r.asset_id
        left join public.mes_operations o on o.order_no = r.order_no and o.operation_no = r.operation_no
          and o.asset_id = r.asset_id
        left join app.deleted_operations d on d.order_no = r.order_no and d.operation_no = r.operation_no
          and d.asset_id = r.asset_id
        offset 0
      ) m
      offset 0
    ) w
    offset 0
  ) j;
end;
comment on function app.import_decisions(app.import_row[], boolean, app.caller, text[], app.imagined_operation[]) is
  'Judges rows of the change feed, one per operation; set-based, changes nothing. An action CORRECT takes a release '
  'back.';

-- Names, order and types of the members, as app.operation_body has them.
create type app.import_result as (index integer, status integer, id text, outcome text, problem json);

comment on type app.import_result is 'The result of a row as the API writes it, without the workplace that it creates.';

create function app.plain_result(index integer, outcome text, problem app.problem, body jsonb) returns json
language sql stable
return to_json(row(
  index,
  case outcome when 'rejected' then (problem).status when 'created' then 201 else 200 end,
  format('%s/%s/%s', body ->> 'order_no', body ->> 'asset_id', body ->> 'operation_no'),
  outcome,
  app.problem_json(problem)
)::app.import_result);
comment on function app.plain_result(integer, text, app.problem, jsonb) is
  'The result of a row, as app.import_result has it.';

create function app.import_result(
  index integer, outcome text, problem app.problem, body jsonb, workplace_name text, unknown_workplaces text[]
) returns json
language sql stable
return case
  when outcome in ('created', 'updated', 'flagged') and workplace_name = any(unknown_workplaces)
  then app.json_with(app.plain_result(index, outcome, problem, body), 'creates_workplace', to_json(workplace_name))
  else app.plain_result(index, outcome, problem, body)
end;
comment on function app.import_result(integer, text, app.problem, jsonb, text, text[]) is
  'The result of a row, with the unknown workplace that it names.';

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
  event.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  event.person_id := caller.person_id;
  event.changes := app.before_and_after('status', to_jsonb(event.status_before), to_jsonb(event.status_after));
  return app.store_execution(app.append_event(operation, null, event));
end
$$;
comment on function app.withdraw_release(public.mes_operations, app.caller) is
  'Takes the release of a locked operation back, which never started, by a CORRECT event of its status.';

create type app.indexed_result as (index integer, outcome text, result json);

comment on type app.indexed_result is 'The result of a row with its index and outcome, to be told apart unparsed.';

create function app.apply_import(
  rows app.import_row[], is_takeover boolean, caller app.caller, unknown_workplaces text[], refused_workplaces text[]
) returns app.indexed_result[]
language plpgsql
set search_path = ''
-- A plan for the number of rows at hand may read the whole table.
set plan_cache_mode = force_generic_plan
as $$
declare
  results app.indexed_result[];
  created app.import_decision[];
  changed app.import_decision[];
  deleted app.import_decision[];
  -- those with events
  acting app.import_decision[];
  decision app.import_decision;
  operation public.mes_operations;
  opened public.mes_operations;
  report app.report;
  action public.action;
begin
  -- the scope of an import includes the releases and cancellations that its rows stand for
  caller.scopes := null;
  select
    array_agg(row(d.index, d.outcome, app.import_result(
      d.index, d.outcome, d.problem, d.body, (d.wanted).workplace_name, unknown_workplaces))::app.indexed_result),
    array_agg(d order by d.index) filter (where d.outcome = 'created'),
    array_agg(d order by d.index) filter (where d.outcome in ('updated', 'flagged')),
    array_agg(d order by d.index) filter (where d.outcome = 'deleted'),
    array_agg(d order by d.index) filter (where d.outcome in ('created', 'updated')
      and (cardinality(d.actions) > 0 or d.outcome = 'created' and is_takeover))
  into results, created, changed, deleted, acting
  from app.import_decisions(rows, is_takeover, caller, refused_workplaces, '{}') d;

  if unknown_workplaces <> '{}' then
    insert into public.workplaces (name, workplace_group)
    select distinct on ((d.wanted).workplace_name) (d.wanted).workplace_name, (d.wanted).workplace_group
    from unnest(created || changed) d
    where (d.wanted).workplace_name = any(unknown_workplaces)
    order by (d.wanted).workplace_name, d.index
    on conflict do nothing;
  end if;

  if created is not null then
    begin
      insert into public.mes_operations (
        order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
        workplace_name, workplace_group,
        qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
        t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min,
        timestamp_ms, change_type, created_by
      )
      select
        (d.wanted).order_no, (d.wanted).asset_id, (d.wanted).operation_no,
        case when d.body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
        (d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
        (d.wanted).workplace_name, (d.wanted).workplace_group, (d.wanted).qty_desired,
        coalesce((d.wanted).overrun_tolerance_pct, 0), (d.wanted).planned_start_at, (d.wanted).planned_end_at,
        (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
        (d.wanted).t_target_per_piece_min, (d.wanted).timestamp_ms, (d.wanted).change_type, caller.user_id
      from unnest(created) d;
    exception when unique_violation then
      perform app.refuse(503, 'unavailable',
        'Another request has just created some of these operations: send the rows again');
    end;
  end if;

  if changed is not null then
    update public.mes_operations o
    set (reference_url, activity_code, activity_description, workplace_name, workplace_group,
         qty_desired, overrun_tolerance_pct,
         planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min,
         t_target_per_piece_min, timestamp_ms, change_type, source_conflict)
      = row ((d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
         (d.wanted).workplace_name, (d.wanted).workplace_group,
         (d.wanted).qty_desired, coalesce((d.wanted).overrun_tolerance_pct, o.overrun_tolerance_pct),
         (d.wanted).planned_start_at, (d.wanted).planned_end_at,
         (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
         (d.wanted).t_target_per_piece_min, (d.wanted).timestamp_ms, (d.wanted).change_type, d.outcome = 'flagged')
    from unnest(changed) d
    where o.id = (d.existing).id;
    perform app.settle_parked(o, caller)
    from unnest(changed) d
    join public.mes_operations o on o.id = (d.existing).id
    where (d.existing).qty_parked > 0 and app.limit_changed(d);
  end if;

  if deleted is not null then
    insert into app.deleted_operations as known (order_no, operation_no, asset_id, timestamp_ms)
    select d.body ->> 'order_no', d.body ->> 'operation_no', (d.body ->> 'asset_id')::integer,
      (d.body ->> 'timestamp_ms')::timestamptz
    from unnest(deleted) d
    on conflict on constraint deleted_operations_pkey
      do update set timestamp_ms = greatest(known.timestamp_ms, excluded.timestamp_ms);
    delete from public.mes_operations o using unnest(deleted) d where o.id = (d.existing).id;
  end if;

  -- Every change of execution is an event: releases and their withdrawal, cancellations, openings.
  for decision in select * from unnest(acting) loop
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

  return results;
end
$$;
comment on function app.apply_import(app.import_row[], boolean, app.caller, text[], text[]) is
  'Applies rows of the change feed, one per operation, whose known operations are locked. Answers one result per row.';

-- supabase/schemas/60_import/03_import.sql
-- What: the import.
-- Why: rows of one operation are applied in the order of their source times, in one transaction.

create function app.read_rows(feed jsonb) returns app.import_row[]
language plpgsql stable
set search_path = ''
as $$
declare
  rows constant app.import_row[] := array(
    select row(
      r.index, r.index, 1, r.order_no, r.operation_no, r.asset_id, r.timestamp_ms, coalesce(r.change_type, 'UPDATE'),
      coalesce(r.status, 'PLANNED'), r.workplace_name, r.body)::app.import_row
    from rows from (
      jsonb_array_elements(feed),
      jsonb_to_recordset(feed) as (
        index integer, order_no text, operation_no text, asset_id integer, timestamp_ms timestamptz,
        change_type text, status text, workplace_name text)
    ) as r (body, index, order_no, operation_no, asset_id, timestamp_ms, change_type, status, workplace_name)
  );
begin
  -- most feeds name each operation once
  if not exists (
    select from unnest(rows) r group by r.order_no, r.operation_no, r.asset_id having count(*) > 1
  ) then
    return rows;
  end if;
  -- Of equal rows the first is applied, and the rows of one operation as if each came alone, oldest first.
  return array(
    select row(
      r.index, r.first_index,
      case when r.index = r.first_index then row_number() over (
        partition by r.order_no, r.operation_no, r.asset_id, r.index = r.first_index order by r.timestamp_ms, r.index
      ) end,
      r.order_no, r.operation_no, r.asset_id, r.timestamp_ms, r.change_type, r.status, r.workplace_name, r.body
    )::app.import_row
    from (
      select r.index, min(r.index) over (
          partition by r.order_no, r.operation_no, r.asset_id, r.body - 'index'
        ) as first_index,
        r.order_no, r.operation_no, r.asset_id, r.timestamp_ms, r.change_type, r.status, r.workplace_name, r.body
      from unnest(rows) r
    ) r
  );
end
$$;
comment on function app.read_rows(jsonb) is
  'Reads rows of the change feed, each a JSON object of the API with its index.';

create function app.unknown_workplaces(rows app.import_row[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select named.workplace_name
    from (select distinct r.workplace_name from unnest(rows) r where r.workplace_name is not null) named
    where not exists (select from public.workplaces w where w.name = named.workplace_name)
  );
end
$$;
comment on function app.unknown_workplaces(app.import_row[]) is
  'The workplaces that rows name and the plant does not know.';

create function app.apply_feed(
  feed jsonb, is_takeover boolean, is_dry_run boolean, rejects_unknown boolean, caller app.caller
) returns json
language plpgsql
set search_path = ''
-- as app.apply_import
set plan_cache_mode = force_generic_plan
as $$
declare
  rows constant app.import_row[] := app.read_rows(feed);
  turn app.import_row[];
  results app.indexed_result[] := '{}'::app.indexed_result[];
  decisions app.import_decision[];
  imagined app.imagined_operation[] := '{}'::app.imagined_operation[];
  unknown_workplaces text[];
  refused_workplaces text[];
begin
  if not is_dry_run then
    -- Imports run one after the other, because two with the same new operation would collide.
    perform pg_advisory_xact_lock(hashtext('app.apply_feed'));
    -- Locks the known operations, in the order in which batches lock them.
    perform from unnest(rows) r
    join public.mes_operations o
      on o.order_no = r.order_no and o.operation_no = r.operation_no and o.asset_id = r.asset_id
    where app.sees_workplace(caller, o.workplace_name)
    order by o.id
    for update of o;
  end if;
  -- Before the first row, so that all rows of a new workplace name it, in a dry run too.
  unknown_workplaces := app.unknown_workplaces(rows);
  refused_workplaces := case when rejects_unknown then unknown_workplaces else '{}' end;
  -- The first rows of all operations are one set, then all second rows, and so on.
  for turn in
    select array_agg(r) from unnest(rows) r where r.turn_no is not null group by r.turn_no order by r.turn_no
  loop
    if is_dry_run then
      decisions := array(
        select d from app.import_decisions(turn, is_takeover, caller, refused_workplaces, imagined) d);
      results := results || array(
        select row(d.index, d.outcome, app.import_result(
          d.index, d.outcome, d.problem, d.body, (d.wanted).workplace_name, unknown_workplaces))::app.indexed_result
        from unnest(decisions) d);
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
      results := results || app.apply_import(turn, is_takeover, caller, unknown_workplaces, refused_workplaces);
    end if;
  end loop;
  return (
    select coalesce(json_agg(
      case
        when sent.index = sent.first_index then told.result
        else json_build_object(
          'index', sent.index,
          'status', case when told.outcome = 'rejected' then told.result -> 'status' else '200' end,
          'id', told.result -> 'id',
          'outcome', case when told.outcome = 'rejected' then 'rejected' else 'skipped_stale' end,
          'problem', told.result -> 'problem'
        )
      end
      order by sent.index), '[]')
    from unnest(rows) sent
    join unnest(results) told on told.index = sent.first_index
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

-- supabase/schemas/65_reports/01_places.sql
-- What: what a report is about: workplaces that its caller sees, their windows and their planned time.
-- Why: every report resolves access here, so that no aggregate holds anything of another workplace.

create type public.attribution as enum ('prorated', 'reported');
comment on type public.attribution is
  'Where in time a report places pieces: spread over the processing time in which they were made, or where they were '
  'reported.';

-- Reports count whole milliseconds, in which all times are stored: sums of them are exact. date_part and the sum of an
-- instant and an interval are stable. Declared as anything else, these functions would not be inlined.
create function app.ms(instant timestamptz) returns bigint
language sql stable parallel safe
return (date_part('epoch', instant) * 1000)::bigint;
comment on function app.ms(timestamptz) is 'An instant as milliseconds since 1970.';

create function app.from_ms(ms bigint) returns timestamptz
language sql stable parallel safe
return timestamptz '1970-01-01Z' + ms * interval '1 millisecond';
comment on function app.from_ms(bigint) is 'The instant of milliseconds since 1970.';

create function app.iso_ms(ms bigint) returns text
language sql stable parallel safe
return app.iso(app.from_ms(ms));
comment on function app.iso_ms(bigint) is 'Milliseconds since 1970 as the API writes an instant.';

create function app.span_ms(from_at timestamptz, to_at timestamptz) returns int8range
language sql stable parallel safe
return int8range(app.ms(from_at), greatest(app.ms(from_at), app.ms(to_at)));
comment on function app.span_ms(timestamptz, timestamptz) is
  'A span of time in milliseconds; empty unless it has a length.';

create type app.report_place as (
  place_no integer,
  name text,
  workplace_group text,
  slots integer,
  is_slots boolean,
  micro_stop_s integer,
  calendar_name text,
  calendar_version integer,
  time_zone text,
  from_ms bigint,
  to_ms bigint,
  pot int8multirange,
  breaks int8multirange,
  closed int8multirange
);
comment on type app.report_place is
  'A workplace of a report: its window, cut at now, and its planned time in it. slots are the operations that count at '
  'once: 1 for UNIT, the capacity for SLOTS, null = unknown. pot is null without a calendar.';

create type app.report_scope as (
  from_ms bigint,
  to_ms bigint,
  now_ms bigint,
  time_zone text,
  sees_all boolean,
  places app.report_place[]
);
comment on type app.report_scope is
  'The window of a report as it was asked for, the zone of its days, and its workplaces.';

create function app.report_names(
  caller app.caller, workplace_names text[], workplace_group text
) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  names text[];
begin
  perform app.require_plant(caller);
  if exists (
    select from unnest(workplace_names) n
    where not app.sees_workplace(caller, n) or not exists (select from public.workplaces w where w.name = n)
  ) then
    perform app.refuse_missing();
  end if;
  names := array(
    select w.name from public.workplaces w
    where (report_names.workplace_names is null or w.name = any(report_names.workplace_names))
      and (report_names.workplace_group is null or w.workplace_group = report_names.workplace_group)
      and app.sees_workplace(caller, w.name)
    order by w.name
    limit 501
  );
  if cardinality(names) = 0 and coalesce(workplace_names[1], workplace_group) is not null then
    perform app.refuse_missing();
  elsif cardinality(names) > 500 then
    perform app.refuse_field('/workplace_group', 'too_big',
      'A report has at most 500 workplaces: name some, or a group');
  end if;
  return names;
end
$$;
comment on function app.report_names(app.caller, text[], text) is
  'The workplaces of a report: the named ones, those of a group, or all that the caller sees. Raises 404 not_found for '
  'unknown and hidden ones.';

create function app.report_scope(
  caller app.caller, workplace_names text[], workplace_group text,
  from_at timestamptz, to_at timestamptz, shift_date text, shift_code text, time_zone text
) returns app.report_scope
language plpgsql stable
set search_path = ''
as $$
declare
  on_date constant date := app.date_of('/shift_date', shift_date);
  names constant text[] := app.report_names(caller, workplace_names, workplace_group);
  scope app.report_scope;
begin
  if on_date is null and shift_code is null then
    perform app.require_window(from_at, to_at);
    from_at := date_trunc('milliseconds', from_at);
    to_at := date_trunc('milliseconds', to_at);
  elsif on_date is null or shift_code is null or from_at is not null or to_at is not null then
    perform app.refuse_field('/shift_date', 'ambiguous_window',
      'A window is either from and to, or shift_date and shift_code');
  end if;
  if time_zone is not null then
    perform app.raise_problem(app.zone_problem(time_zone));
  end if;
  scope.now_ms := app.ms(date_trunc('milliseconds', clock_timestamp()));
  scope.sees_all := (caller).sees_all;

  scope.places := array(
    with place as materialized (
      select w.*, c as calendar, d.from_ms, d.to_ms
      from public.workplaces w
      left join public.calendars c on c.name = w.calendar_name
      -- a shift by its date, or the window
      left join lateral (
        select o.starts_at, o.ends_at from app.occurrences(c, array[on_date]) o
        where o.shift_code = report_scope.shift_code
      ) s on on_date is not null
      cross join lateral (
        select app.ms(coalesce(s.starts_at, from_at)) as from_ms,
          greatest(least(app.ms(coalesce(s.ends_at, to_at)), scope.now_ms),
            app.ms(coalesce(s.starts_at, from_at))) as to_ms
      ) d
      where w.name = any(names) and (on_date is null or s.starts_at is not null)
    ),
    -- once for all workplaces of a calendar
    planned as materialized (
      select k.calendar, k.from_ms, k.to_ms,
        range_agg(app.span_ms(o.starts_at, o.ends_at)) as pot,
        range_agg(app.span_ms(lower(b), upper(b))) filter (where b is not null) as breaks,
        range_agg(app.span_ms(lower(x), upper(x))) filter (where x is not null) as closed
      from (select distinct p.calendar, p.from_ms, p.to_ms from place p where (p.calendar).name is not null) k
      left join app.occurrences(k.calendar,
        app.dates_around(k.calendar, app.from_ms(k.from_ms), app.from_ms(k.to_ms))) o on true
      left join lateral unnest(o.breaks) b on true
      left join lateral unnest(o.closed) x on true
      group by 1, 2, 3
    )
    select row(
      row_number() over (order by p.name), p.name, p.workplace_group,
      case p.time_basis when 'SLOTS' then p.capacity else 1 end, p.time_basis = 'SLOTS', p.micro_stop_s,
      (p.calendar).name, (p.calendar).version, (p.calendar).time_zone, p.from_ms, p.to_ms,
      case when (p.calendar).name is not null then coalesce(t.pot, '{}') end, coalesce(t.breaks, '{}'),
      coalesce(t.closed, '{}')
    )::app.report_place
    from place p
    left join planned t on t.calendar = p.calendar and t.from_ms = p.from_ms and t.to_ms = p.to_ms
    order by p.name
  );
  if on_date is not null and cardinality(scope.places) = 0 then
    perform app.refuse_field('/shift_code', 'unknown_shift',
      format('There is no shift "%s" on %s at these workplaces', shift_code, on_date));
  end if;
  scope.from_ms := coalesce(app.ms(from_at), (select min(p.from_ms) from unnest(scope.places) p));
  scope.to_ms := coalesce(app.ms(to_at), (
    select max(app.ms(o.ends_at)) from unnest(scope.places) p
    join public.calendars c on c.name = p.calendar_name
    cross join lateral app.occurrences(c, array[on_date]) o
    where o.shift_code = report_scope.shift_code));
  -- days of one zone: that of the calendars, unless they have several
  scope.time_zone := coalesce(time_zone, (
    select min(p.time_zone) from unnest(scope.places) p having count(distinct p.time_zone) = 1), 'UTC');
  return scope;
end
$$;
comment on function app.report_scope(app.caller, text[], text, timestamptz, timestamptz, text, text, text) is
  'What a report is about. Raises 404 not_found for unknown and hidden workplaces, 422 validation_failed for the '
  'window.';

-- Rows of a report by time. Without one, a window is a single period.
create type app.report_period as (
  place_no integer,
  from_ms bigint,
  to_ms bigint,
  period text,
  shift_date date,
  shift_code text
);

create function app.report_periods(scope app.report_scope, by_time text) returns setof app.report_period
language plpgsql stable
set search_path = ''
as $$
begin
  if by_time is null then
    return query select p.place_no, p.from_ms, p.to_ms, null::text, null::date, null::text
      from unnest(scope.places) p;
  elsif by_time = 'shift' then
    return query
      with occurrence as (
        select p.place_no, greatest(app.ms(o.starts_at), p.from_ms) as from_ms,
          least(app.ms(o.ends_at), p.to_ms) as to_ms,
          o.shift_date, o.shift_code
        from unnest(scope.places) p
        join public.calendars c on c.name = p.calendar_name
        cross join lateral app.occurrences(c, app.dates_around(c, app.from_ms(p.from_ms), app.from_ms(p.to_ms))) o
        where app.ms(o.starts_at) < p.to_ms and app.ms(o.ends_at) > p.from_ms
      )
      select o.place_no, o.from_ms, o.to_ms, null::text, o.shift_date, o.shift_code from occurrence o
      union all
      -- what happens between shifts has rows, too: sums over all rows are those of the window
      select p.place_no, lower(g), upper(g), null, null, null
      from unnest(scope.places) p
      cross join lateral unnest(int8multirange(int8range(p.from_ms, p.to_ms)) - coalesce(
        (select range_agg(int8range(o.from_ms, o.to_ms)) from occurrence o where o.place_no = p.place_no), '{}')) g;
  else
    return query
      with bound as (
        select app.ms(d at time zone scope.time_zone) as from_ms,
          app.ms((d + ('1 ' || by_time)::interval) at time zone scope.time_zone) as to_ms,
          to_char(d, case by_time when 'day' then 'YYYY-MM-DD'
            when 'week' then 'IYYY-"W"IW' else 'YYYY-MM' end) as period
        from generate_series(
          date_trunc(by_time, app.from_ms(scope.from_ms) at time zone scope.time_zone),
          app.from_ms(scope.to_ms) at time zone scope.time_zone, ('1 ' || by_time)::interval) d
      )
      select p.place_no, greatest(b.from_ms, p.from_ms), least(b.to_ms, p.to_ms), b.period, null::date, null::text
      from unnest(scope.places) p
      join bound b on b.from_ms < p.to_ms and b.to_ms > p.from_ms;
  end if;
end
$$;
comment on function app.report_periods(app.report_scope, text) is
  'The periods of a report, for each workplace without gap or overlap over its window: shifts and what is between '
  'them, or days, weeks or months of the report''s zone; the window alone for null.';

-- supabase/schemas/65_reports/02_sources.sql
-- What: what a report reads: operations of a workplace and window, with their runs and events.
-- Why: each look-up is a range of an index, so that a report costs what is in its window.

-- PL/pgSQL: the queries are planned by themselves, with an index for each workplace and operation.
create function app.report_operation_ids(places app.report_place[]) returns bigint[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  place app.report_place;
  from_at timestamptz;
  to_at timestamptz;
  ids bigint[] := '{}'::bigint[];
begin
  foreach place in array places loop
    continue when place.from_ms = place.to_ms;
    from_at := app.from_ms(place.from_ms);
    to_at := app.from_ms(place.to_ms);
    ids := ids || array(
      select r.operation_id from public.operation_runs r
      where r.workplace_name = place.name
        and r.started_at >= from_at - interval '3 days' and r.started_at < to_at + interval '3 days'
        and r.ended_at >= from_at and coalesce(r.waited_since, r.started_at) < to_at
      union all
      select r.operation_id from public.operation_runs r
      where r.workplace_name = place.name and r.ended_at - coalesce(r.waited_since, r.started_at) > interval '3 days'
        and r.ended_at >= from_at and coalesce(r.waited_since, r.started_at) < to_at
      union all
      select r.operation_id from public.operation_runs r
      where r.workplace_name = place.name and r.ended_at is null and coalesce(r.waited_since, r.started_at) < to_at
      union all
      -- paused or blocked now
      select o.id from public.mes_operations o
      where o.workplace_name = place.name and o.status = 'ON_HOLD' and o.actual_start_at < to_at
      union all
      -- ended while paused
      select o.id from public.mes_operations o
      where o.workplace_name = place.name and o.actual_end_at > o.worked_until
        and o.actual_end_at >= from_at and o.actual_end_at < to_at + interval '3 days' and o.worked_until < to_at
      union all
      select o.id from public.mes_operations o
      where o.workplace_name = place.name and o.actual_end_at - o.worked_until > interval '3 days'
        and o.actual_end_at >= from_at and o.worked_until < to_at
      union all
      select e.operation_id from public.operation_events e
      where e.workplace_name = place.name and (e.qty_good <> 0 or e.qty_scrap <> 0)
        and e.occurred_at >= from_at and e.occurred_at < to_at
    );
  end loop;
  return array(select distinct i from unnest(ids) i);
end
$$;
comment on function app.report_operation_ids(app.report_place[]) is
  'The operations that were worked on or paused at the workplaces in their windows, or have pieces reported in them.';

create type app.report_operation as (
  operation_id bigint,
  order_no text,
  asset_id integer,
  operation_no text,
  workplace_name text,
  is_open boolean,
  ended_ms bigint,
  pri numeric
);

-- A target of 0 is what an ERP sends when it has none.
create function app.minutes_per_piece(o public.mes_operations) returns numeric
language sql immutable parallel safe
return nullif(coalesce(
  (o).t_target_per_piece_min, (o).t_target_processing_min / nullif((o).qty_desired, 0)), 0);
comment on function app.minutes_per_piece(public.mes_operations) is
  'Planned minutes per piece (ISO 22400: PRI): stated, or by the planned processing time; null = unknown.';

create function app.report_operations(ids bigint[]) returns setof app.report_operation
language plpgsql stable rows 10000
set search_path = ''
set enable_nestloop = on
as $$
begin
  return query
    select o.id, o.order_no, o.asset_id, o.operation_no, o.workplace_name, o.state not in ('FINISHED', 'CANCELLED'),
      app.ms(o.actual_end_at), app.minutes_per_piece(o)
    from public.mes_operations o
    where o.id = any(ids);
end
$$;

create type app.report_run as (
  operation_id bigint,
  run_no integer,
  place_no integer,
  phase public.phase,
  from_ms bigint,
  to_ms bigint,
  is_open boolean,
  is_in_window boolean
);
comment on type app.report_run is 'A run, whole, and whether a part of it is in the window of its workplace.';

create function app.report_runs(
  places app.report_place[], ids bigint[], now_ms bigint
) returns setof app.report_run
language sql stable
begin atomic
  select r.operation_id, r.run_no, r.place_no, r.phase, r.from_ms, r.to_ms, r.is_open,
    r.from_ms < r.to_ms and r.from_ms < r.window_to_ms and r.to_ms > r.window_from_ms
  from (
    select x.operation_id, x.run_no, p.place_no, x.phase, app.ms(x.started_at) as from_ms,
      greatest(coalesce(app.ms(x.ended_at), now_ms), app.ms(x.started_at)) as to_ms, x.ended_at is null as is_open,
      p.from_ms as window_from_ms, p.to_ms as window_to_ms
    from public.operation_runs x
    join unnest(places) p on p.name = x.workplace_name
    where x.operation_id = any(ids)
    offset 0
  ) r;
end;
comment on function app.report_runs(app.report_place[], bigint[], bigint) is
  'All runs of the operations at these workplaces; an open one lasts until now.';

create type app.report_down as (
  place_no integer,
  id uuid,
  from_ms bigint,
  to_ms bigint,
  is_planned boolean,
  reason_code text,
  source text
);

create function app.report_downs(places app.report_place[]) returns setof app.report_down
language plpgsql stable
set search_path = ''
set enable_nestloop = on
as $$
begin
  return query
    select p.place_no, d.id, greatest(app.ms(d.started_at), p.from_ms),
      least(coalesce(app.ms(d.ended_at), p.to_ms), p.to_ms),
      d.category = 'PLANNED', d.reason_code, d.source::text
    from unnest(places) p
    cross join lateral (
      select * from public.downtimes x
      where x.workplace_name = p.name and x.cancelled_at is null
        and tstzrange(x.started_at, x.ended_at) && tstzrange(app.from_ms(p.from_ms), app.from_ms(p.to_ms))
    ) d
    where greatest(app.ms(d.started_at), p.from_ms) < least(coalesce(app.ms(d.ended_at), p.to_ms), p.to_ms);
end
$$;
comment on function app.report_downs(app.report_place[]) is
  'The downtimes of the workplaces that are not cancelled, cut to their windows.';

create type app.report_silence as (place_no integer, unknown int8multirange);

create function app.report_silences(places app.report_place[]) returns setof app.report_silence
language plpgsql stable
set search_path = ''
set enable_nestloop = on
as $$
begin
  return query
    select p.place_no, range_agg(app.span_ms(s.started_at, coalesce(s.ended_at, app.from_ms(p.to_ms)))
      * int8range(p.from_ms, p.to_ms))
    from unnest(places) p
    cross join lateral app.state_spans(p.name, app.from_ms(p.from_ms), app.from_ms(p.to_ms)) s
    where s.state = 'UNKNOWN'
    group by p.place_no;
end
$$;
comment on function app.report_silences(app.report_place[]) is 'When the machine states of the workplaces are unknown.';

create type app.report_minor_stop as (place_no integer, at_ms bigint, length_ms bigint);

create function app.report_minor_stops(places app.report_place[]) returns setof app.report_minor_stop
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select p.place_no, app.ms(s.started_at), app.ms(s.ended_at) - app.ms(s.started_at)
    from unnest(places) p
    cross join lateral app.state_spans(p.name, app.from_ms(p.from_ms), app.from_ms(p.to_ms)) s
    where s.state = 'DOWN' and s.ended_at - s.started_at <= make_interval(secs => p.micro_stop_s)
      and app.ms(s.started_at) >= p.from_ms and app.ms(s.started_at) < p.to_ms;
end
$$;
comment on function app.report_minor_stops(app.report_place[]) is
  'Stops of the machines that began in the window and were too short to be a downtime: micro_stop_s decides.';

-- supabase/schemas/65_reports/03_spans.sql
-- What: what of a workplace's time does not depend on work: shifts, breaks, downtimes, machine states and periods.
-- Why: it changes some times a day. What changes with each operation is compared with these few rows.

create type app.time_span as (
  place_no integer,
  span_no integer,
  from_ms bigint,
  to_ms bigint,
  period_no integer,
  slots integer,
  is_slots boolean,
  has_plan boolean,
  is_pot boolean,
  planned text,
  is_inside boolean,
  is_unknown boolean,
  down_id uuid,
  down_reason text,
  down_source text
);
comment on type app.time_span is
  'A stretch of a workplace''s window in which its planned time, downtime, machine state and period stay the same. '
  'planned: why it is planned down time, whatever is worked in it; is_inside: planned busy time, as far as work does '
  'not decide it; down: the downtime in it.';

create function app.time_spans(scope app.report_scope, periods app.report_period[]) returns setof app.time_span
language plpgsql stable rows 1000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  place as materialized (
    select p.*, int8multirange(int8range(p.from_ms, p.to_ms)) as frame from unnest(scope.places) p
  ),
  period as materialized (select (row_number() over ())::integer as period_no, p.* from unnest(periods) p),
  down as materialized (select (row_number() over ())::integer as down_no, d.* from app.report_downs(scope.places) d),
  silence as materialized (select * from app.report_silences(scope.places)),
  -- Each moment adds to what is in force, or takes from it. Neither the periods of a workplace nor its downtimes
  -- overlap, so the sum of their numbers is the current number.
  moment as (
    select c.place_no, c.at_ms, sum(c.period_no)::integer as period_no, sum(c.down_no)::integer as down_no,
      sum(c.pot)::integer as pot, sum(c.breaks)::integer as breaks, sum(c.closed)::integer as closed,
      sum(c.unknown)::integer as unknown
    from (
      select p.place_no, p.from_ms as at_ms, p.period_no, 0 as down_no, 0 as pot, 0 as breaks, 0 as closed, 0 as unknown
      from period p
      union all
      select p.place_no, p.to_ms, -p.period_no, 0, 0, 0, 0, 0 from period p
      union all
      select d.place_no, d.from_ms, 0, d.down_no, 0, 0, 0, 0 from down d
      union all
      select d.place_no, d.to_ms, 0, -d.down_no, 0, 0, 0, 0 from down d
      union all
      select p.place_no, b.at_ms, 0, 0, b.step * (x.kind = 'pot')::integer, b.step * (x.kind = 'breaks')::integer,
        b.step * (x.kind = 'closed')::integer, b.step * (x.kind = 'unknown')::integer
      from place p
      left join silence q on q.place_no = p.place_no
      cross join lateral (
        select 'pot' as kind, unnest(p.pot * p.frame) as r
        union all select 'breaks', unnest(p.breaks * p.frame)
        union all select 'closed', unnest(p.closed * p.frame)
        union all select 'unknown', unnest(q.unknown)
      ) x
      cross join lateral (values (lower(x.r), 1), (upper(x.r), -1)) b (at_ms, step)
    ) c
    group by 1, 2
  ),
  swept as (
    select m.place_no, m.at_ms as from_ms, lead(m.at_ms) over w as to_ms, sum(m.period_no) over w as period_no,
      sum(m.down_no) over w as down_no, sum(m.pot) over w > 0 as is_pot, sum(m.breaks) over w > 0 as is_break,
      sum(m.closed) over w > 0 as is_closed, sum(m.unknown) over w > 0 as is_unknown
    from moment m
    window w as (partition by m.place_no order by m.at_ms)
  ),
  judged as (
    select s.*, p.slots, p.is_slots, p.pot is not null as has_plan, d.id, d.reason_code, d.source,
      case when s.is_closed then 'closed' when s.is_break then 'break' when d.is_planned then 'planned_downtime' end
        as planned
    from swept s
    join place p on p.place_no = s.place_no
    left join down d on d.down_no = s.down_no
    where s.to_ms > s.from_ms
  )
  select j.place_no, (row_number() over (order by j.place_no, j.from_ms))::integer, j.from_ms, j.to_ms,
    j.period_no::integer, j.slots, j.is_slots, j.has_plan, j.is_pot, j.planned,
    not j.has_plan or j.is_pot and j.planned is null, j.is_unknown, j.id, j.reason_code, j.source
  from judged j;
end
$$;
comment on function app.time_spans(app.report_scope, app.report_period[]) is
  'The windows of the workplaces of a report, without gap or overlap, as they are whatever is worked.';

-- Where the spans and periods of a workplace begin, and what it had of planned busy time by then: the time between two
-- instants is a difference of two.
create type app.place_clock as (
  place_no integer,
  from_ms bigint,
  to_ms bigint,
  starts bigint[],
  key_nos integer[],
  span_starts bigint[],
  inside bigint[],
  inside_before bigint[],
  up bigint[],
  up_before bigint[]
);
comment on type app.place_clock is
  'The window of a workplace as arrays: inside is 1 in planned busy time, up is 1 where no downtime is in it.';

create function app.place_clocks(
  spans app.time_span[], periods app.report_period[], key_nos integer[]
) returns setof app.place_clock
language sql stable
begin atomic
  select s.place_no, s.from_ms, s.to_ms, p.starts, p.key_nos, s.starts, s.inside, s.inside_before, s.up, s.up_before
  from (
    select x.place_no, min(x.from_ms) as from_ms, max(x.to_ms) as to_ms,
      array_agg(x.from_ms order by x.span_no) as starts,
      array_agg(x.inside order by x.span_no) as inside,
      array_agg(x.inside_until - x.inside * (x.to_ms - x.from_ms) order by x.span_no) as inside_before,
      array_agg(x.up order by x.span_no) as up,
      array_agg(x.up_until - x.up * (x.to_ms - x.from_ms) order by x.span_no) as up_before
    from (
      select x.*, (sum(x.inside * (x.to_ms - x.from_ms)) over w)::bigint as inside_until,
        (sum(x.up * (x.to_ms - x.from_ms)) over w)::bigint as up_until
      from (
        select n.*, n.is_inside::integer::bigint as inside,
          (n.is_inside and (n.down_id is null or not n.has_plan))::integer::bigint as up
        from unnest(spans) n
      ) x
      window w as (partition by x.place_no order by x.span_no)
    ) x
    group by 1
  ) s
  join (
    select x.place_no, array_agg(x.from_ms order by x.from_ms) as starts,
      array_agg(place_clocks.key_nos[x.period_no] order by x.from_ms) as key_nos
    from unnest(periods) with ordinality as x (place_no, from_ms, to_ms, period, shift_date, shift_code, period_no)
    where x.from_ms < x.to_ms
    group by 1
  ) p on p.place_no = s.place_no;
end;

create function app.ms_within(
  from_ms bigint, to_ms bigint, first_no integer, last_no integer, starts bigint[], rates bigint[], sums bigint[]
) returns bigint
language sql immutable parallel safe
return case
  when from_ms >= to_ms then 0
  when first_no = last_no then rates[first_no] * (to_ms - from_ms)
  else sums[last_no] + rates[last_no] * (to_ms - starts[last_no])
    - sums[first_no] - rates[first_no] * (from_ms - starts[first_no])
end;
comment on function app.ms_within(bigint, bigint, integer, integer, bigint[], bigint[], bigint[]) is
  'What a clock counts between two instants of its window, which lie in these of its spans.';

-- supabase/schemas/65_reports/04_pauses.sql
-- What: the pauses of operations: from a STOP or HOLD to what follows it.
-- Why: a pause delays the workplace at which the operation stopped and goes on.

create type app.report_pause as (
  place_no integer,
  operation_id bigint,
  op_seq integer,
  at_ms bigint,
  detail text,
  reason_code text,
  from_ms bigint,
  to_ms bigint,
  planned_until_ms bigint
);
comment on type app.report_pause is
  'A pause within the window of its workplace; op_seq, at_ms: the event that began it; planned_until_ms: until when it '
  'is planned down time, for a STOP with a planned loss.';

-- A break ends where work begins: that of another operation, too.
create function app.next_start_ms(workplace_name text, after_ms bigint) returns bigint
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select app.ms(min(r.started_at)) from public.operation_runs r
    where r.workplace_name = next_start_ms.workplace_name and r.started_at >= app.from_ms(after_ms)
  );
end
$$;
comment on function app.next_start_ms(text, bigint) is
  'When a run was started at the workplace, at that time or next; null = never.';

create function app.report_pauses(places app.report_place[], ids bigint[], now_ms bigint)
returns setof app.report_pause
language plpgsql stable rows 10000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  planned_losses constant text[] := array(
    select r.code from public.reason_codes r where r.kind = 'STOP' and r.loss = 'PLANNED');
begin
  return query
  select e.place_no, e.operation_id, e.op_seq, e.at_ms, e.detail, e.reason_code, greatest(e.at_ms, e.from_ms),
    least(e.ended_ms, e.to_ms),
    case when e.is_planned_loss
      then least(coalesce(app.next_start_ms(e.name, e.at_ms), e.ended_ms), e.ended_ms, e.to_ms)
    end
  from (
    select s.*, coalesce(
      case
        when n.op_seq is null then report_pauses.now_ms
        when n.status_after in ('FINISHED', 'CANCELLED') and o.state in ('FINISHED', 'CANCELLED')
          then app.ms(o.actual_end_at)
      end, app.ms(n.occurred_at)) as ended_ms
    from (
      select p.place_no, p.name, p.from_ms, p.to_ms, e.operation_id, e.op_seq, app.ms(e.occurred_at) as at_ms,
        case when e.action_type = 'HOLD' then 'blocked' else 'paused' end as detail, e.reason_code,
        e.action_type = 'STOP' and e.reason_code = any(planned_losses) as is_planned_loss
      from public.operation_events e
      join unnest(places) p on p.name = e.workplace_name
      where e.operation_id = any(ids) and e.status_after = 'ON_HOLD' and e.status_before is distinct from 'RELEASED'
        and (e.status_before is distinct from 'ON_HOLD' or e.action_type in ('START', 'RELEASE'))
    ) s
    left join lateral (
      select x.op_seq, x.occurred_at, x.workplace_name, x.status_after
      from public.operation_events x
      where x.operation_id = s.operation_id and x.op_seq > s.op_seq
        and (x.status_before is distinct from x.status_after or x.action_type in ('START', 'RELEASE'))
      order by x.op_seq
      limit 1
    ) n on true
    -- an id of null looks nothing up: most pauses end as their events say
    left join lateral (
      select m.workplace_name, m.state, m.actual_end_at
      from public.mes_operations m
      where m.id = case
        when n.workplace_name is null or n.status_after in ('FINISHED', 'CANCELLED') then s.operation_id end
      limit 1
    ) o on true
    where s.at_ms < s.to_ms and s.name = coalesce(n.workplace_name, o.workplace_name)
    offset 0
  ) e
  where e.ended_ms > e.from_ms and e.ended_ms > e.at_ms;
end
$$;
comment on function app.report_pauses(app.report_place[], bigint[], bigint) is
  'The pauses of these operations that delay the workplaces of a report, cut to their windows.';

-- supabase/schemas/65_reports/05_intervals.sql
-- What: the partition of time: each instant of a workplace in exactly one bucket.
-- Why: figures, losses and the timeline are sums over one set of rows, so they cannot differ.

create type app.time_interval as (
  place_no integer,
  period_no integer,
  from_ms bigint,
  to_ms bigint,
  bucket text,
  detail text,
  reason_code text,
  source text,
  cause text,
  pause_detail text,
  is_inside boolean,
  is_down boolean,
  is_unknown boolean,
  pot_slots integer,
  apt_slots integer,
  aust_slots integer,
  adet_slots integer,
  adot_slots integer,
  processing integer,
  setting_up integer,
  untargeted integer,
  is_crowded boolean
);
comment on type app.time_interval is
  'Part of the partition of time. slots: how many places of the workplace are in each bucket; for a planned stop and '
  'outside of shifts, how many work nevertheless. detail, reason and cause explain what of it is no work. processing, '
  'setting_up: runs that are open in it; untargeted: those of them whose operation has no target; is_crowded: more are '
  'processed than the workplace has places.';

-- A moment of a workplace as one number: sorting by one takes a third of the time that two take. Times until the year
-- 2527 fit.
create function app.moment(place_no integer, at_ms bigint) returns bigint
language sql immutable parallel safe
return (place_no::bigint << 44) + at_ms;

-- A sweep over all moments of change: each adds to the numbers of what is open, or takes from them. A run may
-- reach beyond the window, because only intervals within a span count. Spans do not overlap, so the sum of their
-- numbers is the current number.
create function app.time_intervals(
  scope app.report_scope, spans app.time_span[], ids bigint[], untargeted_ids bigint[], is_merged boolean
) returns setof app.time_interval
language plpgsql stable parallel safe rows 10000
set search_path = ''
-- The lists below have no statistics. Joins by hash of all columns are linear, whatever their size.
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
-- sorted once, for the sums and for what runs on them
set enable_hashagg = off
-- whatever their size: one plan for each connection
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  span as materialized (select * from unnest(spans)),
  run as materialized (
    select r.*, (r.phase = 'PROCESSING')::integer as processing, (r.phase = 'SETUP')::integer as setting_up,
      (r.phase = 'PROCESSING' and u.id is not null)::integer as untargeted
    from app.report_runs(scope.places, ids, scope.now_ms) r
    left join unnest(untargeted_ids) u (id) on u.id = r.operation_id
    where r.is_in_window
  ),
  -- A UNIT workplace is at work while any run is open, however many are. Without a target, the number counts.
  united as materialized (
    select p.place_no from unnest(scope.places) p
    where is_merged and not p.is_slots and p.place_no not in (select r.place_no from run r where r.untargeted > 0)
  ),
  busy as materialized (
    select r.place_no, r.processing, r.setting_up, range_agg(int8range(r.from_ms, r.to_ms)) as times
    from run r
    join united u on u.place_no = r.place_no
    group by 1, 2, 3
  ),
  work as materialized (
    select r.place_no, r.from_ms, r.to_ms, r.processing, r.setting_up, r.untargeted
    from run r
    where r.place_no not in (select u.place_no from united u)
    union all
    select b.place_no, lower(t), upper(t), b.processing, b.setting_up, 0
    from busy b
    cross join lateral unnest(b.times) t
  ),
  -- at such a workplace, a pause during other work delays nothing
  pause as materialized (
    select z.*
    from app.report_pauses(scope.places, ids, scope.now_ms) z
    left join (select b.place_no, range_agg(b.times) as times from busy b group by 1) b on b.place_no = z.place_no
    where b.times is null or not b.times @> int8range(z.from_ms, z.to_ms)
  ),
  change (moment, span, p, s, u, g, b) as (
    select app.moment(place_no, from_ms), 0, processing, setting_up, untargeted, 0, 0 from work
    union all
    select app.moment(place_no, to_ms), 0, -processing, -setting_up, -untargeted, 0, 0 from work
    union all
    select app.moment(place_no, from_ms), 0, 0, 0, 0, 1, 0 from pause
    union all
    select app.moment(place_no, to_ms), 0, 0, 0, 0, -1, 0 from pause
    union all
    select app.moment(place_no, from_ms), 0, 0, 0, 0, 0, 1 from pause where planned_until_ms > from_ms
    union all
    select app.moment(place_no, planned_until_ms), 0, 0, 0, 0, 0, -1 from pause where planned_until_ms > from_ms
    union all
    select app.moment(place_no, from_ms), span_no, 0, 0, 0, 0, 0 from span
    union all
    select app.moment(place_no, to_ms), -span_no, 0, 0, 0, 0, 0 from span
  ),
  summed as (
    select c.moment, sum(c.span)::integer as span, sum(c.p)::integer as p, sum(c.s)::integer as s,
      sum(c.u)::integer as u, sum(c.g)::integer as g, sum(c.b)::integer as b
    from change c
    group by 1
  ),
  swept as (
    select m.*, sum(m.span) over w as span_no, sum(m.p) over w as p_now, sum(m.s) over w as s_now,
      sum(m.u) over w as u_now, sum(m.g) over w as g_now, sum(m.b) over w as b_now
    from summed m
    window w as (order by m.moment rows unbounded preceding)
  ),
  -- an unknown capacity is as large as it has to be: least ignores null
  weighed as (
    select x.*, least(x.g_now, x.slots - x.working - x.preparing) as waiting,
      least(x.g_now - x.g, x.slots - x.working - x.preparing) > 0 as has_waited,
      x.p_now + x.s_now = 0 and x.b_now > 0 as is_stopped,
      x.p_now + x.s_now = 0 and x.b_now - x.b > 0 as was_stopped
    from (
      select m.*, n.slots, n.is_slots, least(m.p_now, n.slots) as working,
        least(m.s_now, n.slots - least(m.p_now, n.slots)) as preparing
      from swept m
      join span n on n.span_no = m.span_no
      offset 0
    ) x
  ),
  -- Where many operations overlap, most changes change no figure.
  changed as (
    select w.*
    from weighed w
    where not is_merged or w.span <> 0 or w.waiting > 0 or w.has_waited or w.is_stopped or w.was_stopped
      or w.working <> least(w.p_now - w.p, w.slots)
      or w.preparing <> least(w.s_now - w.s, w.slots - w.working)
      or w.u_now > 0 and (w.p <> 0 or w.u <> 0) or w.u_now = 0 and w.u <> 0
      or w.is_slots and (w.p_now > w.slots) <> (w.p_now - w.p > w.slots)
  ),
  judged as (
    select n.place_no, c.moment - app.moment(n.place_no, 0) as from_ms,
      least(lead(c.moment) over (order by c.moment) - app.moment(n.place_no, 0), n.to_ms) as to_ms,
      c.p_now as p, c.s_now as s, c.u_now as u, c.g_now as g, c.working, c.preparing, c.waiting,
      c.is_slots and c.p_now > c.slots as is_crowded,
      n.period_no, n.slots, n.has_plan, n.is_pot, n.is_unknown, n.down_id, n.down_reason, n.down_source,
      coalesce(n.planned, case when c.is_stopped then 'planned_stop' end) as planned,
      n.is_inside and not (n.has_plan and c.is_stopped) as is_inside,
      n.has_plan and n.is_inside and n.down_id is not null and not c.is_stopped as is_down
    from changed c
    join span n on n.span_no = c.span_no
  ),
  named as materialized (
    select j.*,
      case
        when not j.has_plan then case when j.p > 0 then 'APT' when j.s > 0 then 'AUST' else 'OFF' end
        when not j.is_pot then 'OFF'
        when not j.is_inside then 'PDOT'
        when j.is_down then case when j.p + j.s + j.g > 0 then 'ADET' else 'ADOT' end
        when j.p > 0 then 'APT'
        when j.s > 0 then 'AUST'
        when j.g > 0 then 'ADET'
        else 'ADOT'
      end as bucket,
      j.is_down or j.planned is not distinct from 'planned_downtime' as is_of_down
    from judged j
  ),
  -- Of several pauses, the one that began last explains why the workplace stands still. Only what needs it is compared
  -- with pauses: not the time in which work goes on.
  unexplained as materialized (
    select n.place_no, n.from_ms, n.bucket = 'PDOT' as is_planned,
      (row_number() over (partition by n.place_no order by n.from_ms))::integer as need_no
    from named n
    where n.has_plan and (n.bucket = 'PDOT' and n.planned = 'planned_stop'
      or n.is_inside and not n.is_down and n.waiting > 0)
  ),
  listed as materialized (
    select u.place_no, array_agg(u.from_ms order by u.from_ms) as starts from unexplained u group by 1
  ),
  reached as materialized (
    select z.*, width_bucket(z.from_ms - 1, l.starts) + 1 as first_no, width_bucket(z.to_ms - 1, l.starts) as last_no
    from pause z
    join listed l on l.place_no = z.place_no
  ),
  explaining as materialized (
    select r.*, n as need_no
    from reached r
    cross join lateral generate_series(r.first_no, r.last_no) n
    where r.first_no <= r.last_no
  ),
  explained as materialized (
    select distinct on (u.place_no, u.from_ms) u.place_no, u.from_ms, z.detail, z.reason_code,
      z.operation_id || ':' || z.op_seq as cause
    from explaining z
    join unexplained u on u.place_no = z.place_no and u.need_no = z.need_no
    where not u.is_planned or z.planned_until_ms > u.from_ms
    order by u.place_no, u.from_ms, z.at_ms desc, z.operation_id desc, z.op_seq desc
  )
  select n.place_no, n.period_no, n.from_ms, n.to_ms, n.bucket,
    case n.bucket
      when 'OFF' then case when n.has_plan then 'no_shift' else 'no_calendar' end
      when 'PDOT' then n.planned
      when 'APT' then 'processing'
      when 'AUST' then 'setup'
      when 'ADET' then case when n.is_down then 'fault' else x.detail end
      else case when n.is_down then 'fault' when n.is_unknown then 'unknown' else 'idle' end
    end,
    case when n.is_of_down then n.down_reason else x.reason_code end,
    case
      when n.is_of_down then 'downtime:' || n.down_source
      when n.bucket = 'OFF' or n.planned in ('closed', 'break') then 'calendar'
      when n.bucket in ('APT', 'AUST') then 'run'
      when x.cause is not null then 'event'
      when n.is_unknown then 'machine'
    end,
    case when n.is_of_down then n.down_id::text else x.cause end,
    x.detail, n.is_inside, n.is_down, n.is_unknown,
    case when n.has_plan then case when n.bucket = 'OFF' then 0 else n.slots end end,
    case when n.is_down then 0 else n.working end::integer,
    case when n.is_down then 0 else n.preparing end::integer,
    case
      when n.has_plan then case
        when n.is_down and n.bucket = 'ADET' then n.slots
        when n.is_down or not n.is_inside then 0
        else n.waiting
      end
    end::integer,
    case
      when n.has_plan then case
        when n.is_down and n.bucket = 'ADOT' then n.slots
        when n.is_down or not n.is_inside then 0
        else n.slots - n.working - n.preparing - n.waiting
      end
    end::integer,
    n.p::integer, n.s::integer, n.u::integer, coalesce(n.is_crowded, false)
  from named n
  left join explained x on x.place_no = n.place_no and x.from_ms = n.from_ms;
end
$$;
comment on function app.time_intervals(app.report_scope, app.time_span[], bigint[], bigint[], boolean) is
  'The partition of the window of each workplace. Merged, it has no more intervals than sums need; a timeline has one '
  'for each change.';

-- supabase/schemas/65_reports/06_work.sql
-- What: what operations did at the workplaces of a report: their runs and pieces, by row of the report.
-- Why: the pieces of a report are made in the processing time before it, which shifts and days cut.

create type app.work_sum as (
  key_no integer,
  unplanned_place_no integer,
  operation_id bigint,
  runs bigint,
  reports bigint,
  pq numeric,
  gq numeric,
  earned numeric,
  earned_good numeric,
  pq_outside numeric,
  gq_outside numeric,
  pq_taken_over numeric,
  untargeted bigint,
  unlogged bigint,
  suspects bigint
);
comment on type app.work_sum is
  'Work within one row of a report, that of one operation when the report is by operation: pieces, and the target time '
  'of those whose target is known. Workplaces without a calendar have rows of their own. outside: beyond planned busy '
  'time; taken_over: brought from elsewhere; untargeted, unlogged, suspects: operations to warn of.';

create function app.work_sums(
  scope app.report_scope, spans app.time_span[], periods app.report_period[], key_nos integer[], ids bigint[],
  pris numeric[], attribution public.attribution, by_operation boolean
) returns setof app.work_sum
language plpgsql stable parallel safe rows 10000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  place as materialized (select p.place_no, p.name, p.pot, p.from_ms, p.to_ms from unnest(scope.places) p),
  operation as materialized (select * from unnest(ids, pris) o (operation_id, pri)),
  clock as materialized (select * from app.place_clocks(spans, periods, key_nos)),
  run as materialized (
    select r.*, r.phase = 'PROCESSING' and u.operation_id is not null as is_untargeted
    from app.report_runs(scope.places, ids, scope.now_ms) r
    left join (select o.operation_id from operation o where o.pri is null) u on u.operation_id = r.operation_id
    where r.from_ms < r.to_ms
  ),
  event as materialized (
    select e.id, e.operation_id, e.workplace_name, p.place_no, e.action_type, e.status_before is null as is_opening,
      app.ms(e.occurred_at) as at_ms, app.delta(e, e.qty_good) as good, app.delta(e, e.qty_scrap) as scrap,
      e.reverses_event_id,
      coalesce(e.changes ?| array['t_actual_processing_min', 't_actual_setup_min'], false) as states_minutes
    from public.operation_events e
    left join place p on p.name = e.workplace_name
    where e.operation_id = any(ids)
      and (e.action_type in ('REPORT_QUANTITY', 'COMPLETE', 'CORRECT') or e.qty_good <> 0 or e.qty_scrap <> 0)
  ),
  counted as (
    select e.place_no, e.operation_id, count(*)::integer as reports
    from event e
    where e.place_no is not null and (e.good <> 0 or e.scrap <> 0)
    group by 1, 2
  ),

  -- ---------------------------------------------------------------- reports, and the time that their pieces took
  taken_back as (
    select e.reverses_event_id, sum(e.good) as good, sum(e.scrap) as scrap
    from event e
    where attribution = 'prorated' and e.reverses_event_id is not null
    group by 1
  ),
  reversal as (
    select e.id, r.workplace_name
    from event e
    join event r on r.id = e.reverses_event_id
    where attribution = 'reported' and e.reverses_event_id is not null
  ),
  -- What was taken back counts where it was reported.
  report as materialized (
    select p.place_no, e.operation_id, e.at_ms, e.is_opening,
      e.action_type = 'CORRECT' as is_correction, e.good + coalesce(b.good, 0) as good,
      e.scrap + coalesce(b.scrap, 0) as scrap
    from event e
    left join taken_back b on b.reverses_event_id = e.id
    left join reversal v on v.id = e.id
    join place p on p.name = coalesce(v.workplace_name, e.workplace_name)
    where e.action_type in ('REPORT_QUANTITY', 'COMPLETE')
      or e.action_type = 'CORRECT' and (e.good <> 0 or e.scrap <> 0)
      or e.action_type = 'REVERSE' and attribution = 'reported'
  ),
  -- From one report of an operation to the next; a correction is of all its time.
  slice as materialized (
    select (row_number() over ())::integer as slice_no, s.*
    from (
      select r.place_no, r.operation_id, r.at_ms, coalesce(lag(r.at_ms) over w, 0) as after_ms, r.at_ms as until_ms,
        sum(r.good) as good, sum(r.scrap) as scrap
      from report r
      where attribution = 'prorated' and not r.is_correction
      group by r.operation_id, r.place_no, r.at_ms
      window w as (partition by r.operation_id, r.place_no order by r.at_ms)
      union all
      select r.place_no, r.operation_id, max(r.at_ms), 0, 9223372036854775807, sum(r.good), sum(r.scrap)
      from report r
      where attribution = 'prorated' and r.is_correction and not r.is_opening
      group by 1, 2
    ) s
    where s.good <> 0 or s.scrap <> 0
  ),
  part as materialized (
    select x.*, sum(x.to_ms - x.from_ms) over (partition by x.slice_no) as slice_ms
    from (
      select s.slice_no, s.place_no, s.operation_id, s.good, s.scrap,
        greatest(r.from_ms, s.after_ms) as from_ms, least(r.to_ms, s.until_ms) as to_ms
      from slice s
      join run r on r.place_no = s.place_no and r.operation_id = s.operation_id
      where r.phase = 'PROCESSING' and r.from_ms < s.until_ms and r.to_ms > s.after_ms
    ) x
  ),
  point as (
    select r.place_no, r.operation_id, r.at_ms, r.good, r.scrap, r.is_opening
    from report r
    where attribution = 'reported' or r.is_opening
    union all
    -- reported without any processing time to spread them over
    select s.place_no, s.operation_id, s.at_ms, s.good, s.scrap, false
    from slice s
    where s.slice_no not in (select p.slice_no from part p)
  ),

  -- ---------------------------------------------------------------- cut by the rows of the report
  -- Most operations are made within one row: their runs need not be looked at one by one.
  worked as materialized (
    select w.*, greatest(width_bucket(w.from_ms, c.starts), 1) as first_no,
      width_bucket(w.to_ms - 1, c.starts) as last_no,
      c.key_nos[greatest(width_bucket(w.from_ms, c.starts), 1)] as key_no
    from (
      select r.operation_id, r.place_no, count(*) as runs, min(r.from_ms) as from_ms, max(r.to_ms) as to_ms,
        bool_or(r.is_untargeted) as is_untargeted
      from run r
      where r.is_in_window
      group by 1, 2
    ) w
    join clock c on c.place_no = w.place_no
  ),
  visit (key_no, place_no, operation_id, runs, is_untargeted) as (
    select w.key_no, w.place_no, w.operation_id, w.runs, false
    from worked w
    where w.first_no = w.last_no and not w.is_untargeted
    union all
    select v.key_nos[v.n], v.place_no, v.operation_id,
      -- a run that a shift cuts comes twice to the row of what is between shifts
      case when v.n > v.first_no and v.key_nos[v.n] = any(v.key_nos[v.first_no:v.n - 1]) then 0 else 1 end,
      v.is_untargeted and app.ms_within(greatest(v.from_ms, v.starts[v.n]), least(v.to_ms, v.starts[v.n + 1]),
        width_bucket(greatest(v.from_ms, v.starts[v.n]), v.span_starts),
        width_bucket(least(v.to_ms, v.starts[v.n + 1]) - 1, v.span_starts), v.span_starts, v.up, v.up_before) > 0
    from (
      select x.*, generate_series(x.first_no, x.last_no) as n
      from (
        select c.place_no, c.starts, c.key_nos, c.span_starts, c.up, c.up_before, r.operation_id, r.is_untargeted,
          greatest(r.from_ms, c.from_ms) as from_ms, least(r.to_ms, c.to_ms) as to_ms,
          greatest(width_bucket(r.from_ms, c.starts), 1) as first_no, width_bucket(r.to_ms - 1, c.starts) as last_no
        from (
          select r.* from run r
          join worked w on w.operation_id = r.operation_id and w.place_no = r.place_no
          where w.first_no < w.last_no or w.is_untargeted
          offset 0
        ) r
        join clock c on c.place_no = r.place_no
        where r.is_in_window
      ) x
    ) v
  ),
  -- most parts lie within one span: nothing is divided
  spread (key_no, place_no, operation_id, good, scrap, good_outside, scrap_outside) as (
    select m.key_no, m.place_no, m.operation_id,
      case when m.inside_ms = m.slice_ms then m.good else m.good * m.inside_ms / m.slice_ms end,
      case when m.inside_ms = m.slice_ms then m.scrap else m.scrap * m.inside_ms / m.slice_ms end,
      case when m.inside_ms < m.length_ms then m.good * (m.length_ms - m.inside_ms) / m.slice_ms end,
      case when m.inside_ms < m.length_ms then m.scrap * (m.length_ms - m.inside_ms) / m.slice_ms end
    from (
      select v.key_no, v.place_no, v.operation_id, v.good, v.scrap, v.slice_ms, v.to_ms - v.from_ms as length_ms,
        app.ms_within(v.from_ms, v.to_ms, v.first_no, v.last_no, v.span_starts, v.inside, v.inside_before)
          as inside_ms
      from (
        select x.key_nos[x.n] as key_no, x.place_no, x.operation_id, x.good, x.scrap, x.slice_ms,
          greatest(x.from_ms, x.starts[x.n]) as from_ms, least(x.to_ms, x.starts[x.n + 1]) as to_ms,
          width_bucket(greatest(x.from_ms, x.starts[x.n]), x.span_starts) as first_no,
          width_bucket(least(x.to_ms, x.starts[x.n + 1]) - 1, x.span_starts) as last_no, x.span_starts, x.inside,
          x.inside_before
        from (
          select c.place_no, c.starts, c.key_nos, c.span_starts, c.inside, c.inside_before, p.operation_id, p.good,
            p.scrap, p.slice_ms, greatest(p.from_ms, c.from_ms) as from_ms, least(p.to_ms, c.to_ms) as to_ms,
            generate_series(greatest(width_bucket(p.from_ms, c.starts), 1), width_bucket(p.to_ms - 1, c.starts)) as n
          from part p
          join clock c on c.place_no = p.place_no
          where p.from_ms < c.to_ms and p.to_ms > c.from_ms
        ) x
        offset 0
      ) v
      offset 0
    ) m
  ),
  placed as materialized (
    select c.key_nos[width_bucket(p.at_ms, c.starts)] as key_no, p.place_no, p.operation_id, p.good, p.scrap,
      not p.is_opening and (a.pot is null or a.pot @> p.at_ms) as is_inside, p.is_opening
    from point p
    join clock c on c.place_no = p.place_no
    join place a on a.place_no = p.place_no
    where p.at_ms >= c.from_ms and p.at_ms < c.to_ms and (p.good <> 0 or p.scrap <> 0)
  ),
  flagged as materialized (
    select v.key_no, v.place_no, v.operation_id, 'untargeted' as flag from visit v where v.is_untargeted
    union
    select c.key_nos[width_bucket(e.at_ms, c.starts)], e.place_no, e.operation_id, 'unlogged'
    from event e
    join clock c on c.place_no = e.place_no
    where e.states_minutes and e.at_ms >= c.from_ms and e.at_ms < c.to_ms
    union
    select c.key_nos[width_bucket(greatest(r.from_ms, c.from_ms), c.starts)], r.place_no, r.operation_id, 'suspect'
    from run r
    join clock c on c.place_no = r.place_no
    where r.is_open and r.to_ms - r.from_ms > 43200000 and r.to_ms >= c.from_ms and r.from_ms < c.to_ms
  ),

  -- ---------------------------------------------------------------- summed
  seen as (
    select s.key_no, s.place_no, s.operation_id, s.runs, coalesce(q.reports, 0) as reports
    from (
      select x.key_no, x.place_no, x.operation_id, sum(x.runs) as runs
      from (
        select v.key_no, v.place_no, v.operation_id, v.runs from visit v
        union all
        select p.key_no, p.place_no, p.operation_id, 0 from placed p
      ) x
      group by 1, 2, 3
    ) s
    left join counted q on q.place_no = s.place_no and q.operation_id = s.operation_id
  ),
  found (key_no, unplanned_place_no, operation_id, runs, reports, pq, gq, earned, earned_good, pq_outside, gq_outside,
    pq_taken_over, untargeted, unlogged, suspects) as (
    select s.key_no, case when p.pot is null then p.place_no end, case when by_operation then s.operation_id end,
      sum(s.runs), sum(s.reports), null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
      null::numeric, null::numeric, null::bigint, null::bigint, null::bigint
    from seen s
    join place p on p.place_no = s.place_no
    group by 1, 2, 3
    union all
    select s.key_no, case when p.pot is null then p.place_no end, case when by_operation then s.operation_id end, null,
      null, sum(s.good + s.scrap), sum(s.good), sum((s.good + s.scrap) * o.pri), sum(s.good * o.pri),
      sum(s.good_outside + s.scrap_outside), sum(s.good_outside), sum(s.taken_over), null, null, null
    from (
      select s.*, null::numeric as taken_over from spread s
      union all
      select p.key_no, p.place_no, p.operation_id, case when p.is_inside then p.good end,
        case when p.is_inside then p.scrap end, case when not p.is_inside then p.good end,
        case when not p.is_inside then p.scrap end, case when p.is_opening then p.good + p.scrap end
      from placed p
    ) s
    join operation o on o.operation_id = s.operation_id
    join place p on p.place_no = s.place_no
    group by 1, 2, 3
    union all
    select f.key_no, case when p.pot is null then p.place_no end, case when by_operation then f.operation_id end,
      null, null, null, null, null, null, null, null, null, null, null, null
    from flagged f
    join place p on p.place_no = f.place_no
    union all
    -- an operation at two workplaces is one
    select f.key_no, null, case when by_operation then f.operation_id end, null, null, null, null, null, null, null,
      null, null, count(distinct f.operation_id) filter (where f.flag = 'untargeted'),
      count(distinct f.operation_id) filter (where f.flag = 'unlogged'),
      count(distinct f.operation_id) filter (where f.flag = 'suspect')
    from flagged f
    group by 1, 3
  )
  select f.key_no, f.unplanned_place_no, f.operation_id, sum(f.runs)::bigint, sum(f.reports)::bigint, sum(f.pq),
    sum(f.gq), sum(f.earned), sum(f.earned_good), sum(f.pq_outside), sum(f.gq_outside), sum(f.pq_taken_over),
    sum(f.untargeted)::bigint, sum(f.unlogged)::bigint, sum(f.suspects)::bigint
  from found f
  group by 1, 2, 3;
end
$$;
comment on function app.work_sums(
  app.report_scope, app.time_span[], app.report_period[], integer[], bigint[], numeric[], public.attribution, boolean
) is 'What was worked, by row of the report: key_nos has the row of each period.';

-- supabase/schemas/65_reports/07_shares.sql
-- What: the share that each operation has in the time of its workplaces.
-- Why: at each instant, the operations that run share the places that are at work; only rows by operation need to know.

create type app.work_share as (
  key_no integer,
  unplanned_place_no integer,
  operation_id bigint,
  apt numeric,
  aust numeric,
  apt_outside numeric,
  aust_outside numeric
);
comment on type app.work_share is
  'The time of one operation, in milliseconds x places, within one row of a report. Workplaces without a calendar have '
  'rows of their own.';

-- Pairs of runs and intervals would be the number of runs times the number of those that overlap. What an operation
-- that runs all the time would have by each moment is a running sum, and the share of a run is the difference of two.
create function app.work_shares(
  scope app.report_scope, spans app.time_span[], periods app.report_period[], key_nos integer[], ids bigint[]
) returns setof app.work_share
language plpgsql stable rows 10000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  period as materialized (select (row_number() over ())::integer as period_no, p.* from unnest(periods) p),
  gained as materialized (
    select i.place_no, i.to_ms as at_ms, sum(i.processing) over w as processing, sum(i.setting_up) over w as setting_up,
      sum(i.processing) filter (where not i.is_inside) over w as processing_outside,
      sum(i.setting_up) filter (where not i.is_inside) over w as setting_up_outside
    from (
      select x.place_no, x.to_ms, x.is_inside,
        case when x.processing > 0 then (x.to_ms - x.from_ms) * x.apt_slots::numeric / x.processing else 0 end
          as processing,
        case when x.setting_up > 0 then (x.to_ms - x.from_ms) * x.aust_slots::numeric / x.setting_up else 0 end
          as setting_up
      from app.time_intervals(scope, spans, ids, '{}', false) x
    ) i
    window w as (partition by i.place_no order by i.to_ms)
  ),
  visit as materialized (
    select r.place_no, r.operation_id, r.phase, key_nos[p.period_no] as key_no,
      greatest(r.from_ms, p.from_ms) as from_ms, least(r.to_ms, p.to_ms) as to_ms
    from app.report_runs(scope.places, ids, scope.now_ms) r
    join period p on p.place_no = r.place_no and p.from_ms < r.to_ms and p.to_ms > r.from_ms
    where r.is_in_window
  ),
  shared as (
    select v.key_no, case when c.pot is null then c.place_no end as unplanned_place_no, v.operation_id, v.phase,
      case v.phase when 'SETUP' then coalesce(b.setting_up, 0) - coalesce(a.setting_up, 0)
        else coalesce(b.processing, 0) - coalesce(a.processing, 0) end as all_ms,
      case v.phase when 'SETUP' then coalesce(b.setting_up_outside, 0) - coalesce(a.setting_up_outside, 0)
        else coalesce(b.processing_outside, 0) - coalesce(a.processing_outside, 0) end as outside_ms
    from visit v
    join unnest(scope.places) c on c.place_no = v.place_no
    left join gained a on a.place_no = v.place_no and a.at_ms = v.from_ms
    left join gained b on b.place_no = v.place_no and b.at_ms = v.to_ms
  )
  select s.key_no, s.unplanned_place_no, s.operation_id,
    coalesce(sum(s.all_ms - s.outside_ms) filter (where s.phase = 'PROCESSING'), 0),
    coalesce(sum(s.all_ms - s.outside_ms) filter (where s.phase = 'SETUP'), 0),
    coalesce(sum(s.outside_ms) filter (where s.phase = 'PROCESSING'), 0),
    coalesce(sum(s.outside_ms) filter (where s.phase = 'SETUP'), 0)
  from shared s
  group by 1, 2, 3;
end
$$;
comment on function app.work_shares(
  app.report_scope, app.time_span[], app.report_period[], integer[], bigint[]
) is 'The share of each operation in the time of its workplaces, by row of the report.';

-- supabase/schemas/65_reports/08_figures.sql
-- What: the figures of one row of a report: elements, ratios, reasons, warnings and losses.
-- Why: every report makes them by the same functions.

create type app.report_by as (place text, period text, work text);
comment on type app.report_by is 'What the rows of a report are: at most one key of each kind.';

create function app.report_by(keys text[]) returns app.report_by
language plpgsql immutable
set search_path = ''
as $$
declare
  key text;
  result app.report_by;
begin
  foreach key in array coalesce(keys, '{}') loop
    if key in ('workplace', 'group') and result.place is null then
      result.place := key;
    elsif key in ('shift', 'day', 'week', 'month') and result.period is null then
      result.period := key;
    elsif key in ('operation', 'order') and result.work is null then
      result.work := key;
    else
      perform app.refuse_field('/by', 'invalid_value', format(
        '"%s" cannot be a key here: at most one each of workplace, group; shift, day, week, month; operation, order',
        left(key, 40)));
    end if;
  end loop;
  return result;
end
$$;
comment on function app.report_by(text[]) is
  'The keys of a report. Raises 422 validation_failed for unknown or two of a kind.';

create function app.attribution_of(value text) returns public.attribution
language plpgsql immutable
set search_path = ''
as $$
begin
  if value not in ('prorated', 'reported') then
    perform app.refuse_field('/attribution', 'invalid_value',
      format('"%s" is not an attribution: prorated or reported', left(value, 40)));
  end if;
  return coalesce(value, 'prorated')::public.attribution;
end
$$;
comment on function app.attribution_of(text) is 'The attribution of an argument, by default prorated.';

create function app.minutes(ms numeric) returns numeric
language sql immutable parallel safe
return trim_scale(round(ms / 60000, 3));
comment on function app.minutes(numeric) is 'Milliseconds as the minutes that reports answer, to a thousandth.';

create function app.ratio(part numeric, whole numeric) returns numeric
language sql immutable parallel safe
return part / nullif(whole, 0);
comment on function app.ratio(numeric, numeric) is 'The part of the whole; null when that is 0.';

create function app.report_key(
  by_keys app.report_by, place_name text, period text, shift_date date, shift_code text
) returns jsonb
language sql immutable
return case
    when (by_keys).place = 'group' then jsonb_build_object('workplace_group', place_name)
    when place_name is not null then jsonb_build_object('workplace_name', place_name) else '{}' end
  || case
    when (by_keys).period = 'shift' then jsonb_build_object('shift_date', shift_date, 'shift_code', shift_code)
    when period is not null then jsonb_build_object('period', period) else '{}' end;
comment on function app.report_key(app.report_by, text, text, date, text) is
  'The key of a row of a report. What happens between shifts has a shift of null.';

create type app.report_frame as ("from" text, "to" text, complete boolean, time_zone text, scope json);
comment on type app.report_frame is 'The head of a report, as the API writes it.';

create function app.report_frame(scope app.report_scope) returns app.report_frame
language sql stable
return row(
  app.iso_ms((scope).from_ms),
  app.iso_ms((scope).to_ms),
  (scope).to_ms <= (scope).now_ms,
  (scope).time_zone,
  json_build_object(
    'access', case when (scope).sees_all then 'all' else 'own' end,
    'workplace_names', array(select p.name from unnest((scope).places) p order by p.name)
  )
)::app.report_frame;
comment on function app.report_frame(app.report_scope) is
  'What every report says first: its window, whether it is over, its zone, and the workplaces that it holds.';

-- The sums of one row of a report. Times are in milliseconds x places.
create type app.report_sums as (
  has_plan boolean,
  has_slots boolean,
  is_of_work boolean,
  window_ms numeric,
  pot numeric,
  pdot numeric,
  apt numeric,
  aust numeric,
  adet numeric,
  adot numeric,
  apt_known numeric,
  pq numeric,
  gq numeric,
  earned numeric,
  earned_good numeric
);
comment on type app.report_sums is
  'Elements and pieces of one row: earned is the target time of the pieces whose target is known, earned_good that of '
  'the good ones; apt_known the processing time of their operations.';

create type app.report_ratios as (
  availability numeric,
  effectiveness numeric,
  quality_ratio numeric,
  quality_weighted numeric,
  oee numeric,
  nee numeric,
  teep numeric,
  utilisation_efficiency numeric,
  allocation_efficiency numeric,
  technical_efficiency numeric,
  setup_ratio numeric,
  scrap_ratio numeric,
  throughput_per_h numeric
);
comment on type app.report_ratios is 'The ratios of ISO 22400-2; null where one cannot be had.';

create function app.report_ratios(s app.report_sums) returns app.report_ratios
language plpgsql immutable
set search_path = ''
as $$
declare
  pbt constant numeric := case when s.has_plan and s.has_slots then s.pot - s.pdot end;
  busy constant numeric := case when pbt is not null then s.apt + s.aust + s.adet end;
  -- effectiveness x quality; without processing there was none
  yield constant numeric := case when s.apt = 0 and pbt > 0 then 0 else app.ratio(s.earned_good, s.apt_known) end;
  r app.report_ratios;
begin
  r.availability := app.ratio(s.apt, pbt);
  r.effectiveness := app.ratio(s.earned, s.apt_known);
  r.quality_ratio := app.ratio(s.gq, s.pq);
  r.quality_weighted := app.ratio(s.earned_good, s.earned);
  r.oee := r.availability * yield;
  r.nee := app.ratio(s.apt + s.aust, pbt) * yield;
  r.teep := case when pbt > 0 then app.ratio(r.oee * pbt, s.window_ms) end;
  r.utilisation_efficiency := app.ratio(s.apt, busy);
  r.allocation_efficiency := app.ratio(busy, pbt);
  r.technical_efficiency := case when pbt is not null then app.ratio(s.apt, s.apt + s.adet) end;
  r.setup_ratio := app.ratio(s.aust, s.aust + s.apt);
  r.scrap_ratio := app.ratio(s.pq - s.gq, s.pq);
  r.throughput_per_h := app.ratio(s.pq * 3600000, busy);
  return r;
end
$$;
comment on function app.report_ratios(app.report_sums) is 'The ratios of the sums.';

create function app.report_reasons(s app.report_sums, r app.report_ratios) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  no_plan constant text := case
    when s.is_of_work then 'not_of_a_workplace'
    when not s.has_plan then 'no_calendar'
    when not s.has_slots then 'capacity_unknown'
  end;
  no_time constant text := coalesce(no_plan, case when s.pot - s.pdot = 0 then 'not_planned' end);
  no_target constant text := case when s.apt = 0 then 'no_processing' when s.apt_known = 0 then 'no_target_time' end;
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'availability', case when r.availability is null then no_time end,
    'effectiveness', case when r.effectiveness is null then no_target end,
    'quality_ratio', case when r.quality_ratio is null then 'no_pieces' end,
    'quality_weighted', case when r.quality_weighted is null then
      case when s.pq = 0 then 'no_pieces' else 'no_target_time' end end,
    'oee', case when r.oee is null then coalesce(no_time, no_target) end,
    'nee', case when r.nee is null then coalesce(no_time, no_target) end,
    'teep', case when r.teep is null then coalesce(no_time, no_target) end,
    'utilisation_efficiency', case when r.utilisation_efficiency is null then coalesce(no_plan, 'no_work') end,
    'allocation_efficiency', case when r.allocation_efficiency is null then no_time end,
    'technical_efficiency', case when r.technical_efficiency is null then coalesce(no_plan, 'no_work') end,
    'setup_ratio', case when r.setup_ratio is null then 'no_work' end,
    'scrap_ratio', case when r.scrap_ratio is null then 'no_pieces' end,
    'throughput_per_h', case when r.throughput_per_h is null then coalesce(no_plan, 'no_work') end
  ));
end
$$;
comment on function app.report_reasons(app.report_sums, app.report_ratios) is 'For each ratio that is null, why.';

create function app.report_bucket(s app.report_sums) returns json
language plpgsql immutable
set search_path = ''
as $$
declare
  ratios constant app.report_ratios := app.report_ratios(s);
  is_timed constant boolean := s.has_plan and s.has_slots;
  coverage constant numeric := app.ratio(s.apt_known, s.apt);
  capped_effectiveness constant numeric := case when ratios.effectiveness is not null
    then least(ratios.effectiveness, 1) end;
begin
  return json_build_object(
    'elements', json_build_object(
      'pot_min', case when is_timed then app.minutes(s.pot) end,
      'pdot_min', case when is_timed then app.minutes(s.pdot) end,
      'pbt_min', case when is_timed then app.minutes(s.pot - s.pdot) end,
      'apt_min', app.minutes(s.apt),
      'aust_min', app.minutes(s.aust),
      'adet_min', case when is_timed then app.minutes(s.adet) end,
      'adot_min', case when is_timed then app.minutes(s.adot) end),
    'pieces', json_build_object(
      'pq', trim_scale(round(s.pq, 3)), 'gq', trim_scale(round(s.gq, 3)), 'sq', trim_scale(round(s.pq - s.gq, 3))),
    'ratios', (select json_object_agg(x.key, trim_scale(round(x.value::numeric, 6)))
      from json_each_text(to_json(ratios)) x),
    'capped', json_build_object(
      'effectiveness', trim_scale(round(capped_effectiveness, 6)),
      'oee', trim_scale(round(case when ratios.oee is not null then least(
        coalesce(ratios.availability * capped_effectiveness * ratios.quality_weighted, ratios.oee), 1) end, 6))),
    'coverage', trim_scale(round(coverage, 6)),
    'partial', coalesce(coverage > 0 and coverage < 1, false),
    'reasons', app.report_reasons(s, ratios));
end
$$;
comment on function app.report_bucket(app.report_sums) is
  'Elements, pieces and ratios of one row as the API writes them, with the reason for each null.';

create function app.report_warnings(s app.report_sums, found jsonb) returns jsonb
language sql stable
begin atomic
  select coalesce(jsonb_agg(w.warning), '[]')
  from (
    values
      (case when app.ratio((s).earned, (s).apt_known) > 1 then jsonb_build_object('code', 'effectiveness_above_1',
        'effectiveness', trim_scale(round(app.ratio((s).earned, (s).apt_known), 6))) end),
      (case when (s).pq < 0 or (s).gq < 0 or (s).pq < (s).gq then jsonb_build_object('code', 'negative_pieces') end),
      (case when (found ->> 'operations_without_target')::integer > 0 then jsonb_build_object(
        'code', 'operations_without_target', 'operations', found -> 'operations_without_target') end),
      (case when (found ->> 'unlogged_minutes')::integer > 0 then jsonb_build_object(
        'code', 'unlogged_minutes', 'operations', found -> 'unlogged_minutes') end),
      (case when (found ->> 'suspect_runs')::integer > 0 then jsonb_build_object(
        'code', 'suspect_run', 'operations', found -> 'suspect_runs') end),
      (case when (found ->> 'pieces_taken_over')::numeric <> 0 then jsonb_build_object(
        'code', 'pieces_taken_over', 'pieces', found -> 'pieces_taken_over') end),
      (case when (found ->> 'unknown_ms')::numeric > 0 then jsonb_build_object(
        'code', 'unknown_state', 'minutes', app.minutes((found ->> 'unknown_ms')::numeric)) end),
      (case when (found ->> 'crowded_ms')::numeric > 0 then jsonb_build_object(
        'code', 'beyond_capacity', 'minutes', app.minutes((found ->> 'crowded_ms')::numeric)) end),
      (case when jsonb_array_length(nullif(found -> 'without_plan', 'null')) > 0 then jsonb_build_object(
        'code', 'no_calendar', 'workplace_names', found -> 'without_plan') end)
  ) w (warning)
  where w.warning is not null;
end;
comment on function app.report_warnings(app.report_sums, jsonb) is
  'What a reader has to know beside the figures of a row: [{"code", ...}].';

create type app.loss_row as (
  period_no integer, bucket text, detail text, reason_code text, cause text, is_start boolean, ms bigint
);

-- What was lost to what. A stretch without a cause of its own, such as idle time, counts where it begins.
create function app.loss_rows(intervals app.time_interval[]) returns setof app.loss_row
language sql stable
begin atomic
  select l.period_no, l.bucket, l.detail, l.reason_code, l.cause,
    lag(l.to_ms) over (partition by l.place_no, l.period_no, l.bucket, l.detail order by l.from_ms)
      is distinct from l.from_ms,
    l.slots * (l.to_ms - l.from_ms)
  from (
    select r.place_no, r.period_no, r.from_ms, r.to_ms, x.*
    from unnest(intervals) r
    cross join lateral (
      values
        ('PDOT', r.detail, r.reason_code, r.cause, case when r.bucket = 'PDOT' then r.pot_slots end),
        ('AUST', 'setup', null, null, case when r.is_inside then r.aust_slots end),
        ('ADET', case when r.is_down then 'fault' else r.pause_detail end, r.reason_code, r.cause, r.adet_slots),
        ('ADOT', case when r.is_down then 'fault' when r.is_unknown then 'unknown' else 'idle' end,
          case when r.is_down then r.reason_code end, case when r.is_down then r.cause end, r.adot_slots)
    ) x (bucket, detail, reason_code, cause, slots)
    where x.slots > 0
  ) l;
end;
comment on function app.loss_rows(app.time_interval[]) is 'The lost time of a partition, by bucket, detail and reason.';

-- Which row of a report each period of each workplace belongs to.
create type app.report_cell as (
  period_no integer,
  key_no integer,
  place_no integer,
  key jsonb,
  from_ms bigint,
  to_ms bigint
);

create function app.report_cells(
  scope app.report_scope, periods app.report_period[], by_keys app.report_by
) returns setof app.report_cell
language sql stable
begin atomic
  select c.period_no, (dense_rank() over (
    order by c.place_key, c.period, c.shift_date, c.first_ms, c.shift_code))::integer,
    c.place_no, app.report_key(by_keys, c.place_key, c.period, c.shift_date, c.shift_code), c.from_ms, c.to_ms
  from (
    select c.*, min(c.from_ms) over (partition by c.place_key, c.period, c.shift_date, c.shift_code) as first_ms
    from (
      select (row_number() over ())::integer as period_no, r.place_no, r.period, r.shift_date, r.shift_code, r.from_ms,
        r.to_ms,
        case
          when (by_keys).place = 'group' then p.workplace_group
          when (by_keys).place = 'workplace' or cardinality((scope).places) = 1 then p.name
        end as place_key
      from unnest(periods) r
      join unnest((scope).places) p on p.place_no = r.place_no
    ) c
  ) c;
end;
comment on function app.report_cells(app.report_scope, app.report_period[], app.report_by) is
  'The rows of a report: the number and the key of the row of each period.';

-- supabase/schemas/65_reports/09_oee.sql
-- What: OEE by workplace, time and work.
-- Why: elements are summed first and ratios are made once, so that any aggregate is right.

create type app.report_part as (time app.time_interval, work app.work_sum);
comment on type app.report_part is 'An interval of time, or what was worked within a row of a report.';

create function app.report_parts(
  scope app.report_scope, spans app.time_span[], periods app.report_period[], key_nos integer[], ids bigint[],
  pris numeric[], attribution public.attribution
) returns setof app.report_part
language plpgsql stable rows 10000
set search_path = ''
set jit = off
set plan_cache_mode = 'force_generic_plan'
set parallel_setup_cost = 0
set parallel_tuple_cost = 0
as $$
declare
  untargeted_ids constant bigint[] := array(select o.id from unnest(ids, pris) o (id, pri) where o.pri is null);
begin
  if cardinality(ids) < 1000 then
    return query
      select t, null::app.work_sum from app.time_intervals(scope, spans, ids, untargeted_ids, true) t;
    return query
      select null::app.time_interval, w
      from app.work_sums(scope, spans, periods, key_nos, ids, pris, attribution, false) w;
  else
    -- at the same time, by a parallel append: neither needs the other, and each takes half of a large report
    return query
      select t, null::app.work_sum from app.time_intervals(scope, spans, ids, untargeted_ids, true) t
      union all
      select null::app.time_interval, w
      from app.work_sums(scope, spans, periods, key_nos, ids, pris, attribution, false) w;
  end if;
end
$$;
comment on function app.report_parts(
  app.report_scope, app.time_span[], app.report_period[], integer[], bigint[], numeric[], public.attribution
) is 'Time and work of a report whose rows are not of operations.';

create function app.oee_buckets(
  scope app.report_scope, by_keys app.report_by, attribution public.attribution, are_named boolean
) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  periods constant app.report_period[] := array(select p from app.report_periods(scope, (by_keys).period) p);
  spans constant app.time_span[] := array(select n from app.time_spans(scope, periods) n);
  is_of_work constant boolean := (by_keys).work is not null;
  cells constant app.report_cell[] := array(select c from app.report_cells(scope, periods, by_keys) c);
  key_nos constant integer[] := array(select c.key_no from unnest(cells) c order by c.period_no);
  ids bigint[];
  pris numeric[];
begin
  select array_agg(o.id order by o.id), array_agg(app.minutes_per_piece(o) order by o.id) into ids, pris
  from public.mes_operations o
  where o.id = any(app.report_operation_ids(scope.places));
  return (
    with
    cell as materialized (select * from unnest(cells)),
    place as materialized (select * from unnest(scope.places)),
    part as materialized (
      select p.* from app.report_parts(scope, spans, periods, key_nos, ids, pris, attribution) p where not is_of_work
    ),
    -- rows by operation hold the shares of operations, and no other time
    t as materialized (select (p.time).* from part p where p.work is null),
    timed as materialized (
      select key_nos[t.period_no] as key_no,
        sum((t.to_ms - t.from_ms) * t.pot_slots) as pot,
        sum((t.to_ms - t.from_ms) * t.pot_slots) filter (where t.bucket = 'PDOT') as pdot,
        sum((t.to_ms - t.from_ms) * t.apt_slots) filter (where t.is_inside) as apt,
        sum((t.to_ms - t.from_ms) * t.aust_slots) filter (where t.is_inside) as aust,
        sum((t.to_ms - t.from_ms) * t.adet_slots) as adet,
        sum((t.to_ms - t.from_ms) * t.adot_slots) as adot,
        -- of a stretch in which all have a target, no part is divided
        sum((t.to_ms - t.from_ms) * t.apt_slots * case
          when t.untargeted = 0 then 1
          else (t.processing - t.untargeted)::numeric / t.processing
        end) filter (where t.is_inside and t.processing > 0) as apt_known,
        sum((t.to_ms - t.from_ms) * t.apt_slots) filter (where not t.is_inside) as apt_outside,
        sum((t.to_ms - t.from_ms) * t.aust_slots) filter (where not t.is_inside) as aust_outside,
        sum(t.to_ms - t.from_ms) filter (where t.detail = 'unknown') as unknown_ms,
        sum(t.to_ms - t.from_ms) filter (where t.is_inside and t.is_crowded and not t.is_down)
          as crowded_ms
      from t
      group by 1
    ),
    stopped as materialized (
      select key_nos[t.period_no] as key_no, count(distinct t.cause) as downtimes
      from t
      where t.is_down or t.detail = 'planned_downtime'
      group by 1
    ),
    w as materialized (
      select (p.work).* from part p where p.time is null
      union all
      select o.* from app.work_sums(scope, spans, periods, key_nos, ids, pris, attribution, true) o where is_of_work
    ),
    worked as materialized (
      select w.key_no, k.work_key, sum(h.apt) as apt, sum(h.aust) as aust, sum(h.apt_outside) as apt_outside,
        sum(h.aust_outside) as aust_outside, sum(h.apt) filter (where o.pri is not null) as apt_known,
        sum(w.pq) as pq, sum(w.gq) as gq, sum(w.earned) as earned, sum(w.earned_good) as earned_good,
        sum(w.pq_outside) as pq_outside, sum(w.gq_outside) as gq_outside, sum(w.pq_taken_over) as pq_taken_over,
        sum(w.runs) as runs, sum(w.reports) as reports, sum(w.untargeted) as untargeted, sum(w.unlogged) as unlogged,
        sum(w.suspects) as suspects
      from w
      left join app.report_operations(case when is_of_work then ids end) o on o.operation_id = w.operation_id
      left join app.work_shares(scope, spans, periods, key_nos, case when is_of_work then ids end) h
        on h.key_no = w.key_no and h.operation_id = w.operation_id
          and h.unplanned_place_no is not distinct from w.unplanned_place_no
      cross join lateral (
        select case (by_keys).work
          when 'operation' then jsonb_build_object(
            'order_no', o.order_no, 'asset_id', o.asset_id, 'operation_no', o.operation_no)
          when 'order' then jsonb_build_object('order_no', o.order_no)
        end as work_key
      ) k
      group by 1, 2
    ),
    used as materialized (select distinct w.unplanned_place_no as place_no from w),
    framed as materialized (
      select c.key_no, c.key, min(c.from_ms) as from_ms, max(c.to_ms) as to_ms, bool_and(f.has_plan) as has_plan,
        bool_and(p.slots is not null) as has_slots,
        sum((c.to_ms - c.from_ms)::numeric * p.slots) filter (where p.pot is not null) as window_ms,
        coalesce(array_agg(distinct p.name) filter (where not f.has_plan), '{}') as without_plan,
        case when count(distinct p.calendar_name) = 1 then max(p.calendar_version) end as calendar_version,
        bool_or(p.is_slots) as is_slots,
        array_agg(distinct c.place_no) as place_nos
      from cell c
      join place p on p.place_no = c.place_no
      left join used u on u.place_no = c.place_no
      -- a place without a calendar at which nothing happened is no part of a sum
      cross join lateral (
        select p.pot is not null
          or u.place_no is null and not are_named and (by_keys).place is distinct from 'workplace' as has_plan
      ) f
      group by 1, 2
    ),
    loss as materialized (
      select key_nos[r.period_no] as key_no, r.bucket, r.detail, r.reason_code, sum(r.ms) as ms,
        case when bool_and(r.cause is not null) then count(distinct r.cause)
          else count(*) filter (where r.is_start) + count(distinct r.cause) end as times
      from app.loss_rows(array(
        select t::app.time_interval from t
        where t.bucket <> 'OFF' and (t.bucket <> 'APT' or t.aust_slots + t.adet_slots + t.adot_slots > 0))) r
      group by 1, 2, 3, 4
    ),
    losses as materialized (
      select l.key_no, json_agg(json_build_object(
        'bucket', l.bucket, 'detail', l.detail, 'reason_code', l.reason_code, 'minutes', app.minutes(l.ms), 'count',
          l.times
      ) order by l.ms desc, l.bucket, l.detail, l.reason_code) as list
      from loss l
      group by 1
    ),
    minor as materialized (
      select c.key_no, count(*) as times, sum(m.length_ms) as ms
      from app.report_minor_stops(scope.places) m
      join cell c on c.place_no = m.place_no and m.at_ms >= c.from_ms and m.at_ms < c.to_ms
      group by 1
    )
    select coalesce(json_agg(
      json_build_object(
        'key', f.key || coalesce(k.work_key, '{}'),
        'from', app.iso_ms(f.from_ms),
        'to', app.iso_ms(f.to_ms),
        'elements', b.bucket -> 'elements',
        'pieces', b.bucket -> 'pieces',
        'ratios', b.bucket -> 'ratios',
        'capped', b.bucket -> 'capped',
        'coverage', b.bucket -> 'coverage',
        'partial', b.bucket -> 'partial',
        'losses', case when is_of_work then '[]' else coalesce(l.list, '[]') end,
        'minor_stops', json_build_object(
          'count', coalesce(m.times, 0), 'minutes', app.minutes(coalesce(m.ms, 0))),
        'outside', json_build_object(
          'apt_min', app.minutes(coalesce(case when is_of_work then k.apt_outside else s.apt_outside end, 0)),
          'aust_min', app.minutes(coalesce(case when is_of_work then k.aust_outside else s.aust_outside end, 0)),
          'pq', trim_scale(round(coalesce(k.pq_outside, 0), 3)), 'gq', trim_scale(round(coalesce(k.gq_outside, 0), 3))),
        'reasons', b.bucket -> 'reasons',
        'warnings', app.report_warnings(x.sums, jsonb_build_object(
          'operations_without_target', k.untargeted, 'unlogged_minutes', k.unlogged, 'suspect_runs', k.suspects,
          'pieces_taken_over', k.pq_taken_over, 'unknown_ms', s.unknown_ms,
          'crowded_ms', case when f.is_slots then s.crowded_ms end,
          'without_plan', case when not is_of_work then to_jsonb(f.without_plan) end)),
        'inputs', json_build_object(
          'runs', coalesce(k.runs, 0), 'events', coalesce(k.reports, 0), 'downtimes', coalesce(d.downtimes, 0),
          'calendar_version', f.calendar_version))
      order by f.key_no, k.work_key), '[]')
    from framed f
    left join timed s on s.key_no = f.key_no
    left join worked k on k.key_no = f.key_no
    left join stopped d on d.key_no = f.key_no
    left join losses l on l.key_no = f.key_no
    left join minor m on m.key_no = f.key_no and not is_of_work
    cross join lateral (
      select row(
        f.has_plan and not is_of_work, f.has_slots, is_of_work, f.window_ms, coalesce(s.pot, 0), coalesce(s.pdot, 0),
        coalesce(case when is_of_work then k.apt else s.apt end, 0),
        coalesce(case when is_of_work then k.aust else s.aust end, 0),
        coalesce(s.adet, 0), coalesce(s.adot, 0),
        coalesce(case when is_of_work then k.apt_known else s.apt_known end, 0),
        coalesce(k.pq, 0), coalesce(k.gq, 0), coalesce(k.earned, 0) * 60000, coalesce(k.earned_good, 0) * 60000
      )::app.report_sums as sums
    ) x
    cross join lateral (select app.report_bucket(x.sums) as bucket offset 0) b
    where not is_of_work or k.key_no is not null
  );
end
$$;
comment on function app.oee_buckets(app.report_scope, app.report_by, public.attribution, boolean) is
  'The rows of the report OEE: one for each key, in the order of the keys.';

create function public.report_oee(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  by_keys text[] default null,
  attribution text default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('by_keys', by_keys)
    and app.require_bounded('attribution', attribution) and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  keys constant app.report_by := app.report_by(by_keys);
  how constant public.attribution := app.attribution_of(attribution);
  scope app.report_scope;
begin
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  return app.json_with(
    app.json_with(to_json(app.report_frame(scope)), 'attribution', to_json(how)),
    'buckets', app.oee_buckets(scope, keys, how, workplace_names is not null));
end
$$;
comment on function public.report_oee is
  'OEE with its elements, pieces, ratios, losses and inputs, for the workplaces that the caller sees. Raises 404 '
  'not_found for unknown and hidden workplaces, 422 validation_failed.';
grant execute on function public.report_oee to authenticated, service_role;

-- supabase/schemas/65_reports/10_timeline.sql
-- What: the timeline of a workplace, and its losses.
-- Why: both are the partition itself, so that a chart and a figure cannot differ.

create function app.local_text(ms bigint, time_zone text) returns text
language sql stable parallel safe
return to_char(app.from_ms(ms) at time zone time_zone, 'YYYY-MM-DD"T"HH24:MI:SS.MS');
comment on function app.local_text(bigint, text) is
  'An instant on local clocks, to the millisecond, without an offset.';

-- Rows become JSON as they are, in half of the time that a list of keys and values takes.
create type app.timeline_work as (
  order_no text,
  asset_id integer,
  operation_no text,
  phase text,
  share numeric
);
comment on type app.timeline_work is 'An operation in an interval of a timeline, as the API writes it.';

create type app.timeline_slots as (apt integer, aust integer, adet integer, adot integer);

create type app.timeline_interval as (
  "from" text,
  "to" text,
  from_local text,
  to_local text,
  minutes numeric,
  bucket text,
  detail text,
  reason_code text,
  source text,
  operations json,
  slots app.timeline_slots
);
comment on type app.timeline_interval is 'An interval of a timeline, as the API writes it.';

create function app.timeline_intervals(scope app.report_scope) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  spans constant app.time_span[] := array(
    select n from app.time_spans(scope, array(select p from app.report_periods(scope, null) p)) n);
  ids constant bigint[] := app.report_operation_ids(scope.places);
begin
  return (
    with
    t as materialized (
      select i.*, trim_scale(round(i.apt_slots::numeric / nullif(i.processing, 0), 6)) as processing_share,
        trim_scale(round(i.aust_slots::numeric / nullif(i.setting_up, 0), 6)) as setup_share
      from app.time_intervals(scope, spans, ids, '{}', false) i
    ),
    listed as materialized (select array_agg(t.from_ms order by t.from_ms) as starts from t),
    -- sorted once: their order is the same in each interval
    operation as materialized (
      select o.*, row_number() over (order by o.order_no, o.operation_no, o.asset_id) as rank
      from app.report_operations(ids) o
    ),
    run as materialized (
      select r.operation_id, r.phase, width_bucket(r.from_ms, l.starts) as first_no,
        width_bucket(r.to_ms - 1, l.starts) as last_no
      from app.report_runs(scope.places, ids, scope.now_ms) r
      cross join listed l
      where r.is_in_window
    ),
    worked as materialized (
      select l.starts[n] as from_ms, r.operation_id, r.phase
      from run r
      cross join listed l
      cross join lateral generate_series(greatest(r.first_no, 1), r.last_no) n
    ),
    work as materialized (
      select w.from_ms, json_agg(row(o.order_no, o.asset_id, o.operation_no, w.phase, case
          when t.is_down then 0 when w.phase = 'SETUP' then t.setup_share else t.processing_share
        end)::app.timeline_work order by w.phase desc, o.rank) as list
      from worked w
      join t on t.from_ms = w.from_ms
      join operation o on o.operation_id = w.operation_id
      group by 1
    )
    select coalesce(json_agg(row(
      app.iso_ms(t.from_ms), app.iso_ms(t.to_ms), app.local_text(t.from_ms, scope.time_zone),
      app.local_text(t.to_ms, scope.time_zone), app.minutes(t.to_ms - t.from_ms), t.bucket, t.detail,
      case when t.bucket in ('PDOT', 'ADET', 'ADOT') then t.reason_code end, t.source, coalesce(w.list, '[]'),
      case when p.is_slots then row(t.apt_slots, t.aust_slots, t.adet_slots, t.adot_slots)::app.timeline_slots end
    )::app.timeline_interval order by t.from_ms), '[]')
    from t
    cross join unnest(scope.places) p
    left join work w on w.from_ms = t.from_ms
  );
end
$$;
comment on function app.timeline_intervals(app.report_scope) is
  'The partition of the window of one workplace: gapless and without overlap, with what ran in each interval.';

create function public.report_timeline(
  workplace_name text,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_name', workplace_name)
    and app.require_bounded('shift_date', shift_date) and app.require_bounded('shift_code', shift_code)
    and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  scope app.report_scope;
  intervals json;
begin
  scope := app.report_scope(caller, array[coalesce(workplace_name, '')], null, from_at, to_at, shift_date, shift_code,
    time_zone);
  intervals := app.timeline_intervals(scope);
  -- of a month, 40 MB: not copied and not parsed once more
  return (
    select to_json(r) from (
      select f.*, report_timeline.workplace_name, intervals from app.report_frame(scope) f
    ) r
  );
end
$$;
comment on function public.report_timeline is
  'The timeline of one workplace: each instant in one bucket. Raises 404 not_found for an unknown or hidden workplace, '
  '422 validation_failed.';
grant execute on function public.report_timeline to authenticated, service_role;

create function app.loss_buckets(scope app.report_scope, by_keys app.report_by) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  periods constant app.report_period[] := array(select p from app.report_periods(scope, (by_keys).period) p);
  spans constant app.time_span[] := array(select n from app.time_spans(scope, periods) n);
  ids constant bigint[] := app.report_operation_ids(scope.places);
begin
  return (
    with
    cell as materialized (select * from app.report_cells(scope, periods, by_keys)),
    framed as materialized (
      select c.key_no, c.key, min(c.from_ms) as from_ms, max(c.to_ms) as to_ms from cell c group by 1, 2
    ),
    loss as materialized (
      select c.key_no, r.bucket, r.detail, r.reason_code, sum(r.ms) as ms,
        count(*) filter (where r.cause is null and r.is_start) + count(distinct r.cause) as times
      from app.loss_rows(array(
        select t from app.time_intervals(scope, spans, ids, '{}', true) t
        where t.bucket <> 'OFF' and (t.bucket <> 'APT' or t.aust_slots + t.adet_slots + t.adot_slots > 0))) r
      join cell c on c.period_no = r.period_no
      group by 1, 2, 3, 4
    ),
    ranked as materialized (
      select l.*, sum(l.ms) over (partition by l.key_no) as total_ms,
        sum(l.ms) over (partition by l.key_no order by l.ms desc, l.bucket, l.detail, l.reason_code
          rows unbounded preceding) as cumulative_ms
      from loss l
    )
    select coalesce(json_agg(json_build_object(
      'key', f.key,
      'from', app.iso_ms(f.from_ms),
      'to', app.iso_ms(f.to_ms),
      'total_min', app.minutes(coalesce(g.total_ms, 0)),
      'losses', coalesce(g.list, '[]')
    ) order by f.key_no), '[]')
    from framed f
    left join (
      select r.key_no, max(r.total_ms) as total_ms, json_agg(json_build_object(
        'category', case
          when r.bucket = 'PDOT' then 'PLANNED' when r.bucket = 'AUST' then 'SETUP'
          when r.detail = 'idle' then 'IDLE' when r.detail = 'unknown' then 'UNKNOWN' else 'UNPLANNED' end,
        'bucket', r.bucket, 'detail', r.detail, 'reason_code', r.reason_code,
        'minutes', app.minutes(r.ms), 'count', r.times,
        'share', trim_scale(round(r.ms / r.total_ms, 6)),
        'cumulative_share', trim_scale(round(r.cumulative_ms / r.total_ms, 6))
      ) order by r.ms desc, r.bucket, r.detail, r.reason_code) as list
      from ranked r
      group by 1
    ) g on g.key_no = f.key_no
  );
end
$$;
comment on function app.loss_buckets(app.report_scope, app.report_by) is 'The rows of the report of losses.';

create function public.report_losses(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  by_keys text[] default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('by_keys', by_keys)
    and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  keys constant app.report_by := app.report_by(by_keys);
  scope app.report_scope;
begin
  if keys.work is not null then
    perform app.refuse_field('/by', 'invalid_value', 'Lost time belongs to workplaces: not to operations or orders');
  end if;
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  return app.json_with(to_json(app.report_frame(scope)), 'buckets', app.loss_buckets(scope, keys));
end
$$;
comment on function public.report_losses is
  'Lost time by category and reason, the most first, for the workplaces that the caller sees. Raises 404 not_found for '
  'unknown and hidden workplaces, 422 validation_failed.';
grant execute on function public.report_losses to authenticated, service_role;

-- supabase/schemas/65_reports/11_work.sql
-- What: reports of work: scrap, operations against their plan, and what goes on now.
-- Why: each is one call, of the workplaces that its caller sees.

create function app.scrap_buckets(scope app.report_scope, by_keys app.report_by) returns json
language plpgsql stable
set search_path = ''
-- the lists below have no statistics: see app.time_intervals
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
as $$
declare
  periods constant app.report_period[] := array(select p from app.report_periods(scope, (by_keys).period) p);
begin
  return (
    with
    cell as materialized (select * from app.report_cells(scope, periods, by_keys)),
    located as materialized (
      select p.place_no, array_agg(p.from_ms order by p.from_ms) as starts,
        array_agg(p.period_no order by p.from_ms) as numbers
      from (select (row_number() over ())::integer as period_no, x.place_no, x.from_ms from unnest(periods) x) p
      group by 1
    ),
    -- what was taken back is no scrap of the report that it took it from
    piece as materialized (
      select p.place_no, l.numbers[width_bucket(app.ms(e.occurred_at), l.starts)] as period_no,
        case when e.action_type = 'CORRECT' then null else e.reason_code end as reason_code,
        e.order_no, e.asset_id, e.operation_no,
        e.qty_good - coalesce(b.good, 0) as good, e.qty_scrap - coalesce(b.scrap, 0) as scrap
      from unnest(scope.places) p
      join located l on l.place_no = p.place_no
      cross join lateral (
        select * from public.operation_events x
        where x.workplace_name = p.name and (x.qty_good <> 0 or x.qty_scrap <> 0)
          and x.occurred_at >= app.from_ms(p.from_ms) and x.occurred_at < app.from_ms(p.to_ms)
          and x.action_type <> 'REVERSE' and x.status_before is not null
      ) e
      left join lateral (
        select sum(r.qty_good) as good, sum(r.qty_scrap) as scrap
        from public.operation_events r where r.reverses_event_id = e.id
      ) b on true
    ),
    keyed as materialized (
      select c.key_no, c.key || case (by_keys).work
          when 'operation' then jsonb_build_object(
            'order_no', x.order_no, 'asset_id', x.asset_id, 'operation_no', x.operation_no)
          when 'order' then jsonb_build_object('order_no', x.order_no)
          else '{}' end as key,
        x.reason_code, x.good, x.scrap
      from piece x
      join cell c on c.period_no = x.period_no
    ),
    summed as materialized (
      select k.key_no, k.key, sum(k.good) as gq, sum(k.scrap) as sq from keyed k group by 1, 2
    ),
    reason as materialized (
      select k.key, k.reason_code, sum(k.scrap) as sq, count(*) as times
      from keyed k where k.scrap <> 0 group by 1, 2
    ),
    reasons as materialized (
      select r.key, json_agg(json_build_object(
        'reason_code', r.reason_code, 'sq', r.sq, 'count', r.times,
        'share', trim_scale(round(app.ratio(r.sq, s.sq), 6))
      ) order by r.sq desc, r.reason_code) as list
      from reason r
      join summed s on s.key = r.key
      group by 1
    ),
    framed as materialized (
      select c.key_no, c.key, min(c.from_ms) as from_ms, max(c.to_ms) as to_ms from cell c group by 1, 2
    ),
    total as materialized (select coalesce(sum(s.sq), 0) as sq from summed s)
    select coalesce(json_agg(b.bucket order by b.rank, b.key_no, b.key), '[]')
    from (
      select f.key_no, coalesce(s.key, f.key) as key,
        case when (by_keys).period is null then -coalesce(s.sq, 0) end as rank, json_build_object(
        'key', coalesce(s.key, f.key),
        'from', app.iso_ms(f.from_ms),
        'to', app.iso_ms(f.to_ms),
        'pieces', json_build_object(
          'pq', coalesce(s.gq + s.sq, 0), 'gq', coalesce(s.gq, 0), 'sq', coalesce(s.sq, 0)),
        'scrap_ratio', trim_scale(round(app.ratio(s.sq, s.gq + s.sq), 6)),
        'share', trim_scale(round(app.ratio(coalesce(s.sq, 0), t.sq), 6)),
        'scrap', coalesce(g.list, '[]')
      ) as bucket
      from framed f
      left join summed s on s.key_no = f.key_no
      left join reasons g on g.key = s.key
      cross join total t
      where (by_keys).work is null or s.key is not null
      order by rank, f.key_no, key
      limit 10000
    ) b
  );
end
$$;
comment on function app.scrap_buckets(app.report_scope, app.report_by) is
  'The rows of the report of scrap; without a key of time, those with the most scrap first.';

create function public.report_scrap(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  by_keys text[] default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('by_keys', by_keys)
    and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  keys constant app.report_by := app.report_by(by_keys);
  scope app.report_scope;
begin
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  return app.json_with(to_json(app.report_frame(scope)), 'buckets', app.scrap_buckets(scope, keys));
end
$$;
comment on function public.report_scrap is
  'Scrap by reason, and by workplace, time, operation or order, where it was reported. Raises 404 not_found for '
  'unknown and hidden workplaces, 422 validation_failed.';
grant execute on function public.report_scrap to authenticated, service_role;

create function app.target_json(target numeric, actual numeric) returns json
language sql immutable
return json_build_object(
  'target_min', target, 'actual_min', actual,
  'variance_min', trim_scale(actual - target),
  'efficiency', trim_scale(round(app.ratio(target, actual), 6)));
comment on function app.target_json(numeric, numeric) is 'Planned and actual minutes, and target / actual.';

create function app.operation_report_json(o public.mes_operations, now_at timestamptz) returns json
language sql stable
begin atomic
  select json_build_object(
    'order_no', (o).order_no,
    'asset_id', (o).asset_id,
    'operation_no', (o).operation_no,
    'workplace_name', (o).workplace_name,
    'status', (o).status,
    'qty_desired', (o).qty_desired,
    'pieces', json_build_object('pq', (o).qty_processed, 'gq', (o).qty_good, 'sq', (o).qty_scrap),
    'per_piece_min', trim_scale(round(app.minutes_per_piece(o), 6)),
    'setup', app.target_json((o).t_target_setup_min, m.setup_min),
    'processing', app.target_json((o).t_target_processing_min, m.processing_min),
    'lead', app.target_json((o).t_target_lead_min, m.lead_min),
    'effectiveness', trim_scale(round(
      app.ratio(app.minutes_per_piece(o) * (o).qty_processed, m.processing_min), 6)),
    'planned_start_at', app.iso((o).planned_start_at),
    'planned_end_at', app.iso((o).planned_end_at),
    'actual_start_at', app.iso((o).actual_start_at),
    'actual_end_at', app.iso((o).actual_end_at),
    'start_variance_min', app.minutes_between((o).planned_start_at, (o).actual_start_at),
    'end_variance_min', app.minutes_between((o).planned_end_at, (o).actual_end_at),
    'throughput_per_h', trim_scale(round(app.ratio((o).qty_processed * 60, m.processing_min), 6)),
    'first_pass_yield', trim_scale(round(app.ratio((o).qty_good, greatest((o).qty_processed, r.made)), 6)),
    'reasons', json_strip_nulls(json_build_object(
      'effectiveness', case
        when app.minutes_per_piece(o) is null then 'no_target_time'
        when coalesce(m.processing_min, 0) = 0 then 'no_processing' end,
      'throughput_per_h', case when coalesce(m.processing_min, 0) = 0 then 'no_processing' end,
      'first_pass_yield', case when greatest((o).qty_processed, r.made) = 0 then 'no_pieces' end,
      'start_variance_min', case when (o).planned_start_at is null then 'not_planned'
        when (o).actual_start_at is null then 'not_started' end,
      'end_variance_min', case when (o).planned_end_at is null then 'not_planned'
        when (o).actual_end_at is null then 'not_finished' end))
  )
  from (
    select app.minutes_read(o, 'SETUP', now_at) as setup_min,
      app.minutes_read(o, 'PROCESSING', now_at) as processing_min,
      coalesce((o).t_actual_lead_min, app.minutes_between((o).actual_start_at, coalesce((o).actual_end_at, now_at)))
        as lead_min
  ) m
  cross join lateral (
    select coalesce(sum(e.qty_good + e.qty_scrap), 0) as made from public.operation_events e
    where e.operation_id = (o).id and e.action_type in ('REPORT_QUANTITY', 'COMPLETE')
  ) r;
end;
comment on function app.operation_report_json(public.mes_operations, timestamptz) is
  'An operation against its plan, as the report of operations has it.';

create function public.report_operations(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  take integer default 100,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('after_order_no', after_order_no)
    and app.require_bounded('after_operation_no', after_operation_no) and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  scope app.report_scope;
  ids bigint[];
  rows public.mes_operations[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  ids := app.report_operation_ids(scope.places);
  rows := array(
    select o from public.mes_operations o
    where o.id = any(ids)
      -- planned elsewhere by now: their plan is not the caller's to see
      and app.sees_workplace(caller, o.workplace_name)
      and (after_order_no is null
        or (o.order_no, o.operation_no, o.asset_id) > (after_order_no, after_operation_no, after_asset_id))
    order by o.order_no, o.operation_no, o.asset_id
    limit take + 1
  );
  return json_build_object(
    'report', app.report_frame(scope),
    'items', (
      select coalesce(json_agg(app.operation_report_json(o, app.from_ms(scope.now_ms))), '[]')
        from unnest(rows[1:take]) o),
    'next', case when cardinality(rows) > take
      then json_build_array(rows[take].order_no, rows[take].operation_no, rows[take].asset_id) end,
    'total', null
  );
end
$$;
comment on function public.report_operations is
  'A page of the operations that were worked on in the window, against their plan, in the order of their keys: '
  '{"report", "items", "next", "total"}. Raises 404 not_found for unknown and hidden workplaces, 422 '
  'validation_failed.';
grant execute on function public.report_operations to authenticated, service_role;

create function public.report_summary(
  workplace_names text[] default null,
  workplace_group text default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
set enable_nestloop = on
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  now_at constant timestamptz := clock_timestamp();
  scope app.report_scope;
  zone text;
  today timestamptz;
  names text[];
begin
  scope := app.report_scope(caller, workplace_names, workplace_group, now_at, now_at, null, null, time_zone);
  zone := scope.time_zone;
  today := date_trunc('day', now_at at time zone zone) at time zone zone;
  names := array(select p.name from unnest(scope.places) p);
  return (
    select json_build_object(
      'at', app.iso(now_at),
      'time_zone', zone,
      'scope', (app.report_frame(scope)).scope,
      'today', json_build_object('date', to_char(now_at at time zone zone, 'YYYY-MM-DD'), 'from', app.iso(today)),
      'operations', json_build_object(
        'by_status', json_build_object(
          'PLANNED', o.planned, 'RELEASED', o.released, 'IN_PROGRESS', o.running, 'ON_HOLD', o.held),
        'running', o.running, 'late', o.late, 'blocked', o.blocked, 'suspect', o.suspect,
        'started_today', e.started, 'finished_today', e.finished),
      'pieces_today', json_build_object('pq', q.good + q.scrap, 'gq', q.good, 'sq', q.scrap),
      'stops', json_build_object('open', d.open, 'unexplained', d.unexplained)
    )
    from (
      select count(*) filter (where x.status = 'PLANNED') as planned,
        count(*) filter (where x.status = 'RELEASED') as released,
        count(*) filter (where x.status = 'IN_PROGRESS') as running,
        count(*) filter (where x.status = 'ON_HOLD') as held,
        count(*) filter (where x.planned_end_at < now_at) as late,
        count(*) filter (where x.hold_kind = 'BLOCKED') as blocked,
        count(*) filter (where x.running_since < now_at - interval '12 hours') as suspect
      from unnest(names) n
      cross join lateral (
        select * from public.mes_operations m
        where m.workplace_name = n and m.status not in ('FINISHED', 'CANCELLED')
      ) x
    ) o
    cross join (
      select count(distinct x.operation_id) filter (where x.action_type = 'START' and x.status_before = 'RELEASED')
          as started,
        count(distinct x.operation_id) filter (where x.status_after = 'FINISHED' and x.status_before <> 'FINISHED')
          as finished
      from unnest(names) n
      cross join lateral (
        select * from public.operation_events v
        where v.workplace_name = n and v.created_at >= today - interval '2 minutes' and v.occurred_at >= today
      ) x
    ) e
    cross join (
      select coalesce(sum(app.delta(x, x.qty_good)), 0) as good, coalesce(sum(app.delta(x, x.qty_scrap)), 0) as scrap
      from unnest(names) n
      cross join lateral (
        select * from public.operation_events v
        where v.workplace_name = n and (v.qty_good <> 0 or v.qty_scrap <> 0) and v.occurred_at >= today
          and v.status_before is not null
      ) x
    ) q
    cross join (
      select count(*) filter (where x.ended_at is null) as open,
        count(*) filter (where x.reason_code is null) as unexplained
      from unnest(names) n
      cross join lateral (
        select v.ended_at, v.reason_code from public.downtimes v
        where v.workplace_name = n and v.cancelled_at is null and (v.ended_at is null or v.reason_code is null)
      ) x
    ) d
  );
end
$$;
comment on function public.report_summary is
  'What goes on now, for a dashboard: open operations by status, running, late and blocked ones, unexplained stops, '
  'and the pieces of today. Raises 404 not_found for unknown and hidden workplaces.';
grant execute on function public.report_summary to authenticated, service_role;

-- supabase/schemas/65_reports/12_board.sql
-- What: the board of a group: the state of each workplace now, what runs, what comes next, what is late.
-- Why: a screen asks once a second while things happen, so it is one cheap call; OEE is added on request. No name of a
-- person is in it, so that a television may show it.

-- By calendar and not by workplace: a group has one or two.
create type app.board_shift as (
  calendar_name text,
  shift_date date,
  shift_code text,
  starts_at timestamptz,
  ends_at timestamptz,
  break_until timestamptz,
  off_since timestamptz,
  next_at timestamptz
);
comment on type app.board_shift is
  'The shift of a calendar at a moment; without one, since when there is none (off_since), and the next one.';

create function app.board_shifts(calendar_names text[], now_at timestamptz) returns setof app.board_shift
language plpgsql stable
set search_path = ''
as $$
declare
  calendar public.calendars;
  shift app.board_shift;
begin
  for calendar in select * from public.calendars c where c.name = any(calendar_names) loop
    select calendar.name, o.shift_date, o.shift_code, o.starts_at, o.ends_at,
      (select upper(b) from unnest(o.breaks) b where b @> now_at), null::timestamptz, null::timestamptz
    into shift
    from app.occurrences(calendar, app.dates_around(calendar, now_at, now_at)) o
    where o.starts_at <= now_at and o.ends_at > now_at and not o.closed @> now_at
    limit 1;
    if not found then
      select calendar.name, null::date, null, null::timestamptz, null::timestamptz, null::timestamptz,
        max(upper(part)) filter (where upper(part) <= now_at), min(lower(part)) filter (where lower(part) > now_at)
      into shift
      from app.occurrences(calendar,
        app.dates_around(calendar, now_at - interval '7 days', now_at + interval '7 days')) o
      cross join lateral unnest(tstzmultirange(tstzrange(o.starts_at, o.ends_at)) - o.closed) part;
    end if;
    return next shift;
  end loop;
end
$$;
comment on function app.board_shifts(text[], timestamptz) is
  'The shifts of calendars at a moment. Looks a week back and ahead for those that are off.';

-- PL/pgSQL: its expressions are planned once a transaction, and not with each query that calls it.
create function app.board_operation_json(o public.mes_operations, now_at timestamptz) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  setup_min constant numeric := app.minutes_read(o, 'SETUP', now_at);
  processing_min constant numeric := app.minutes_read(o, 'PROCESSING', now_at);
  target_min numeric;
  left_min numeric;
begin
  if o.running_since is not null then
    target_min := coalesce(app.minutes_per_piece(o) * o.qty_desired, o.t_target_processing_min);
    left_min := case when o.running_phase = 'SETUP' then greatest(o.t_target_setup_min - setup_min, 0) else 0 end
      + case
        when o.qty_good >= o.qty_desired then 0
        -- pieces so far tell the pace; before the first good one, the plan does
        when o.qty_good > 0 and processing_min > 0 then processing_min / o.qty_good * (o.qty_desired - o.qty_good)
        when target_min > processing_min then target_min - processing_min
      end;
  end if;
  return json_build_object(
    'order_no', o.order_no,
    'asset_id', o.asset_id,
    'operation_no', o.operation_no,
    'workplace_name', o.workplace_name,
    'activity_code', o.activity_code,
    'activity_description', o.activity_description,
    'status', o.status,
    'hold_kind', o.hold_kind,
    'hold_reason_code', o.hold_reason_code,
    'phase', o.running_phase,
    'running_since', app.iso(o.running_since),
    'qty_desired', o.qty_desired,
    'qty_good', o.qty_good,
    'qty_scrap', o.qty_scrap,
    't_target_setup_min', o.t_target_setup_min,
    't_target_processing_min', o.t_target_processing_min,
    't_actual_setup_min', setup_min,
    't_actual_processing_min', processing_min,
    'planned_start_at', app.iso(o.planned_start_at),
    'planned_end_at', app.iso(o.planned_end_at),
    -- 400 years are no forecast
    'expected_end_at', case when left_min < 100000 then app.iso(now_at + left_min * interval '1 minute') end
  );
end
$$;
comment on function app.board_operation_json(public.mes_operations, timestamptz) is
  'An operation as a board shows it: its plan and progress, and nothing that somebody typed about it.';

create function app.board_stop_json(d public.downtimes) returns json
language sql stable
begin atomic
  select json_build_object(
    'downtime_id', (d).id,
    'category', (d).category,
    'reason_code', (d).reason_code,
    'reason_description', (
      select r.description from public.reason_codes r where r.kind = 'DOWNTIME' and r.code = (d).reason_code),
    'since', app.iso((d).started_at),
    'source', (d).source
  );
end;
comment on function app.board_stop_json(public.downtimes) is 'An open downtime as a board shows it, without its note.';

create type public.workplace_state as enum (
  'running', 'setup', 'paused', 'blocked', 'idle', 'down', 'unknown', 'off_shift'
);
comment on type public.workplace_state is 'What a workplace does now.';

create function app.board_workplaces_json(names text[], now_at timestamptz, oee jsonb) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  shifts constant app.board_shift[] := array(
    select s from app.board_shifts(
      array(select distinct w.calendar_name from public.workplaces w where w.name = any(names)), now_at) s);
begin
  return (
    select json_agg(json_build_object(
      'name', w.name,
      'workplace_group', w.workplace_group,
      'state', st.state,
      'since', app.iso(case
        when st.state = 'down' then coalesce(d.started_at, m.since)
        when st.state = 'running' then greatest(run.processing_since, ended.at)
        when st.state = 'setup' then greatest(run.since, ended.at)
        when st.state = 'off_shift' then greatest(s.off_since, worked.until)
        when st.state in ('paused', 'blocked') then greatest(held.since, ended.at, s.starts_at)
        when st.state = 'unknown' then greatest(m.since, worked.until, ended.at, s.starts_at)
        else greatest(worked.until, ended.at, s.starts_at)
      end),
      'shift', case when s.shift_code is not null then json_build_object(
        'shift_date', s.shift_date, 'shift_code', s.shift_code, 'from', app.iso(s.starts_at),
        'to', app.iso(s.ends_at), 'break_until', app.iso(s.break_until)) end,
      'next_shift_at', app.iso(s.next_at),
      'running_count', run.amount,
      'running', coalesce(run.list, '[]'),
      'next', coalesce(queue.list, '[]'),
      'stop', coalesce(case when d.id is not null then app.board_stop_json(d::public.downtimes) end, m.stop),
      'machine_state', case when m.state is not null then json_build_object(
        'state', m.state, 'since', app.iso(m.since), 'heard_at', app.iso(m.heard_at)) end,
      'oee', oee -> w.name
    ) order by w.name)
    from public.workplaces w
    left join lateral (select * from unnest(shifts) x where x.calendar_name = w.calendar_name) s on true
    left join lateral (
      select count(*) as amount, min(r.running_since) as since,
        min(r.running_since) filter (where r.running_phase = 'PROCESSING') as processing_since,
        json_agg(app.board_operation_json(r.o, now_at) order by r.no) filter (where r.no <= 10) as list
      from (
        select o, o.running_since, o.running_phase,
          row_number() over (order by o.running_since, o.order_no, o.operation_no, o.asset_id) as no
        from public.mes_operations o
        where o.workplace_name = w.name and o.status = 'IN_PROGRESS'
      ) r
    ) run on true
    left join lateral (
      select json_agg(app.board_operation_json(o::public.mes_operations, now_at)
        order by o.planned_start_at, o.order_no, o.operation_no, o.asset_id) as list
      from (
        select * from public.mes_operations q
        where q.workplace_name = w.name and q.status not in ('FINISHED', 'CANCELLED') and q.running_since is null
        -- the order of the index, and not one that tempts the planner to read the whole plant in planned order
        order by q.running_since, q.planned_start_at, q.order_no, q.operation_no, q.asset_id
        limit 3
      ) o
    ) queue on true
    -- work that has begun and waits; of several, what the last one waits for
    left join lateral (
      select o.hold_kind, coalesce(o.worked_until, o.actual_start_at) as since from public.mes_operations o
      where o.workplace_name = w.name and o.status = 'ON_HOLD' and o.actual_start_at is not null
      order by since desc
      limit 1
    ) held on true
    left join lateral (
      select * from public.downtimes x
      where x.workplace_name = w.name and x.ended_at is null and x.cancelled_at is null
      order by x.started_at desc
      limit 1
    ) d on true
    left join lateral (
      select x.ended_at as at from public.downtimes x
      where x.workplace_name = w.name and x.ended_at is not null and x.cancelled_at is null
      order by x.started_at desc
      limit 1
    ) ended on true
    -- what was started last ended last, but for a few that overlap
    left join lateral (
      select max(r.ended_at) as until from (
        select x.ended_at from public.operation_runs x
        where x.workplace_name = w.name order by x.started_at desc, x.operation_id desc, x.run_no desc limit 5
      ) r
    ) worked on true
    left join lateral (
      select case when x.is_silent then 'UNKNOWN' else x.state end as state, x.heard_at,
        case when x.is_silent then x.silent_since else x.started_at end as since,
        case when x.state = 'DOWN' and not x.is_silent and d.id is null then app.stop_json(w) end as found
      from (
        select v.state, v.started_at, v.heard_at,
          v.heard_at + make_interval(secs => w.signal_timeout_s) as silent_since,
          v.state <> 'UNKNOWN' and coalesce(v.heard_at + make_interval(secs => w.signal_timeout_s) < now_at, false)
            as is_silent
        from public.workplace_states v where v.workplace_name = w.name and v.ended_at is null
      ) x
    ) machine on true
    cross join lateral (
      select machine.state, machine.since, machine.heard_at,
        case when machine.found is not null then app.json_with(machine.found, 'reason_description', 'null') end as stop
    ) m
    cross join lateral (
      select (case
        when d.id is not null or m.stop is not null then 'down'
        when run.processing_since is not null then 'running'
        when run.since is not null then 'setup'
        when s.calendar_name is not null and s.shift_code is null then 'off_shift'
        when held.hold_kind = 'PAUSED' then 'paused'
        when held.hold_kind = 'BLOCKED' then 'blocked'
        when m.state = 'UNKNOWN' then 'unknown'
        else 'idle'
      end)::public.workplace_state as state
    ) st
    where w.name = any(names)
  );
end
$$;
comment on function app.board_workplaces_json(text[], timestamptz, jsonb) is
  'Each workplace as a board shows it now. oee has what app.board_oee answered, by name.';

create function app.board_late_json(names text[], now_at timestamptz) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = on
set jit = off
as $$
begin
  return (
    select json_build_object(
      'count', count(*),
      'operations', coalesce(
        json_agg(app.board_operation_json(l.o, now_at) order by l.no) filter (where l.no <= 20), '[]'))
    from (
      select o::public.mes_operations as o,
        row_number() over (order by o.planned_end_at, o.order_no, o.operation_no, o.asset_id) as no
      from unnest(names) n
      cross join lateral (
        select * from public.mes_operations x
        where x.workplace_name = n and x.status not in ('FINISHED', 'CANCELLED') and x.planned_end_at < now_at
      ) o
    ) l
  );
end
$$;
comment on function app.board_late_json(text[], timestamptz) is
  'Open operations whose planned end has passed: how many, and the 20 that are the latest.';

-- One report for each shift that takes place now, and for at most 100 workplaces.
create function app.board_oee(names text[], now_at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  part record;
  found jsonb := '{}'::jsonb;
begin
  for part in
    select array_agg(p.name order by p.name) as names, p.shift_date, p.shift_code, p.starts_at, p.ends_at
    from (
      select w.name, s.shift_date, s.shift_code, s.starts_at, s.ends_at,
        (row_number() over (partition by s.starts_at, s.ends_at order by w.name) - 1) / 100 as page
      from public.workplaces w
      join app.board_shifts(
        array(select distinct x.calendar_name from public.workplaces x where x.name = any(board_oee.names)), now_at) s
        on s.calendar_name = w.calendar_name and s.shift_code is not null
      where w.name = any(board_oee.names)
    ) p
    group by p.shift_date, p.shift_code, p.starts_at, p.ends_at, p.page
  loop
    found := found || (
      select coalesce(jsonb_object_agg(b -> 'key' ->> 'workplace_name', json_build_object(
        'from', b -> 'from',
        'to', b -> 'to',
        'oee', b -> 'ratios' -> 'oee',
        'availability', b -> 'ratios' -> 'availability',
        'effectiveness', b -> 'ratios' -> 'effectiveness',
        'quality_weighted', b -> 'ratios' -> 'quality_weighted',
        'partial', b -> 'partial',
        'pieces', b -> 'pieces',
        'losses', (
          select coalesce(json_agg(l.value order by l.ordinality), '[]')
          from json_array_elements(b -> 'losses') with ordinality l where l.ordinality <= 5),
        'reasons', b -> 'reasons'
      )), '{}')
      from json_array_elements(public.report_oee(
        workplace_names => part.names, from_at => part.starts_at, to_at => part.ends_at, by_keys => '{workplace}'
      ) -> 'buckets') b
    );
  end loop;
  return found;
end
$$;
comment on function app.board_oee(text[], timestamptz) is
  'OEE of the shift that takes place now, by name of the workplace; without those whose shift is over.';

create function public.report_board(
  workplace_names text[] default null,
  workplace_group text default null,
  with_oee boolean default false
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group);
  caller constant app.caller := app.current_caller();
  now_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
  names text[] := app.report_names(caller, workplace_names, workplace_group);
begin
  if workplace_names is null then
    names := array(select w.name from public.workplaces w where w.name = any(names) and w.active order by w.name);
  end if;
  return json_build_object(
    'at', app.iso(now_at),
    'scope', json_build_object('access', case when caller.sees_all then 'all' else 'own' end,
      'workplace_names', names),
    'workplaces', coalesce(
      app.board_workplaces_json(names, now_at, case when with_oee then app.board_oee(names, now_at) end), '[]'),
    'late', app.board_late_json(names, now_at)
  );
end
$$;
comment on function public.report_board is
  'What a board shows of the workplaces that the caller sees: their states, what runs, what is next, what is late; on '
  'request OEE of the shift. It holds no name of a person. Raises 404 not_found for unknown and hidden workplaces.';
grant execute on function public.report_board to authenticated, service_role;

-- supabase/schemas/70_feed/01_positions.sql
-- What: the feed: every event at a position, in an order that never changes behind a reader.
-- Why: with positions drawn at insert, a later event may commit first, and a reader would miss the earlier one.

create table app.feed (
  pos bigint generated always as identity (cache 1) primary key,
  -- No foreign keys: the trigger of the event itself makes the row, and events are never deleted.
  event_id uuid,
  downtime_event_id uuid,
  workplace_name text collate "C",
  action_type public.action,
  order_no text collate "C",
  recorded_at timestamptz not null default clock_timestamp(),
  constraint feed_has_one_event check (
    (event_id is null) <> (downtime_event_id is null)
    and (event_id is null) = (action_type is null) and (event_id is null) = (order_no is null)
  )
);
comment on table app.feed is
  'Positions of events of operations and of downtimes. A separate table, because events are never changed.';
comment on column app.feed.event_id is 'Event of an operation.';
comment on column app.feed.downtime_event_id is 'Event of a downtime, which readers get who ask for them.';
comment on column app.feed.pos is
  'Position: gaps are possible (a commit that failed); those of one operation rise with its op_seq.';
comment on column app.feed.workplace_name is
  'The event''s workplace, so that one index serves a reader of few workplaces.';
comment on column app.feed.action_type is
  'The event''s action, likewise order_no: filters pass over events without a look at each.';
comment on column app.feed.recorded_at is
  'When the position was drawn; for retention. It rises with pos, so it needs no index.';
create unique index feed_by_event on app.feed (event_id);
create unique index feed_by_downtime_event on app.feed (downtime_event_id) where downtime_event_id is not null;
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

create function app.begin_drawing() returns timestamptz
language plpgsql
set search_path = ''
as $$
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
  return greatest(clock_timestamp(), current_setting('app.recorded_until')::timestamptz);
end
$$;
comment on function app.begin_drawing() is
  'Holds back readers until the transaction ends. Returns the time at which its next event is recorded.';

create function app.end_drawing(drawn_pos bigint) returns void
language plpgsql
set search_path = ''
as $$
begin
  -- removes twice as many positions as were added
  if drawn_pos % 16 = 0 then
    perform app.prune_feed(32) from app.feed_state s where s.retention is not null;
  end if;
end
$$;
comment on function app.end_drawing(bigint) is 'Removes old positions, now and then.';

create function app.draw_position() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  -- before the position is drawn, which the insert does
  recorded_at constant timestamptz := app.begin_drawing();
  drawn_pos bigint;
begin
  insert into app.feed (event_id, workplace_name, action_type, order_no, recorded_at)
  values (new.id, new.workplace_name, new.action_type, new.order_no, recorded_at)
  returning pos into drawn_pos;
  perform app.end_drawing(drawn_pos);
  return null;
end
$$;
comment on function app.draw_position() is 'Deferred trigger: gives an event its position in the feed, at commit.';

create constraint trigger operation_events_draw_position after insert on public.operation_events
  deferrable initially deferred
  for each row execute function app.draw_position();

create function app.draw_downtime_position() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  recorded_at constant timestamptz := app.begin_drawing();
  drawn_pos bigint;
begin
  insert into app.feed (downtime_event_id, workplace_name, recorded_at)
  values (new.id, new.workplace_name, recorded_at)
  returning pos into drawn_pos;
  perform app.end_drawing(drawn_pos);
  return null;
end
$$;
comment on function app.draw_downtime_position() is 'As app.draw_position, for an event of a downtime.';

create constraint trigger downtime_events_draw_position after insert on public.downtime_events
  deferrable initially deferred
  for each row execute function app.draw_downtime_position();

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
return left(md5(
  coalesce((f).event_id, (f).downtime_event_id)::text || '/' || extract(epoch from (f).recorded_at)::text), 12);
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
  with_operations boolean default false,
  with_downtimes boolean default false
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
  -- a downtime belongs to no order
  has_downtimes constant boolean := with_downtimes and order_no is null;
  visible text[];
  events json := '[]'::json;
  downtime_events json := '[]'::json;
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
      'downtime_events', '[]'::json,
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
        select f.pos, f.event_id, f.downtime_event_id from app.feed f
        where visible is null and f.pos > from_pos and f.pos <= last_pos
          and case when f.downtime_event_id is null
            then (action_types is null or f.action_type = any(action_types::public.action[]))
              and (read_feed.order_no is null or f.order_no = read_feed.order_no)
            else has_downtimes end
        order by f.pos
        limit take
      )
      union all
      select f.pos, f.event_id, f.downtime_event_id from unnest(visible) w cross join lateral (
        select f.pos, f.event_id, f.downtime_event_id from app.feed f
        where f.workplace_name = w and f.pos > from_pos and f.pos <= last_pos
          and case when f.downtime_event_id is null
            then (action_types is null or f.action_type = any(action_types::public.action[]))
              and (read_feed.order_no is null or f.order_no = read_feed.order_no)
            else has_downtimes end
        order by f.pos
        limit take
      ) f
    ),
    taken as materialized (
      select * from positions order by pos limit take
    ),
    page as materialized (
      select p.pos, e.operation_id, app.event_body(
        e, p.pos, app.reporter_body(r),
        case when who.id is not null then row(who.id, who.display_name)::app.named_person end, w.is_delivered,
        case when with_answers then w.response end, case when with_answers then w.error_message end
      ) as body
      from taken p
        join public.operation_events e on e.id = p.event_id
        left join app.reporters r on r.id = e.reporter_id
        left join app.people who on who.id = e.person_id
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
      (select coalesce(json_agg(p.event order by p.pos), '[]') from written p),
      (select coalesce(json_agg(app.json_with(app.downtime_event_json(e, t.pos), 'mark',
          to_json((select app.feed_mark(f) from app.feed f where f.pos = t.pos))) order by t.pos), '[]')
        from taken t join public.downtime_events e on e.id = t.downtime_event_id),
      count(*),
      max(t.pos)
    into events, downtime_events, found, reached
    from taken t;
  end if;

  reached := case when found = take then reached else coalesce(last_pos, from_pos) end;
  -- checked last, because a pruning may have removed positions meanwhile; a reader who begins starts after them
  if after_pos is not null then
    perform app.require_position(after_pos, generation, mark);
  elsif reached < (select s.floor_pos from app.feed_state s) then
    return public.read_feed(null, null, null, workplace_names, action_types, read_feed.order_no, take,
      with_operations, with_downtimes);
  end if;
  return json_build_object(
    'events', events,
    'downtime_events', downtime_events,
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
  'Events the caller sees, in the order of the feed, after a position: {"events": [...], "downtime_events": [...], '
  '"generation", "pos", "mark": where to go on, "has_more", "has_workplace": false when waiting is in vain}. Without '
  'after_pos from the oldest kept. Events of downtimes come when asked for, each with its mark. With operations, each '
  'event has its operation as it is now, null when it is gone or not the caller''s to see, and its mark. Raises 410 '
  'feed_reset when that position is unknown here.';
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
    'workplaces', coalesce(case when p.kind = 'integration' then app.board_workplaces(p.id) end, p.workplace_access),
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
  downtimes boolean not null default false,
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
comment on column app.webhook_endpoints.downtimes is
  'True: events of downtimes too, at these workplaces; none with an order_prefix, because a downtime has no order.';
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
  -- No foreign key: it is an event of an operation or of a downtime, and neither is ever deleted.
  event_id uuid,
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
  -- the type tells which kind of event it is
  constraint webhook_deliveries_once unique (event_id, endpoint_id, type),
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

create function app.wants_downtimes(endpoint app.webhook_endpoints, workplace_name text) returns boolean
language sql immutable
return (endpoint).enabled and (endpoint).downtimes and (endpoint).order_prefix is null
  and ((endpoint).workplace_names is null or workplace_name = any((endpoint).workplace_names));
comment on function app.wants_downtimes(app.webhook_endpoints, text) is
  'True when events of downtimes of the workplace are to be sent to the endpoint.';

create function app.webhook_type(action_type public.downtime_action) returns text
language sql immutable parallel safe
return 'downtime.' || lower(replace(action_type::text, 'DOWNTIME_', ''));
comment on function app.webhook_type(public.downtime_action) is
  'Type of the message about an event of a downtime, e.g. downtime.start.';

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

create function app.queue_downtime_event() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  endpoint_ids constant uuid[] := array(
    select e.id from app.webhook_endpoints e
    where e.enabled and e.downtimes and app.wants_downtimes(e, new.workplace_name) is true);
begin
  if endpoint_ids <> '{}' then
    insert into app.webhook_outbox (event_id, type, endpoint_ids)
    values (new.id, app.webhook_type(new.action_type), endpoint_ids);
  end if;
  return null;
end
$$;
comment on function app.queue_downtime_event() is
  'Trigger: puts an event of a downtime into the outbox when an endpoint wants it, in the event''s transaction.';

create trigger downtime_events_queue after insert on public.downtime_events
  for each row execute function app.queue_downtime_event();

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
    'downtimes', (e).downtimes,
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
  insert into app.webhook_endpoints (url, description, action_types, workplace_names, order_prefix, downtimes, enabled,
    disabled_reason, disabled_at, created_by)
  values (
    wanted.url, wanted.description, wanted.action_types, wanted.workplace_names, wanted.order_prefix,
    coalesce(wanted.downtimes, false),
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
    set (url, description, action_types, workplace_names, order_prefix, downtimes, enabled, disabled_reason,
      disabled_at) = row (
      coalesce(wanted.url, endpoint.url), wanted.description, wanted.action_types,
      wanted.workplace_names, wanted.order_prefix, coalesce(wanted.downtimes, endpoint.downtimes), wanted.enabled,
      wanted.disabled_reason, wanted.disabled_at
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
    select endpoint.id, wanted.id, wanted.type
    from (
      select f.pos, e.id, app.webhook_type(e.action_type) as type
      from app.feed f join public.operation_events e on e.id = f.event_id
      where f.pos = any(positions) and app.wants_event(endpoint, e) is true
      union all
      select f.pos, e.id, app.webhook_type(e.action_type)
      from app.feed f join public.downtime_events e on e.id = f.downtime_event_id
      where f.pos = any(positions) and app.wants_downtimes(endpoint, e.workplace_name) is true
    ) wanted
    order by wanted.pos
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
      when n.id is not null then
        json_build_object('type', d.type, 'timestamp', app.iso(n.occurred_at), 'data', json_build_object(
          'event', app.downtime_event_json(n, (select f.pos from app.feed f where f.downtime_event_id = n.id)),
          'downtime', (select app.downtime_json(s) from public.downtimes s where s.id = n.downtime_id)
        ))
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
    left join public.operation_events v on v.id = d.event_id and d.type like 'operation.%'
    left join public.downtime_events n on n.id = d.event_id and d.type like 'downtime.%'
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
comment on column app.forgotten_users.events is
  'Events, of downtimes and machine states too, that had an address and have none any more.';
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
  record.events := (select count(*) from public.operation_events e where e.user_id = erase_person.user_id)
    + (select count(*) from public.downtime_events e where e.user_id = erase_person.user_id)
    + (select count(*) from public.workplace_state_events e where e.user_id = erase_person.user_id);
  record.runs := (select count(*) from public.operation_runs r where r.user_id = erase_person.user_id);
  -- the same person at shared terminals
  perform app.pseudonymise(p.id) from app.people p where p.profile_id = erase_person.user_id;
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
  set answer = app.redacted_answer(k.answer, user_id, addresses), mentions = array(
    select m from unnest(k.mentions) m
    where m <> all(user_id::text || array(select app.json_text(a) from unnest(addresses) a))
  )
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
  perform app.refuse_integration(profile);
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

-- supabase/schemas/85_privacy/02_pseudonymising.sql
-- What: erasing name, number, badge and PIN of a person at shared terminals.
-- Why: the log keeps an id, and nothing that leads from it to the person.

create table app.pseudonymised_people (
  person_id uuid primary key,
  pseudonymised_at timestamptz not null default clock_timestamp(),
  pseudonymised_by text not null,
  events integer not null,
  stored_answers integer not null
);
comment on table app.pseudonymised_people is
  'The record of people who were pseudonymised, append-only. It holds no name and no number.';
comment on column app.pseudonymised_people.person_id is
  'The id that their events keep; it identifies no person any more.';
comment on column app.pseudonymised_people.pseudonymised_by is
  'Id of the user, "server" for the secret key, "database" for a deletion in Supabase Auth or by SQL.';
comment on column app.pseudonymised_people.events is
  'Events of the person, of downtimes and machine states too, which name nobody any more.';
comment on column app.pseudonymised_people.stored_answers is 'Stored answers from which the person was removed.';

alter table app.pseudonymised_people enable row level security;

create trigger pseudonymised_people_keep_as_written before update or delete or truncate on app.pseudonymised_people
  for each statement execute function app.keep_record();

create function app.pseudonymised_json(p app.pseudonymised_people) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (p).person_id,
    'pseudonymised_at', app.iso((p).pseudonymised_at),
    'events', (p).events,
    'stored_answers', (p).stored_answers
  );
end;
comment on function app.pseudonymised_json(app.pseudonymised_people) is 'The record as the API writes it.';

create function app.answer_without_person(answer json, person_id uuid) returns json
language plpgsql immutable
set search_path = ''
as $$
declare
  -- quotes within texts are escaped, so members are found and nothing else; person_id has no special characters
  id constant text := '"id" ?: ?"' || person_id || '", ?"display_name" ?: ?';
  text_value constant text := '"(?:[^"\\]|\\.)*"';
  redacted text := regexp_replace(answer::text, '(' || id || ')' || text_value, '\1null', 'g');
begin
  -- the answers to the creation and to changes of the person
  if answer #>> '{body,id}' = person_id::text then
    redacted := regexp_replace(redacted, '("person_no" ?: ?)' || text_value, '\1null');
    redacted := regexp_replace(redacted, '("profile_id" ?: ?)' || text_value, '\1null');
  end if;
  return redacted::json;
end
$$;
comment on function app.answer_without_person(json, uuid) is
  'A stored answer without the name of this person and, where it is about the person, without number and profile.';

-- The answers stay, without the person: a retry without its answer would be recorded twice.
create function app.erase_person_answers(person_id uuid) returns integer
language plpgsql
set search_path = ''
as $$
declare
  changed integer;
begin
  update app.idempotency_keys k
  set answer = app.answer_without_person(k.answer, person_id), mentions = array_remove(k.mentions, person_id::text)
  where k.mentions && array[person_id::text];
  get diagnostics changed = row_count;
  return changed;
end
$$;
comment on function app.erase_person_answers(uuid) is
  'Takes the name of a person out of stored answers. The number of these.';

create function app.pseudonymise(person_id uuid) returns app.pseudonymised_people
language plpgsql security definer
set search_path = ''
as $$
declare
  record app.pseudonymised_people;
begin
  -- waits for reports of the person and for changes of them, whose answers are then found below
  perform from app.people p where p.id = pseudonymise.person_id for update;
  if not found then
    return null;
  end if;
  select * into record from app.pseudonymised_people p where p.person_id = pseudonymise.person_id;
  if found then
    return record;
  end if;
  record.person_id := person_id;
  record.pseudonymised_at := clock_timestamp();
  record.pseudonymised_by := coalesce(app.key_owner(app.current_caller()), 'database');
  update app.people p
  set (display_name, person_no, badge_digest, pin_hash, profile_id, active, pseudonymised_at)
    = row (null, null, null, null, null, false, record.pseudonymised_at)
  where p.id = pseudonymise.person_id;
  delete from app.acting_sessions s where s.person_id = pseudonymise.person_id;
  delete from app.failed_sign_ins f where f.subject = app.sign_in_subject(pseudonymise.person_id);
  record.events := (select count(*) from public.operation_events e where e.person_id = pseudonymise.person_id)
    + (select count(*) from public.downtime_events e where e.person_id = pseudonymise.person_id)
    + (select count(*) from public.workplace_state_events e where e.person_id = pseudonymise.person_id);
  record.stored_answers := app.erase_person_answers(person_id);
  insert into app.pseudonymised_people select record.*;
  return record;
end
$$;
comment on function app.pseudonymise(uuid) is
  'Removes name, number, badge, PIN and profile of a person, signs them out, and records that. Answers the record, '
  'that of the first time when it was done before; null for an unknown id.';

create function public.pseudonymise_person(id uuid) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  person app.people;
begin
  select * into person from app.people p where p.id = pseudonymise_person.id;
  if not found or not app.sees_person(caller, person) then
    perform app.refuse_missing();
  end if;
  perform app.require_managed(caller, person.workplace_access);
  return app.pseudonymised_json(app.pseudonymise(person.id));
end
$$;
comment on function public.pseudonymise_person(uuid) is
  'Pseudonymises a person for good: {"id", "pseudonymised_at", "events", "stored_answers"}. Raises 403 forbidden, 404 '
  'not_found.';
grant execute on function public.pseudonymise_person to authenticated, service_role;

-- supabase/schemas/87_models/01_caller.sql
-- What: what a language model is told about the plant and about itself.
-- Why: a model that knows plant, zone, shift and rights asks what it may ask, and offers what it may do.

-- Times of a plant with calendars of several zones have no zone in common.
create function app.plant_zone() returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce(
    (select s.time_zone from app.settings s),
    (
      select min(c.time_zone) from public.calendars c
      where exists (select from public.workplaces w where w.calendar_name = c.name)
      having count(distinct c.time_zone) = 1
    ),
    'UTC');
end
$$;
comment on function app.plant_zone() is
  'IANA name of the zone of the plant: as set, else that of the calendars of workplaces, UTC when these have several.';

create function app.is_open(caller app.caller, function_name text) returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return caller.scopes is null or coalesce((
    select f.scopes = '{}' or f.scopes && caller.scopes
    from app.function_scopes f
    where f.function_name = is_open.function_name
  ), false);
end
$$;
comment on function app.is_open(app.caller, text) is
  'True when the scopes of an API key open a function of public; users have no such bound.';
grant execute on function app.is_open to authenticated, service_role;

create function app.shifts_now(caller app.caller, at timestamptz) returns json
language sql stable
begin atomic
  select coalesce(json_agg(json_build_object(
    'calendar_name', s.name, 'time_zone', s.time_zone, 'shift_code', s.shift_code, 'shift_date', s.shift_date,
    'ends_at', app.iso(s.ends_at)) order by s.name), '[]')
  from (
    select c.name, c.time_zone, o.shift_code, o.shift_date, o.ends_at
    from public.calendars c
    cross join lateral app.occurrences(c, app.dates_around(c, at, at)) o
    where o.starts_at <= at and at < o.ends_at and not coalesce(at <@ o.closed, false)
      and exists (
        select from public.workplaces w where w.calendar_name = c.name and app.sees_workplace(caller, w.name))
    order by c.name
    limit 10
  ) s;
end;
comment on function app.shifts_now(app.caller, timestamptz) is
  'The shifts that take place at the caller''s workplaces, of at most 10 calendars.';

create function public.describe_caller() returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  at constant timestamptz := clock_timestamp();
begin
  return json_build_object(
    'plant_name', (select s.plant_name from app.settings s),
    'time_zone', app.plant_zone(),
    'at', app.iso(at),
    'shifts', app.shifts_now(caller, at),
    'kind', case
      when caller.is_server then 'server' when caller.key_id is not null then 'key' else 'user' end,
    'role', caller.role,
    'has_workplace', app.has_workplace(caller),
    'workplaces', case when not coalesce(caller.sees_all, false) then to_json((caller.workplaces)[1:100]) end,
    'functions', case when caller.scopes is not null then (
      select coalesce(json_agg(f.function_name order by f.function_name), '[]')
      from app.function_scopes f
      where app.is_open(caller, f.function_name)
    ) end
  );
end
$$;
comment on function public.describe_caller() is
  'The plant, its zone and shifts now, and who calls: kind, role, workplaces (null = all) and the functions that the '
  'scopes of a key open (null = no such bound).';
grant execute on function public.describe_caller to authenticated, service_role;

-- supabase/schemas/87_models/02_reading.sql
-- What: answers to questions that a person asks in one breath and the resources answer in several.
-- Why: a tool of a language model makes one call of the database, and every list in it has the rules of its own.

create function public.floor_now(
  workplace_names text[] default null, workplace_group text default null, take integer default 20
) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group);
  caller constant app.caller := app.current_caller();
  summary constant json := public.report_summary(workplace_names, workplace_group);
  -- a group is a choice of workplaces; without a choice the lists show what the caller sees
  places constant text[] := case
    when workplace_group is null then workplace_names
    else (array(select json_array_elements_text(summary #> '{scope,workplace_names}')))[1:100]
  end;
begin
  take := least(take, 100);
  return json_build_object(
    'summary', summary,
    'running', case when app.is_open(caller, 'list_operations') then
      public.list_operations(statuses => '{IN_PROGRESS}', workplace_names => places, take => take) -> 'items' end,
    'stopped', case when app.is_open(caller, 'list_downtimes') then
      public.list_downtimes(workplace_names => places, open => true, take => take) -> 'items' end
  );
end
$$;
comment on function public.floor_now(text[], text, integer) is
  'What goes on: the summary, the operations that run and the downtimes that last, each as its resource answers it; '
  'null for what the scopes of a key do not open. Raises what public.report_summary raises.';
grant execute on function public.floor_now to authenticated, service_role;

create function public.get_operation_history(
  order_no text, asset_id integer, operation_no text, take integer default 20
) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  caller constant app.caller := app.current_caller();
  operation constant json := public.get_operation(order_no, asset_id, operation_no);
begin
  take := least(take, 100);
  return json_build_object(
    'operation', operation,
    'runs', (
      select coalesce(json_agg(app.run_json(r) order by r.run_no desc), '[]')
      from (
        select r.* from public.mes_operations o join public.operation_runs r on r.operation_id = o.id
        where o.order_no = get_operation_history.order_no and o.operation_no = get_operation_history.operation_no
          and o.asset_id = get_operation_history.asset_id
        order by r.run_no desc
        limit take
      ) r
    ),
    'events', case when app.is_open(caller, 'list_events') then
      public.list_events(order_no, operation_no, asset_id, take => take) -> 'items' end
  );
end
$$;
comment on function public.get_operation_history(text, integer, text, integer) is
  'One operation with what the caller may do to it, its last runs and events, the latest first; events are null for a '
  'key without their scope. Raises 404 not_found.';
grant execute on function public.get_operation_history to authenticated, service_role;

create function public.find_problems(take integer default 20) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  take := least(take, 100);
  return json_build_object(
    'forgotten_runs', public.list_operations(open_longer_than_h => 12, take => take) -> 'items',
    'source_conflicts', public.list_operations(source_conflict => true, take => take) -> 'items',
    'unexplained_stops', case when app.is_open(caller, 'list_downtimes') then
      public.list_downtimes(unexplained => true, take => take) -> 'items' end,
    'failing_webhooks', case
      when app.role_rank(caller.role) >= app.role_rank('manager') and app.is_open(caller, 'list_webhook_endpoints')
      then (
        select coalesce(json_agg(e.endpoint), '[]')
        from (
          select e.endpoint from json_array_elements(public.list_webhook_endpoints(take => 500) -> 'items') e (endpoint)
          where e.endpoint ->> 'failing_since' is not null or e.endpoint ->> 'disabled_reason' in ('failing', 'gone')
          limit take
        ) e
      )
    end
  );
end
$$;
comment on function public.find_problems(integer) is
  'What somebody has to look at: runs of more than 12 hours, operations that the source gave up after work had begun, '
  'stops without a reason, webhooks that fail; null for what the caller may not see.';
grant execute on function public.find_problems to authenticated, service_role;

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
