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
