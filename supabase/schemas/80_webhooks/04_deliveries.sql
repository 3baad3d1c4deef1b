-- What: the functions behind the endpoints of deliveries.
-- Why: managers read deliveries and replay them.

create function app.webhook_delivery_json(d app.webhook_deliveries) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (d).id,
    'webhook_id', 'msg_' || (d).id,
    'endpoint_id', (d).endpoint_id,
    'event_id', (d).event_id,
    'type', (d).type,
    'status', (d).status,
    'attempt_count', (d).attempt_count,
    'next_attempt_at', case when (d).status in ('pending', 'delivering') then app.iso((d).next_attempt_at) end,
    'response_status', (d).response_status,
    'error_message', (d).error_message,
    'created_at', app.iso((d).created_at),
    'settled_at', app.iso((d).settled_at)
  );
end;
comment on function app.webhook_delivery_json(app.webhook_deliveries) is
  'The delivery as the API writes it, without its attempts.';

create function public.test_webhook_endpoint(endpoint_id uuid, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  endpoint app.webhook_endpoints;
  delivery app.webhook_deliveries;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_enabled(endpoint);
  insert into app.webhook_deliveries (endpoint_id, type) values (endpoint.id, 'webhook.ping') returning * into delivery;
  return app.finish_command(command, null,
    json_build_object('status', 202, 'body', app.webhook_delivery_json(delivery)));
end
$$;
comment on function public.test_webhook_endpoint(uuid, jsonb) is
  'Queues a ping. Answers {"status", "body": the delivery}. Raises 403 forbidden, 404 not_found, 409 '
  'endpoint_disabled.';
grant execute on function public.test_webhook_endpoint to authenticated, service_role;

create function public.list_webhook_deliveries(
  endpoint_id uuid default null,
  event_id uuid default null,
  status text default null,
  before_created_at timestamptz default null,
  before_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile: it makes deliveries of what is in the outbox
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('status', status) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  -- the status is written out, so that the planner sees which partial index serves it
  filter constant text := concat_ws(' and ', 'true',
    case when endpoint_id is not null then 'd.endpoint_id = $1' end,
    case when event_id is not null then 'd.event_id = $2' end,
    case when status is not null then format('d.status = %L', status) end
  );
  page constant text := filter
    || case when before_created_at is not null then ' and (d.created_at, d.id) < ($3, $4)' else '' end;
  rows app.webhook_deliveries[];
  total bigint;
begin
  perform app.require_webhook_manager(app.current_caller());
  take := least(take, 500);
  perform app.expand_outbox(case when endpoint_id is not null then array[endpoint_id] end, event_id);
  execute format(
    'select array(
      select d from app.webhook_deliveries d where %s order by d.created_at desc, d.id desc limit $5 offset $6)',
    page)
  into rows
  using endpoint_id, event_id, before_created_at, before_id, take + 1, skip;
  if count is not null then
    execute format('select count(*) from app.webhook_deliveries d where %s', filter) into total
      using endpoint_id, event_id;
  end if;
  return json_build_object(
    'items', (select coalesce(json_agg(app.webhook_delivery_json(d)), '[]') from unnest(rows[1:take]) d),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', total
  );
end
$$;
comment on function public.list_webhook_deliveries(uuid, uuid, text, timestamptz, uuid, integer, integer, text) is
  'A page of the deliveries, newest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';
grant execute on function public.list_webhook_deliveries to authenticated, service_role;

create function public.get_webhook_delivery(delivery_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  delivery app.webhook_deliveries;
begin
  perform app.require_webhook_manager(app.current_caller());
  select * into delivery from app.webhook_deliveries d where d.id = delivery_id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.json_with(app.webhook_delivery_json(delivery), 'attempts', (
    select coalesce(json_agg(json_build_object(
      'attempt_no', a.attempt_no,
      'status', a.status,
      'duration_ms', a.duration_ms,
      'error_message', a.error_message,
      'response', a.response,
      'attempted_at', app.iso(a.attempted_at)
    ) order by a.attempt_no), '[]')
    from app.webhook_attempts a where a.delivery_id = delivery.id
  ));
end
$$;
comment on function public.get_webhook_delivery(uuid) is
  'One delivery with its attempts. Raises 403 forbidden, 404 not_found.';
grant execute on function public.get_webhook_delivery to authenticated, service_role;

create function public.replay_webhook_delivery(delivery_id uuid, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  delivery app.webhook_deliveries;
  endpoint app.webhook_endpoints;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  select * into delivery from app.webhook_deliveries d where d.id = delivery_id for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  select * into endpoint from app.webhook_endpoints e where e.id = delivery.endpoint_id;
  if endpoint.deleted_at is not null then
    perform app.refuse_missing();
  end if;
  perform app.require_enabled(endpoint);
  -- a delivery in flight is not sent a second time
  if delivery.status <> 'delivering' then
    update app.webhook_deliveries d
    set status = 'pending', retry_no = 0, next_attempt_at = clock_timestamp(), settled_at = null
    where d.id = delivery.id
    returning * into delivery;
    perform app.tell_event(delivery.event_id);
  end if;
  return app.finish_command(command, null,
    json_build_object('status', 202, 'body', app.webhook_delivery_json(delivery)));
end
$$;
comment on function public.replay_webhook_delivery(uuid, jsonb) is
  'Makes a delivery due now, whatever its status, with its whole retry schedule. Answers {"status", "body"}. '
  'Raises 403 forbidden, 404 not_found, 409 endpoint_disabled.';
grant execute on function public.replay_webhook_delivery to authenticated, service_role;

create function public.replay_webhook_events(
  endpoint_id uuid,
  after_pos bigint default null,
  after_mark text default null,
  until_pos bigint default null,
  until_mark text default null,
  generation text default null,
  since timestamptz default null,
  take integer default 1000,
  idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('after_mark', after_mark)
    and app.require_bounded('until_mark', until_mark) and app.require_bounded('generation', generation);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  floor_pos constant bigint := (select s.floor_pos from app.feed_state s);
  from_pos bigint := coalesce(after_pos, floor_pos);
  head_pos bigint;
  endpoint app.webhook_endpoints;
  positions bigint[];
  has_more boolean;
  event_ids uuid[];
  replayed integer;
  reached bigint;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_enabled(endpoint);
  -- waits for the dispatcher that makes deliveries of the same events
  perform pg_advisory_xact_lock(app.expanding_lock());
  -- up to the high watermark, like readers of the feed
  head_pos := app.settled_position();
  perform app.require_position(after_pos, generation, after_mark);
  perform app.require_position(until_pos, generation, until_mark);
  if after_pos is null and since is not null then
    from_pos := app.position_before(since);
    if from_pos = floor_pos and floor_pos > 0
      and (since >= clock_timestamp() - (select s.retention from app.feed_state s)) is not true
    then
      perform app.refuse(410, 'feed_reset',
        'The feed is no longer kept that far back: leave out since to replay all that is kept');
    end if;
  end if;
  take := least(take, 1000);
  positions := array(
    select f.pos from app.feed f
    where f.pos > from_pos and f.pos <= least(until_pos, head_pos)
    order by f.pos
    limit take + 1
  );
  has_more := cardinality(positions) > take;
  positions := positions[1:take];
  reached := positions[cardinality(positions)];
  with queued as (
    insert into app.webhook_deliveries as d (endpoint_id, event_id, type)
    select endpoint.id, wanted.id, wanted.type
    from (
      select f.pos, e.id, app.webhook_type(e.action_type) as type
      from app.feed f join public.operation_events e on e.id = f.event_id
      where f.pos = any(positions) and app.wants_event(endpoint, e) is true
      union all
      select f.pos, e.id, app.webhook_type(e.action_type)
      from app.feed f join public.downtime_events e on e.id = f.downtime_event_id
      where f.pos = any(positions) and app.wants_downtimes(endpoint, e.workplace_name) is true
    ) wanted
    order by wanted.pos
    on conflict on constraint webhook_deliveries_once do update
      set status = 'pending', retry_no = 0, next_attempt_at = clock_timestamp(), settled_at = null
      where d.status <> 'delivering'
    returning d.event_id
  )
  select array_agg(q.event_id order by q.event_id) into event_ids from queued q;
  replayed := coalesce(cardinality(event_ids), 0);
  perform app.tell_event(id) from unnest(event_ids) id;
  -- With no position passed, the end is the beginning; a range by time begins after the last earlier event.
  reached := coalesce(reached, after_pos, (select max(f.pos) from app.feed f where f.pos <= from_pos), floor_pos);
  return app.finish_command(command, null, json_build_object('status', 202, 'body', json_build_object(
    'replayed', replayed,
    'generation', app.feed_generation(),
    'pos', reached,
    'mark', (select app.feed_mark(f) from app.feed f where f.pos = reached),
    'has_more', has_more
  )));
end
$$;
comment on function public.replay_webhook_events(uuid, bigint, text, bigint, text, text, timestamptz, integer, jsonb) is
  'Queues the events of a stretch of the feed that the endpoint wants, sent before or not: after a position or a '
  'time, up to a position, at most 1,000 positions a call. Answers {"status", "body": {"replayed", "generation", '
  '"pos", "mark", "has_more"}}. Raises 403 forbidden, 404 not_found, 409 endpoint_disabled, 410 feed_reset.';
grant execute on function public.replay_webhook_events to authenticated, service_role;
