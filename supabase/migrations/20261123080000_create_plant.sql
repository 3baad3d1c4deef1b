-- What: the private schema, the text rules, workplaces and reason codes.
-- Why: operations happen at workplaces and interruptions happen for reasons; both are plant data that every later table refers to.

-- btree_gist lets one exclusion constraint say "no two runs of one operation overlap".
create extension if not exists btree_gist with schema extensions;

-- Everything here is for the API's own functions; the Data API exposes `public` only.
create schema app;
comment on schema app is 'Private helpers of the MES Operations API: never exposed by the Data API.';

-- Small pure functions have a body that is bound when they are created, so no search_path can change what they mean.
-- They carry no SET clause, which would keep the planner from inlining them: a call then costs a planning.

-- A key goes into URLs and is typed by people: what cannot be addressed or seen must not be stored.
-- PL/pgSQL, because it serves check constraints: those are prepared for each statement, and inlining it there again and
-- again costs more than the update of a row.
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
  'True when the text can be a key: 1..64 characters, not padded, no control characters, and not a path segment that URL parsers remove.';

-- Every signed-in user can call the functions of `public` straight at the Data API, past all checks of the Edge
-- Functions. So each function bounds its arguments in its first declaration, before it reads, sorts or unpacks them:
--   bounded constant boolean := app.require_bounded('order_no', order_no) and app.require_bounded('statuses', statuses);
-- The Edge Functions let nothing through that these bounds refuse. Looking costs microseconds: the SQL functions have
-- no SET clause, so they are inlined into the caller's expression and only the refusal is a call.
create function app.refuse_unbounded(name text, amount bigint, unit text, most bigint) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  if unit = 'bytes' then
    perform app.refuse(413, 'body_too_large', format('"%s" has %s bytes: at most %s are taken', name, amount, most), jsonb_build_object('limit', most));
  elsif unit = 'levels' then
    perform app.refuse(400, 'malformed_request', format('"%s" is nested more than %s levels deep', name, most));
  end if;
  perform app.refuse_field('/' || name, 'too_big', format('"%s" has %s %s: at most %s are taken', name, amount, unit, most));
  return false;
end
$$;
comment on function app.refuse_unbounded(text, bigint, text, bigint) is
  'Raises the refusal of an argument: 413 body_too_large for bytes, 400 malformed_request for levels of nesting, 422 validation_failed for anything else. It has a result because it stands in expressions.';

create function app.require_bounded(name text, value text) returns boolean
language sql
return value is null or char_length(value) <= 320 or app.refuse_unbounded(name, char_length(value), 'characters', 320);
comment on function app.require_bounded(text, text) is 'True for at most 320 characters, the longest e-mail address. Raises 422 validation_failed.';

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
comment on function app.require_bounded(text, integer[]) is 'True for at most 100 numbers. Raises 422 validation_failed.';

create function app.require_bounded(name text, value integer) returns boolean
language sql
return value is null or value <= 10000 or app.refuse_unbounded(name, value, 'rows', 10000);
comment on function app.require_bounded(text, integer) is 'True for at most 10,000 rows to pass over. Raises 422 validation_failed.';

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
  'True for JSON of at most so many bytes, as PostgreSQL holds it, and at most 32 levels of arrays and objects. Raises 413 body_too_large, 400 malformed_request.';

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
comment on table public.workplaces is 'Where operations are made: a machine, a cell, a bench. An operation that names an unknown workplace adds it.';
comment on column public.workplaces.name is 'Name on the shop floor, e.g. TruLaser 5060 (L76).';
comment on column public.workplaces.workplace_group is 'Group of interchangeable workplaces, e.g. Laser.';
comment on column public.workplaces.capacity is 'Operations that may run here at once; null = no limit.';
comment on column public.workplaces.active is 'False once the workplace is no longer used.';
comment on column public.workplaces.version is 'Number of the last change, the ETag.';

create table public.reason_codes (
  kind text not null,
  code text collate "C" not null,
  description text,
  active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (kind, code),
  constraint reason_codes_kind_known check (kind in ('STOP', 'SCRAP', 'HOLD', 'CANCEL', 'SHORTFALL')),
  constraint reason_codes_code_is_key check (app.is_key(code)),
  constraint reason_codes_description_short check (char_length(description) <= 500)
);
comment on table public.reason_codes is 'Why something stopped, was scrapped, held, cancelled or closed short.';
comment on column public.reason_codes.kind is 'What the reason explains: STOP, SCRAP, HOLD, CANCEL or SHORTFALL.';
comment on column public.reason_codes.code is 'Short code, unique within its kind, e.g. MATERIAL.';
comment on column public.reason_codes.active is 'False once the code is no longer offered; events keep it.';

-- The API itself writes these for clients of the first service, which send a new status without a reason.
insert into public.reason_codes (kind, code, description) values
  ('SHORTFALL', 'UNSPECIFIED', 'Closed short without a stated reason'),
  ('HOLD', 'UNSPECIFIED', 'Held without a stated reason'),
  ('CANCEL', 'UNSPECIFIED', 'Cancelled without a stated reason');

-- One trigger for every table that has a version: no writer can forget to bump it, none can set it.
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

create trigger workplaces_bump_version before update on public.workplaces
  for each row execute function app.bump_version();
create trigger reason_codes_bump_version before update on public.reason_codes
  for each row execute function app.bump_version();

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
  'Trigger: refuses writes that reach a table directly, the secret key''s included, because only the functions keep log and row together.';

create trigger workplaces_refuse_direct_write before insert or update or delete or truncate on public.workplaces
  for each statement execute function app.refuse_direct_write();
create trigger reason_codes_refuse_direct_write before insert or update or delete or truncate on public.reason_codes
  for each statement execute function app.refuse_direct_write();

-- One row, changed by the plant's administrator in SQL: update app.settings set report_age_limit = interval '60 days';
create table app.settings (
  only_row boolean primary key default true check (only_row),
  report_age_limit interval not null default interval '31 days',
  batch_slots integer not null default 2,
  constraint settings_report_age_limit_at_least_a_day check (report_age_limit >= interval '1 day'),
  constraint settings_batch_slots_positive check (batch_slots > 0)
);
comment on table app.settings is 'One row: what a plant decides for itself.';
comment on column app.settings.report_age_limit is 'How old a report of a machine or an operator may be; supervisors may report what is older.';
comment on column app.settings.batch_slots is 'How many large batches are carried out at once; the next one is told to come back.';
insert into app.settings default values;
alter table app.settings enable row level security;
