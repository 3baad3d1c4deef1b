-- What: webhooks: endpoints and their secrets, the outbox of deliveries, the log of attempts.
-- Why: systems that cannot keep a connection open are told of events. The outbox row is written in the event's
-- transaction, so that what is committed is delivered, at least once, and what is not is never sent.

create table app.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  url text not null,
  description text,
  action_types text[],
  workplace_names text[],
  order_prefix text collate "C",
  enabled boolean not null default true,
  disabled_reason text,
  disabled_at timestamptz,
  deleted_at timestamptz,
  version integer not null default 1,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint webhook_endpoints_url_is_http check (url ~ '^https?://[^/?#@]+([/?#]|$)' and char_length(url) <= 2048),
  constraint webhook_endpoints_description_short check (char_length(description) <= 500),
  constraint webhook_endpoints_action_types_known check (
    cardinality(action_types) > 0
    and action_types <@ array['START', 'STOP', 'REPORT_QUANTITY', 'COMPLETE', 'FINISH', 'RELEASE', 'HOLD', 'CANCEL', 'REVERSE', 'CORRECT']
  ),
  constraint webhook_endpoints_workplace_names_bounded check (
    cardinality(workplace_names) between 1 and 100 and array_position(workplace_names, null) is null
  ),
  constraint webhook_endpoints_order_prefix_is_key check (app.is_key(order_prefix)),
  constraint webhook_endpoints_disabled_reason_known check (disabled_reason in ('manual', 'gone', 'failing')),
  constraint webhook_endpoints_disabled_with_reason check (
    enabled = (disabled_reason is null) and enabled = (disabled_at is null) and (deleted_at is null or not enabled)
  )
);
comment on table app.webhook_endpoints is 'Where events are sent to, and which. Not exposed: a URL may be a secret.';
comment on column app.webhook_endpoints.url is 'Where to; its address is checked again at each send.';
comment on column app.webhook_endpoints.action_types is 'Only events of these actions; null = all.';
comment on column app.webhook_endpoints.workplace_names is 'Only events at these workplaces; null = all.';
comment on column app.webhook_endpoints.order_prefix is 'Only events of orders whose number begins so; null = all.';
comment on column app.webhook_endpoints.enabled is 'False: nothing is sent, and events of this time are not queued.';
comment on column app.webhook_endpoints.disabled_reason is 'manual: switched off; gone: it answered 410; failing: nothing but failures for 5 days.';
comment on column app.webhook_endpoints.deleted_at is 'Deleted ones stay until their deliveries are swept, so that deleting is quick.';

create index webhook_endpoints_by_creator on app.webhook_endpoints (created_by) where created_by is not null;
create index webhook_endpoints_listed on app.webhook_endpoints (created_at, id) where deleted_at is null;
create trigger webhook_endpoints_bump_version before update on app.webhook_endpoints
  for each row execute function app.bump_version();

create table app.webhook_secrets (
  id bigint generated always as identity primary key,
  endpoint_id uuid not null references app.webhook_endpoints (id) on delete cascade,
  secret text not null,
  expires_at timestamptz
);
comment on table app.webhook_secrets is 'Secrets that sign: the current one, and during a rotation the one before. See docs/decisions.';
comment on column app.webhook_secrets.expires_at is 'Until when the previous secret still signs; null = the current one.';
create unique index webhook_secrets_one_current on app.webhook_secrets (endpoint_id) where expires_at is null;
create index webhook_secrets_by_endpoint on app.webhook_secrets (endpoint_id);

-- Apart from the endpoint: what a dispatcher locks and writes must neither wait for managers nor change the ETag.
create table app.webhook_health (
  endpoint_id uuid primary key references app.webhook_endpoints (id) on delete cascade,
  failing_since timestamptz,
  paused_until timestamptz
);
comment on table app.webhook_health is 'How an endpoint is doing, written by dispatchers.';
comment on column app.webhook_health.failing_since is 'First failure after the last success; null = it works.';
comment on column app.webhook_health.paused_until is 'It asked for a pause, by 429, 502, 504 or Retry-After.';

create table app.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  endpoint_id uuid not null references app.webhook_endpoints (id) on delete cascade,
  event_id uuid references public.operation_events (id),
  type text not null,
  status text not null default 'pending',
  attempt_count integer not null default 0,
  retry_no integer not null default 0,
  next_attempt_at timestamptz not null default clock_timestamp(),
  lease_token uuid,
  response_status integer,
  error_message text,
  created_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  constraint webhook_deliveries_once unique (event_id, endpoint_id),
  constraint webhook_deliveries_status_known check (status in ('pending', 'delivering', 'delivered', 'dead', 'cancelled')),
  constraint webhook_deliveries_leased_when_delivering check ((status = 'delivering') = (lease_token is not null))
)
-- every delivery changes status twice at least
with (fillfactor = 80);
comment on table app.webhook_deliveries is 'The outbox: one row per event and endpoint, written in the event''s transaction.';
comment on column app.webhook_deliveries.id is 'webhook-id is msg_ and this: the same in every attempt and replay.';
comment on column app.webhook_deliveries.event_id is 'Event to tell of; null = a test ping.';
comment on column app.webhook_deliveries.type is 'Type of the message, e.g. operation.start.';
comment on column app.webhook_deliveries.attempt_count is 'Attempts in all; each is in webhook_attempts.';
comment on column app.webhook_deliveries.retry_no is 'Failures since it was queued or replayed: where it is in the schedule.';
comment on column app.webhook_deliveries.next_attempt_at is 'When it is due; while delivering, when the lease ends and it is due again.';
comment on column app.webhook_deliveries.lease_token is 'Names the dispatcher that has it: only that one may settle it.';

-- What is due is a small part of a table that only grows: claiming looks at this alone, endpoint by endpoint.
create index webhook_deliveries_due on app.webhook_deliveries (endpoint_id, next_attempt_at) where status in ('pending', 'delivering');
create index webhook_deliveries_leased on app.webhook_deliveries (endpoint_id) where status = 'delivering';
create index webhook_deliveries_newest on app.webhook_deliveries (created_at desc, id desc);
create index webhook_deliveries_by_endpoint on app.webhook_deliveries (endpoint_id, created_at desc, id desc);
create index webhook_deliveries_open on app.webhook_deliveries (status, created_at desc, id desc) where status <> 'delivered';

create table app.webhook_attempts (
  delivery_id uuid not null references app.webhook_deliveries (id) on delete cascade,
  attempt_no integer not null,
  status integer,
  duration_ms integer not null,
  error_message text,
  response text,
  attempted_at timestamptz not null default clock_timestamp(),
  primary key (delivery_id, attempt_no),
  constraint webhook_attempts_response_short check (char_length(response) <= 500)
);
comment on table app.webhook_attempts is 'What came of each attempt.';
comment on column app.webhook_attempts.status is 'HTTP status of the answer; null = there was none.';
comment on column app.webhook_attempts.response is 'First 500 characters of the answer.';

alter table app.webhook_endpoints enable row level security;
alter table app.webhook_secrets enable row level security;
alter table app.webhook_health enable row level security;
alter table app.webhook_deliveries enable row level security;
alter table app.webhook_attempts enable row level security;

-- Deliveries report back to their event: room on the page keeps that off its indexes.
alter table public.operation_events set (fillfactor = 90);

create function app.wants_event(endpoint app.webhook_endpoints, event public.operation_events) returns boolean
language sql immutable
return (endpoint).enabled
  and ((endpoint).action_types is null or (event).action_type = any((endpoint).action_types))
  and ((endpoint).workplace_names is null or (event).workplace_name = any((endpoint).workplace_names))
  and ((endpoint).order_prefix is null or starts_with((event).order_no, (endpoint).order_prefix));
comment on function app.wants_event(app.webhook_endpoints, public.operation_events) is 'True when the event is to be sent to the endpoint.';

create function app.webhook_type(action_type text) returns text
language sql immutable parallel safe
return 'operation.' || lower(action_type);
comment on function app.webhook_type(text) is 'Type of the message about an event, e.g. operation.report_quantity.';

create function app.queue_deliveries() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into app.webhook_deliveries (endpoint_id, event_id, type)
  select e.id, new.id, app.webhook_type(new.action_type) from app.webhook_endpoints e
  where app.wants_event(e, new) is true;
  return null;
end
$$;
comment on function app.queue_deliveries() is 'Trigger: puts an event into the outbox of each endpoint that wants it, in the event''s transaction.';

create trigger operation_events_queue_deliveries after insert on public.operation_events
  for each row execute function app.queue_deliveries();

create function app.webhook_endpoint_json(e app.webhook_endpoints) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (e).id,
    'url', (e).url,
    'description', (e).description,
    'action_types', (e).action_types,
    'workplace_names', (e).workplace_names,
    'order_prefix', (e).order_prefix,
    'enabled', (e).enabled,
    'disabled_reason', (e).disabled_reason,
    'disabled_at', app.iso((e).disabled_at),
    'failing_since', (select app.iso(h.failing_since) from app.webhook_health h where h.endpoint_id = (e).id),
    'paused_until', (select app.iso(h.paused_until) from app.webhook_health h where h.endpoint_id = (e).id and h.paused_until > clock_timestamp()),
    'previous_secret_until', (select app.iso(max(s.expires_at)) from app.webhook_secrets s where s.endpoint_id = (e).id and s.expires_at > clock_timestamp()),
    'version', (e).version,
    'created_at', app.iso((e).created_at),
    'updated_at', app.iso((e).updated_at)
  );
end;
comment on function app.webhook_endpoint_json(app.webhook_endpoints) is 'The endpoint as the API writes it, without its secrets.';

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
comment on function app.webhook_delivery_json(app.webhook_deliveries) is 'The delivery as the API writes it, without its attempts.';

create function app.require_webhook_manager(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.require_role(caller, 'manager', 'Only managers may see and change webhooks');
end
$$;
comment on function app.require_webhook_manager(app.caller) is 'Raises 403 forbidden below manager, whatever was asked for.';

create function app.lock_webhook_endpoint(endpoint_id uuid) returns app.webhook_endpoints
language plpgsql
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  select * into endpoint from app.webhook_endpoints e where e.id = endpoint_id and e.deleted_at is null for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  return endpoint;
end
$$;
comment on function app.lock_webhook_endpoint(uuid) is 'The endpoint, locked against other changes. Raises 404 not_found.';

create function app.require_enabled(endpoint app.webhook_endpoints) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (endpoint).enabled is not true then
    perform app.refuse(409, 'endpoint_disabled', format('Endpoint "%s" is disabled: nothing is sent to it. Enable it first', (endpoint).id));
  end if;
end
$$;
comment on function app.require_enabled(app.webhook_endpoints) is 'Raises 409 endpoint_disabled.';

create function app.new_webhook_secret(endpoint_id uuid) returns text
language plpgsql
set search_path = ''
as $$
declare
  made text;
begin
  insert into app.webhook_secrets (endpoint_id, secret)
  values (new_webhook_secret.endpoint_id, 'whsec_' || encode(extensions.gen_random_bytes(32), 'base64'))
  returning secret into made;
  return made;
end
$$;
comment on function app.new_webhook_secret(uuid) is 'Makes the current secret of an endpoint: whsec_ and 32 random bytes in base64.';

create function public.list_webhook_endpoints(
  enabled boolean default null,
  after_created_at timestamptz default null,
  after_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  rows app.webhook_endpoints[];
begin
  perform app.require_webhook_manager(app.current_caller());
  -- straight calls ask for what they like
  take := least(take, 500);
  rows := array(
    select e from app.webhook_endpoints e
    where e.deleted_at is null
      and (list_webhook_endpoints.enabled is null or e.enabled = list_webhook_endpoints.enabled)
      and (after_created_at is null or (e.created_at, e.id) > (after_created_at, after_id))
    order by e.created_at, e.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.webhook_endpoint_json(e)), '[]') from unnest(rows[1:take]) e),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.webhook_endpoints e
      where e.deleted_at is null and (list_webhook_endpoints.enabled is null or e.enabled = list_webhook_endpoints.enabled)
    ) end
  );
end
$$;
comment on function public.list_webhook_endpoints(boolean, timestamptz, uuid, integer, integer, text) is
  'A page of the webhook endpoints, oldest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';

create function public.get_webhook_endpoint(endpoint_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  perform app.require_webhook_manager(app.current_caller());
  select * into endpoint from app.webhook_endpoints e where e.id = endpoint_id and e.deleted_at is null;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.webhook_endpoint_json(endpoint);
end
$$;
comment on function public.get_webhook_endpoint(uuid) is 'One webhook endpoint, without its secrets. Raises 403 forbidden, 404 not_found.';

create function public.create_webhook_endpoint(endpoint jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  wanted constant app.webhook_endpoints := jsonb_populate_record(null::app.webhook_endpoints, endpoint);
  stored app.webhook_endpoints;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_webhook_manager(caller);
  insert into app.webhook_endpoints (url, description, action_types, workplace_names, order_prefix, enabled, disabled_reason, disabled_at, created_by)
  values (
    wanted.url, wanted.description, wanted.action_types, wanted.workplace_names, wanted.order_prefix, coalesce(wanted.enabled, true),
    case when not wanted.enabled then 'manual' end, case when not wanted.enabled then clock_timestamp() end, caller.user_id
  )
  returning * into stored;
  insert into app.webhook_health (endpoint_id) values (stored.id);
  return app.remember(caller, request, null, json_build_object(
    'status', 201,
    'body', app.json_with(app.webhook_endpoint_json(stored), 'secret', to_json(app.new_webhook_secret(stored.id)))
  ));
end
$$;
comment on function public.create_webhook_endpoint(jsonb, jsonb) is
  'Creates a webhook endpoint and its secret, which is shown here only. Answers {"status", "body"}. Raises 403 forbidden.';

create function public.update_webhook_endpoint(
  endpoint_id uuid, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  endpoint app.webhook_endpoints;
  wanted app.webhook_endpoints;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_version(endpoint.version, if_match);
  wanted := jsonb_populate_record(endpoint, patch);
  wanted.enabled := coalesce(wanted.enabled, endpoint.enabled);
  if wanted.enabled <> endpoint.enabled then
    wanted.disabled_reason := case when not wanted.enabled then 'manual' end;
    wanted.disabled_at := case when not wanted.enabled then clock_timestamp() end;
  else
    wanted.disabled_reason := endpoint.disabled_reason;
    wanted.disabled_at := endpoint.disabled_at;
  end if;
  if wanted.url <> endpoint.url or wanted.enabled and not endpoint.enabled then
    -- another address or another chance: what was before does not count
    update app.webhook_health h set failing_since = null, paused_until = null where h.endpoint_id = endpoint.id;
  end if;
  if wanted is distinct from endpoint then
    update app.webhook_endpoints e
    set (url, description, action_types, workplace_names, order_prefix, enabled, disabled_reason, disabled_at) = row (
      coalesce(wanted.url, endpoint.url), wanted.description, wanted.action_types, wanted.workplace_names, wanted.order_prefix,
      wanted.enabled, wanted.disabled_reason, wanted.disabled_at
    )
    where e.id = endpoint.id
    returning * into endpoint;
  end if;
  return app.remember(caller, request, null, json_build_object('status', 200, 'body', app.webhook_endpoint_json(endpoint)));
end
$$;
comment on function public.update_webhook_endpoint(uuid, jsonb, integer[], jsonb) is
  'Changes a webhook endpoint; what is queued goes to the new address. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, 412 stale_version.';

create function public.delete_webhook_endpoint(endpoint_id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  perform app.require_webhook_manager(app.current_caller());
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_version(endpoint.version, if_match);
  delete from app.webhook_secrets s where s.endpoint_id = endpoint.id;
  update app.webhook_endpoints e
  set enabled = false, disabled_reason = 'manual', disabled_at = clock_timestamp(), deleted_at = clock_timestamp()
  where e.id = endpoint.id;
  update app.webhook_deliveries d set status = 'cancelled', lease_token = null, settled_at = clock_timestamp()
  where d.endpoint_id = endpoint.id and d.status in ('pending', 'delivering');
end
$$;
comment on function public.delete_webhook_endpoint(uuid, integer[]) is
  'Deletes a webhook endpoint and its secrets, cancels what is queued; its deliveries can still be read. Raises 403 forbidden, 404 not_found, 412 stale_version.';

create function public.rotate_webhook_secret(endpoint_id uuid, overlap_h integer default 24, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  endpoint app.webhook_endpoints;
  made text;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  -- two at most: the one before the previous ends now
  delete from app.webhook_secrets s where s.endpoint_id = endpoint.id and s.expires_at is not null;
  update app.webhook_secrets s set expires_at = clock_timestamp() + least(greatest(overlap_h, 0), 168) * interval '1 hour'
  where s.endpoint_id = endpoint.id;
  made := app.new_webhook_secret(endpoint.id);
  return app.remember(caller, request, null, json_build_object(
    'status', 200, 'body', app.json_with(app.webhook_endpoint_json(endpoint), 'secret', to_json(made))
  ));
end
$$;
comment on function public.rotate_webhook_secret(uuid, integer, jsonb) is
  'Makes a new secret, shown here only; the one before signs too for overlap_h hours (0..168). Answers {"status", "body"}. Raises 403 forbidden, 404 not_found.';

create function public.test_webhook_endpoint(endpoint_id uuid, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  endpoint app.webhook_endpoints;
  delivery app.webhook_deliveries;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_enabled(endpoint);
  insert into app.webhook_deliveries (endpoint_id, type) values (endpoint.id, 'webhook.ping') returning * into delivery;
  return app.remember(caller, request, null, json_build_object('status', 202, 'body', app.webhook_delivery_json(delivery)));
end
$$;
comment on function public.test_webhook_endpoint(uuid, jsonb) is
  'Queues a ping. Answers {"status", "body": the delivery}. Raises 403 forbidden, 404 not_found, 409 endpoint_disabled.';

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
language plpgsql stable security definer
set search_path = ''
as $$
declare
  -- the status is written out, so that the planner sees which partial index serves it
  filter constant text := concat_ws(' and ', 'true',
    case when endpoint_id is not null then 'd.endpoint_id = $1' end,
    case when event_id is not null then 'd.event_id = $2' end,
    case when status is not null then format('d.status = %L', status) end
  );
  page constant text := filter || case when before_created_at is not null then ' and (d.created_at, d.id) < ($3, $4)' else '' end;
  rows app.webhook_deliveries[];
  total bigint;
begin
  perform app.require_webhook_manager(app.current_caller());
  take := least(take, 500);
  execute format('select array(select d from app.webhook_deliveries d where %s order by d.created_at desc, d.id desc limit $5 offset $6)', page)
  into rows
  using endpoint_id, event_id, before_created_at, before_id, take + 1, skip;
  if count is not null then
    execute format('select count(*) from app.webhook_deliveries d where %s', filter) into total using endpoint_id, event_id;
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
comment on function public.get_webhook_delivery(uuid) is 'One delivery with its attempts. Raises 403 forbidden, 404 not_found.';

create function public.replay_webhook_delivery(delivery_id uuid, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  delivery app.webhook_deliveries;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_webhook_manager(caller);
  select * into delivery from app.webhook_deliveries d where d.id = delivery_id for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_enabled(e) from app.webhook_endpoints e where e.id = delivery.endpoint_id;
  -- one that is under way is not sent a second time beside itself
  if delivery.status <> 'delivering' then
    update app.webhook_deliveries d
    set status = 'pending', retry_no = 0, next_attempt_at = clock_timestamp(), settled_at = null
    where d.id = delivery.id
    returning * into delivery;
  end if;
  return app.remember(caller, request, null, json_build_object('status', 202, 'body', app.webhook_delivery_json(delivery)));
end
$$;
comment on function public.replay_webhook_delivery(uuid, jsonb) is
  'Makes a delivery due now, whatever became of it, with its whole schedule before it. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, 409 endpoint_disabled.';

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
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  floor_pos constant bigint := (select s.floor_pos from app.feed_state s);
  from_pos bigint := coalesce(after_pos, floor_pos);
  -- no further than where all commits have finished, as readers of the feed
  head_pos constant bigint := app.settled_position();
  endpoint app.webhook_endpoints;
  positions bigint[];
  has_more boolean;
  replayed integer;
  reached bigint;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_enabled(endpoint);
  perform app.require_position(after_pos, generation, after_mark);
  perform app.require_position(until_pos, generation, until_mark);
  if after_pos is null and since is not null then
    -- positions are drawn at commit: an event of before may have a later one, so it begins a little earlier
    from_pos := greatest(floor_pos, coalesce((
      select min(f.pos) - 1
      from (
        select e.id from public.operation_events e
        where e.created_at >= since - interval '10 seconds'
        order by e.created_at, e.id
        limit 500
      ) e
      join app.feed f on f.event_id = e.id
    ), head_pos));
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
  insert into app.webhook_deliveries as d (endpoint_id, event_id, type)
  select endpoint.id, e.id, app.webhook_type(e.action_type)
  from app.feed f join public.operation_events e on e.id = f.event_id
  where f.pos = any(positions) and app.wants_event(endpoint, e) is true
  order by f.pos
  on conflict on constraint webhook_deliveries_once do update
    set status = 'pending', retry_no = 0, next_attempt_at = clock_timestamp(), settled_at = null
    where d.status <> 'delivering';
  get diagnostics replayed = row_count;
  -- Where nothing was gone through, it is where it began; a time begins behind the last event of before.
  reached := coalesce(reached, after_pos, (select max(f.pos) from app.feed f where f.pos <= from_pos), floor_pos);
  return app.remember(caller, request, null, json_build_object('status', 202, 'body', json_build_object(
    'replayed', replayed,
    'generation', app.feed_generation(),
    'pos', reached,
    'mark', (select app.feed_mark(f.event_id) from app.feed f where f.pos = reached),
    'has_more', has_more
  )));
end
$$;
comment on function public.replay_webhook_events(uuid, bigint, text, bigint, text, text, timestamptz, integer, jsonb) is
  'Queues the events of a stretch of the feed that the endpoint wants, sent before or not: after a position or a time, up to a position, at most 1,000 positions a call. Answers {"status", "body": {"replayed", "generation", "pos", "mark", "has_more"}}. Raises 403 forbidden, 404 not_found, 409 endpoint_disabled, 410 feed_reset.';

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
  public.list_webhook_endpoints, public.get_webhook_endpoint, public.create_webhook_endpoint, public.update_webhook_endpoint,
  public.delete_webhook_endpoint, public.rotate_webhook_secret, public.test_webhook_endpoint, public.list_webhook_deliveries,
  public.get_webhook_delivery, public.replay_webhook_delivery, public.replay_webhook_events,
  public.claim_deliveries, public.settle_delivery
from public, anon, authenticated;
grant execute on function
  public.list_webhook_endpoints, public.get_webhook_endpoint, public.create_webhook_endpoint, public.update_webhook_endpoint,
  public.delete_webhook_endpoint, public.rotate_webhook_secret, public.test_webhook_endpoint, public.list_webhook_deliveries,
  public.get_webhook_delivery, public.replay_webhook_delivery, public.replay_webhook_events
to authenticated, service_role;
grant execute on function public.claim_deliveries, public.settle_delivery to service_role;
revoke execute on all functions in schema app from public;
