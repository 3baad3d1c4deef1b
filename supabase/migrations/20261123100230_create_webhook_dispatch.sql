-- What: what dispatchers ask the database: claim what is due, settle what came of it; and a schedule where pg_cron is.
-- Why: a claim is a lease, so that any number of dispatchers may run, and one that dies loses nothing.

-- At once to one endpoint; one that fails gets a single one, so that its timeouts cannot use up a dispatcher.
create function app.claim_limit(failing_since timestamptz) returns integer
language sql immutable parallel safe
return case when failing_since is null then 16 else 1 end;
comment on function app.claim_limit(timestamptz) is 'Deliveries that may be under way to one endpoint.';

create function app.fair_share() returns integer
language sql immutable parallel safe
return 4;
comment on function app.fair_share() is
  'Deliveries under way to one endpoint that it may always have; beyond that it takes what a dispatcher has left over.';

-- Longer than a send can take (15 s and its name look-up), short enough that a crashed dispatcher is soon made up for.
create function app.delivery_lease() returns interval
language sql immutable parallel safe
return interval '60 seconds';
comment on function app.delivery_lease() is 'How long a dispatcher has a delivery before it is due again.';

create function app.retry_delay(retry_no integer) returns interval
language sql immutable parallel safe
return (array['5 seconds', '5 minutes', '30 minutes', '2 hours', '5 hours', '10 hours', '14 hours', '20 hours', '24 hours']::interval[])[retry_no];
comment on function app.retry_delay(integer) is 'Time before the retry after so many failures; null = no further one.';

create function app.has_due(health app.webhook_health, endpoint app.webhook_endpoints, at timestamptz) returns boolean
language sql stable
return (endpoint).enabled
  and ((health).paused_until is null or (health).paused_until <= at)
  and exists (
    select from app.webhook_deliveries d
    where d.endpoint_id = (endpoint).id and d.status in ('pending', 'delivering') and d.next_attempt_at <= at
  );
comment on function app.has_due(app.webhook_health, app.webhook_endpoints, timestamptz) is 'True when something is to be sent to the endpoint now.';

-- Deleting an endpoint only marks it, however much is queued: what is left goes here, a piece at a time. So does what a
-- report that was under way meanwhile has queued.
create function app.clear_deleted_endpoints() returns void
language plpgsql
set search_path = ''
as $$
declare
  event_ids uuid[];
begin
  with cancelled as (
    update app.webhook_deliveries d set status = 'cancelled', lease_token = null, settled_at = clock_timestamp()
    where d.id = any(array(
      select open.id from app.webhook_endpoints e
      cross join lateral (
        select o.id from app.webhook_deliveries o
        where o.endpoint_id = e.id and o.status in ('pending', 'delivering')
        limit 200
        for no key update skip locked
      ) open
      where e.deleted_at is not null
      limit 200
    ))
    returning d.event_id
  )
  select array_agg(distinct c.event_id order by c.event_id) into event_ids from cancelled c where c.event_id is not null;
  perform app.tell_event(id) from unnest(event_ids) id;

  delete from app.webhook_endpoints e where e.id = any(array(
    select gone.id from app.webhook_endpoints gone
    where gone.deleted_at is not null and not exists (select from app.webhook_deliveries d where d.endpoint_id = gone.id)
      and not app.is_queued(array[gone.id], null)
    limit 10
    for update skip locked
  ));
end
$$;
comment on function app.clear_deleted_endpoints() is
  'Cancels up to 200 deliveries of deleted endpoints, and removes those endpoints that have no delivery left.';

create function app.lease_due(take integer, beyond_share integer, to_endpoints uuid[], started_at timestamptz) returns uuid[]
language plpgsql
set search_path = ''
as $$
declare
  endpoint_ids uuid[];
  ids uuid[];
begin
  -- The health row is the turnstile: who has it counts places of a moment in which nobody else takes any. What others
  -- have is left to them.
  endpoint_ids := array(
    select h.endpoint_id from app.webhook_health h
    join app.webhook_endpoints e on e.id = h.endpoint_id
    where app.has_due(h, e, started_at) and (to_endpoints is null or h.endpoint_id = any(to_endpoints))
    for no key update of h skip locked
  );
  -- a statement of its own, which sees what the one before in the turnstile has taken
  with endpoints as (
    select h.endpoint_id, app.claim_limit(h.failing_since) as places, (
      select count(*) from app.webhook_deliveries d
      where d.endpoint_id = h.endpoint_id and d.status = 'delivering' and d.next_attempt_at > started_at
    ) as leased
    from app.webhook_health h where h.endpoint_id = any(endpoint_ids)
  ),
  due as (
    -- one to each endpoint, then a second to each, those under way counted: nobody's backlog comes before another's first
    select d.id, d.next_attempt_at, e.leased + row_number() over (partition by d.endpoint_id order by d.next_attempt_at) as turn
    from endpoints e
    cross join lateral (
      select d.id, d.endpoint_id, d.next_attempt_at from app.webhook_deliveries d
      where d.endpoint_id = e.endpoint_id and d.status in ('pending', 'delivering') and d.next_attempt_at <= started_at
      order by d.next_attempt_at
      limit least(greatest(e.places - e.leased, 0), lease_due.take)
      for no key update skip locked
    ) d
  ),
  placed as (
    select d.*, row_number() over (partition by d.turn > app.fair_share() order by d.turn, d.next_attempt_at) as place
    from due d
  )
  select array(
    select p.id from placed p
    where p.turn <= app.fair_share() or p.place <= beyond_share
    order by p.turn, p.next_attempt_at
    limit least(lease_due.take, 100)
  ) into ids;

  update app.webhook_deliveries d
  set status = 'delivering', lease_token = gen_random_uuid(), next_attempt_at = clock_timestamp() + app.delivery_lease()
  where d.id = any(ids);
  return ids;
end
$$;
comment on function app.lease_due(integer, integer, uuid[], timestamptz) is
  'Leases deliveries that are due, as claim_deliveries says, and answers their ids in turn.';

create function public.claim_deliveries(take integer default 32, beyond_share integer default 100, to_endpoints uuid[] default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  started_at constant timestamptz := clock_timestamp();
  has_more boolean;
  ids uuid[];
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;

  -- Each claim sweeps a few old deliveries out: no scheduler, no long delete. One that is replayed is not old.
  delete from app.webhook_deliveries d where d.id = any(array(
    select old.id from app.webhook_deliveries old
    where old.created_at < started_at - interval '90 days' and old.settled_at < started_at - interval '90 days'
    order by old.created_at
    limit 50
    for update skip locked
  ));
  -- Until something is due: the oldest events of the outbox may be for endpoints that are paused.
  for round in 1..10 loop
    has_more := app.expand_outbox(to_endpoints);
    ids := app.lease_due(take, beyond_share, to_endpoints, clock_timestamp());
    exit when cardinality(ids) > 0 or not has_more;
  end loop;
  -- last, since it waits for others who report back to the same events
  perform app.clear_deleted_endpoints();

  return (
    select coalesce(json_agg(json_build_object(
      'id', d.id,
      'webhook_id', 'msg_' || d.id,
      'lease_token', d.lease_token,
      'url', e.url,
      'secrets', (
        select json_agg(s.secret order by s.id desc) from app.webhook_secrets s
        where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > started_at)
      ),
      -- text, since what is signed is these very bytes
      'body', case when d.event_id is null then
        json_build_object('type', d.type, 'timestamp', app.iso(d.created_at), 'data', json_build_object('endpoint_id', e.id))
      else
        json_build_object('type', d.type, 'timestamp', app.iso(v.occurred_at), 'data', json_build_object(
          -- what other receivers have answered is not for this one
          'event', app.event_json(v)::jsonb - array['webhook_success', 'webhook_response', 'error_message'],
          'operation', (select app.operation_json(o) from public.mes_operations o where o.id = v.operation_id)
        ))
      end::text
    ) order by t.turn), '[]')
    from unnest(ids) with ordinality t (id, turn)
    join app.webhook_deliveries d on d.id = t.id
    join app.webhook_endpoints e on e.id = d.endpoint_id
    left join public.operation_events v on v.id = d.event_id
  );
end
$$;
comment on function public.claim_deliveries(integer, integer, uuid[]) is
  'For dispatchers: takes up to take (100 at most) due deliveries, to these endpoints or to all, under a lease of 60 s, endpoints in turn; at most beyond_share of them to endpoints that have their fair share under way: [{"id", "webhook_id", "lease_token", "url", "secrets", "body"}]. Raises 403 forbidden.';

create function public.settle_delivery(
  delivery_id uuid,
  lease_token uuid,
  duration_ms integer,
  url text,
  status integer default null,
  error_message text default null,
  response text default null,
  retry_after_s integer default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  is_delivered constant boolean := coalesce(settle_delivery.status between 200 and 299, false);
  -- slow down when asked to, by a time or without one
  pause constant interval := case
    when is_delivered then null
    when retry_after_s is not null then least(greatest(retry_after_s, 1), 86400) * interval '1 second'
    when settle_delivery.status in (429, 502, 504) then interval '30 seconds'
  end;
  heard_at timestamptz;
  endpoint app.webhook_endpoints;
  delivery app.webhook_deliveries;
  health app.webhook_health;
  delay interval;
  is_moved boolean;
  is_given_up boolean;
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;
  -- Who disables an endpoint locks it first, as those who change it do, before what is queued for it.
  select d.endpoint_id into delivery.endpoint_id from app.webhook_deliveries d where d.id = delivery_id;
  select * into health from app.webhook_health h where h.endpoint_id = delivery.endpoint_id;
  if settle_delivery.status = 410 or not is_delivered and health.failing_since < clock_timestamp() - interval '5 days' then
    perform from app.webhook_endpoints e where e.id = delivery.endpoint_id for no key update;
  end if;
  select * into delivery from app.webhook_deliveries d
  where d.id = delivery_id and d.status = 'delivering' and d.lease_token = settle_delivery.lease_token
  for no key update;
  if not found then
    -- the lease ended, and somebody else has it or had it: the result of the other one stands
    return json_build_object('settled', false, 'status', (select d.status from app.webhook_deliveries d where d.id = delivery_id));
  end if;
  heard_at := clock_timestamp();
  delivery.attempt_count := delivery.attempt_count + 1;
  insert into app.webhook_attempts (delivery_id, attempt_no, status, duration_ms, error_message, response)
  values (
    delivery.id, delivery.attempt_count, settle_delivery.status, settle_delivery.duration_ms,
    left(settle_delivery.error_message, 500), left(settle_delivery.response, 500)
  );
  select * into endpoint from app.webhook_endpoints e where e.id = delivery.endpoint_id;
  -- a failure at the address of before says nothing of the one it has now
  is_moved := not is_delivered and endpoint.url <> settle_delivery.url;
  if is_moved then
    delivery.retry_no := 0;
  else
    delivery.retry_no := delivery.retry_no + 1;
    delay := app.retry_delay(delivery.retry_no) * (1 + 0.2 * random());
  end if;
  is_given_up := not is_delivered and not is_moved and (settle_delivery.status = 410 or delay is null);
  update app.webhook_deliveries d
  set status = case when is_delivered then 'delivered' when is_given_up then 'dead' else 'pending' end,
    lease_token = null,
    attempt_count = delivery.attempt_count,
    retry_no = delivery.retry_no,
    next_attempt_at = case when is_moved then heard_at else heard_at + coalesce(greatest(delay, pause), interval '0') end,
    response_status = settle_delivery.status,
    error_message = left(settle_delivery.error_message, 500),
    settled_at = case when is_delivered or is_given_up then heard_at end
  where d.id = delivery.id
  returning * into delivery;
  perform app.tell_event(
    delivery.event_id, settle_delivery.status || rtrim(' ' || left(coalesce(settle_delivery.response, ''), 500)));

  if is_delivered then
    -- a pause that was asked for ends by its time: others were sent before it
    update app.webhook_health h set failing_since = null, failed_at = null
    where h.endpoint_id = endpoint.id and h.failing_since is not null;
  elsif not is_moved then
    -- two days without a failure are no failures of all that time: nothing was sent
    update app.webhook_health h
    set failing_since = case when h.failed_at > heard_at - interval '2 days' then h.failing_since else heard_at end,
      failed_at = heard_at,
      paused_until = greatest(h.paused_until, heard_at + pause)
    where h.endpoint_id = endpoint.id
    returning * into health;
    if settle_delivery.status = 410 or health.failing_since < heard_at - interval '5 days' then
      update app.webhook_endpoints e
      set enabled = false,
        disabled_reason = case when settle_delivery.status = 410 then 'gone' else 'failing' end,
        disabled_at = heard_at
      where e.id = endpoint.id and e.enabled;
    end if;
  end if;
  return json_build_object('settled', true, 'status', delivery.status);
end
$$;
comment on function public.settle_delivery(uuid, uuid, integer, text, integer, text, text, integer) is
  'For dispatchers: what came of an attempt under this lease, at the URL that was claimed: delivered, tried again by the schedule, or dead. Answers {"settled": false} when another dispatcher has the lease. Raises 403 forbidden.';

-- Where pg_cron and pg_net are, the database itself calls the dispatcher; elsewhere any scheduler does.
create function app.is_dispatch_due() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return app.is_queued(null, null) or exists (
    select from app.webhook_endpoints e
    join app.webhook_health h on h.endpoint_id = e.id
    where app.has_due(h, e, clock_timestamp())
      or e.deleted_at is not null and exists (
        select from app.webhook_deliveries d where d.endpoint_id = e.id and d.status in ('pending', 'delivering')
      )
  );
end
$$;
comment on function app.is_dispatch_due() is 'True when a dispatcher would find something to send or to clear.';

create function app.request_dispatch() returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  functions_url text;
  secret_key text;
begin
  if not app.is_dispatch_due() then
    return;
  end if;
  execute 'select max(decrypted_secret) filter (where name = ''mes_functions_url''), max(decrypted_secret) filter (where name = ''mes_secret_key'')
    from vault.decrypted_secrets' into functions_url, secret_key;
  if functions_url is not null and secret_key is not null then
    execute 'select net.http_post(url := $1, headers := $2, body := ''{}''::jsonb, timeout_milliseconds := 60000)'
    using functions_url || '/webhooks/v1/dispatch', jsonb_build_object('apikey', secret_key, 'Content-Type', 'application/json');
  end if;
end
$$;
comment on function app.request_dispatch() is
  'Calls the dispatcher by pg_net when something is due; URL and key are the Vault''s mes_functions_url and mes_secret_key.';

create function app.schedule_dispatch() returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- not to_regproc: it knows no function of several forms
  if to_regclass('vault.decrypted_secrets') is null or (
    select count(distinct p.proname) from pg_proc p
    where p.pronamespace = to_regnamespace('cron') and p.proname = 'schedule'
      or p.pronamespace = to_regnamespace('net') and p.proname = 'http_post'
  ) < 2 then
    return false;
  end if;
  execute 'select cron.schedule(''mes-dispatch-webhooks'', ''2 seconds'', ''select app.request_dispatch()'')';
  return true;
end
$$;
comment on function app.schedule_dispatch() is
  'Has pg_cron look every 2 s whether something is due; false where pg_cron, pg_net or Vault is not installed. Call it again once they are.';

do $$
begin
  perform app.schedule_dispatch();
exception when others then
  raise notice 'Webhooks are not scheduled: %. See docs/webhooks.md', sqlerrm;
end
$$;

revoke execute on function
  public.claim_deliveries, public.settle_delivery
from public, anon, authenticated;
grant execute on function
  public.claim_deliveries, public.settle_delivery
to service_role;
revoke execute on all functions in schema app from public;
