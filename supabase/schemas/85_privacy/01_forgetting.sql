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
