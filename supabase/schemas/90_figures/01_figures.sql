-- What: figures of the running system for a monitoring exporter.
-- Why: an exporter needs one statement and one right, and must not read the rows that the figures come from.

-- Each figure is read by an index or from statistics, so that reading them costs milliseconds in a plant of any size.
-- The view reads as its owner, and calls no function of this schema: a function would need a right of the exporter.
create view app.figures as
-- The plant: work that runs, and reports that arrive.
select 'operations_running' as figure, '' as label,
  (select count(*)::numeric from public.mes_operations o where o.status = 'IN_PROGRESS') as value,
  'Operations that are in progress.' as meaning
union all
select 'longest_run_s', '',
  (select extract(epoch from clock_timestamp() - min(r.started_at)) from public.operation_runs r
    where r.ended_at is null),
  'Seconds since the start of the oldest open run.'
union all
select 'events_total', '',
  (select (s.last_value - case when s.is_called then 0 else 1 end)::numeric from app.feed_pos_seq s),
  'Positions that events have drawn in the feed: a counter.'
union all
select 'newest_event_age_s', '',
  (select extract(epoch from clock_timestamp() - f.recorded_at) from app.feed f order by f.pos desc limit 1),
  'Seconds since the last event.'
union all
-- Delivery.
select 'streams_open', '',
  (select count(*)::numeric from app.stream_places p where p.held_until > clock_timestamp()),
  'Live streams that are open.'
union all
select 'webhook_outbox_age_s', '',
  (select extract(epoch from clock_timestamp() - o.queued_at) from app.webhook_outbox o order by o.id limit 1),
  'Seconds that the oldest event waits for its deliveries: it grows when no dispatcher runs.'
union all
select 'webhook_overdue_s', '', (
  select extract(epoch from clock_timestamp() - min(d.next_attempt_at))
  from app.webhook_endpoints e
  left join app.webhook_health h on h.endpoint_id = e.id
  cross join lateral (
    select w.next_attempt_at from app.webhook_deliveries w
    where w.endpoint_id = e.id and w.status in ('pending', 'delivering') and w.next_attempt_at <= clock_timestamp()
    order by w.next_attempt_at limit 1
  ) d
  where e.enabled and coalesce(h.paused_until, '-infinity') <= clock_timestamp()
  ), 'Seconds that the oldest due delivery is late, at endpoints that are enabled and not paused.'
union all
select 'webhook_endpoints_failing', '', (
  select count(*)::numeric from app.webhook_health h join app.webhook_endpoints e on e.id = h.endpoint_id
  where e.enabled and h.failing_since is not null
  ), 'Enabled endpoints whose last delivery failed.'
union all
select 'webhook_endpoints_disabled', e.disabled_reason, count(*)::numeric,
  'Endpoints that the server disabled, by reason.'
from app.webhook_endpoints e
where e.deleted_at is null and e.disabled_reason in ('gone', 'failing')
group by e.disabled_reason
union all
select 'webhook_deliveries_dead', '', (
  select count(*)::numeric
  from (select from app.webhook_deliveries d where d.status = 'dead' limit 10000) dead
  ), 'Deliveries that were given up in the last 90 days, counted to 10,000.'
union all
-- The database.
select 'stored_answers_age_s', '',
  (select extract(epoch from clock_timestamp() - k.created_at) from app.idempotency_keys k
    order by k.created_at limit 1),
  'Seconds since the oldest answer was stored under an Idempotency-Key.'
union all
select 'connections', coalesce(a.state, 'starting'), count(*)::numeric, 'Connections of clients, by state.'
from pg_catalog.pg_stat_activity a
where a.backend_type = 'client backend' and a.datname = current_database()
group by a.state
union all
select 'connections_max', '', current_setting('max_connections')::numeric, 'Connections that the server accepts.'
union all
select 'longest_transaction_s', '', (
  select coalesce(extract(epoch from clock_timestamp() - min(a.xact_start)), 0)
  from pg_catalog.pg_stat_activity a
  where a.backend_type = 'client backend' and a.datname = current_database() and a.pid <> pg_backend_pid()
  ), 'Seconds since the start of the oldest open transaction.'
union all
select 'database_bytes', '', pg_database_size(current_database())::numeric, 'Size of the database.'
union all
select 'table_bytes', t.name, pg_total_relation_size(t.name::regclass)::numeric,
  'Size of a table that grows, with its indexes.'
from (values
  ('public.mes_operations'), ('public.operation_events'), ('public.operation_runs'), ('app.feed'),
  ('app.idempotency_keys'), ('app.webhook_deliveries'), ('app.webhook_attempts')
) t (name)
union all
select 'table_rows', t.name,
  (select greatest(c.reltuples, 0)::numeric from pg_catalog.pg_class c where c.oid = t.name::regclass),
  'Rows of a table that grows, as the last ANALYZE estimated them.'
from (values ('public.mes_operations'), ('public.operation_events')) t (name);
comment on view app.figures is
  'Figures for a monitoring exporter: members of pg_monitor may read it, and none of the roles of the API.';

grant usage on schema app to pg_monitor;
grant select on app.figures to pg_monitor;
