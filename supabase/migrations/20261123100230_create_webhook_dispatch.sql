-- What: what dispatchers ask the database: claim what is due, settle what came of it; and a schedule where pg_cron is.
-- Why: a claim is a lease, so that any number of dispatchers may run, and one that dies loses nothing.

-- At once to one endpoint; one that fails gets a single one, so that its timeouts cannot use up a dispatcher.
create function app.claim_limit(failing_since timestamptz) returns integer
language sql immutable parallel safe
return case when failing_since is null then 16 else 1 end;
comment on function app.claim_limit(timestamptz) is 'Deliveries that may be under way to one endpoint.';

-- Longer than a send can take (15 s and its name look-up), short enough that a crashed dispatcher is soon made up for.
create function app.delivery_lease() returns interval
language sql immutable parallel safe
return interval '60 seconds';
comment on function app.delivery_lease() is 'How long a dispatcher has a delivery before it is due again.';

create function app.retry_delay(retry_no integer) returns interval
language sql immutable parallel safe
return (array['5 seconds', '5 minutes', '30 minutes', '2 hours', '5 hours', '10 hours', '14 hours', '20 hours', '24 hours']::interval[])[retry_no];
comment on function app.retry_delay(integer) is 'Time before the retry after so many failures; null = no further one.';

create function public.claim_deliveries(take integer default 32, to_endpoints uuid[] default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  started_at constant timestamptz := clock_timestamp();
  endpoint_ids uuid[];
  ids uuid[];
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;

  -- Each claim sweeps a few old deliveries out: no scheduler, no long delete.
  delete from app.webhook_deliveries d where d.id = any(array(
    select old.id from app.webhook_deliveries old
    where old.created_at < started_at - interval '90 days' and old.status <> 'delivering'
    order by old.created_at
    limit 50
    for update skip locked
  ));

  -- The health row is the turnstile: who has it counts places of a moment in which nobody else takes any. What others
  -- have is left to them.
  endpoint_ids := array(
    select h.endpoint_id from app.webhook_health h
    join app.webhook_endpoints e on e.id = h.endpoint_id
    where e.enabled and (h.paused_until is null or h.paused_until <= started_at)
      and (to_endpoints is null or h.endpoint_id = any(to_endpoints))
      and exists (
        select from app.webhook_deliveries d
        where d.endpoint_id = h.endpoint_id and d.status in ('pending', 'delivering') and d.next_attempt_at <= started_at
      )
    for no key update of h skip locked
  );
  -- a statement of its own, which sees what the one before in the turnstile has taken
  with endpoints as (
    select h.endpoint_id, app.claim_limit(h.failing_since) - (
      select count(*) from app.webhook_deliveries d
      where d.endpoint_id = h.endpoint_id and d.status = 'delivering' and d.next_attempt_at > started_at
    ) as places
    from app.webhook_health h where h.endpoint_id = any(endpoint_ids)
  ),
  due as (
    select d.id, d.next_attempt_at, row_number() over (partition by d.endpoint_id order by d.next_attempt_at) as turn
    from endpoints e
    cross join lateral (
      select d.id, d.endpoint_id, d.next_attempt_at from app.webhook_deliveries d
      where d.endpoint_id = e.endpoint_id and d.status in ('pending', 'delivering') and d.next_attempt_at <= started_at
      order by d.next_attempt_at
      limit least(greatest(e.places, 0), claim_deliveries.take)
      for no key update skip locked
    ) d
  )
  -- one of each endpoint, then a second of each: nobody's backlog comes before another's first
  select array(select due.id from due order by due.turn, due.next_attempt_at limit least(claim_deliveries.take, 100)) into ids;

  update app.webhook_deliveries d
  set status = 'delivering', lease_token = gen_random_uuid(), next_attempt_at = clock_timestamp() + app.delivery_lease()
  where d.id = any(ids);

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
          'event', app.event_json(v),
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
comment on function public.claim_deliveries(integer, uuid[]) is
  'For dispatchers: takes up to take (100 at most) due deliveries, to these endpoints or to all, under a lease of 60 s, endpoints in turn: [{"id", "webhook_id", "lease_token", "url", "secrets", "body"}]. Raises 403 forbidden.';

create function public.settle_delivery(
  delivery_id uuid,
  lease_token uuid,
  duration_ms integer,
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
  delivery app.webhook_deliveries;
  health app.webhook_health;
  delay interval;
  all_delivered boolean;
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;
  select * into delivery from app.webhook_deliveries d
  where d.id = delivery_id and d.status = 'delivering' and d.lease_token = settle_delivery.lease_token
  for no key update;
  if not found then
    -- the lease ended, and somebody else has it or had it: what he found out stands
    return json_build_object('settled', false, 'status', (select d.status from app.webhook_deliveries d where d.id = delivery_id));
  end if;
  -- deliveries of one event settle one after the other: the last one sees all others delivered
  perform from public.operation_events e where e.id = delivery.event_id for no key update;

  heard_at := clock_timestamp();
  delivery.attempt_count := delivery.attempt_count + 1;
  delivery.retry_no := delivery.retry_no + 1;
  delay := app.retry_delay(delivery.retry_no) * (1 + 0.2 * random());
  insert into app.webhook_attempts (delivery_id, attempt_no, status, duration_ms, error_message, response)
  values (
    delivery.id, delivery.attempt_count, settle_delivery.status, settle_delivery.duration_ms,
    left(settle_delivery.error_message, 500), left(settle_delivery.response, 500)
  );
  update app.webhook_deliveries d
  set status = case when is_delivered then 'delivered' when settle_delivery.status = 410 or delay is null then 'dead' else 'pending' end,
    lease_token = null,
    attempt_count = delivery.attempt_count,
    retry_no = delivery.retry_no,
    next_attempt_at = heard_at + coalesce(greatest(delay, pause), interval '0'),
    response_status = settle_delivery.status,
    error_message = left(settle_delivery.error_message, 500),
    settled_at = case when is_delivered or settle_delivery.status = 410 or delay is null then heard_at end
  where d.id = delivery.id
  returning * into delivery;

  if delivery.event_id is not null then
    all_delivered := not exists (
      select from app.webhook_deliveries d where d.event_id = delivery.event_id and d.status not in ('delivered', 'cancelled')
    );
    update public.operation_events e
    set webhook_success = all_delivered,
      webhook_response = coalesce(settle_delivery.status || rtrim(' ' || left(coalesce(settle_delivery.response, ''), 500)), e.webhook_response),
      error_message = case
        when all_delivered then null
        when is_delivered then e.error_message
        else left(settle_delivery.error_message, 500)
      end
    where e.id = delivery.event_id;
  end if;

  select * into health from app.webhook_health h where h.endpoint_id = delivery.endpoint_id;
  if is_delivered and (health.failing_since is not null or health.paused_until is not null) then
    update app.webhook_health h set failing_since = null, paused_until = null where h.endpoint_id = delivery.endpoint_id;
  elsif not is_delivered and (health.failing_since is null or pause is not null) then
    update app.webhook_health h
    set failing_since = coalesce(h.failing_since, heard_at),
      paused_until = greatest(h.paused_until, heard_at + pause)
    where h.endpoint_id = delivery.endpoint_id;
  end if;
  if settle_delivery.status = 410 or not is_delivered and health.failing_since < heard_at - interval '5 days' then
    update app.webhook_endpoints e
    set enabled = false,
      disabled_reason = case when settle_delivery.status = 410 then 'gone' else 'failing' end,
      disabled_at = heard_at
    where e.id = delivery.endpoint_id and e.enabled;
  end if;
  return json_build_object('settled', true, 'status', delivery.status);
end
$$;
comment on function public.settle_delivery(uuid, uuid, integer, integer, text, text, integer) is
  'For dispatchers: what came of an attempt under this lease: delivered, tried again by the schedule, or dead. Answers {"settled": false} when the lease is no longer his. Raises 403 forbidden.';

-- Where pg_cron and pg_net are, the database itself calls the dispatcher; elsewhere any scheduler does.
create function app.is_dispatch_due() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return exists (
    select from app.webhook_endpoints e
    join app.webhook_health h on h.endpoint_id = e.id
    where e.enabled and (h.paused_until is null or h.paused_until <= clock_timestamp())
      and exists (
        select from app.webhook_deliveries d
        where d.endpoint_id = e.id and d.status in ('pending', 'delivering') and d.next_attempt_at <= clock_timestamp()
      )
  );
end
$$;
comment on function app.is_dispatch_due() is 'True when a dispatcher would find something to send.';

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
