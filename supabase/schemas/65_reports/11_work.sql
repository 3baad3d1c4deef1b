-- What: reports of work: scrap, operations against their plan, and what goes on now.
-- Why: each is one call, of the workplaces that its caller sees.

create function app.scrap_buckets(scope app.report_scope, by_keys app.report_by) returns json
language plpgsql stable
set search_path = ''
-- the lists below have no statistics: see app.time_intervals
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
as $$
declare
  periods constant app.report_period[] := array(select p from app.report_periods(scope, (by_keys).period) p);
begin
  return (
    with
    cell as materialized (select * from app.report_cells(scope, periods, by_keys)),
    located as materialized (
      select p.place_no, array_agg(p.from_ms order by p.from_ms) as starts,
        array_agg(p.period_no order by p.from_ms) as numbers
      from (select (row_number() over ())::integer as period_no, x.place_no, x.from_ms from unnest(periods) x) p
      group by 1
    ),
    -- what was taken back is no scrap of the report that it took it from
    piece as materialized (
      select p.place_no, l.numbers[width_bucket(app.ms(e.occurred_at), l.starts)] as period_no,
        case when e.action_type = 'CORRECT' then null else e.reason_code end as reason_code,
        e.order_no, e.asset_id, e.operation_no,
        e.qty_good - coalesce(b.good, 0) as good, e.qty_scrap - coalesce(b.scrap, 0) as scrap
      from unnest(scope.places) p
      join located l on l.place_no = p.place_no
      cross join lateral (
        select * from public.operation_events x
        where x.workplace_name = p.name and (x.qty_good <> 0 or x.qty_scrap <> 0)
          and x.occurred_at >= app.from_ms(p.from_ms) and x.occurred_at < app.from_ms(p.to_ms)
          and x.action_type <> 'REVERSE' and x.status_before is not null
      ) e
      left join lateral (
        select sum(r.qty_good) as good, sum(r.qty_scrap) as scrap
        from public.operation_events r where r.reverses_event_id = e.id
      ) b on true
    ),
    keyed as materialized (
      select c.key_no, c.key || case (by_keys).work
          when 'operation' then jsonb_build_object(
            'order_no', x.order_no, 'asset_id', x.asset_id, 'operation_no', x.operation_no)
          when 'order' then jsonb_build_object('order_no', x.order_no)
          else '{}' end as key,
        x.reason_code, x.good, x.scrap
      from piece x
      join cell c on c.period_no = x.period_no
    ),
    summed as materialized (
      select k.key_no, k.key, sum(k.good) as gq, sum(k.scrap) as sq from keyed k group by 1, 2
    ),
    reason as materialized (
      select k.key, k.reason_code, sum(k.scrap) as sq, count(*) as times
      from keyed k where k.scrap <> 0 group by 1, 2
    ),
    reasons as materialized (
      select r.key, json_agg(json_build_object(
        'reason_code', r.reason_code, 'sq', r.sq, 'count', r.times,
        'share', trim_scale(round(app.ratio(r.sq, s.sq), 6))
      ) order by r.sq desc, r.reason_code) as list
      from reason r
      join summed s on s.key = r.key
      group by 1
    ),
    framed as materialized (
      select c.key_no, c.key, min(c.from_ms) as from_ms, max(c.to_ms) as to_ms from cell c group by 1, 2
    ),
    total as materialized (select coalesce(sum(s.sq), 0) as sq from summed s)
    select coalesce(json_agg(b.bucket order by b.rank, b.key_no, b.key), '[]')
    from (
      select f.key_no, coalesce(s.key, f.key) as key,
        case when (by_keys).period is null then -coalesce(s.sq, 0) end as rank, json_build_object(
        'key', coalesce(s.key, f.key),
        'from', app.iso_ms(f.from_ms),
        'to', app.iso_ms(f.to_ms),
        'pieces', json_build_object(
          'pq', coalesce(s.gq + s.sq, 0), 'gq', coalesce(s.gq, 0), 'sq', coalesce(s.sq, 0)),
        'scrap_ratio', trim_scale(round(app.ratio(s.sq, s.gq + s.sq), 6)),
        'share', trim_scale(round(app.ratio(coalesce(s.sq, 0), t.sq), 6)),
        'scrap', coalesce(g.list, '[]')
      ) as bucket
      from framed f
      left join summed s on s.key_no = f.key_no
      left join reasons g on g.key = s.key
      cross join total t
      where (by_keys).work is null or s.key is not null
      order by rank, f.key_no, key
      limit 10000
    ) b
  );
end
$$;
comment on function app.scrap_buckets(app.report_scope, app.report_by) is
  'The rows of the report of scrap; without a key of time, those with the most scrap first.';

create function public.report_scrap(
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
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  return app.json_with(to_json(app.report_frame(scope)), 'buckets', app.scrap_buckets(scope, keys));
end
$$;
comment on function public.report_scrap is
  'Scrap by reason, and by workplace, time, operation or order, where it was reported. Raises 404 not_found for '
  'unknown and hidden workplaces, 422 validation_failed.';
grant execute on function public.report_scrap to authenticated, service_role;

create function app.target_json(target numeric, actual numeric) returns json
language sql immutable
return json_build_object(
  'target_min', target, 'actual_min', actual,
  'variance_min', trim_scale(actual - target),
  'efficiency', trim_scale(round(app.ratio(target, actual), 6)));
comment on function app.target_json(numeric, numeric) is 'Planned and actual minutes, and target / actual.';

create function app.operation_report_json(o public.mes_operations, now_at timestamptz) returns json
language sql stable
begin atomic
  select json_build_object(
    'order_no', (o).order_no,
    'asset_id', (o).asset_id,
    'operation_no', (o).operation_no,
    'workplace_name', (o).workplace_name,
    'status', (o).status,
    'qty_desired', (o).qty_desired,
    'pieces', json_build_object('pq', (o).qty_processed, 'gq', (o).qty_good, 'sq', (o).qty_scrap),
    'per_piece_min', trim_scale(round(app.minutes_per_piece(o), 6)),
    'setup', app.target_json((o).t_target_setup_min, m.setup_min),
    'processing', app.target_json((o).t_target_processing_min, m.processing_min),
    'lead', app.target_json((o).t_target_lead_min, m.lead_min),
    'effectiveness', trim_scale(round(
      app.ratio(app.minutes_per_piece(o) * (o).qty_processed, m.processing_min), 6)),
    'planned_start_at', app.iso((o).planned_start_at),
    'planned_end_at', app.iso((o).planned_end_at),
    'actual_start_at', app.iso((o).actual_start_at),
    'actual_end_at', app.iso((o).actual_end_at),
    'start_variance_min', app.minutes_between((o).planned_start_at, (o).actual_start_at),
    'end_variance_min', app.minutes_between((o).planned_end_at, (o).actual_end_at),
    'throughput_per_h', trim_scale(round(app.ratio((o).qty_processed * 60, m.processing_min), 6)),
    'first_pass_yield', trim_scale(round(app.ratio((o).qty_good, greatest((o).qty_processed, r.made)), 6)),
    'reasons', json_strip_nulls(json_build_object(
      'effectiveness', case
        when app.minutes_per_piece(o) is null then 'no_target_time'
        when coalesce(m.processing_min, 0) = 0 then 'no_processing' end,
      'throughput_per_h', case when coalesce(m.processing_min, 0) = 0 then 'no_processing' end,
      'first_pass_yield', case when greatest((o).qty_processed, r.made) = 0 then 'no_pieces' end,
      'start_variance_min', case when (o).planned_start_at is null then 'not_planned'
        when (o).actual_start_at is null then 'not_started' end,
      'end_variance_min', case when (o).planned_end_at is null then 'not_planned'
        when (o).actual_end_at is null then 'not_finished' end))
  )
  from (
    select app.minutes_read(o, 'SETUP', now_at) as setup_min,
      app.minutes_read(o, 'PROCESSING', now_at) as processing_min,
      coalesce((o).t_actual_lead_min, app.minutes_between((o).actual_start_at, coalesce((o).actual_end_at, now_at)))
        as lead_min
  ) m
  cross join lateral (
    select coalesce(sum(e.qty_good + e.qty_scrap), 0) as made from public.operation_events e
    where e.operation_id = (o).id and e.action_type in ('REPORT_QUANTITY', 'COMPLETE')
  ) r;
end;
comment on function app.operation_report_json(public.mes_operations, timestamptz) is
  'An operation against its plan, as the report of operations has it.';

create function public.report_operations(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  take integer default 100,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('after_order_no', after_order_no)
    and app.require_bounded('after_operation_no', after_operation_no) and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  scope app.report_scope;
  ids bigint[];
  rows public.mes_operations[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  ids := app.report_operation_ids(scope.places);
  rows := array(
    select o from public.mes_operations o
    where o.id = any(ids)
      -- planned elsewhere by now: their plan is not the caller's to see
      and app.sees_workplace(caller, o.workplace_name)
      and (after_order_no is null
        or (o.order_no, o.operation_no, o.asset_id) > (after_order_no, after_operation_no, after_asset_id))
    order by o.order_no, o.operation_no, o.asset_id
    limit take + 1
  );
  return json_build_object(
    'report', app.report_frame(scope),
    'items', (
      select coalesce(json_agg(app.operation_report_json(o, app.from_ms(scope.now_ms))), '[]')
        from unnest(rows[1:take]) o),
    'next', case when cardinality(rows) > take
      then json_build_array(rows[take].order_no, rows[take].operation_no, rows[take].asset_id) end,
    'total', null
  );
end
$$;
comment on function public.report_operations is
  'A page of the operations that were worked on in the window, against their plan, in the order of their keys: '
  '{"report", "items", "next", "total"}. Raises 404 not_found for unknown and hidden workplaces, 422 '
  'validation_failed.';
grant execute on function public.report_operations to authenticated, service_role;

create function public.report_summary(
  workplace_names text[] default null,
  workplace_group text default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
set enable_nestloop = on
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  now_at constant timestamptz := clock_timestamp();
  scope app.report_scope;
  zone text;
  today timestamptz;
  names text[];
begin
  scope := app.report_scope(caller, workplace_names, workplace_group, now_at, now_at, null, null, time_zone);
  zone := scope.time_zone;
  today := date_trunc('day', now_at at time zone zone) at time zone zone;
  names := array(select p.name from unnest(scope.places) p);
  return (
    select json_build_object(
      'at', app.iso(now_at),
      'time_zone', zone,
      'scope', (app.report_frame(scope)).scope,
      'today', json_build_object('date', to_char(now_at at time zone zone, 'YYYY-MM-DD'), 'from', app.iso(today)),
      'operations', json_build_object(
        'by_status', json_build_object(
          'PLANNED', o.planned, 'RELEASED', o.released, 'IN_PROGRESS', o.running, 'ON_HOLD', o.held),
        'running', o.running, 'late', o.late, 'blocked', o.blocked, 'suspect', o.suspect,
        'started_today', e.started, 'finished_today', e.finished),
      'pieces_today', json_build_object('pq', q.good + q.scrap, 'gq', q.good, 'sq', q.scrap),
      'stops', json_build_object('open', d.open, 'unexplained', d.unexplained)
    )
    from (
      select count(*) filter (where x.status = 'PLANNED') as planned,
        count(*) filter (where x.status = 'RELEASED') as released,
        count(*) filter (where x.status = 'IN_PROGRESS') as running,
        count(*) filter (where x.status = 'ON_HOLD') as held,
        count(*) filter (where x.planned_end_at < now_at) as late,
        count(*) filter (where x.hold_kind = 'BLOCKED') as blocked,
        count(*) filter (where x.running_since < now_at - interval '12 hours') as suspect
      from unnest(names) n
      cross join lateral (
        select * from public.mes_operations m
        where m.workplace_name = n and m.status not in ('FINISHED', 'CANCELLED')
      ) x
    ) o
    cross join (
      select count(distinct x.operation_id) filter (where x.action_type = 'START' and x.status_before = 'RELEASED')
          as started,
        count(distinct x.operation_id) filter (where x.status_after = 'FINISHED' and x.status_before <> 'FINISHED')
          as finished
      from unnest(names) n
      cross join lateral (
        select * from public.operation_events v
        where v.workplace_name = n and v.created_at >= today - interval '2 minutes' and v.occurred_at >= today
      ) x
    ) e
    cross join (
      select coalesce(sum(app.delta(x, x.qty_good)), 0) as good, coalesce(sum(app.delta(x, x.qty_scrap)), 0) as scrap
      from unnest(names) n
      cross join lateral (
        select * from public.operation_events v
        where v.workplace_name = n and (v.qty_good <> 0 or v.qty_scrap <> 0) and v.occurred_at >= today
          and v.status_before is not null
      ) x
    ) q
    cross join (
      select count(*) filter (where x.ended_at is null) as open,
        count(*) filter (where x.reason_code is null) as unexplained
      from unnest(names) n
      cross join lateral (
        select v.ended_at, v.reason_code from public.downtimes v
        where v.workplace_name = n and v.cancelled_at is null and (v.ended_at is null or v.reason_code is null)
      ) x
    ) d
  );
end
$$;
comment on function public.report_summary is
  'What goes on now, for a dashboard: open operations by status, running, late and blocked ones, unexplained stops, '
  'and the pieces of today. Raises 404 not_found for unknown and hidden workplaces.';
grant execute on function public.report_summary to authenticated, service_role;
