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
