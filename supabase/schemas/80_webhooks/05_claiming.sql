-- What: the deliveries that a dispatcher takes.
-- Why: endpoints take turns, so that a slow one delays no other.

-- Deliveries in flight to one endpoint; a failing endpoint gets one, so that its timeouts cannot block a dispatcher.
create function app.claim_limit(failing_since timestamptz) returns integer
language sql immutable parallel safe
return case when failing_since is null then 16 else 1 end;
comment on function app.claim_limit(timestamptz) is 'Deliveries that may be under way to one endpoint.';

create function app.fair_share() returns integer
language sql immutable parallel safe
return 4;
comment on function app.fair_share() is
  'Deliveries under way to one endpoint that it may always have; beyond that it takes what a dispatcher has left over.';

-- Longer than a send can take (15 s and its name look-up); short, so that a crashed dispatcher's work resumes soon.
create function app.delivery_lease() returns interval
language sql immutable parallel safe
return interval '60 seconds';
comment on function app.delivery_lease() is 'How long a dispatcher has a delivery before it is due again.';

create function app.has_due(health app.webhook_health, endpoint app.webhook_endpoints, at timestamptz) returns boolean
language sql stable
return (endpoint).enabled
  and ((health).paused_until is null or (health).paused_until <= at)
  and exists (
    select from app.webhook_deliveries d
    where d.endpoint_id = (endpoint).id and d.status in ('pending', 'delivering') and d.next_attempt_at <= at
  );
comment on function app.has_due(app.webhook_health, app.webhook_endpoints, timestamptz) is
  'True when something is to be sent to the endpoint now.';

-- Deleting an endpoint only marks it. This function cancels its queued deliveries in portions, also those that a
-- concurrent report has queued.
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
  select array_agg(distinct c.event_id order by c.event_id) into event_ids from cancelled c
    where c.event_id is not null;
  perform app.tell_event(id) from unnest(event_ids) id;

  delete from app.webhook_endpoints e where e.id = any(array(
    select gone.id from app.webhook_endpoints gone
    where gone.deleted_at is not null
      and not exists (select from app.webhook_deliveries d where d.endpoint_id = gone.id)
      and not app.is_queued(array[gone.id], null)
    limit 10
    for update skip locked
  ));
end
$$;
comment on function app.clear_deleted_endpoints() is
  'Cancels up to 200 deliveries of deleted endpoints, and removes those endpoints that have no delivery left.';

create function app.expanding_lock() returns bigint
language sql immutable parallel safe
return 7208::bigint << 44;
comment on function app.expanding_lock() is
  'Key of the advisory lock of the transaction that makes deliveries from the outbox.';

create function app.is_queued(to_endpoints uuid[], of_event uuid) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  return exists (
    select from app.webhook_outbox q
    where (to_endpoints is null or q.endpoint_ids && to_endpoints) and (of_event is null or q.event_id = of_event)
  );
end
$$;
comment on function app.is_queued(uuid[], uuid) is
  'True when the outbox has an event for one of these endpoints, or this event; null = any.';

-- One transaction at a time makes deliveries. The next one waits for its commit and then finds them.
create function app.expand_outbox(to_endpoints uuid[] default null, of_event uuid default null) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  most constant integer := 1000;
begin
  if not app.is_queued(to_endpoints, of_event) then
    return false;
  end if;
  perform pg_advisory_xact_lock(app.expanding_lock());
  with oldest as (
    select o.id,
      sum(cardinality(o.endpoint_ids)) over (order by o.id) - cardinality(o.endpoint_ids) as deliveries_before
    from (
      select q.id, q.endpoint_ids from app.webhook_outbox q
      where (to_endpoints is null or q.endpoint_ids && to_endpoints) and (of_event is null or q.event_id = of_event)
      order by q.id
      limit most
    ) o
  ),
  taken as (
    delete from app.webhook_outbox q using oldest o where q.id = o.id and o.deliveries_before < most
    returning q.id, q.event_id, q.type, q.endpoint_ids, q.queued_at
  )
  insert into app.webhook_deliveries (endpoint_id, event_id, type, next_attempt_at, created_at)
  select e.id, t.event_id, t.type, t.queued_at, t.queued_at
  from taken t join app.webhook_endpoints e on e.id = any(t.endpoint_ids)
  order by t.id
  -- a replay of the feed may have made it
  on conflict on constraint webhook_deliveries_once do nothing;
  return app.is_queued(to_endpoints, of_event);
end
$$;
comment on function app.expand_outbox(uuid[], uuid) is
  'Makes about 1,000 deliveries from the outbox, the oldest events first, or from those for these endpoints or of '
  'this event alone; true when more are left.';

create function app.lease_due(
  take integer, beyond_share integer, to_endpoints uuid[], started_at timestamptz
) returns uuid[]
language plpgsql
set search_path = ''
as $$
declare
  endpoint_ids uuid[];
  ids uuid[];
begin
  -- A dispatcher locks the health row of an endpoint before it counts deliveries in flight, so that the count stays
  -- correct. It skips rows that others have locked.
  endpoint_ids := array(
    select h.endpoint_id from app.webhook_health h
    join app.webhook_endpoints e on e.id = h.endpoint_id
    where app.has_due(h, e, started_at) and (to_endpoints is null or h.endpoint_id = any(to_endpoints))
    for no key update of h skip locked
  );
  -- a statement of its own, which sees the deliveries of the previous holder of the lock
  with endpoints as (
    select h.endpoint_id, app.claim_limit(h.failing_since) as places, (
      select count(*) from app.webhook_deliveries d
      where d.endpoint_id = h.endpoint_id and d.status = 'delivering' and d.next_attempt_at > started_at
    ) as leased
    from app.webhook_health h where h.endpoint_id = any(endpoint_ids)
  ),
  due as (
    -- One to each endpoint, then a second to each, counting those in flight. So no endpoint's backlog delays the first
    -- delivery of another.
    select d.id, d.next_attempt_at,
      e.leased + row_number() over (partition by d.endpoint_id order by d.next_attempt_at) as turn
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

create function public.claim_deliveries(
  take integer default 32, beyond_share integer default 100, to_endpoints uuid[] default null
) returns json
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

  -- Each claim deletes a few old deliveries, without a scheduler and without a long delete. A replayed one is not old.
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
  -- last, because it waits for others that settle deliveries of the same events
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
      -- text, because the signature covers these bytes
      'body', case when d.event_id is null then
        json_build_object('type', d.type, 'timestamp', app.iso(d.created_at),
          'data', json_build_object('endpoint_id', e.id))
      when n.id is not null then
        json_build_object('type', d.type, 'timestamp', app.iso(n.occurred_at), 'data', json_build_object(
          'event', app.downtime_event_json(n, (select f.pos from app.feed f where f.downtime_event_id = n.id)),
          'downtime', (select app.downtime_json(s) from public.downtimes s where s.id = n.downtime_id)
        ))
      else
        json_build_object('type', d.type, 'timestamp', app.iso(v.occurred_at), 'data', json_build_object(
          -- this receiver must not see the answers of others
          'event', app.event_json(v)::jsonb - array['webhook_success', 'webhook_response', 'error_message'],
          'operation', (select app.operation_json(o) from public.mes_operations o where o.id = v.operation_id)
        ))
      end::text
    ) order by t.turn), '[]')
    from unnest(ids) with ordinality t (id, turn)
    join app.webhook_deliveries d on d.id = t.id
    join app.webhook_endpoints e on e.id = d.endpoint_id
    left join public.operation_events v on v.id = d.event_id and d.type like 'operation.%'
    left join public.downtime_events n on n.id = d.event_id and d.type like 'downtime.%'
  );
end
$$;
comment on function public.claim_deliveries(integer, integer, uuid[]) is
  'For dispatchers: takes up to take (100 at most) due deliveries, to these endpoints or to all, under a lease of 60 '
  's, endpoints in turn; at most beyond_share of them to endpoints that have their fair share under way: [{"id", '
  '"webhook_id", "lease_token", "url", "secrets", "body"}]. Raises 403 forbidden.';
grant execute on function public.claim_deliveries to service_role;
