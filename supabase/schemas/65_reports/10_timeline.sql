-- What: the timeline of a workplace, and its losses.
-- Why: both are the partition itself, so that a chart and a figure cannot differ.

create function app.local_text(ms bigint, time_zone text) returns text
language sql stable parallel safe
return to_char(app.from_ms(ms) at time zone time_zone, 'YYYY-MM-DD"T"HH24:MI:SS.MS');
comment on function app.local_text(bigint, text) is
  'An instant on local clocks, to the millisecond, without an offset.';

-- Rows become JSON as they are, in half of the time that a list of keys and values takes.
create type app.timeline_work as (
  order_no text,
  asset_id integer,
  operation_no text,
  phase text,
  share numeric
);
comment on type app.timeline_work is 'An operation in an interval of a timeline, as the API writes it.';

create type app.timeline_slots as (apt integer, aust integer, adet integer, adot integer);

create type app.timeline_interval as (
  "from" text,
  "to" text,
  from_local text,
  to_local text,
  minutes numeric,
  bucket text,
  detail text,
  reason_code text,
  source text,
  operations json,
  slots app.timeline_slots
);
comment on type app.timeline_interval is 'An interval of a timeline, as the API writes it.';

create function app.timeline_intervals(scope app.report_scope) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  spans constant app.time_span[] := array(
    select n from app.time_spans(scope, array(select p from app.report_periods(scope, null) p)) n);
  ids constant bigint[] := app.report_operation_ids(scope.places);
begin
  return (
    with
    t as materialized (
      select i.*, trim_scale(round(i.apt_slots::numeric / nullif(i.processing, 0), 6)) as processing_share,
        trim_scale(round(i.aust_slots::numeric / nullif(i.setting_up, 0), 6)) as setup_share
      from app.time_intervals(scope, spans, ids, '{}', false) i
    ),
    listed as materialized (select array_agg(t.from_ms order by t.from_ms) as starts from t),
    -- sorted once: their order is the same in each interval
    operation as materialized (
      select o.*, row_number() over (order by o.order_no, o.operation_no, o.asset_id) as rank
      from app.report_operations(ids) o
    ),
    run as materialized (
      select r.operation_id, r.phase, width_bucket(r.from_ms, l.starts) as first_no,
        width_bucket(r.to_ms - 1, l.starts) as last_no
      from app.report_runs(scope.places, ids, scope.now_ms) r
      cross join listed l
      where r.is_in_window
    ),
    worked as materialized (
      select l.starts[n] as from_ms, r.operation_id, r.phase
      from run r
      cross join listed l
      cross join lateral generate_series(greatest(r.first_no, 1), r.last_no) n
    ),
    work as materialized (
      select w.from_ms, json_agg(row(o.order_no, o.asset_id, o.operation_no, w.phase, case
          when t.is_down then 0 when w.phase = 'SETUP' then t.setup_share else t.processing_share
        end)::app.timeline_work order by w.phase desc, o.rank) as list
      from worked w
      join t on t.from_ms = w.from_ms
      join operation o on o.operation_id = w.operation_id
      group by 1
    )
    select coalesce(json_agg(row(
      app.iso_ms(t.from_ms), app.iso_ms(t.to_ms), app.local_text(t.from_ms, scope.time_zone),
      app.local_text(t.to_ms, scope.time_zone), app.minutes(t.to_ms - t.from_ms), t.bucket, t.detail,
      case when t.bucket in ('PDOT', 'ADET', 'ADOT') then t.reason_code end, t.source, coalesce(w.list, '[]'),
      case when p.is_slots then row(t.apt_slots, t.aust_slots, t.adet_slots, t.adot_slots)::app.timeline_slots end
    )::app.timeline_interval order by t.from_ms), '[]')
    from t
    cross join unnest(scope.places) p
    left join work w on w.from_ms = t.from_ms
  );
end
$$;
comment on function app.timeline_intervals(app.report_scope) is
  'The partition of the window of one workplace: gapless and without overlap, with what ran in each interval.';

create function public.report_timeline(
  workplace_name text,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_name', workplace_name)
    and app.require_bounded('shift_date', shift_date) and app.require_bounded('shift_code', shift_code)
    and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  scope app.report_scope;
  intervals json;
begin
  scope := app.report_scope(caller, array[coalesce(workplace_name, '')], null, from_at, to_at, shift_date, shift_code,
    time_zone);
  intervals := app.timeline_intervals(scope);
  -- of a month, 40 MB: not copied and not parsed once more
  return (
    select to_json(r) from (
      select f.*, report_timeline.workplace_name, intervals from app.report_frame(scope) f
    ) r
  );
end
$$;
comment on function public.report_timeline is
  'The timeline of one workplace: each instant in one bucket. Raises 404 not_found for an unknown or hidden workplace, '
  '422 validation_failed.';
grant execute on function public.report_timeline to authenticated, service_role;

create function app.loss_buckets(scope app.report_scope, by_keys app.report_by) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  periods constant app.report_period[] := array(select p from app.report_periods(scope, (by_keys).period) p);
  spans constant app.time_span[] := array(select n from app.time_spans(scope, periods) n);
  ids constant bigint[] := app.report_operation_ids(scope.places);
begin
  return (
    with
    cell as materialized (select * from app.report_cells(scope, periods, by_keys)),
    framed as materialized (
      select c.key_no, c.key, min(c.from_ms) as from_ms, max(c.to_ms) as to_ms from cell c group by 1, 2
    ),
    loss as materialized (
      select c.key_no, r.bucket, r.detail, r.reason_code, sum(r.ms) as ms,
        count(*) filter (where r.cause is null and r.is_start) + count(distinct r.cause) as times
      from app.loss_rows(array(
        select t from app.time_intervals(scope, spans, ids, '{}', true) t
        where t.bucket <> 'OFF' and (t.bucket <> 'APT' or t.aust_slots + t.adet_slots + t.adot_slots > 0))) r
      join cell c on c.period_no = r.period_no
      group by 1, 2, 3, 4
    ),
    ranked as materialized (
      select l.*, sum(l.ms) over (partition by l.key_no) as total_ms,
        sum(l.ms) over (partition by l.key_no order by l.ms desc, l.bucket, l.detail, l.reason_code
          rows unbounded preceding) as cumulative_ms
      from loss l
    )
    select coalesce(json_agg(json_build_object(
      'key', f.key,
      'from', app.iso_ms(f.from_ms),
      'to', app.iso_ms(f.to_ms),
      'total_min', app.minutes(coalesce(g.total_ms, 0)),
      'losses', coalesce(g.list, '[]')
    ) order by f.key_no), '[]')
    from framed f
    left join (
      select r.key_no, max(r.total_ms) as total_ms, json_agg(json_build_object(
        'category', case
          when r.bucket = 'PDOT' then 'PLANNED' when r.bucket = 'AUST' then 'SETUP'
          when r.detail = 'idle' then 'IDLE' when r.detail = 'unknown' then 'UNKNOWN' else 'UNPLANNED' end,
        'bucket', r.bucket, 'detail', r.detail, 'reason_code', r.reason_code,
        'minutes', app.minutes(r.ms), 'count', r.times,
        'share', trim_scale(round(r.ms / r.total_ms, 6)),
        'cumulative_share', trim_scale(round(r.cumulative_ms / r.total_ms, 6))
      ) order by r.ms desc, r.bucket, r.detail, r.reason_code) as list
      from ranked r
      group by 1
    ) g on g.key_no = f.key_no
  );
end
$$;
comment on function app.loss_buckets(app.report_scope, app.report_by) is 'The rows of the report of losses.';

create function public.report_losses(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  by_keys text[] default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('by_keys', by_keys)
    and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  keys constant app.report_by := app.report_by(by_keys);
  scope app.report_scope;
begin
  if keys.work is not null then
    perform app.refuse_field('/by', 'invalid_value', 'Lost time belongs to workplaces: not to operations or orders');
  end if;
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  return app.json_with(to_json(app.report_frame(scope)), 'buckets', app.loss_buckets(scope, keys));
end
$$;
comment on function public.report_losses is
  'Lost time by category and reason, the most first, for the workplaces that the caller sees. Raises 404 not_found for '
  'unknown and hidden workplaces, 422 validation_failed.';
grant execute on function public.report_losses to authenticated, service_role;
