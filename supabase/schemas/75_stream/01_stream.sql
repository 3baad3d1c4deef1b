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
