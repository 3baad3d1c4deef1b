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
