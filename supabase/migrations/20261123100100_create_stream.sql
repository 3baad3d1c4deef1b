-- What: what the live stream asks the database: who may see what, tickets, and a call through Supabase Realtime.
-- Why: a stream outlives the request that opened it, so that access must be asked for again, by the server, for many.

create function public.stream_access(user_ids uuid[]) returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    select coalesce(json_agg(json_build_object(
      'user_id', p.id,
      'sees_all', p.role in ('manager', 'admin') or '*' = any(p.workplace_access),
      'workplaces', p.workplace_access,
      'needs_aal2', p.role in ('manager', 'admin') and (select r.require_aal2 from app.access_rules r)
    )), '[]')
    from public.profiles p
    where p.id = any(user_ids)
  );
end
$$;
comment on function public.stream_access(uuid[]) is
  'What each of the users sees now: [{"user_id", "sees_all", "workplaces", "needs_aal2"}]; without those who have no profile. For the secret key only.';

-- Browsers cannot send a header with EventSource or WebSocket: they send a ticket, once.
create table app.stream_tickets (
  digest bytea primary key,
  user_id uuid references auth.users (id) on delete cascade,
  filter jsonb not null,
  session_ends_at timestamptz,
  expires_at timestamptz not null,
  constraint stream_tickets_digest_is_sha256 check (octet_length(digest) = 32),
  constraint stream_tickets_filter_small check (jsonb_typeof(filter) = 'object' and octet_length(filter::text) <= 4096)
);
comment on table app.stream_tickets is 'Tickets of the stream that nobody has used yet. Who reads this table cannot use them: it has their digests only.';
comment on column app.stream_tickets.digest is 'SHA-256 of the ticket.';
comment on column app.stream_tickets.user_id is 'Whom the ticket stands for; null = a server with the secret key.';
comment on column app.stream_tickets.filter is 'What the ticket''s stream follows: {"workplace_name", "action_type", "order_no"}.';
comment on column app.stream_tickets.session_ends_at is 'When the access token that asked for the ticket expires, and with it the stream.';
create index stream_tickets_by_user on app.stream_tickets (user_id);
create index stream_tickets_by_age on app.stream_tickets (expires_at);
alter table app.stream_tickets enable row level security;

create function app.ticket_class() returns integer
language sql immutable parallel safe
return 7208;
comment on function app.ticket_class() is 'First key of the advisory locks of callers who make tickets.';

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
    perform app.refuse_field('', 'too_big', format('A ticket''s filter takes at most 4096 bytes, not %s', octet_length(filter::text)));
  end if;
  -- One request of a caller after the other: the count stays true until commit.
  perform pg_advisory_xact_lock(app.ticket_class(), hashtext(app.key_owner(caller)));
  -- Each new ticket sweeps the caller's expired ones out and five of others, so that sweeping keeps up with writing.
  -- Two sweeps at once take different ones.
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
    perform app.refuse(429, 'rate_limited', format('You have %s tickets that nobody has used yet: use one, or wait until it expires', open_count),
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
  'Keeps a ticket of the caller for 30 seconds: SHA-256 of the ticket in hex, and the filter it is for. Answers {"expires_at"}. Raises 403 forbidden without a workplace, 422 validation_failed for a filter of more than 4 KiB, 429 rate_limited beyond 20 tickets that are still open.';

create function public.use_stream_ticket(digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  used app.stream_tickets;
begin
  -- gone in the same step in which it is found: of two who bring it, one is let in
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
  'Takes a ticket, once: {"user_id", "filter", "session_ends_at"}, or null when there is no such ticket or it has expired. For the secret key only.';

revoke execute on function public.stream_access, public.create_stream_ticket, public.use_stream_ticket from public, anon, authenticated;
grant execute on function public.create_stream_ticket to authenticated, service_role;
grant execute on function public.stream_access, public.use_stream_ticket to service_role;
revoke execute on all functions in schema app from public;
