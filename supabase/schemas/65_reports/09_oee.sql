-- What: OEE by workplace, time and work.
-- Why: elements are summed first and ratios are made once, so that any aggregate is right.

create type app.report_part as (time app.time_interval, work app.work_sum);
comment on type app.report_part is 'An interval of time, or what was worked within a row of a report.';

create function app.report_parts(
  scope app.report_scope, spans app.time_span[], periods app.report_period[], key_nos integer[], ids bigint[],
  pris numeric[], attribution public.attribution
) returns setof app.report_part
language plpgsql stable rows 10000
set search_path = ''
set jit = off
set plan_cache_mode = 'force_generic_plan'
set parallel_setup_cost = 0
set parallel_tuple_cost = 0
as $$
declare
  untargeted_ids constant bigint[] := array(select o.id from unnest(ids, pris) o (id, pri) where o.pri is null);
begin
  if cardinality(ids) < 1000 then
    return query
      select t, null::app.work_sum from app.time_intervals(scope, spans, ids, untargeted_ids, true) t;
    return query
      select null::app.time_interval, w
      from app.work_sums(scope, spans, periods, key_nos, ids, pris, attribution, false) w;
  else
    -- at the same time, by a parallel append: neither needs the other, and each takes half of a large report
    return query
      select t, null::app.work_sum from app.time_intervals(scope, spans, ids, untargeted_ids, true) t
      union all
      select null::app.time_interval, w
      from app.work_sums(scope, spans, periods, key_nos, ids, pris, attribution, false) w;
  end if;
end
$$;
comment on function app.report_parts(
  app.report_scope, app.time_span[], app.report_period[], integer[], bigint[], numeric[], public.attribution
) is 'Time and work of a report whose rows are not of operations.';

create function app.oee_buckets(
  scope app.report_scope, by_keys app.report_by, attribution public.attribution, are_named boolean
) returns json
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
  is_of_work constant boolean := (by_keys).work is not null;
  cells constant app.report_cell[] := array(select c from app.report_cells(scope, periods, by_keys) c);
  key_nos constant integer[] := array(select c.key_no from unnest(cells) c order by c.period_no);
  ids bigint[];
  pris numeric[];
begin
  select array_agg(o.id order by o.id), array_agg(app.minutes_per_piece(o) order by o.id) into ids, pris
  from public.mes_operations o
  where o.id = any(app.report_operation_ids(scope.places));
  return (
    with
    cell as materialized (select * from unnest(cells)),
    place as materialized (select * from unnest(scope.places)),
    part as materialized (
      select p.* from app.report_parts(scope, spans, periods, key_nos, ids, pris, attribution) p where not is_of_work
    ),
    -- rows by operation hold the shares of operations, and no other time
    t as materialized (select (p.time).* from part p where p.work is null),
    timed as materialized (
      select key_nos[t.period_no] as key_no,
        sum((t.to_ms - t.from_ms) * t.pot_slots) as pot,
        sum((t.to_ms - t.from_ms) * t.pot_slots) filter (where t.bucket = 'PDOT') as pdot,
        sum((t.to_ms - t.from_ms) * t.apt_slots) filter (where t.is_inside) as apt,
        sum((t.to_ms - t.from_ms) * t.aust_slots) filter (where t.is_inside) as aust,
        sum((t.to_ms - t.from_ms) * t.adet_slots) as adet,
        sum((t.to_ms - t.from_ms) * t.adot_slots) as adot,
        -- of a stretch in which all have a target, no part is divided
        sum((t.to_ms - t.from_ms) * t.apt_slots * case
          when t.untargeted = 0 then 1
          else (t.processing - t.untargeted)::numeric / t.processing
        end) filter (where t.is_inside and t.processing > 0) as apt_known,
        sum((t.to_ms - t.from_ms) * t.apt_slots) filter (where not t.is_inside) as apt_outside,
        sum((t.to_ms - t.from_ms) * t.aust_slots) filter (where not t.is_inside) as aust_outside,
        sum(t.to_ms - t.from_ms) filter (where t.detail = 'unknown') as unknown_ms,
        sum(t.to_ms - t.from_ms) filter (where t.is_inside and t.is_crowded and not t.is_down)
          as crowded_ms
      from t
      group by 1
    ),
    stopped as materialized (
      select key_nos[t.period_no] as key_no, count(distinct t.cause) as downtimes
      from t
      where t.is_down or t.detail = 'planned_downtime'
      group by 1
    ),
    w as materialized (
      select (p.work).* from part p where p.time is null
      union all
      select o.* from app.work_sums(scope, spans, periods, key_nos, ids, pris, attribution, true) o where is_of_work
    ),
    worked as materialized (
      select w.key_no, k.work_key, sum(h.apt) as apt, sum(h.aust) as aust, sum(h.apt_outside) as apt_outside,
        sum(h.aust_outside) as aust_outside, sum(h.apt) filter (where o.pri is not null) as apt_known,
        sum(w.pq) as pq, sum(w.gq) as gq, sum(w.earned) as earned, sum(w.earned_good) as earned_good,
        sum(w.pq_outside) as pq_outside, sum(w.gq_outside) as gq_outside, sum(w.pq_taken_over) as pq_taken_over,
        sum(w.runs) as runs, sum(w.reports) as reports, sum(w.untargeted) as untargeted, sum(w.unlogged) as unlogged,
        sum(w.suspects) as suspects
      from w
      left join app.report_operations(case when is_of_work then ids end) o on o.operation_id = w.operation_id
      left join app.work_shares(scope, spans, periods, key_nos, case when is_of_work then ids end) h
        on h.key_no = w.key_no and h.operation_id = w.operation_id
          and h.unplanned_place_no is not distinct from w.unplanned_place_no
      cross join lateral (
        select case (by_keys).work
          when 'operation' then jsonb_build_object(
            'order_no', o.order_no, 'asset_id', o.asset_id, 'operation_no', o.operation_no)
          when 'order' then jsonb_build_object('order_no', o.order_no)
        end as work_key
      ) k
      group by 1, 2
    ),
    used as materialized (select distinct w.unplanned_place_no as place_no from w),
    framed as materialized (
      select c.key_no, c.key, min(c.from_ms) as from_ms, max(c.to_ms) as to_ms, bool_and(f.has_plan) as has_plan,
        bool_and(p.slots is not null) as has_slots,
        sum((c.to_ms - c.from_ms)::numeric * p.slots) filter (where p.pot is not null) as window_ms,
        coalesce(array_agg(distinct p.name) filter (where not f.has_plan), '{}') as without_plan,
        case when count(distinct p.calendar_name) = 1 then max(p.calendar_version) end as calendar_version,
        bool_or(p.is_slots) as is_slots,
        array_agg(distinct c.place_no) as place_nos
      from cell c
      join place p on p.place_no = c.place_no
      left join used u on u.place_no = c.place_no
      -- a place without a calendar at which nothing happened is no part of a sum
      cross join lateral (
        select p.pot is not null
          or u.place_no is null and not are_named and (by_keys).place is distinct from 'workplace' as has_plan
      ) f
      group by 1, 2
    ),
    loss as materialized (
      select key_nos[r.period_no] as key_no, r.bucket, r.detail, r.reason_code, sum(r.ms) as ms,
        case when bool_and(r.cause is not null) then count(distinct r.cause)
          else count(*) filter (where r.is_start) + count(distinct r.cause) end as times
      from app.loss_rows(array(
        select t::app.time_interval from t
        where t.bucket <> 'OFF' and (t.bucket <> 'APT' or t.aust_slots + t.adet_slots + t.adot_slots > 0))) r
      group by 1, 2, 3, 4
    ),
    losses as materialized (
      select l.key_no, json_agg(json_build_object(
        'bucket', l.bucket, 'detail', l.detail, 'reason_code', l.reason_code, 'minutes', app.minutes(l.ms), 'count',
          l.times
      ) order by l.ms desc, l.bucket, l.detail, l.reason_code) as list
      from loss l
      group by 1
    ),
    minor as materialized (
      select c.key_no, count(*) as times, sum(m.length_ms) as ms
      from app.report_minor_stops(scope.places) m
      join cell c on c.place_no = m.place_no and m.at_ms >= c.from_ms and m.at_ms < c.to_ms
      group by 1
    )
    select coalesce(json_agg(
      json_build_object(
        'key', f.key || coalesce(k.work_key, '{}'),
        'from', app.iso_ms(f.from_ms),
        'to', app.iso_ms(f.to_ms),
        'elements', b.bucket -> 'elements',
        'pieces', b.bucket -> 'pieces',
        'ratios', b.bucket -> 'ratios',
        'capped', b.bucket -> 'capped',
        'coverage', b.bucket -> 'coverage',
        'partial', b.bucket -> 'partial',
        'losses', case when is_of_work then '[]' else coalesce(l.list, '[]') end,
        'minor_stops', json_build_object(
          'count', coalesce(m.times, 0), 'minutes', app.minutes(coalesce(m.ms, 0))),
        'outside', json_build_object(
          'apt_min', app.minutes(coalesce(case when is_of_work then k.apt_outside else s.apt_outside end, 0)),
          'aust_min', app.minutes(coalesce(case when is_of_work then k.aust_outside else s.aust_outside end, 0)),
          'pq', trim_scale(round(coalesce(k.pq_outside, 0), 3)), 'gq', trim_scale(round(coalesce(k.gq_outside, 0), 3))),
        'reasons', b.bucket -> 'reasons',
        'warnings', app.report_warnings(x.sums, jsonb_build_object(
          'operations_without_target', k.untargeted, 'unlogged_minutes', k.unlogged, 'suspect_runs', k.suspects,
          'pieces_taken_over', k.pq_taken_over, 'unknown_ms', s.unknown_ms,
          'crowded_ms', case when f.is_slots then s.crowded_ms end,
          'without_plan', case when not is_of_work then to_jsonb(f.without_plan) end)),
        'inputs', json_build_object(
          'runs', coalesce(k.runs, 0), 'events', coalesce(k.reports, 0), 'downtimes', coalesce(d.downtimes, 0),
          'calendar_version', f.calendar_version))
      order by f.key_no, k.work_key), '[]')
    from framed f
    left join timed s on s.key_no = f.key_no
    left join worked k on k.key_no = f.key_no
    left join stopped d on d.key_no = f.key_no
    left join losses l on l.key_no = f.key_no
    left join minor m on m.key_no = f.key_no and not is_of_work
    cross join lateral (
      select row(
        f.has_plan and not is_of_work, f.has_slots, is_of_work, f.window_ms, coalesce(s.pot, 0), coalesce(s.pdot, 0),
        coalesce(case when is_of_work then k.apt else s.apt end, 0),
        coalesce(case when is_of_work then k.aust else s.aust end, 0),
        coalesce(s.adet, 0), coalesce(s.adot, 0),
        coalesce(case when is_of_work then k.apt_known else s.apt_known end, 0),
        coalesce(k.pq, 0), coalesce(k.gq, 0), coalesce(k.earned, 0) * 60000, coalesce(k.earned_good, 0) * 60000
      )::app.report_sums as sums
    ) x
    cross join lateral (select app.report_bucket(x.sums) as bucket offset 0) b
    where not is_of_work or k.key_no is not null
  );
end
$$;
comment on function app.oee_buckets(app.report_scope, app.report_by, public.attribution, boolean) is
  'The rows of the report OEE: one for each key, in the order of the keys.';

create function public.report_oee(
  workplace_names text[] default null,
  workplace_group text default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  shift_date text default null,
  shift_code text default null,
  by_keys text[] default null,
  attribution text default null,
  time_zone text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('shift_date', shift_date)
    and app.require_bounded('shift_code', shift_code) and app.require_bounded('by_keys', by_keys)
    and app.require_bounded('attribution', attribution) and app.require_bounded('time_zone', time_zone);
  caller constant app.caller := app.current_caller();
  keys constant app.report_by := app.report_by(by_keys);
  how constant public.attribution := app.attribution_of(attribution);
  scope app.report_scope;
begin
  scope := app.report_scope(
    caller, workplace_names, workplace_group, from_at, to_at, shift_date, shift_code, time_zone);
  return app.json_with(
    app.json_with(to_json(app.report_frame(scope)), 'attribution', to_json(how)),
    'buckets', app.oee_buckets(scope, keys, how, workplace_names is not null));
end
$$;
comment on function public.report_oee is
  'OEE with its elements, pieces, ratios, losses and inputs, for the workplaces that the caller sees. Raises 404 '
  'not_found for unknown and hidden workplaces, 422 validation_failed.';
grant execute on function public.report_oee to authenticated, service_role;
