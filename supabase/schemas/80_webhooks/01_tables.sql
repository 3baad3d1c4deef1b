-- What: webhook endpoints, their secrets, deliveries and attempts.
-- Why: a delivery is queued in the transaction of its event, so that neither exists alone.

create table app.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  url text not null,
  description text,
  action_types public.action[],
  workplace_names text[],
  order_prefix text collate "C",
  downtimes boolean not null default false,
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
    cardinality(action_types) > 0 and array_position(action_types, null) is null
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
comment on column app.webhook_endpoints.downtimes is
  'True: events of downtimes too, at these workplaces; none with an order_prefix, because a downtime has no order.';
comment on column app.webhook_endpoints.enabled is 'False: nothing is sent, and events of this time are not queued.';
comment on column app.webhook_endpoints.disabled_reason is
  'manual: switched off; gone: it answered 410; failing: nothing but failures for 5 days.';
comment on column app.webhook_endpoints.deleted_at is
  'Deleted ones stay until their deliveries are swept, after 90 days; what is queued for them is cancelled by '
  'dispatchers.';
create index webhook_endpoints_by_creator on app.webhook_endpoints (created_by) where created_by is not null;
create index webhook_endpoints_enabled on app.webhook_endpoints (id) where enabled;
create index webhook_endpoints_listed on app.webhook_endpoints (created_at, id) where deleted_at is null;

alter table app.webhook_endpoints enable row level security;

create trigger webhook_endpoints_bump_version before update on app.webhook_endpoints
  for each row execute function app.bump_version();

create table app.webhook_secrets (
  id bigint generated always as identity primary key,
  endpoint_id uuid not null references app.webhook_endpoints (id) on delete cascade,
  secret text not null,
  expires_at timestamptz
);
comment on table app.webhook_secrets is
  'Secrets that sign: the current one, and during a rotation the one before. See docs/decisions.';
comment on column app.webhook_secrets.expires_at is
  'Until when the previous secret still signs; null = the current one.';
create unique index webhook_secrets_one_current on app.webhook_secrets (endpoint_id) where expires_at is null;
create index webhook_secrets_by_endpoint on app.webhook_secrets (endpoint_id);

alter table app.webhook_secrets enable row level security;

-- Separate from the endpoint: a dispatcher must neither wait for managers nor change the ETag.
create table app.webhook_health (
  endpoint_id uuid primary key references app.webhook_endpoints (id) on delete cascade,
  failing_since timestamptz,
  failed_at timestamptz,
  paused_until timestamptz
);
comment on table app.webhook_health is 'How an endpoint is doing, written by dispatchers.';
comment on column app.webhook_health.failing_since is 'First failure after the last success; null = it works.';
comment on column app.webhook_health.failed_at is 'Last failure since then.';
comment on column app.webhook_health.paused_until is 'It asked for a pause, by 429, 502, 504 or Retry-After.';

alter table app.webhook_health enable row level security;

create table app.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  endpoint_id uuid not null references app.webhook_endpoints (id) on delete cascade,
  -- No foreign key: it is an event of an operation or of a downtime, and neither is ever deleted.
  event_id uuid,
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
  -- the type tells which kind of event it is
  constraint webhook_deliveries_once unique (event_id, endpoint_id, type),
  constraint webhook_deliveries_status_known
    check (status in ('pending', 'delivering', 'delivered', 'dead', 'cancelled')),
  constraint webhook_deliveries_leased_when_delivering check ((status = 'delivering') = (lease_token is not null))
)
-- every delivery changes status twice at least
with (fillfactor = 80);
comment on table app.webhook_deliveries is 'The queue: one row per event and endpoint, made from the outbox.';
comment on column app.webhook_deliveries.id is 'webhook-id is msg_ and this: the same in every attempt and replay.';
comment on column app.webhook_deliveries.event_id is 'Event to tell of; null = a test ping.';
comment on column app.webhook_deliveries.type is 'Type of the message, e.g. operation.start.';
comment on column app.webhook_deliveries.attempt_count is 'Attempts in all; each is in webhook_attempts.';
comment on column app.webhook_deliveries.retry_no is
  'Failures since it was queued or replayed: where it is in the schedule.';
comment on column app.webhook_deliveries.next_attempt_at is
  'When it is due; while delivering, when the lease ends and it is due again.';
comment on column app.webhook_deliveries.lease_token is
  'Names the dispatcher that has it: only that one may settle it.';

-- Due deliveries are a small part of a table that only grows: claiming reads this index, endpoint by endpoint.
create index webhook_deliveries_due on app.webhook_deliveries (endpoint_id, next_attempt_at)
  where status in ('pending', 'delivering');
create index webhook_deliveries_leased on app.webhook_deliveries (endpoint_id) where status = 'delivering';
create index webhook_deliveries_newest on app.webhook_deliveries (created_at desc, id desc);
create index webhook_deliveries_by_endpoint on app.webhook_deliveries (endpoint_id, created_at desc, id desc);
create index webhook_deliveries_open on app.webhook_deliveries (status, created_at desc, id desc)
  where status <> 'delivered';
create index webhook_deliveries_given_up
  on app.webhook_deliveries (endpoint_id, created_at desc, id desc) where status = 'dead';

alter table app.webhook_deliveries enable row level security;

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
comment on table app.webhook_attempts is 'Result of each attempt.';
comment on column app.webhook_attempts.status is 'HTTP status of the answer; null = there was none.';
comment on column app.webhook_attempts.response is 'First 500 characters of the answer.';

alter table app.webhook_attempts enable row level security;

-- A report writes one row here, however many endpoints want its event: dispatchers make the deliveries.
create table app.webhook_outbox (
  id bigint generated always as identity primary key,
  -- No foreign key: the trigger of the event itself makes the row, and events are never deleted.
  event_id uuid not null,
  type text not null,
  endpoint_ids uuid[] not null,
  queued_at timestamptz not null default clock_timestamp()
);
comment on table app.webhook_outbox is
  'The outbox: events whose deliveries are still to be made, written in the event''s transaction.';
comment on column app.webhook_outbox.endpoint_ids is 'Endpoints that wanted the event when it was recorded.';

alter table app.webhook_outbox enable row level security;

create table app.webhook_outcomes (
  -- No foreign key, likewise.
  event_id uuid primary key,
  is_delivered boolean not null default false,
  response text,
  error_message text
);
comment on table app.webhook_outcomes is
  'What came of an event''s deliveries, once one was tried or cancelled. A separate table, because events are never '
  'changed.';
comment on column app.webhook_outcomes.is_delivered is 'True once all deliveries that are not cancelled are delivered.';
comment on column app.webhook_outcomes.response is 'Last answer: its status and first 500 characters.';
comment on column app.webhook_outcomes.error_message is 'Last error of a delivery that is not delivered.';

alter table app.webhook_outcomes enable row level security;

create function app.wants_event(endpoint app.webhook_endpoints, event public.operation_events) returns boolean
language sql immutable
return (endpoint).enabled
  and ((endpoint).action_types is null or (event).action_type = any((endpoint).action_types))
  and ((endpoint).workplace_names is null or (event).workplace_name = any((endpoint).workplace_names))
  and ((endpoint).order_prefix is null or starts_with((event).order_no, (endpoint).order_prefix));
comment on function app.wants_event(app.webhook_endpoints, public.operation_events) is
  'True when the event is to be sent to the endpoint.';

create function app.webhook_type(action_type public.action) returns text
language sql immutable parallel safe
return 'operation.' || lower(action_type::text);
comment on function app.webhook_type(public.action) is
  'Type of the message about an event, e.g. operation.report_quantity.';

create function app.wants_downtimes(endpoint app.webhook_endpoints, workplace_name text) returns boolean
language sql immutable
return (endpoint).enabled and (endpoint).downtimes and (endpoint).order_prefix is null
  and ((endpoint).workplace_names is null or workplace_name = any((endpoint).workplace_names));
comment on function app.wants_downtimes(app.webhook_endpoints, text) is
  'True when events of downtimes of the workplace are to be sent to the endpoint.';

create function app.webhook_type(action_type public.downtime_action) returns text
language sql immutable parallel safe
return 'downtime.' || lower(replace(action_type::text, 'DOWNTIME_', ''));
comment on function app.webhook_type(public.downtime_action) is
  'Type of the message about an event of a downtime, e.g. downtime.start.';

create function app.tell_event(event_id uuid, response text default null) returns void
language plpgsql
set search_path = ''
as $$
begin
  if event_id is null then
    return;
  end if;
  insert into app.webhook_outcomes (event_id) values (tell_event.event_id) on conflict do nothing;
  -- one after the other: the last one sees what all others have done
  perform from app.webhook_outcomes o where o.event_id = tell_event.event_id for no key update;
  update app.webhook_outcomes o
  set is_delivered = now.is_delivered,
    response = coalesce(tell_event.response, o.response),
    error_message = case when not now.is_delivered then now.error_message end
  from (
    select
      coalesce(bool_and(d.status = 'delivered') filter (where d.status <> 'cancelled'), false) as is_delivered,
      (array_agg(d.error_message order by d.next_attempt_at desc)
        filter (where d.error_message is not null and d.status not in ('delivered', 'cancelled')))[1] as error_message
    from app.webhook_deliveries d
    where d.event_id = tell_event.event_id
  ) now
  where o.event_id = tell_event.event_id;
end
$$;
comment on function app.tell_event(uuid, text) is
  'Updates the delivery status of an event: success once all that are not cancelled are delivered, else '
  'the error of one that is not; and the last response, when there is a new one.';

create function app.queue_event() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  endpoint_ids constant uuid[] := array(
    select e.id from app.webhook_endpoints e where e.enabled and app.wants_event(e, new) is true);
begin
  if endpoint_ids <> '{}' then
    insert into app.webhook_outbox (event_id, type, endpoint_ids)
    values (new.id, app.webhook_type(new.action_type), endpoint_ids);
  end if;
  return null;
end
$$;
comment on function app.queue_event() is
  'Trigger: puts an event into the outbox when an endpoint wants it, in the event''s transaction.';

create trigger operation_events_queue after insert on public.operation_events
  for each row execute function app.queue_event();

create function app.queue_downtime_event() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  endpoint_ids constant uuid[] := array(
    select e.id from app.webhook_endpoints e
    where e.enabled and e.downtimes and app.wants_downtimes(e, new.workplace_name) is true);
begin
  if endpoint_ids <> '{}' then
    insert into app.webhook_outbox (event_id, type, endpoint_ids)
    values (new.id, app.webhook_type(new.action_type), endpoint_ids);
  end if;
  return null;
end
$$;
comment on function app.queue_downtime_event() is
  'Trigger: puts an event of a downtime into the outbox when an endpoint wants it, in the event''s transaction.';

create trigger downtime_events_queue after insert on public.downtime_events
  for each row execute function app.queue_downtime_event();
