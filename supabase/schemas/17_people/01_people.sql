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
