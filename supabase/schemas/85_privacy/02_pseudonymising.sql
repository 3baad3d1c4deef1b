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
