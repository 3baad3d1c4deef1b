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
