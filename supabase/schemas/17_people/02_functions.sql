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
